"""The background jobs, and how often they run."""

from todo_adapters.security.revoked_sessions import PolledRevokedSessions
from todo_adapters.sql.database import Database
from todo_adapters.system.periodic import Periodic, PeriodicBatches, on_threads
from todo_api.settings import Settings
from todo_core.application import Application

_CHECKPOINT_SECONDS = 0.25
"""With 0.5 the 99th percentile of a create is a quarter higher, and nearly twice without any."""
_HOUSEKEEPING_SECONDS = 600.0
_LONGEST_HOUSEKEEPING_SECONDS = 120.0
_LONGEST_REMINDING_SECONDS = 60.0
_REMINDER_EMAILS_AT_ONCE = 4


def make_session_check(settings: Settings, revoked_sessions: PolledRevokedSessions) -> Periodic:
    """Check twice in each interval, so that every revocation is known within one interval."""
    seconds = settings.session_check_interval.total_seconds() / 2
    return Periodic("session check", revoked_sessions.poll, seconds=seconds, jitter=0.1)


def make_checkpoints(database: Database) -> Periodic:
    """Return the job that moves what was written from the log of SQLite into its database."""
    return Periodic("checkpoint", database.checkpoint, seconds=_CHECKPOINT_SECONDS, jitter=0.1)


def make_housekeeping(application: Application) -> PeriodicBatches:
    """Return the job that deletes what has expired."""
    return PeriodicBatches(
        "clean-up",
        application.clean_up,
        seconds=_HOUSEKEEPING_SECONDS,
        jitter=0.5,
        longest=_LONGEST_HOUSEKEEPING_SECONDS,
    )


def make_reminding(settings: Settings, application: Application) -> PeriodicBatches:
    """Return the job that fires due reminders."""
    return PeriodicBatches(
        "reminders",
        application.fire_reminders,
        seconds=settings.reminder_interval.total_seconds(),
        jitter=0.1,
        longest=_LONGEST_REMINDING_SECONDS,
    )


def make_reminder_emails(settings: Settings, application: Application) -> PeriodicBatches:
    """Return the job that sends the emails of fired reminders."""
    return PeriodicBatches(
        "reminder emails",
        on_threads(application.send_reminder_emails, _REMINDER_EMAILS_AT_ONCE),
        seconds=settings.reminder_interval.total_seconds(),
        jitter=0.1,
        longest=_LONGEST_REMINDING_SECONDS,
    )
