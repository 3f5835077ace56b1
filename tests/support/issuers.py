"""An external issuer with keys of every kind, which signs whatever a test asks for."""

import json
import time
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import PyJWS
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

type PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

LIFETIME_SECONDS = 900


@dataclass(frozen=True)
class Key:
    """A private key, the name under which the other half is published, and its algorithm."""

    id: str
    algorithm: str
    private: PrivateKey

    @classmethod
    def made(cls, algorithm: str, id: str | None = None) -> "Key":
        """A new key for this algorithm."""
        private: PrivateKey
        if algorithm == "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        elif algorithm == "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        else:
            private = rsa.generate_private_key(65537, 2048)
        return cls(id or f"key for {algorithm}", algorithm, private)

    @property
    def published(self) -> dict[str, Any]:  # a JWK (RFC 7517)
        """The half that everybody may know."""
        public = self.private.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            described = OKPAlgorithm.to_jwk(public, as_dict=True)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            described = ECAlgorithm.to_jwk(public, as_dict=True)
        else:
            described = RSAAlgorithm.to_jwk(public, as_dict=True)
        described.pop("key_ops", None)
        return {**described, "kid": self.id, "alg": self.algorithm}

    def sign(
        self, claims: dict[str, Any], *, header: dict[str, Any] | None = None, typ: str = ""
    ) -> str:
        """A token with these claims, and with what else the header is to say, or not (None)."""
        said = {"kid": self.id, "typ": typ} | (header or {})
        return PyJWS().encode(
            json.dumps(claims).encode(),
            self.private,
            algorithm=self.algorithm,
            headers={name: value for name, value in said.items() if value is not None},
        )


def jwks(*keys: Key) -> dict[str, Any]:  # a JWK set
    """What an issuer with these keys publishes."""
    return json.loads(json.dumps({"keys": [key.published for key in keys]}))  # type: ignore[no-any-return]  # it is what it was


def claims(issuer: str, audience: str, **others: object) -> dict[str, Any]:
    """What a token of this day says; a claim that is given as None is left out."""
    now = int(time.time())
    said = {
        "sub": "ada",
        "iss": issuer,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
        **others,
    }
    return {name: value for name, value in said.items() if value is not None}
