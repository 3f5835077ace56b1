"""Rate limits by the library `limits`."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import structlog
from limits import parse_many
from limits.errors import StorageError

from todo_adapters.limits.counters import Counter, MemoryCounter, SharedCounter
from todo_adapters.limits.leases import Leases
from todo_core.entities.client_address import client_network
from todo_core.errors import RateLimited
from todo_core.ports.limits import RateLimiter

_STORAGE_RETRY_SECONDS = 5.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rule:
    """How much a rule allows, and what becomes of it while the storage does not answer.

    `limits` is written as in `5/minute; 20/hour`. A rule that `fails_open` then allows
    everything; any other is counted in this process alone. One that is `coarse` counts
    in fixed windows, and by leases: a process takes several hits at once from the storage,
    and hands them out without asking it again. That is for what happens all the time.
    """

    limits: str
    fails_open: bool = False
    coarse: bool = False


class LimitsRateLimiter(RateLimiter):
    """Counts in moving windows: at no moment were there more than allowed in the time before.

    Only rules that are coarse count in fixed ones. There, processes that share a storage
    allow between nine tenths and all of a limit in each window; one that counts alone
    allows exactly the limit.

    A storage that does not answer is left alone for a few seconds, so that not
    every request has to wait for it. Keys are hashed: what people type as their
    email is of no length, and is nothing to be kept in the clear.
    """

    def __init__(self, storage_url: str, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._items = {name: parse_many(rule.limits) for name, rule in rules.items()}
        self._local = MemoryCounter()
        self._shared: Counter = (
            self._local if storage_url == "memory://" else SharedCounter(storage_url)
        )
        self._leases = Leases()
        self._down_until = 0.0

    def hit(self, rule: str, *key: str) -> None:
        if self._leases.take((rule, key)):
            return
        parts = tuple(map(client_network, key))
        if self._rules[rule].coarse:
            self._hit_by_lease(rule, parts)
        else:
            self._hit(rule, parts)

    def _hit(self, rule: str, parts: tuple[str, ...]) -> None:
        for counter in self._counters(rule):
            try:
                counter.hit(self._items[rule], rule, self._storage_key(rule, parts))
            except StorageError as error:
                self._note_down(error)
            else:
                return

    def _hit_by_lease(self, rule: str, parts: tuple[str, ...]) -> None:
        # Leases are kept under what addresses count as; `hit` looked for the key as it came.
        if self._leases.take((rule, parts)):
            return
        settlement = self._leases.settle((rule, parts))
        key = self._storage_key(rule, parts)
        for counter in self._counters(rule):
            since = time.monotonic()
            try:
                lease = counter.lease(self._items[rule], rule, key, settlement)
            except StorageError as error:
                self._note_down(error)
            except RateLimited:
                # Another thread may have taken the last hits meanwhile, and not need them all.
                if self._leases.take((rule, parts)):
                    return
                raise
            else:
                self._leases.put((rule, parts), lease, since=since)
                return

    def _counters(self, rule: str) -> Iterator[Counter]:
        """Yield those to count by: each if the one before it does not answer."""
        if time.monotonic() >= self._down_until:
            yield self._shared
        if not self._rules[rule].fails_open:
            yield self._local

    def forgive(self, rule: str, *key: str) -> None:
        parts = tuple(map(client_network, key))
        storage_key = self._storage_key(rule, parts)
        self._leases.drop((rule, parts))
        self._local.clear(self._items[rule], storage_key)
        if self._shared is not self._local and time.monotonic() >= self._down_until:
            try:
                self._shared.clear(self._items[rule], storage_key)
            except StorageError as error:
                self._note_down(error)

    def close(self) -> None:
        """Close the connections to the storage."""
        self._shared.close()

    def _storage_key(self, rule: str, parts: tuple[str, ...]) -> str:
        """Return the hash under which this is counted.

        Leases have keys of their own: a storage that other versions of the service use, or
        that was used while a rule was not coarse, may hold something else under the others.
        """
        way = ("leases",) if self._rules[rule].coarse else ()
        text = "\0".join((rule, *way, *parts))
        return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()

    def _note_down(self, error: StorageError) -> None:
        self._down_until = time.monotonic() + _STORAGE_RETRY_SECONDS
        _log.error("rate_limits.storage_down", reason=str(error.storage_error))


class Unlimited(RateLimiter):
    """Counts nothing, for benchmarks."""

    def hit(self, rule: str, *key: str) -> None:  # noqa: ARG002 - that is the point
        return

    def forgive(self, rule: str, *key: str) -> None:  # noqa: ARG002 - as above
        return

    def close(self) -> None:
        """Do nothing: no storage is used."""
