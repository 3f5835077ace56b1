"""What was leased from a counter and not handed out yet."""

import time
from collections.abc import Hashable
from threading import Lock

from todo_adapters.limits.counters import Lease, Settlement

_LEASES_WITHOUT_SWEEP = 10_000


class Leases:
    """The leases of this process, one for each key.

    Handing out a hit takes no lock and asks no storage. A lease is good until the first of
    its windows ends, so that no hit of one window is handed out in the next.
    """

    def __init__(self) -> None:
        self._held: dict[Hashable, _Held] = {}
        self._lock = Lock()
        self._most_held = _LEASES_WITHOUT_SWEEP

    def take(self, key: Hashable) -> bool:
        """Hand out one hit, if there is any."""
        held = self._held.get(key)
        if held is None or time.monotonic() >= held.until:
            return False
        try:
            # Two threads that take at the same moment never get the same one.
            held.hits.pop()
        except IndexError:
            return False
        return True

    def settle(self, key: Hashable) -> Settlement:
        """Say what became of the lease since the last time; one that has expired is given back."""
        with self._lock:
            held = self._held.get(key)
            return Settlement() if held is None else held.settle()

    def put(self, key: Hashable, lease: Lease, *, since: float) -> None:
        """Keep a lease without its first hit, which the caller uses.

        `since` is the time of `time.monotonic` before the storage was asked, so the lease
        expires here before its window ends in the storage.
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
        """Forget the lease."""
        with self._lock:
            self._held.pop(key, None)

    def size(self) -> int:
        """Return how many leases are kept."""
        return len(self._held)

    def _sweep(self) -> None:
        if len(self._held) > self._most_held:
            now = time.monotonic()
            self._held = {key: held for key, held in self._held.items() if held.until > now}
            self._most_held = max(_LEASES_WITHOUT_SWEEP, 2 * len(self._held))


class _Held:
    """One lease, which may grow while it is handed out."""

    __slots__ = ("hits", "leased", "until", "windows")

    def __init__(self, hits: int, until: float, windows: tuple[str, ...]) -> None:
        self.hits = [None] * hits
        self.leased = hits  # as far as the storage knows
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
        """Take all that is left, hit by hit, as others may be taking too."""
        count = 0
        while True:
            try:
                self.hits.pop()
            except IndexError:
                return count
            count += 1
