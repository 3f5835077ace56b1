"""Counting a request against its limits before the expensive part of it.

Hashing a password takes a core for a third of a second, so requests queue for it. A request that
is over its limit must be refused before it takes a place in that queue. Use cases that hash have
a method `admit`, which counts the request and returns the rest of the work as `Admitted`; calling
the use case itself does both at once.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Admitted[Result]:
    """A request that was counted against its limits, and the work that is left to do.

    `hashes` says whether that work hashes a password, and should queue for it.
    """

    complete: Callable[[], Result]
    hashes: bool = True
