"""Reminders in the rows of tasks: arrays in JSON of the same length.

`reminders` has what the owner has entered: a time, or a number of minutes before the due date.
`reminder_times` has the moments, or null while there is no due date. They are computed when the
task is written, because those that count from a day depend on the time zone of the owner.
"""

import json
from datetime import datetime
from functools import lru_cache

from todo_core.entities.reminders import NO_REMINDERS, Reminder, Reminders


def stored_reminders(reminders: Reminders) -> str | None:
    """Return the value of the column `reminders`."""
    if not reminders:
        return None
    return json.dumps(
        [_text(each) if isinstance(each, datetime) else each for each in reminders.entered]
    )


def stored_times(reminders: Reminders) -> str | None:
    """Return the value of the column `reminder_times`."""
    return json.dumps([_text(each.at) for each in reminders]) if reminders else None


def reminders_of(reminders: str | None, times: str | None) -> Reminders:
    """Return the reminders of these two columns."""
    return NO_REMINDERS if reminders is None or times is None else _read(reminders, times)


@lru_cache(1024)
def _read(reminders: str, times: str) -> Reminders:
    return Reminders(
        Reminder(
            None if time is None else datetime.fromisoformat(time),
            entered if isinstance(entered, int) else None,
        )
        for entered, time in zip(json.loads(reminders), json.loads(times), strict=True)
    )


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
