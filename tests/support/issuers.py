"""An external issuer with keys of every kind, which signs any claims."""

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
    """A private key with its id and algorithm."""

    id: str
    algorithm: str
    private: PrivateKey

    @classmethod
    def generate(cls, algorithm: str, id: str | None = None) -> "Key":
        """Generate a key for this algorithm."""
        private: PrivateKey
        if algorithm == "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        elif algorithm == "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        else:
            private = rsa.generate_private_key(65537, 2048)
        return cls(id or f"key for {algorithm}", algorithm, private)

    @property
    def jwk(self) -> dict[str, Any]:  # a JWK (RFC 7517)
        """The public key."""
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
        """Sign a token with these claims. Header fields that are None are left out."""
        values = {"kid": self.id, "typ": typ} | (header or {})
        return PyJWS().encode(
            json.dumps(claims).encode(),
            self.private,
            algorithm=self.algorithm,
            headers={name: value for name, value in values.items() if value is not None},
        )


def jwks(*keys: Key) -> dict[str, Any]:  # a JWK set
    """Return the JWK set of an issuer with these keys."""
    return json.loads(json.dumps({"keys": [key.jwk for key in keys]}))  # type: ignore[no-any-return]  # a copy of the same type


def claims(issuer: str, audience: str, **others: object) -> dict[str, Any]:
    """Return the claims of a valid token. Claims that are None are left out."""
    now = int(time.time())
    values = {
        "sub": "ada",
        "iss": issuer,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
        **others,
    }
    return {name: value for name, value in values.items() if value is not None}
