"""Keys, rate limits and the security log."""

from typing import TYPE_CHECKING

from todo_adapters.limits.rate_limiter import LimitsRateLimiter, Rule, Unlimited
from todo_adapters.security.keys import KeyRing, secret_in_file
from todo_adapters.security.security_log import StructlogSecurityLog
from todo_api.settings import Settings
from todo_api.wiring.storage import make_data_dir
from todo_core.ports.limits import Limit
from todo_core.ports.security_log import SecurityLog

if TYPE_CHECKING:
    from todo_adapters.observed.rate_limiter import ObservedRateLimiter
    from todo_api.runtime.metrics import Metrics


def make_key_ring(settings: Settings) -> KeyRing:
    """Return the configured keys, or the key that the embedded service keeps in a file."""
    previous = [secret.get_secret_value() for secret in settings.jwt_previous_secrets]
    if settings.jwt_secret is not None:
        return KeyRing.of(settings.jwt_secret.get_secret_value(), previous)
    make_data_dir(settings)
    secret = secret_in_file(settings.data_dir / "signing-key")
    settings.require_separate_keys([secret])
    return KeyRing.of(secret, previous)


def make_rate_limiter(
    settings: Settings, metrics: "Metrics | None"
) -> "LimitsRateLimiter | Unlimited | ObservedRateLimiter":
    """Return the configured limits, counting what they refuse if there are metrics."""
    limiter = _limiter(settings)
    if metrics is None:
        return limiter
    from todo_adapters.observed.rate_limiter import ObservedRateLimiter  # late, like the metrics

    return ObservedRateLimiter(limiter, metrics.count_limit_hit)


def _limiter(settings: Settings) -> LimitsRateLimiter | Unlimited:
    """Return the configured limits, and decide what happens while their storage is down.

    Limits against guessing and flooding are then counted by each process separately. Those that
    only protect authenticated users from each other allow every request (`fails_open`).
    """
    if not settings.rate_limit_enabled:
        return Unlimited()
    return LimitsRateLimiter(
        settings.rate_limit_storage.get_secret_value(),
        {
            Limit.LOGIN_ACCOUNT: Rule(settings.limit_login_account),
            Limit.LOGIN_ADDRESS: Rule(settings.limit_login_address),
            Limit.REAUTHENTICATION: Rule(settings.limit_reauthentication),
            Limit.REGISTER: Rule(settings.limit_register),
            Limit.FORGOT_ACCOUNT: Rule(settings.limit_forgot_account),
            Limit.FORGOT_ADDRESS: Rule(settings.limit_forgot_address),
            Limit.RESET_PASSWORD: Rule(settings.limit_reset_password),
            Limit.REFRESH: Rule(settings.limit_refresh, fails_open=True, coarse=True),
            Limit.TASKS: Rule(settings.limit_tasks, fails_open=True, coarse=True),
            Limit.PROFILE: Rule(settings.limit_profile, fails_open=True, coarse=True),
            Limit.TIME_ZONE: Rule(settings.limit_time_zone),
            Limit.SESSIONS: Rule(settings.limit_sessions, fails_open=True),
            Limit.EXPORT: Rule(settings.limit_export),
            Limit.REMINDER_EMAILS: Rule(settings.limit_reminder_emails),
            Limit.PROVISION_ADDRESS: Rule(settings.limit_provision_address),
            Limit.PROVISION_ISSUER: Rule(settings.limit_provision_issuer),
        },
    )


def make_security_log(metrics: "Metrics | None") -> SecurityLog:
    """Return the security log, counting its events if there are metrics."""
    log = StructlogSecurityLog()
    if metrics is None:
        return log
    from todo_adapters.observed.security_log import ObservedSecurityLog  # late, like the metrics

    return ObservedSecurityLog(log, metrics.count_security_event)
