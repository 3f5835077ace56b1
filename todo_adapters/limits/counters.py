"""Counters of rate limits: one in this process, one in a Redis or Valkey that processes share.

Each talks to one storage of the library `limits`. A rule is counted hit by hit, in moving
windows, or by leases (see `leases`), in fixed windows.
"""

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import repeat
from threading import Lock, Timer
from typing import override

from limits import RateLimitItem
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from todo_adapters.limits.leases import Lease, Settlement
from todo_core.errors import Allowance, RateLimited

_STORAGE_TIMEOUT_SECONDS = 0.5
_KEYS_WITHOUT_SWEEP = 10_000
_LARGEST_LEASE = 40


class Counter(ABC):
    """Counts hits against several limits on one key, in one storage."""

    def __init__(self, storage: MemoryStorage | RedisStorage) -> None:
        self._moving = MovingWindowRateLimiter(storage)

    def hit(self, items: Sequence[RateLimitItem], rule: str, key: str) -> None:
        """Count one hit in moving windows.

        Raises:
            RateLimited: if one of the limits is used up.
            StorageError: if the storage does not respond.
        """
        if not all(self._moving.hit(item, key) for item in items):
            raise self._moving_window_error(items, rule, key)

    @abstractmethod
    def lease(
        self, items: Sequence[RateLimitItem], rule: str, key: str, settlement: Settlement
    ) -> Lease:
        """Take at least one hit from the fixed windows of all limits.

        The unused hits of the settlement are returned to windows that have not ended since.

        Raises:
            RateLimited: if one of the limits is used up.
            StorageError: if the storage does not respond.
        """

    def clear(self, items: Sequence[RateLimitItem], key: str) -> None:
        """Discard what was counted for this key.

        Raises:
            StorageError: if the storage does not respond.
        """
        for item in items:
            self._moving.clear(item, key)

    @abstractmethod
    def check(self) -> None:
        """Ask the storage for a response.

        Raises:
            StorageError: if it does not respond.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections to the storage."""

    def _moving_window_error(
        self, items: Sequence[RateLimitItem], rule: str, key: str
    ) -> RateLimited:
        stats = [(item, self._moving.get_window_stats(item, key)) for item in items]
        used_up = [each for each in stats if each[1].remaining == 0] or stats[:1]
        now = time.time()
        return _rate_limited_error(
            rule, ((item, window.reset_time - now) for item, window in used_up)
        )


class SharedCounter(Counter):
    """Counts in a Redis or Valkey, for all processes that use it.

    Of each limit, at most a tenth is leased, in all processes together, and not yet known to be
    used. Idle or ended processes waste no more than that. So at least nine tenths of a limit are
    allowed, however many processes there are.
    """

    def __init__(self, url: str) -> None:
        storage = storage_from_string(
            url,
            wrap_exceptions=True,
            socket_timeout=_STORAGE_TIMEOUT_SECONDS,
            socket_connect_timeout=_STORAGE_TIMEOUT_SECONDS,
        )
        if not isinstance(storage, RedisStorage):
            raise TypeError("only a Redis or Valkey can be shared")
        super().__init__(storage)
        self._storage = storage
        self._lease_script = storage.get_connection().register_script(_LEASE_SCRIPT.encode())

    @override
    def lease(
        self, items: Sequence[RateLimitItem], rule: str, key: str, settlement: Settlement
    ) -> Lease:
        keys = [self._storage.prefixed_key(item.key_for(key)) for item in items]
        arguments: list[str | int] = [
            *(_LARGEST_LEASE, secrets.token_hex(8), settlement.used, settlement.unused)
        ]
        for item, leased_from in zip(items, settlement.windows or repeat(""), strict=False):
            arguments += [item.amount, item.get_expiry(), leased_from]
        try:
            hits, limit, milliseconds, *windows = self._lease_script(keys, arguments)
        except self._storage.base_exceptions as error:
            raise StorageError(error) from error
        if not hits:
            raise _rate_limited_error(rule, [(items[limit - 1], milliseconds / 1000)])
        return Lease(hits, milliseconds / 1000, tuple(map(bytes.decode, windows)))

    @override
    def check(self) -> None:
        try:
            self._storage.get_connection().ping()
        except self._storage.base_exceptions as error:
            raise StorageError(error) from error

    @override
    def close(self) -> None:
        self._storage.get_connection().close()  # type: ignore[attr-defined]  # redis-py has it


