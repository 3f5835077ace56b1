"""Tokens that are signed with a secret which the issuer and this service share."""

from typing import override

from jose import jwk, jws

from todo_adapters.issuers.claims import Expected, ParsedToken, VerifiedToken
from todo_adapters.issuers.trusted import TrustedIssuer
from todo_core.errors import InvalidAccessToken

_ALGORITHM = "HS256"


class JoseSharedSecretIssuer(TrustedIssuer):
    """HS256, with the bytes of the secret's text as the key (RFC 7518 §3.2).

    The secret of Better Auth signs other things as well, in the same way: links to verify
    an email, and its session cache. None of them has a subject.
    """

    def __init__(self, secret: str, expected: Expected) -> None:
        self.expected = expected
        # As an object: of a text the library would guess whether it is JSON.
        self._key = jwk.construct(secret.encode(), _ALGORITHM)

    def verify(self, token: ParsedToken) -> VerifiedToken:
        self.expected.check_header(token.header)
        if token.header.get("alg") != _ALGORITHM:
            raise InvalidAccessToken(f"alg is not {_ALGORITHM}")
        jws.verify(token.text, self._key, [_ALGORITHM])
        return self.expected.verified(token.payload)

    @override
    def close(self) -> None:
        """Do nothing: the secret is here."""
