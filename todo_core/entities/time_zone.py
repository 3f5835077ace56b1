"""Time zones, and what a local time in one of them means."""

from datetime import UTC, date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from todo_core.entities.text import Text


class TimeZone(Text):
    """The name of a time zone in the IANA time zone database, such as `Europe/Berlin`."""

    __slots__ = ()

    field = "time_zone"
    max_length = 64

    @classmethod
    def check(cls, text: str) -> None:
        """Refuse a name that is not in the database. Case matters."""
        if text not in _known_names():
            raise cls.refusal(
                "unknown_time_zone",
                "Time zone must be a name from the IANA time zone database, such as Europe/Berlin.",
            )

    def moment(self, local: datetime) -> datetime:
        """Return the moment, in UTC, of a time on the clocks of this zone.

        Of a time that occurs twice, when clocks are set back, it is the first. A time that they
        skip is read as if they had not been set forward yet (RFC 5545 §3.3.5).

        Raises:
            OverflowError: if the moment is outside the years 1 to 9999.
        """
        return local.replace(tzinfo=ZoneInfo(self)).astimezone(UTC)

    def local(self, moment: datetime) -> datetime:
        """Return what the clocks of this zone show at a moment, without an offset.

        Raises:
            OverflowError: if the local time is outside the years 1 to 9999.
        """
        return moment.astimezone(ZoneInfo(self)).replace(tzinfo=None, fold=0)

    def end_of(self, day: date) -> datetime:
        """Return the last microsecond of a day in this zone, in UTC, at most that of year 9999."""
        last = datetime.combine(day, time.max, ZoneInfo(self))
        try:
            # The last minutes of a day occur twice where clocks are set back at midnight.
            return max(last.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)

    def start_of(self, day: date) -> datetime:
        """Return the first moment of a day in this zone, in UTC, at least that of year 1."""
        first = datetime.combine(day, time.min, ZoneInfo(self))
        try:
            return min(first.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)


@cache
def _known_names() -> frozenset[str]:
    return frozenset(available_timezones() - _DEPENDING_ON_THE_MACHINE)


_DEPENDING_ON_THE_MACHINE = {"Factory", "localtime", "posixrules"}
"""Names that a machine may offer besides those of the database."""


DEFAULT_TIME_ZONE = TimeZone.stored("UTC")
"""The zone of a user who has chosen none."""
