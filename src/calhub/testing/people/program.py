"""In a calendar program, over CalDAV or on files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, TypeAlias, Unpack
from uuid import uuid4

from icalendar import Calendar, Component

from calhub.testing.corpus import Sample, calendar_text
from calhub.testing.people.base import ZONE, Entry, Fields, aware, is_day, rule_of, the, wall
from calhub.testing.remotes import OtherProgram

#: A component of icalendar, whose values are of as many types as there are properties.
_Event: TypeAlias = Any
_SERIES: Final = ("RRULE", "EXDATE", "RDATE")
_TEXTS: Final = {"title": "SUMMARY", "location": "LOCATION", "description": "DESCRIPTION"}


class ProgramPerson:
    """The program writes all of an item anew, in the order it likes."""

    def __init__(self, calendar: OtherProgram) -> None:
        self._calendar = calendar

    def entries(self) -> list[Entry]:
        return entries_of(self._calendar.read().values())

    def add(self, *, days: int = 1, weeks: int = 1, **fields: Unpack[Fields]) -> None:
        uid = f"{uuid4()}@program.example"
        lines = ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20261101T080000Z", "END:VEVENT"]
        if rule := rule_of(days, weeks):
            lines.insert(3, f"RRULE:{rule}")
        calendar = Calendar.from_ical(calendar_text([ZONE], lines))
        _type(_master(calendar), fields)
        self._calendar.fill([Sample(uid, f"{uid.partition('@')[0]}.ics", calendar.to_ical().decode())])

    def edit(self, event: str, **fields: Unpack[Fields]) -> None:
        self._change(event, lambda calendar: _type(_master(calendar), fields))

    def edit_instance(self, event: str, day: str, **fields: Unpack[Fields]) -> None:
        self._change(event, lambda calendar: _type(_instance(calendar, day), fields))

    def cancel_instance(self, event: str, day: str) -> None:
        def cancel(calendar: _Event) -> None:
            master = _master(calendar)
            calendar.subcomponents = [each for each in calendar.subcomponents if _day(each) != day]
            master.add("EXDATE", _slot(master, day))

        self._change(event, cancel)

    def delete(self, event: str) -> None:
        self._calendar.delete(self._find(event))

    def _find(self, title: str) -> str:
        texts = self._calendar.read().items()
        return the(
            [uid for uid, text in texts if str(_master(Calendar.from_ical(text)).get("SUMMARY")) == title], title
        )

    def _change(self, title: str, change: Any) -> None:
        def rewritten(text: str) -> str:
            calendar = Calendar.from_ical(text)
            change(calendar)
            return str(calendar.to_ical(), "utf-8")

        self._calendar.edit(self._find(title), rewritten)


def entries_of(texts: Iterable[str]) -> list[Entry]:
    """What calendar files say."""
    events = [event for text in texts for event in Calendar.from_ical(text).walk("VEVENT")]
    return sorted(_entry(event) for event in events)


def _entry(event: _Event) -> Entry:
    exdates = event.get("EXDATE") or []
    gone = [entry.dt for line in (exdates if isinstance(exdates, list) else [exdates]) for entry in line.dts]
    categories = event.get("CATEGORIES")
    lines = categories if isinstance(categories, list) else [categories] if categories else []
    return Entry(
        title=str(event.get("SUMMARY", "")),
        start=_moment(event["DTSTART"].dt),
        end=_moment(event["DTEND"].dt),
        location=str(event.get("LOCATION", "")),
        description=str(event.get("DESCRIPTION", "")),
        categories=tuple(sorted(str(name) for line in lines for name in line.cats)),
        repeats="RRULE" in event,
        instance="RECURRENCE-ID" in event,
        cancelled=tuple(sorted({_moment(moment)[:10] for moment in gone})),
    )


def _moment(value: Any) -> str:
    return wall(value) if isinstance(value, datetime) else str(value)


def _master(calendar: _Event) -> _Event:
    (master,) = (event for event in calendar.walk("VEVENT") if "RECURRENCE-ID" not in event)
    return master


def _day(component: _Event) -> str | None:
    """On which day the series has this instance."""
    return _moment(component["RECURRENCE-ID"].dt)[:10] if "RECURRENCE-ID" in component else None


def _slot(master: _Event, day: str) -> Any:
    """When the series has its instance of a day, the way it writes its own start."""
    start = _moment(master["DTSTART"].dt)
    return datetime.fromisoformat(day).date() if is_day(start) else aware(day + start[10:])


def _instance(calendar: _Event, day: str) -> _Event:
    """The VEVENT of an instance, which is made where there is none."""
    for event in calendar.walk("VEVENT"):
        if _day(event) == day:
            return event
    master = _master(calendar)
    made = Component.from_ical(master.to_ical())
    for name in _SERIES:
        made.pop(name, None)
    slot = _slot(master, day)
    length = master["DTEND"].dt - master["DTSTART"].dt
    made.add("RECURRENCE-ID", slot)
    _set(made, "DTSTART", slot)
    _set(made, "DTEND", slot + length)
    calendar.add_component(made)
    return made


def _type(event: _Event, fields: Fields) -> None:
    for name, value in fields.items():
        if name in _TEXTS:
            _set(event, _TEXTS[name], value)
    if "categories" in fields:
        _set(event, "CATEGORIES", list(fields["categories"]))
    for name, moment in (("DTSTART", fields.get("start")), ("DTEND", fields.get("end"))):
        if moment is not None:
            _set(event, name, datetime.fromisoformat(moment).date() if is_day(moment) else aware(moment))


def _set(event: _Event, name: str, value: Any) -> None:
    event.pop(name, None)
    event.add(name, value)
