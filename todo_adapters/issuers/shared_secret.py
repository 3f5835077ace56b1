"""Tokens signed with a secret that the issuer and this service share."""

from typing import override

from jose import jwk, jws

from todo_adapters.issuers.claims import Expected, ParsedToken, VerifiedToken
from todo_adapters.issuers.trusted import TrustedIssuer
from todo_core.errors import InvalidAccessToken

_ALGORITHM = "HS256"


class JoseSharedSecretIssuer(TrustedIssuer):
    """Verifies HS256 signatures, with the bytes of the secret as the key (RFC 7518 §3.2).

    Better Auth uses its secret in the same way for email verification links and its session
    cache. Neither has a subject, so they are refused.
    """

    def __init__(self, secret: str, expected: Expected) -> None:
        self.expected = expected
        # A key object: given a string, the library would guess whether it is JSON.
        self._key = jwk.construct(secret.encode(), _ALGORITHM)

    def verify(self, token: ParsedToken) -> VerifiedToken:
        self.expected.check_header(token.header)
        if token.header.get("alg") != _ALGORITHM:
            raise InvalidAccessToken(f"alg is not {_ALGORITHM}")
        jws.verify(token.text, self._key, [_ALGORITHM])
        return self.expected.check_claims(token.payload)

    @override
    def close(self) -> None:
        """Do nothing: the secret is not downloaded."""
