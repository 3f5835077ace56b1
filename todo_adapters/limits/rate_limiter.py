"""Rate limits by the library `limits`."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from threading import Lock, Timer
from typing import override

import structlog
from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from limits.strategies import RateLimiter as RateLimiterStrategy

from todo_core.errors import Allowance, RateLimited
from todo_core.ports.limits import RateLimiter

_STORAGE_TIMEOUT_SECONDS = 0.5
_STORAGE_RETRY_SECONDS = 5.0
_KEYS_WITHOUT_SWEEP = 10_000
_LARGEST_LEASE = 20
_LEASE_SECONDS = 5.0
_NAT64 = IPv6Network("64:ff9b::/96")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rule:
    """How much a rule allows, and what becomes of it while the storage does not answer.

    `limits` is written as in `5/minute; 20/hour`. A rule that `fails_open` then allows
    everything; any other is counted in this process alone. One that is `coarse` counts
    in fixed windows, and takes several at a time from the storage, which a process
    then hands out without asking it again: that is for what happens all the time.
    """

    limits: str
    fails_open: bool = False
    coarse: bool = False


class LimitsRateLimiter(RateLimiter):
    """Counts in moving windows: at no moment were there more than allowed in the time before.

    Only rules that are coarse count in fixed ones.

    A storage that does not answer is left alone for a few seconds, so that not
    every request has to wait for it. Keys are hashed: what people type as their
    email is of no length, and is nothing to be kept in the clear.
    """

    def __init__(self, storage_url: str, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._items = {name: parse_many(rule.limits) for name, rule in rules.items()}
        self._local = _MemoryCounter()
        self._shared = (
            self._local if storage_url == "memory://" else _Counter(_storage(storage_url))
        )
        self._leases = _Leases()
        self._down_until = 0.0

    def hit(self, rule: str, *key: str) -> None:
        if self._leases.take(rule, key):
            return
        cost = self._cost(rule)
        self._hit(rule, _hashed(rule, key), cost=cost)
        if cost > 1:
            self._leases.put(rule, key, cost - 1)

    def _cost(self, rule: str) -> int:
        """How many hits to take from the storage at once."""
        if not self._rules[rule].coarse:
            return 1
        return max(1, min(_LARGEST_LEASE, min(item.amount for item in self._items[rule]) // 10))

    def _hit(self, rule: str, hashed: str, *, cost: int) -> None:
        coarse = self._rules[rule].coarse
        if time.monotonic() >= self._down_until:
            try:
                self._shared.hit(self._items[rule], rule, hashed, coarse=coarse, cost=cost)
            except StorageError as error:
                self._note_down(error)
            else:
                return
        if not self._rules[rule].fails_open:
            self._local.hit(self._items[rule], rule, hashed, coarse=coarse, cost=cost)

    def forgive(self, rule: str, *key: str) -> None:
        hashed = _hashed(rule, key)
        self._local.clear(self._items[rule], hashed)
        if self._shared is not self._local and time.monotonic() >= self._down_until:
            try:
                self._shared.clear(self._items[rule], hashed)
            except StorageError as error:
                self._note_down(error)

    def _note_down(self, error: StorageError) -> None:
        self._down_until = time.monotonic() + _STORAGE_RETRY_SECONDS
        _log.error("rate_limits.storage_down", reason=str(error.storage_error))


class _Counter:
    """Several limits on one key, in one storage."""

    def __init__(self, storage: Storage) -> None:
        self._moving = MovingWindowRateLimiter(storage)
        self._fixed = FixedWindowRateLimiter(storage)

    def hit(
        self, items: list[RateLimitItem], rule: str, key: str, *, coarse: bool, cost: int
    ) -> None:
        windows = self._fixed if coarse else self._moving
        if not all(windows.hit(item, key, cost=cost) for item in items):
            raise RateLimited(_used_up(windows, items, rule, key))

    def clear(self, items: list[RateLimitItem], key: str) -> None:
        for item in items:
            self._moving.clear(item, key)


class _SweptMemoryStorage(MemoryStorage):
    """The library's memory, without its timer.

    That looks through all keys on a thread of its own, up to a hundred times a second,
    and at the same time as others count. Here `sweep` does so when it is worth it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.timer.cancel()
        self.timer.join()
        self.timer = _AlwaysRunning(0, self.sweep)

    @override
    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        acquired = super().acquire_entry(key, limit, expiry, amount)
        del self.events[key][limit:]  # which nobody will ask for
        return acquired

    def sweep(self) -> int:
        """Drop the keys of which nothing is left; the size after that."""
        now = time.time()
        for key, events in list(self.events.items()):
            if not events or events[0].expiry <= now:
                self.clear(key)
        for key in list(self.expirations):
            self.get(key)  # drops what has expired
        return self.size()

    def size(self) -> int:
        """How many keys there are, whatever is left of them."""
        return len(self.events) + len(self.storage)


