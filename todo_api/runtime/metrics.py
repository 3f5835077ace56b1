"""The metrics of this process, for Prometheus: what is counted, and under which names.

docs/metrics.md describes all of them. Labels have few values, which no client chooses, and none
names a user, an address or a task.

This module is imported only where metrics are served, because prometheus-client takes memory
(docs/decisions/late-imports.md).
"""

import os
import platform
import resource
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from prometheus_client import Counter, Gauge
from prometheus_client.registry import CollectorRegistry

from todo_api.exporter.files import allocate
from todo_api.runtime.request_counts import RequestCounts, TaskCounts
from todo_core.ports.limits import Limit
from todo_core.ports.mail import Email
from todo_core.ports.security_log import SecurityEvent

_DATABASE_JOB = "session check"
"""The background job that queries the database every few seconds in every process."""

_KINDS_OF_FILES = ("counter", "gauge_livesum", "gauge_livemin", "gauge_livemax", "gauge_liveall")
_FILE_SIZE = 32 * 1024
"""The bytes of each file of prometheus-client, which uses a third of them at most. It would not
allocate them (`allocate`)."""

_STATISTICS = Path("/proc/self/statm")
_OPEN_FILES = Path("/proc/self/fd")


@dataclass(frozen=True, slots=True)
class Readings:
    """The state of this process at one moment."""

    threads: Mapping[str, tuple[int, int, int]]
    """How many threads of each kind there are, how many are busy, and how many calls wait."""
    database_connections: int
    event_streams: int
    long_polls: int
    large_response_bytes: int
    event_loop_lag: float
    """How many seconds too late the event loop got to the reading."""


