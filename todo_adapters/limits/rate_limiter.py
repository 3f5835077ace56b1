"""Rate limits: which counter counts a hit, and what happens while the storage is down."""

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
from todo_core.errors import RateLimited, Unavailable
from todo_core.ports.limits import RateLimiter

_STORAGE_RETRY_SECONDS = 5.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rule:
    """How much a rule allows, and how it is counted.

    `limits` is written like `5/minute; 20/hour`. While the storage does not respond, a rule
    that `fails_open` allows everything, and any other is counted only in this process. A
    `coarse` rule, for frequent requests, is counted in fixed windows and by leases.
    """

    limits: str
    fails_open: bool = False
    coarse: bool = False


class LimitsRateLimiter(RateLimiter):
    """Counts with the library `limits`, in this process or in a Redis or Valkey.

    Rules are counted in moving windows: no period of that length ever has more hits than
    allowed. Coarse rules are counted in fixed windows. In each, processes that share a
    storage allow between nine tenths and all of a limit; a single process allows
    exactly the limit.

    A storage that does not respond is not used for a few seconds, so that not every request
    has to wait for it. Keys are hashed: the email that a user enters has any length,
    and must not be stored in the clear.
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
                self._mark_down(error)
            else:
                return

    def _hit_by_lease(self, rule: str, parts: tuple[str, ...]) -> None:
        # Leases are kept under the network of an address; `hit` looked for the address itself.
        if self._leases.take((rule, parts)):
            return
        settlement = self._leases.settle((rule, parts))
        key = self._storage_key(rule, parts)
        for counter in self._counters(rule):
            since = time.monotonic()
            try:
                lease = counter.lease(self._items[rule], rule, key, settlement)
            except StorageError as error:
                self._mark_down(error)
            except RateLimited:
                # Another thread may have leased the last hits in the meantime.
                if self._leases.take((rule, parts)):
                    return
                raise
            else:
                self._leases.put((rule, parts), lease, since=since)
                return

    def _counters(self, rule: str) -> Iterator[Counter]:
        """Yield the counters to use, each in case the one before it does not respond."""
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
                self._mark_down(error)

    def check(self) -> None:
        """Ask the storage for a response.

        Raises:
            Unavailable: if it does not respond; its cause says why.
        """
        try:
            self._shared.check()
        except StorageError as error:
            raise Unavailable("rate limits") from error.storage_error

    def close(self) -> None:
        """Close the connections to the storage."""
        self._shared.close()

    def _storage_key(self, rule: str, parts: tuple[str, ...]) -> str:
        """Return the hash under which this is counted.

        Leases have separate keys: under the others, the storage may hold another type of value,
        stored by another version of the service or when the rule was not coarse.
        """
        kind = ("leases",) if self._rules[rule].coarse else ()
        text = "\0".join((rule, *kind, *parts))
        return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()

    def _mark_down(self, error: StorageError) -> None:
        self._down_until = time.monotonic() + _STORAGE_RETRY_SECONDS
        _log.error("rate_limits.storage_down", reason=str(error.storage_error))


class Unlimited(RateLimiter):
    """Allows everything, for when limits are disabled."""

    def hit(self, rule: str, *key: str) -> None:  # noqa: ARG002 - nothing is counted
        return

    def forgive(self, rule: str, *key: str) -> None:  # noqa: ARG002 - as above
        return

    def check(self) -> None:
        """Do nothing: no storage is used."""

    def close(self) -> None:
        """Do nothing: no storage is used."""
