"""Admission: counting a request against its limits before the expensive part of it.

Hashing a password takes a third of a second of processor time, so requests queue for it. A request
over its limit must be refused before it enters that queue. Use cases that hash
passwords have a method `admit`, which counts the request and returns the rest of the work as
`Admitted`. Calling the use case itself does both.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Admitted[Result]:
    """A request that was counted against its limits, and the work that remains.

    `hashes` says whether that work hashes a password, and should queue for that.
    """

    complete: Callable[[], Result]
    hashes: bool = True