class Metrics:
    """Counts what happens in this process, and publishes its state.

    The folder is that of the exporter, in which prometheus-client counts too.
    `requests_in_flight` is the number of requests that have begun and not ended; only the event
    loop's thread changes it.

    Raises:
        OSError: if there is no room for the files, or if the folder was deleted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        version: str,
        database: str,
        connections: int,
        registry: CollectorRegistry | None = None,
    ) -> None:
        for kind in _KINDS_OF_FILES:
            allocate(folder / f"{kind}_{os.getpid()}.db", _FILE_SIZE)
        self.requests_in_flight = 0
        self.count_request = RequestCounts(folder).count
        self.count_task_written = TaskCounts(folder).count
        self._cpu_seconds_counted = 0.0

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        def total(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry, multiprocess_mode="livesum")

        def least(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry, multiprocess_mode="livemin")

        def most(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry, multiprocess_mode="livemax")

        def of_each(name: str, meaning: str) -> Gauge:
            return Gauge(name, meaning, registry=registry, multiprocess_mode="liveall")

        # Requests
        self._in_flight = total(
            "todo_http_requests_in_flight", "Requests that have begun and not ended."
        )
        self._event_streams = total("todo_event_streams", "Open streams of events.")
        self._long_polls = total("todo_long_polls", "Requests that wait for changes.")
        self._large_response_bytes = total(
            "todo_large_response_bytes", "Bytes of large responses that are being sent."
        )
        self._refused = counter(
            "todo_http_refused_messages_total",
            "Requests that were refused before they reached the application.",
            "code",
        )

        # Threads and connections
        self._of_threads = (
            total("todo_threads", "Threads.", "kind"),
            total("todo_threads_busy", "Threads that run a call.", "kind"),
            total("todo_thread_calls_waiting", "Calls that wait for a thread.", "kind"),
        )
        self._connections = total(
            "todo_database_connections_in_use", "Connections to the database that are in use."
        )
        total("todo_database_connections_max", "Connections to the database that may be open.").set(
            connections
        )
        self._database_up = least(
            "todo_database_up", "Whether the newest regular query of the database succeeded."
        )

        # The domain
        self._security_events = counter(
            "todo_security_events_total", "Events in the security log.", "event"
        )
        self._limits_hit = counter(
            "todo_rate_limited_total", "Requests and emails refused by a rate limit.", "limit"
        )
        self._email_attempts = counter(
            "todo_email_attempts_total",
            "Attempts to deliver an email; no further one follows an abandoned one.",
            "message",
            "result",
        )

        # Background jobs
        self._job_runs = counter(
            "todo_background_job_runs_total", "Runs of a background job.", "name", "result"
        )
        self._job_seconds = counter(
            "todo_background_job_seconds_total", "Time that a background job has run.", "name"
        )
        self._job_success = least(
            "todo_background_job_last_success_timestamp_seconds",
            "When the newest successful run of a background job ended, or the process started.",
            "name",
        )
        self._job_interval = most(
            "todo_background_job_interval_seconds", "How often a background job runs.", "name"
        )

        # Processes
        self._processes = total("todo_processes", "Processes that answer requests.")
        self._starts = counter("todo_process_starts_total", "Processes that have started.")
        self._cpu_seconds = counter(
            "todo_process_cpu_seconds_total", "Processor time of all processes."
        )
        self._loop_lag = most(
            "todo_event_loop_lag_seconds", "How late the event loop did what was due, at most."
        )
        self._memory = of_each("todo_process_resident_memory_bytes", "Resident memory.")
        self._open_files = of_each("todo_process_open_fds", "Open files and connections.")
        self._max_files = of_each("todo_process_max_fds", "Open files that are allowed.")
        self._start_time = of_each(
            "todo_process_start_time_seconds", "When the process began to count."
        )
        build = most("todo_build_info", "The version that runs.", "version", "python", "database")

        # A counter that appears with its first event seems not to have increased (Prometheus,
        # "Avoid missing metrics").
        for limit in Limit:
            self._limits_hit.labels(limit)
        for event in SecurityEvent:
            self._security_events.labels(event)
        for message in (each.__name__ for each in get_args(Email.__value__)):
            for result in ("sent", "failed", "abandoned"):
                self._email_attempts.labels(message, result)
        build.labels(version, platform.python_version(), database).set(1)
        self._processes.set(1)
        self._starts.inc()
        self._start_time.set(time.time())
        self._database_up.set(1)

    # Requests

    def count_refused_message(self, code: str) -> None:
        """Count a request that was refused with this code before it reached the application."""
        self._refused.labels(code).inc()

    # The domain

    def count_security_event(self, event: str) -> None:
        """Count an event of the security log."""
        self._security_events.labels(event).inc()

    def count_limit_hit(self, limit: str) -> None:
        """Count what a rate limit has refused."""
        self._limits_hit.labels(limit).inc()

    def count_email(self, message: str, result: str) -> None:
        """Count an attempt to deliver an email of this kind."""
        self._email_attempts.labels(message, result).inc()

    # Background jobs

    def expect_job(self, job: str, *, seconds: float) -> None:
        """Declare that a background job runs this often, from now on."""
        self._job_interval.labels(job).set(seconds)
        self._job_success.labels(job).set(time.time())
        for result in ("succeeded", "failed"):
            self._job_runs.labels(job, result)

    def count_job(self, job: str, seconds: float, failed: bool) -> None:
        """Count a run of a background job."""
        self._job_runs.labels(job, "failed" if failed else "succeeded").inc()
        self._job_seconds.labels(job).inc(seconds)
        if not failed:
            self._job_success.labels(job).set(time.time())
        if job == _DATABASE_JOB:
            self._database_up.set(not failed)

    # State

    def publish(self, readings: Readings) -> None:
        """Publish the state of this process."""
        waiting = readings.event_streams + readings.long_polls
        self._in_flight.set(self.requests_in_flight - waiting)
        self._event_streams.set(readings.event_streams)
        self._long_polls.set(readings.long_polls)
        self._large_response_bytes.set(readings.large_response_bytes)
        for kind, threads in readings.threads.items():
            for gauge, value in zip(self._of_threads, threads, strict=True):
                gauge.labels(kind).set(value)
        self._connections.set(readings.database_connections)
        self._loop_lag.set(readings.event_loop_lag)
        self._publish_process()

    def _publish_process(self) -> None:
        used = time.process_time()
        self._cpu_seconds.inc(used - self._cpu_seconds_counted)
        self._cpu_seconds_counted = used
        self._max_files.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        with suppress(OSError):  # not Linux
            pages = int(_STATISTICS.read_text("ascii").split()[1])
            self._memory.set(pages * resource.getpagesize())
            self._open_files.set(len(os.listdir(_OPEN_FILES)))  # noqa: PTH208 - only names
