"""Dates and times in words, in English whatever the locale of the machine is."""

from todo_core.entities.due_date import DueDate
from todo_core.entities.time_zone import TimeZone

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)


def in_words(due_date: DueDate, zone: TimeZone) -> str:
    """Return when a task is due in this zone.

    For example `Tuesday, 1 December 2026` or `Tuesday, 1 December 2026, at 16:00 (Europe/Berlin)`.
    """
    try:
        local = zone.local(due_date.at)
    except OverflowError:  # the first or the last hours of the calendar
        local, zone = due_date.at.replace(tzinfo=None), TimeZone("UTC")
    day = due_date.day or local.date()
    words = f"{_WEEKDAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"
    return words if due_date.day else f"{words}, at {local:%H:%M} ({zone})"
