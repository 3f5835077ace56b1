"""Rate limits by the library `limits`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from todo_core.errors import Allowance, RateLimited
from todo_core.ports.limits import RateLimiter

_STORAGE_TIMEOUT_SECONDS = 0.5
_STORAGE_RETRY_SECONDS = 5.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rule:
    """How much a rule allows, and what becomes of it while the storage does not answer.

    `limits` is written as in `5/minute; 20/hour`. A rule that `fails_open` then allows
    everything; any other is counted in this process alone.
    """

    limits: str
    fails_open: bool = False


class LimitsRateLimiter(RateLimiter):
    """Counts in moving windows: at no moment were there more than allowed in the time before.

    A storage that does not answer is left alone for a few seconds, so that not
    every request has to wait for it.
    """

    def __init__(self, storage_url: str, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._items = {name: parse_many(rule.limits) for name, rule in rules.items()}
        self._shared = MovingWindowRateLimiter(_storage(storage_url))
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._down_until = 0.0

    def hit(self, rule: str, *key: str) -> None:
        if time.monotonic() >= self._down_until:
            try:
                self._hit(self._shared, rule, key)
            except StorageError as error:
                self._note_down(error)
            else:
                return
        if not self._rules[rule].fails_open:
            self._hit(self._local, rule, key)

    def forgive(self, rule: str, *key: str) -> None:
        for item in self._items[rule]:
            self._local.clear(item, rule, *key)
            try:
                self._shared.clear(item, rule, *key)
            except StorageError as error:
                self._note_down(error)

    def _hit(self, limiter: MovingWindowRateLimiter, rule: str, key: tuple[str, ...]) -> None:
        items = self._items[rule]
        if not all(limiter.hit(item, rule, *key) for item in items):
            raise RateLimited(_used_up(limiter, items, rule, key))

    def _note_down(self, error: StorageError) -> None:
        self._down_until = time.monotonic() + _STORAGE_RETRY_SECONDS
        _log.error("rate_limits.storage_down", reason=str(error.storage_error))


def _used_up(
    limiter: MovingWindowRateLimiter, items: list[RateLimitItem], rule: str, key: tuple[str, ...]
) -> Allowance:
    """The one of several limits, of those that are used up, that takes longest to pass."""
    stats = [(item, limiter.get_window_stats(item, rule, *key)) for item in items]
    item, (resets_at, _) = max(
        (each for each in stats if each[1].remaining == 0),
        key=lambda each: each[1].reset_time,
        default=stats[0],
    )
    return Allowance(
        rule=rule,
        limit=item.amount,
        window=timedelta(seconds=item.get_expiry()),
        resets_in=timedelta(seconds=max(1.0, resets_at - time.time())),
    )


def _storage(url: str) -> Storage:
    if url == "memory://":
        return MemoryStorage()
    storage = storage_from_string(
        url,
        wrap_exceptions=True,
        socket_timeout=_STORAGE_TIMEOUT_SECONDS,
        socket_connect_timeout=_STORAGE_TIMEOUT_SECONDS,
    )
    if not isinstance(storage, Storage):
        raise TypeError("a storage for asyncio does not fit here")
    return storage


class Unlimited(RateLimiter):
    """Counts nothing, for benchmarks."""

    def hit(self, rule: str, *key: str) -> None:  # noqa: ARG002 - that is the point
        return

    def forgive(self, rule: str, *key: str) -> None:  # noqa: ARG002 - as above
        return
