"""Requests that a client may send again, and the responses that are kept for that."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import ClassVar, Self, override

from todo_core.entities.user import UserId
from todo_core.errors import InvalidIdempotencyKey, ResponseTooLarge

RETENTION = timedelta(hours=24)
"""How long a response is kept. After that, its key counts as new."""

MAX_KEPT_BYTES = 32 * 2**20
"""How many bytes are kept for a user's requests within `RETENTION`.

They are counted from the first response on, and from zero again when that is no longer kept. So at
any time, at most twice as many are stored. It suffices for tens of thousands of writes of one task.
"""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A string that a client chooses for a write: 1 to 255 visible ASCII characters.

    Raises:
        InvalidIdempotencyKey: if it is any other string.
    """

    text: str

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.text):
            raise InvalidIdempotencyKey


class _KeyOfPart(IdempotencyKey):
    """The key of a later part of a request. It has a space, so no client can send it."""

    __slots__ = ()

    @override
    def __post_init__(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request that takes effect once, however often the client sends it.

    The keys of two users are independent. The `fingerprint` is the same for equal requests only.
    """

    user_id: UserId
    key: IdempotencyKey
    fingerprint: str

    @classmethod
    def of(cls, user_id: UserId, key: IdempotencyKey, *parts: bytes) -> Self:
        """Return the request that consists of these parts, such as its URL and its body."""
        digest = sha256()
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return cls(user_id, key, digest.hexdigest())

    def part(self, number: int, *, run: str) -> Self:
        """Return a later part of this request, which takes effect once by itself.

        The first part is the request itself. `run` is different for each time that the first part
        takes effect: when that is no longer kept, the later parts must not be found either.
        """
        digest = sha256(f"{run} {self.key.text}".encode())
        return replace(self, key=_KeyOfPart(f"{number} {digest.hexdigest()}"))


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """The response to a write that took effect, and the fingerprint of the request.

    The core does not read the content: it is what the caller of the use case needs in order to
    respond again, at most `MAX_SIZE` bytes. `size` is about what a database needs to store it.

    Raises:
        ResponseTooLarge: if the content is longer.
    """

    MAX_SIZE: ClassVar = 2**20
    OVERHEAD: ClassVar = 512
    """About what the key, the fingerprint and the entries of indexes need beside the content."""

    fingerprint: str
    content: bytes

    def __post_init__(self) -> None:
        if len(self.content) > self.MAX_SIZE:
            raise ResponseTooLarge

    @property
    def size(self) -> int:
        """The number of bytes that count against `MAX_KEPT_BYTES`."""
        return len(self.content) + self.OVERHEAD
