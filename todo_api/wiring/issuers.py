"""Other issuers whose tokens are accepted."""

from datetime import timedelta

from todo_adapters.issuers.claims import Expected
from todo_adapters.issuers.identity_cache import TtlIdentityCache
from todo_adapters.issuers.shared_secret import JoseSharedSecretIssuer
from todo_adapters.issuers.trusted import TrustedIssuer, TrustedIssuers
from todo_api.settings import Settings

_MAX_CACHED_IDENTITY_AGE = timedelta(minutes=5)


def make_external_issuers(settings: Settings) -> TrustedIssuers:
    """Return the configured issuers, Better Auth among them.

    If Better Auth has published keys and a shared secret, tokens with an `iss` are verified with
    the keys and tokens without one with the secret. Both belong to the same users.
    """
    issuers: list[TrustedIssuer] = []
    for published in settings.published_key_issuers:
        # Late: see docs/decisions/late-imports.md
        from todo_adapters.issuers.jwks import PublishedKeys, PyJwtIssuer

        keys = PublishedKeys(published.jwks_url, published.algorithms)
        expected = Expected(
            issuer=published.issuer,
            namespace=settings.namespace_of(published.issuer),
            requires_issuer=True,
            audiences=published.audiences,
            requires_audience=bool(published.audiences),
        )
        issuers.append(PyJwtIssuer(keys, expected))
    if settings.better_auth_secret is not None:
        expected = Expected(
            issuer=settings.better_auth_name,
            namespace=settings.namespace_of(settings.better_auth_name),
            requires_issuer=settings.better_auth_issuer is not None
            and settings.better_auth_url is None,
            audiences=settings.better_auth_audiences,
            requires_audience=bool(settings.better_auth_audience)
            and settings.better_auth_url is None,
        )
        secret = settings.better_auth_secret.get_secret_value()
        issuers.append(JoseSharedSecretIssuer(secret, expected))
    return TrustedIssuers(issuers)


def make_identity_cache(settings: Settings) -> TtlIdentityCache:
    """Cache users no longer than revocations are kept, which tell that an account was deleted."""
    lifetime = min(settings.access_token_ttl, _MAX_CACHED_IDENTITY_AGE)
    return TtlIdentityCache(seconds=lifetime.total_seconds())