_LEASE_SCRIPT = """
-- KEYS: for each limit, the hash of its window: `id`, how many hits are `taken`, and how many
--   of these are `leased`, that is, not known to be used.
-- ARGV: the largest lease, an id for windows that begin, how many hits of earlier leases
--   were used, how many were not; then for each limit its amount, the seconds of its window,
--   and the id of the window that the earlier leases were taken from.
-- Returns how many hits were taken; if none, the number of the limit that is used up; the
--   milliseconds until the window ends; and the ids of the windows.
local used, unused = tonumber(ARGV[3]), tonumber(ARGV[4])
local windows, result = {}, {0, 0, 0}
local spare, shortest, longest = 2 * tonumber(ARGV[1]), math.huge, -2
for i, key in ipairs(KEYS) do
    local amount, seconds = tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3])
    local window = redis.call('hmget', key, 'id', 'taken', 'leased')
    local id, taken, leased = window[1], tonumber(window[2]), tonumber(window[3])
    if not id then
        id, taken, leased = ARGV[2], 0, 0
        redis.call('hset', key, 'id', id, 'taken', 0, 'leased', 0)
        redis.call('expire', key, seconds)
    elseif id == ARGV[3 * i + 4] then
        taken, leased = taken - unused, leased - used - unused
        redis.call('hset', key, 'taken', taken, 'leased', leased)
    end
    local left = redis.call('pttl', key)
    if taken >= amount and left > longest then
        result[2], longest = i, left
    end
    shortest = math.min(shortest, left)
    spare = math.min(spare, amount - taken - 1, math.floor(amount / 10) - leased)
    windows[i] = {taken, leased}
    result[i + 3] = id
end
if result[2] > 0 then
    result[3] = longest
    return result
end
local hits = math.min(tonumber(ARGV[1]), 1 + math.max(0, math.floor(spare / 2)))
for i, key in ipairs(KEYS) do
    redis.call('hset', key, 'taken', windows[i][1] + hits, 'leased', windows[i][2] + hits - 1)
end
result[1], result[3] = hits, math.max(0, shortest)
return result
"""
"""Takes a lease of half of what may still be leased, so that many processes share it evenly."""


class MemoryCounter(Counter):
    """Counts in this process, exactly: all leases are in this process too.

    The library's storage may clear a key while another thread counts on it, so one thread
    counts at a time.
    """

    def __init__(self) -> None:
        self._storage = _SweptMemoryStorage()
        self._lock = Lock()
        self._sweep_above = _KEYS_WITHOUT_SWEEP
        super().__init__(self._storage)

    @override
    def hit(self, items: Sequence[RateLimitItem], rule: str, key: str) -> None:
        with self._lock:
            self._sweep()
            super().hit(items, rule, key)

    @override
    def lease(
        self, items: Sequence[RateLimitItem], rule: str, key: str, settlement: Settlement
    ) -> Lease:
        with self._lock:
            self._sweep()
            keys = [item.key_for(key) for item in items]
            for name, window in zip(keys, settlement.windows, strict=False):
                if settlement.unused and window == self._window(name):
                    self._storage.decr(name, settlement.unused)
            left = [
                item.amount - self._storage.get(name)
                for item, name in zip(items, keys, strict=True)
            ]
            used_up = [i for i, hits in enumerate(left) if hits < 1]
            if used_up:
                raise _rate_limited_error(
                    rule, ((items[i], self._seconds(keys[i])) for i in used_up)
                )
            hits = min(_LARGEST_LEASE, *left)
            for item, name in zip(items, keys, strict=True):
                self._storage.incr(name, item.get_expiry(), amount=hits)
            return Lease(
                hits, min(map(self._seconds, keys)), tuple(self._window(name) for name in keys)
            )

    @override
    def clear(self, items: Sequence[RateLimitItem], key: str) -> None:
        with self._lock:
            super().clear(items, key)

    @override
    def check(self) -> None:
        """Do nothing: the memory of this process can always be used."""

    @override
    def close(self) -> None:
        """Do nothing: the storage is this process's memory."""

    def size(self) -> int:
        """Return how many keys are kept."""
        return self._storage.size()

    def _window(self, name: str) -> str:
        return repr(self._storage.expirations.get(name))

    def _seconds(self, name: str) -> float:
        return self._storage.get_expiry(name) - time.time()

    def _sweep(self) -> None:
        if self._storage.size() > self._sweep_above:
            # The number of keys may double before the next sweep, so that its cost is
            # proportional to the number of hits.
            self._sweep_above = max(_KEYS_WITHOUT_SWEEP, 2 * self._storage.sweep())


class _SweptMemoryStorage(MemoryStorage):
    """The library's storage in memory, without its timer.

    The timer scans all keys on a thread of its own, up to a hundred times a second, while
    other threads count. Here `MemoryCounter` calls `sweep` when there are enough keys.
    """

    def __init__(self) -> None:
        super().__init__()
        self.timer.cancel()
        self.timer.join()
        self.timer = _AlwaysRunning(0, self.sweep)

    @override
    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        acquired = super().acquire_entry(key, limit, expiry, amount)
        del self.events[key][limit:]  # never read
        return acquired

    def sweep(self) -> int:
        """Remove expired keys, and return how many are left."""
        now = time.time()
        for key, events in list(self.events.items()):
            if not events or events[0].expiry <= now:
                self.clear(key)
        for key in list(self.expirations):
            self.get(key)  # drops what has expired
        return self.size()

    def size(self) -> int:
        """Return how many keys there are, expired ones among them."""
        return len(self.events) + len(self.storage)


class _AlwaysRunning(Timer):
    """A timer that claims to run, so that the library does not start it."""

    @override
    def is_alive(self) -> bool:
        return True


def _rate_limited_error(rule: str, used_up: Iterable[tuple[RateLimitItem, float]]) -> RateLimited:
    """Return the error for the limits that are used up, which names the last one to reset.

    Each limit comes with the seconds until it resets.
    """
    item, seconds = max(used_up, key=lambda each: each[1])
    return RateLimited(
        Allowance(
            rule=rule,
            limit=item.amount,
            window=timedelta(seconds=item.get_expiry()),
            resets_in=timedelta(seconds=max(1.0, seconds)),
        )
    )