class _AlwaysRunning(Timer):
    """A timer that need not be started."""

    @override
    def is_alive(self) -> bool:
        return True


class _MemoryCounter(_Counter):
    """The same in memory, one at a time.

    The library's storage clears a key without asking whether it is just being counted.
    """

    def __init__(self) -> None:
        self._storage = _SweptMemoryStorage()
        self._lock = Lock()
        self._most_keys = _KEYS_WITHOUT_SWEEP
        super().__init__(self._storage)

    def hit(
        self, items: list[RateLimitItem], rule: str, key: str, *, coarse: bool, cost: int
    ) -> None:
        with self._lock:
            if self._storage.size() > self._most_keys:
                # What is left may double before the next time, so that a sweep is paid by as
                # many hits as it looks at keys.
                self._most_keys = max(_KEYS_WITHOUT_SWEEP, 2 * self._storage.sweep())
            super().hit(items, rule, key, coarse=coarse, cost=cost)

    def clear(self, items: list[RateLimitItem], key: str) -> None:
        with self._lock:
            super().clear(items, key)


class _Leases:
    """What was taken from a storage and not handed out yet. It is good for a few seconds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._left: dict[tuple[str, tuple[str, ...]], list[None]] = {}
        self._until = 0.0

    def take(self, rule: str, key: tuple[str, ...]) -> bool:
        """Hand out one, if there is any."""
        if time.monotonic() >= self._until:
            return False
        left = self._left.get((rule, key))
        try:
            # Two who take at the same moment never get the same one.
            return left is not None and left.pop() is None
        except IndexError:
            return False

    def put(self, rule: str, key: tuple[str, ...], count: int) -> None:
        """Keep some to be handed out."""
        with self._lock:
            now = time.monotonic()
            if now >= self._until:
                self._left.clear()
                self._until = now + _LEASE_SECONDS
            self._left.setdefault((rule, key), []).extend([None] * count)


def _hashed(rule: str, key: tuple[str, ...]) -> str:
    text = "\0".join((rule, *map(_network, key)))
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


def _network(part: str) -> str:
    """Return what an address counts as; a part of a key that is no address, as it is.

    An IPv6 address counts as its /64, the network that one customer gets, which has 2**64
    addresses. One that holds an IPv4 address counts as that: a dual-stack socket or a
    translator writes all IPv4 clients so, and a single /64 holds all of those that are
    mapped (RFC 4291) or behind a translator (RFC 6052, the well-known prefix). A 6to4
    site (RFC 3056) has 2**16 networks, and one IPv4 address. Zone ids do not count.
    """
    if ":" not in part:
        return part
    try:
        address = IPv6Address(part.partition("%")[0])
    except ValueError:
        return part
    if (ipv4 := _embedded_ipv4(address)) is not None:
        return str(ipv4)
    return str(IPv6Network((address, 64), strict=False))


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def _used_up(
    windows: RateLimiterStrategy, items: list[RateLimitItem], rule: str, key: str
) -> Allowance:
    """The one of several limits, of those that are used up, that takes longest to pass."""
    stats = [(item, windows.get_window_stats(item, key)) for item in items]
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
