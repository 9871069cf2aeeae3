"""The iCalendar codec (RFC 5545): texts of calendar objects to content and back.

The text is the truth about what the model does not know: `patch_object` changes the lines whose values change and no
other byte. Left out of content, and kept in the text: DTSTAMP, LAST-MODIFIED, CREATED, SEQUENCE, PRODID, and the
bookkeeping of clients (X-MOZ-LASTACK, ...).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.ical_patch import patch_text
from calhub.calendar.ical_read import Vevent, definitions, master_word, open_calendars, read_series, vevents, zone_table
from calhub.calendar.ical_values import component_text, line_zone
from calhub.calendar.ical_write import HEADER, Labels, canonical, series_lines, zone_lines
from calhub.calendar.lines import Component, decode, escape, fold, unfold
from calhub.calendar.zones import ZoneTable, vtimezone

__all__ = [
    "Entry", "InvalidEvent", "NotAnEvent", "Reading", "decode", "patch_object", "read_calendar", "read_events",
    "read_object",     "write_calendar", "write_object",
]  # fmt: skip


class NotAnEvent(InvalidEvent):
    """A sound iCalendar text without any VEVENT: a task, a journal entry, a free-busy list."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One calendar object. ``modified`` is RFC 3339 in UTC with milliseconds, the latest of all its VEVENTs."""

    uid: str
    content: Content
    modified: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a calendar file. Exactly one of ``content`` and ``problem`` is set."""

    uid: str | None
    content: Content | None
    problem: str | None
    write: Callable[[], str]

    @property
    def text(self) -> str:
        """Its VCALENDAR, put together when asked for."""
        return self.write()


def read_object(text: str | bytes) -> Reading:
    """Read a resource: one event with its overrides (RFC 4791 4.1).

    Raises `NotAnEvent` if it holds other components only, `InvalidEvent` with one sentence if it cannot be kept.
    """
    lines = unfold(decode(text) if isinstance(text, bytes) else text)
    calendars = open_calendars(lines)
    table = zone_table(lines, calendars)
    events = vevents(lines, calendars)
    if not events:
        raise NotAnEvent("The calendar data holds no event.")
    uid = events[0].uid
    if any(event.uid != uid for event in events[1:]):
        raise InvalidEvent("The calendar data holds events with different UIDs.")
    if not uid:
        raise InvalidEvent("The event has no UID.")
    content = read_series(lines, events, table)
    return Reading(uid, content, max(filter(None, (event.modified for event in events)), default=None))


def write_object(uid: str, content: Content, *, now: datetime) -> str:
    """A new iCalendar text for an event, with the VTIMEZONEs it needs. Reading it gives ``content``.

    Raises `InvalidEvent` if a time of the content cannot be expressed.
    """
    content, labels = canonical(content), Labels()
    events = series_lines(uid, content, now, labels)
    zones = [line for zone in sorted(labels.asked) for line in zone_lines(zone, content)]
    return "".join(map(fold, [*HEADER, *zones, *events, "END:VCALENDAR"]))


def patch_object(text: str, uid: str, content: Content, *, now: datetime) -> str:
    """``text`` with what it says about the event made equal to ``content``; every other byte stays.

    The same string comes back when nothing is to change. VEVENTs that change get a new DTSTAMP and LAST-MODIFIED.
    Reading the result gives ``content``. Raises `InvalidEvent` if the text cannot be read or is another event's.
    """
    current = read_object(text)
    if current.uid != uid:
        raise InvalidEvent("The calendar data belongs to an event with another UID.")
    if current.content == content or current.content == (content := canonical(content)):
        return text
    return patch_text(text, uid, content, now)


def write_calendar(objects: Iterable[tuple[str, Content]], *, name: str | None, now: datetime) -> Iterator[str]:
    """One VCALENDAR with many events, in pieces; memory does not grow with the number of events.

    Each VTIMEZONE stands before the first event that needs it. Two private zones with one label get two labels.
    """
    yield "".join(map(fold, HEADER))
    if name is not None:
        yield fold(f"NAME:{escape(name)}") + fold(f"X-WR-CALNAME:{escape(name)}")
    written: dict[str, str] = {}
    for uid, content in objects:
        content = canonical(content)
        known: dict[str, str] = {}
        for zone, text in content.get("zones", {}).items():
            known[zone] = _free_label(zone, text, written)
        labels = Labels(known)
        lines = series_lines(uid, content, now, labels)
        for zone in sorted(labels.asked):
            label = known.get(zone, zone)
            if label not in written:
                written[label] = content.get("zones", {}).get(zone, "")
                found = zone_lines(zone, content) if zone in known else vtimezone(zone, 1970)
                yield "".join(fold(f"TZID:{escape(label)}" if line.startswith("TZID") else line) for line in found)
        yield "".join(map(fold, lines))
    yield "END:VCALENDAR\r\n"


def _free_label(zone: str, text: str, written: dict[str, str]) -> str:
    label, number = zone, 1
    while written.get(label, text) != text:
        number += 1
        label = f"{zone} ({number})"
    return label


def read_calendar(data: bytes) -> Iterator[Entry]:
    """The events of a calendar file or feed, in the order of their first VEVENT.

    A bad event gives an entry with its ``problem``. Where one UID has several different masters, the second and later
    ones do. An event without a UID gets one derived from its start and title: the same at each reading, with a
    number after it where several events share them. Raises `InvalidEvent`, before the first entry, if the
    data is not iCalendar or is cut off: what is missing in it is then not known to be gone.
    """
    lines = unfold(decode(data))
    calendars = open_calendars(lines)
    return _entries(lines, calendars)


def read_events(data: bytes) -> Iterator[tuple[str | None, Content | None, str | None]]:
    """`read_calendar` as (UID, content, problem): what can be sent from one process to another."""
    for entry in read_calendar(data):
        yield entry.uid, entry.content, entry.problem


def _entries(lines: Sequence[str], calendars: Sequence[Component]) -> Iterator[Entry]:
    groups: dict[str, list[Vevent]] = {}
    derived: dict[str, int] = {}
    for event in vevents(lines, calendars):
        groups.setdefault(event.uid or _derived_uid(event, derived), []).append(event)
    zones = definitions(lines, calendars)
    texts = {label: component_text(lines, zone) for label, zone in zones.items()}
    for uid, events in groups.items():
        surplus: list[Entry] = []
        table = ZoneTable(lambda: texts)
        masters = [event for event in events if event.recurrence_line is None]
        if masters[1:]:
            events = [event for event in events if event is masters[0] or event.recurrence_line is not None]
        for other, problem in _clashes(lines, masters, table):
            surplus.append(Entry(uid, None, problem, partial(_own_text, lines, uid, [other], zones)))
        text = partial(_own_text, lines, uid, events, zones)
        try:
            content = read_series(lines, events, ZoneTable(lambda: texts))
        except InvalidEvent as error:
            yield Entry(uid, None, str(error), text)
        else:
            yield Entry(uid, content, None, text)
        yield from surplus


def _clashes(lines: Sequence[str], masters: Sequence[Vevent], table: ZoneTable) -> Iterator[tuple[Vevent, str]]:
    """The masters that say something else than the first of the UID, with the reason why they are not read."""
    first = None
    for number, master in enumerate(masters if masters[1:] else ()):
        try:
            word = master_word(lines, master, table)
        except InvalidEvent as error:
            if number:
                yield master, str(error)
            continue
        if not number:
            first = word
        elif word != first:
            yield master, "Another event of this calendar has the same UID."


def _derived_uid(event: Vevent, derived: dict[str, int]) -> str:
    parts = [event.one.get(name, ({}, ""))[1].strip() for name in ("DTSTART", "SUMMARY")]
    key = "derived-" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    derived[key] = derived.get(key, 0) + 1
    return key if derived[key] == 1 else f"{key}-{derived[key]}"


def _own_text(lines: Sequence[str], uid: str, events: Sequence[Vevent], zones: Mapping[str, Component]) -> str:
    body: list[str] = []
    labels: dict[str, None] = {}
    for event in events:
        own = event.component.lines(lines)
        if not event.uid:
            own.insert(1, f"UID:{uid}")
        for line in own:
            if (label := line_zone(line)) in zones and label is not None:
                labels[label] = None
        body += own
    needed = [line for label in labels for line in zones[label].lines(lines)]
    return "".join(map(fold, [*HEADER, *needed, *body, "END:VCALENDAR"]))
