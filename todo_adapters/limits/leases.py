"""Leases: hits that a process takes from a counter in advance, and hands out by itself."""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock

_LEASES_WITHOUT_SWEEP = 10_000


@dataclass(frozen=True, slots=True)
class Lease:
    """Hits that a counter took at once, from one window of each limit.

    They may be handed out for `seconds`, until the first of the windows ends.
    """

    hits: int
    seconds: float
    windows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """How many hits of earlier leases were used, and not used, since the last settlement."""

    windows: tuple[str, ...] = ()
    used: int = 0
    unused: int = 0


class Leases:
    """The leases of this process, one for each key.

    Handing out a hit takes no lock and uses no storage. A lease expires when the first of
    its windows ends, so that no hit of one window is handed out in the next.
    """

    def __init__(self) -> None:
        self._held: dict[Hashable, _Held] = {}
        self._lock = Lock()
        self._sweep_above = _LEASES_WITHOUT_SWEEP

    def take(self, key: Hashable) -> bool:
        """Hand out one hit, and return whether there was one."""
        held = self._held.get(key)
        if held is None or time.monotonic() >= held.until:
            return False
        try:
            # Two threads never get the same hit.
            held.hits.pop()
        except IndexError:
            return False
        return True

    def settle(self, key: Hashable) -> Settlement:
        """Return what was used of the lease since the last time, and what expired unused."""
        with self._lock:
            held = self._held.get(key)
            return Settlement() if held is None else held.settle()

    def put(self, key: Hashable, lease: Lease, *, since: float) -> None:
        """Keep a lease except for its first hit, which the caller uses.

        `since` is when the counter was asked, by `time.monotonic`, so that the lease expires here
        before its window ends in the storage.
        """
        hits, until = lease.hits - 1, since + lease.seconds
        if hits == 0:
            return
        with self._lock:
            held = self._held.get(key)
            if held is not None and held.windows == lease.windows:
                held.add(hits, until)
            elif held is None or held.until < until:
                self._held[key] = _Held(hits, until, lease.windows)
                self._sweep()

    def drop(self, key: Hashable) -> None:
        """Discard the lease."""
        with self._lock:
            self._held.pop(key, None)

    def size(self) -> int:
        """Return how many leases are kept."""
        return len(self._held)

    def _sweep(self) -> None:
        if len(self._held) > self._sweep_above:
            now = time.monotonic()
            self._held = {key: held for key, held in self._held.items() if held.until > now}
            self._sweep_above = max(_LEASES_WITHOUT_SWEEP, 2 * len(self._held))


class _Held:
    """One lease, which may grow while it is handed out."""

    __slots__ = ("hits", "leased", "until", "windows")

    def __init__(self, hits: int, until: float, windows: tuple[str, ...]) -> None:
        self.hits = [None] * hits
        self.leased = hits  # as the storage counts them
        self.until = until
        self.windows = windows

    def add(self, hits: int, until: float) -> None:
        self.leased += hits
        self.until = min(self.until, until)
        self.hits.extend([None] * hits)

    def settle(self) -> Settlement:
        unused = self._drain() if time.monotonic() >= self.until else 0
        left = len(self.hits)
        used, self.leased = self.leased - unused - left, left
        return Settlement(self.windows, used, unused)

    def _drain(self) -> int:
        """Take all hits that are left, one by one, since other threads may be taking some too."""
        count = 0
        while True:
            try:
                self.hits.pop()
            except IndexError:
                return count
            count += 1
