"""How an event reckons time: by dates, by a wall clock anywhere, or by the clock of a zone.

A wall time in a gap takes the offset before it, one that happens twice is the first (RFC 5545 3.3.5). Timestamps of
floating and all-day times are computed as if UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from calhub.calendar import zones
from calhub.calendar.event import Content

DAY: Final = 86400
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: The years a calendar has, with room for every offset.
FIRST: Final = datetime(2, 1, 1)
LAST: Final = datetime(9998, 12, 31)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)
_EPOCH_DAY: Final = _NAIVE_EPOCH.toordinal()
_SECOND: Final = timedelta(seconds=1)
_ONE_DAY: Final = timedelta(days=1)
FIRST_TS: Final = (FIRST - _NAIVE_EPOCH) // _SECOND
LAST_TS: Final = (LAST - _NAIVE_EPOCH) // _SECOND
_MOST_DAYS: Final = 20_000  # kept of one clock


@dataclass(frozen=True, slots=True)
class Frame:
    """How an event reckons: dates, floating wall time, or wall time in a zone."""

    zone: tzinfo
    all_day: bool = False
    floating: bool = False

    def ts(self, wall: datetime) -> int:
        """Timestamp of a naive wall time; zoneinfo's ``fold=0`` is just the rule of RFC 5545 3.3.5."""
        if self.zone is UTC:
            return (wall - _NAIVE_EPOCH) // _SECOND
        return int(wall.replace(tzinfo=self.zone).timestamp())

    @property
    def days(self) -> Days | None:
        """The days of this clock, shared by all that reckon by it; None for a private zone, which may do anything."""
        suffix = "" if self.all_day or self.floating else "Z"
        return _days(self.zone, suffix) if self.zone is UTC or isinstance(self.zone, ZoneInfo) else None

    def time_text(self, second: int) -> str:
        """The time of day in a spelling: nothing on an all-day event's dates."""
        return "" if self.all_day else f"T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"

    def wall(self, ts: int) -> datetime:
        """Naive wall time of a timestamp."""
        if self.zone is UTC:
            return _NAIVE_EPOCH + timedelta(seconds=ts)
        return (EPOCH + timedelta(seconds=ts)).astimezone(self.zone).replace(tzinfo=None, fold=0)

    def spell(self, ts: int) -> str:
        """RFC 3339 with offset, local time when floating, a date when all-day: also the form of a recurrence id."""
        if self.zone is not UTC:
            return (EPOCH + timedelta(seconds=ts)).astimezone(self.zone).isoformat()
        text = (_NAIVE_EPOCH + timedelta(seconds=ts)).isoformat()
        if self.all_day:
            return text[:10]
        return text if self.floating else text + "Z"

    def read(self, text: str) -> int:
        """Timestamp of a recurrence id or of any other spelling of a moment; without offset it is wall time here.

        Raises ValueError for what is no RFC 3339 or iCalendar date or time.
        """
        moment = datetime.fromisoformat(text)
        if self.all_day:
            return self.ts(datetime.combine(moment, time.min))
        if moment.tzinfo is None:
            return self.ts(moment)
        if self.floating:
            return self.ts(moment.replace(tzinfo=None))
        return (moment - EPOCH) // _SECOND


def frame_of(content: Content, name: str = "time_zone") -> Frame:
    """The frame of the start, or with ``"end_time_zone"`` of the end. Raises `InvalidEvent` for an unknown zone."""
    all_day = bool(content.get("all_day"))
    zone = content.get(name) or content.get("time_zone")
    private = content.get("zones")
    if zone and private and zone in private:
        return _frame(zone, all_day, zones.tzinfo(zone, private))
    return _known_frame(zone, all_day)


@lru_cache(maxsize=1024)
def _known_frame(zone: str | None, all_day: bool) -> Frame:
    known = zone if zone and not all_day and zone != "UTC" else None
    return _frame(zone, all_day, zones.tzinfo(known, None) if known else UTC)


def _frame(zone: str | None, all_day: bool, info: tzinfo) -> Frame:
    return Frame(UTC if all_day else info, all_day, not all_day and zone is None)


#: The timestamp of a day's midnight, its ISO date, and the offset all its times have, as RFC 3339 spells it.
Day: TypeAlias = tuple[int, str, str]


class Days(dict[int, Day | None]):
    """Day by ordinal; None on days whose wall times do not all have one offset. Filled as it is asked.

    So a series need not ask its zone about each of its instances. Holds for zones of the tz database, none of which
    changes its offset twice within a day.
    """

    def __init__(self, zone: tzinfo, suffix: str) -> None:
        """``suffix`` stands for the offset of a clock that knows none (UTC, floating)."""
        super().__init__()
        self._zone = None if zone is UTC else zone
        self._suffix = suffix

    def __missing__(self, ordinal: int) -> Day | None:
        if len(self) >= _MOST_DAYS:
            self.clear()
        found = self[ordinal] = self._day(date.fromordinal(ordinal))
        return found

    def _day(self, day: date) -> Day | None:
        if self._zone is None:
            return (day.toordinal() - _EPOCH_DAY) * DAY, day.isoformat(), self._suffix
        midnight = datetime.combine(day, time.min, self._zone)
        # Both as of their first showing: what is equal at both ends was never different in between.
        if midnight.utcoffset() != (midnight + _ONE_DAY).utcoffset():
            return None
        return int(midnight.timestamp()), day.isoformat(), midnight.isoformat()[19:]


@lru_cache(maxsize=256)
def _days(zone: tzinfo, suffix: str) -> Days:
    return Days(zone, suffix)
