"""What follows when sessions have ended, whatever ended them."""

from collections.abc import Iterable

from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId
from todo_core.ports.security import EndedSessions
from todo_core.ports.security_log import SecurityEvent, SecurityLog


def announce_ended(
    session_ids: Iterable[SessionId],
    *,
    user_id: UserId,
    ended_sessions: EndedSessions,
    log: SecurityLog,
) -> None:
    """Let this process know at once, and record each."""
    ended = list(session_ids)
    ended_sessions.note(ended)
    for session_id in ended:
        log.record(SecurityEvent.SESSION_ENDED, user_id=user_id, session_id=session_id)
