"""What the emulated mailbox holds: calendars, events with their exceptions, and who was changed when.

Facts by sheet and section; the sheet is the project's notes on Microsoft Graph v1.0 ("microsoft").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from dateutil import rrule
from tzlocal.windows_tz import win_tz

_DAYS: Final = {
    "monday": rrule.MO, "tuesday": rrule.TU, "wednesday": rrule.WE, "thursday": rrule.TH, "friday": rrule.FR,
    "saturday": rrule.SA, "sunday": rrule.SU,
}  # fmt: skip
_Freq = Literal[0, 1, 2, 3, 4, 5, 6]
_INDEXES: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
_OCCURRENCE: Final = re.compile(r"(.+)Oc(\d{8})")
_FAR: Final = datetime(2200, 1, 1)


@lru_cache(maxsize=512)
def zone_of(name: str) -> tzinfo | None:
    """The zone of a Windows or IANA name; None for one that Graph does not know (microsoft: Time zones)."""
    if name in ("UTC", "tzone://Microsoft/Utc"):
        return UTC
    if name in win_tz:
        return ZoneInfo(win_tz[name])
    return ZoneInfo(name) if name in available_timezones() else None


def instant(moment: dict[str, str]) -> datetime:
    """A ``dateTimeTimeZone`` that has passed the checks, in UTC."""
    wall = datetime.fromisoformat(moment["dateTime"])
    return wall.replace(tzinfo=zone_of(moment["timeZone"])).astimezone(UTC)


@dataclass(frozen=True)
class Pattern:
    """The recurrence of a series at one time of its life."""

    start: datetime  # wall time
    length: timedelta
    zone: tzinfo
    rule: rrule.rrule = field(compare=False)

    def dates(self, first: datetime, last: datetime) -> Iterator[date]:
        """Days of instances that overlap a span of time (UTC)."""
        early = first.astimezone(self.zone).replace(tzinfo=None) - self.length
        late = last.astimezone(self.zone).replace(tzinfo=None)
        for wall in self.rule.xafter(early, inc=False):
            if wall >= late:
                return
            yield wall.date()

    def has(self, day: date) -> bool:
        wall = datetime.combine(day, self.start.time())
        return bool(self.rule.between(wall, wall, inc=True))

    def slot(self, day: date) -> tuple[datetime, datetime]:
        """Start and end (UTC) of the instance of a day."""
        start = datetime.combine(day, self.start.time()).replace(tzinfo=self.zone).astimezone(UTC)
        return start, start + self.length


def pattern_of(props: dict[str, Any]) -> Pattern | None:
    """How a series repeats (microsoft: Recurrence). The pattern decides, whatever day ``start`` is on."""
    recurrence = props.get("recurrence")
    if not recurrence:
        return None
    start, end = (datetime.fromisoformat(props[name]["dateTime"]) for name in ("start", "end"))
    zone = zone_of(props["start"]["timeZone"])
    assert zone is not None
    pattern, bounds = recurrence["pattern"], recurrence["range"]
    parts: dict[str, Any] = {"interval": pattern["interval"], "dtstart": start, "cache": True}
    days = [_DAYS[day] for day in pattern.get("daysOfWeek", ())]
    kind = pattern["type"]
    if kind == "weekly":
        parts |= {"byweekday": days, "wkst": _DAYS[pattern["firstDayOfWeek"]]}
    if kind.startswith("relative"):
        parts |= {"byweekday": days, "bysetpos": _INDEXES[pattern["index"]]}
    if kind.startswith("absolute"):
        # A day that the month lacks is its last one in Exchange ([MS-OXOCAL] 2.2.1.44.1.3, Day).
        parts |= {"bymonthday": range(min(28, pattern["dayOfMonth"]), pattern["dayOfMonth"] + 1), "bysetpos": -1}
        if pattern["dayOfMonth"] <= 28:
            parts |= {"bymonthday": pattern["dayOfMonth"], "bysetpos": None}
    if kind.endswith("Yearly"):
        parts |= {"bymonth": pattern["month"]}
    if bounds["type"] == "numbered":
        parts["count"] = bounds["numberOfOccurrences"]
    elif bounds["type"] == "endDate":
        parts["until"] = datetime.combine(date.fromisoformat(bounds["endDate"]), time.max)
    else:
        parts["until"] = _FAR
    freq: _Freq = rrule.YEARLY if kind.endswith("Yearly") else rrule.MONTHLY
    if kind in ("daily", "weekly"):
        freq = rrule.DAILY if kind == "daily" else rrule.WEEKLY
    return Pattern(start, end - start, zone, rrule.rrule(freq, **parts))


@dataclass
class Changed:
    """An instance that differs from its series: only what was changed in it."""

    changed: dict[str, Any]
    key: int


@dataclass
class Event:
    """A single event or a series. ``key`` is the change key's number; ``past`` are the patterns it had, until when."""

    number: int
    calendar: str
    uid: str
    props: dict[str, Any]
    key: int
    created: datetime
    modified: datetime
    transaction: str | None = None
    organizer: bool = True
    extended: dict[str, str] = field(default_factory=dict)
    pattern: Pattern | None = None
    exceptions: dict[date, Changed] = field(default_factory=dict)
    cancelled: dict[date, int] = field(default_factory=dict)
    past: list[tuple[int, Pattern]] = field(default_factory=list)
    deleted: bool = False
    declined: bool = False
    moves: int = 0  # into other calendars: the plain id is another one after each

    def id(self, *, immutable: bool) -> str:
        """Immutable ids stay the same when the event moves, the others do not (microsoft: Resources and identity)."""
        start = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A" if immutable else f"AQMkADAwATM0MDAAMS1i{self.moves:04x}"
        return f"{start}{self.number:024x}AAA="

    def dates(self, first: datetime, last: datetime) -> list[date]:
        """Days of the instances in a span, exceptions where they are now included."""
        assert self.pattern is not None
        found = {day for day in self.pattern.dates(first, last) if day not in self.cancelled}
        for day in self.exceptions:
            begin, end = self.span(day)
            if begin < last and end > first:
                found.add(day)
            else:
                found.discard(day)
        return sorted(found)

    def instance(self, day: date) -> dict[str, Any]:
        """The properties of one instance; its times are the slot's unless it was changed."""
        assert self.pattern is not None
        props = {**self.props, "recurrence": None}
        begin = datetime.combine(day, self.pattern.start.time())
        for name, wall in (("start", begin), ("end", begin + self.pattern.length)):
            props[name] = {"dateTime": wall.isoformat(), "timeZone": self.props[name]["timeZone"]}
        return {**props, **(self.exceptions[day].changed if day in self.exceptions else {})}

    def neighbours(self, day: date) -> tuple[date | None, date | None]:
        """The days on which the instances before and after the one of ``day`` are now."""
        assert self.pattern is not None
        found: list[date | None] = []
        for step in (self.pattern.rule.before, self.pattern.rule.after):
            wall = step(datetime.combine(day, self.pattern.start.time()))
            while wall is not None and wall.date() in self.cancelled:
                wall = step(wall)
            there = self.exceptions.get(wall.date()) if wall is not None else None
            moved = there.changed.get("start") if there is not None else None
            found.append(date.fromisoformat(moved["dateTime"][:10]) if moved else wall.date() if wall else None)
        return found[0], found[1]

    def span(self, day: date | None = None) -> tuple[datetime, datetime]:
        props = self.props if day is None else self.instance(day)
        return instant(props["start"]), instant(props["end"])

    def overlaps(self, first: datetime, last: datetime) -> bool:
        begin, end = self.span()
        return begin < last and (end > first or begin == end >= first)


def occurrence_id(master: str, day: date) -> str:
    return f"{master.rstrip('=')}Oc{day.isoformat().replace('-', '')}"


def split_id(name: str) -> tuple[str, date | None]:
    """The master's id and the day, for an occurrence's id."""
    found = _OCCURRENCE.fullmatch(name)
    if found is None:
        return name, None
    return found[1] + "=", datetime.strptime(found[2], "%Y%m%d").date()


@dataclass
class Calendar:
    id: str
    name: str
    is_default: bool = False
    can_edit: bool = True
    color: str = "auto"
    feed: dict[int, int] = field(default_factory=dict)  # event number: seq of its latest change here


class Mailbox:
    """All calendars of one user; ``seq`` counts changes."""

    def __init__(self) -> None:
        self.calendars: dict[str, Calendar] = {}
        self.events: dict[int, Event] = {}
        self.ids: dict[str, int] = {}
        self.transactions: dict[str, int] = {}
        self.seq = 0

    def add(self, event: Event) -> None:
        self.events[event.number] = event
        self.index(event)

    def index(self, event: Event) -> None:
        for immutable in (True, False):
            self.ids[event.id(immutable=immutable)] = event.number

    def find(self, name: str) -> tuple[Event, date | None] | None:
        """The event or the instance with this id, in either form."""
        master, day = split_id(name)
        number = self.ids.get(name if day is None else master)
        event = self.events.get(number) if number is not None else None
        if event is None or event.deleted:
            return None
        if day is not None and (event.pattern is None or day in event.cancelled or not event.pattern.has(day)):
            return None
        return event, day

    def touch(self, event: Event, now: datetime, *calendars: str) -> None:
        """The event has changed: a new change key, and news in its calendars."""
        self.seq += 1
        event.key = self.seq
        event.modified = now
        for name in {event.calendar, *calendars}:
            if name in self.calendars:
                self.calendars[name].feed[event.number] = self.seq

    def listed(self, calendar: str) -> list[Event]:
        """Single events and series masters."""
        found = [self.events[number] for number in self.calendars[calendar].feed]
        return [event for event in found if event.calendar == calendar and not event.deleted]
