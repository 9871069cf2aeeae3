"""From VEVENTs to content: what a text says, in canonical form.

Reading is lenient about what does not matter (an unknown STATUS, a bad PRIORITY: as if absent) and strict about what
would move an event in time: those raise `InvalidEvent` with one sentence for the user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import cache
from itertools import product
from typing import Final

from calhub.calendar import rule as rules
from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.ical_time import (
    Frame,
    Moment,
    add,
    instance_patch,
    parse_duration,
    read_end,
    read_moment,
    read_utc,
    time_fields,
    write_value,
)
from calhub.calendar.ical_values import (
    IGNORED,
    IGNORED_PREFIX,
    Value,
    component_text,
    extra_line,
    in_order,
    is_modelled,
    line_zone,
    read_address,
    read_alarm,
    read_attachment,
    read_attendee,
    read_conference,
    read_geo,
    read_organizer,
)
from calhub.calendar.lines import Component, Params, is_name, parse_components, parse_line, text_list, unescape
from calhub.calendar.zones import ZoneTable

Row = tuple[Params, str, str]  # with the logical line itself

#: Properties of which one counts, the first.
SINGLE: Final = frozenset(
    {
        "UID", "DTSTART", "DTEND", "DURATION", "SUMMARY", "DESCRIPTION", "LOCATION", "URL", "COLOR", "STATUS", "CLASS",
        "TRANSP", "PRIORITY", "GEO", "ORGANIZER", "RECURRENCE-ID", "SEQUENCE", "DTSTAMP", "LAST-MODIFIED",
    }
)  # fmt: skip
MULTIPLE: Final = frozenset({"ATTENDEE", "CATEGORIES", "ATTACH", "CONFERENCE", "RRULE", "RDATE", "EXDATE"})

#: Instances that the dates of one EXDATE may except; at every second of a day each is a great many.
MOST_EXCEPTIONS: Final = 100_000

STATUS: Final = {"TENTATIVE": "tentative", "CANCELLED": "cancelled"}


@dataclass(slots=True, eq=False)
class Vevent:
    """One VEVENT as read, before it is known whether it is a master or an override."""

    component: Component
    one: dict[str, Value]
    many: dict[str, list[Row]]
    extra: dict[str, list[str]] = field(default_factory=dict)
    recurrence_line: str | None = None

    @property
    def uid(self) -> str:
        return self.one["UID"][1].strip() if "UID" in self.one else ""

    @property
    def rank(self) -> tuple[int, str]:
        """Which of two VEVENTs for one instance counts (RFC 5546 2.1.5): the greater."""
        sequence = self.one.get("SEQUENCE", ({}, "0"))[1].strip()
        return int(sequence) if sequence.isdecimal() else 0, self.one.get("DTSTAMP", ({}, ""))[1].strip()

    @property
    def modified(self) -> str | None:
        """LAST-MODIFIED, or DTSTAMP, as RFC 3339 in UTC."""
        for name in ("LAST-MODIFIED", "DTSTAMP"):
            if name in self.one and (wall := read_utc(self.one[name][1])):
                return f"{wall}.000Z"
        return None


def open_calendars(lines: Sequence[str]) -> list[Component]:
    """The VCALENDARs of a text. Raises `InvalidEvent` if there is none, or the text is cut off or damaged."""
    calendars = [component for component in parse_components(lines) if component.name == "VCALENDAR"]
    if not calendars:
        raise InvalidEvent("This is not iCalendar data.")
    return calendars


def zone_table(lines: Sequence[str], calendars: Sequence[Component]) -> ZoneTable:
    return ZoneTable(zone_texts(lines, calendars))


def zone_texts(lines: Sequence[str], calendars: Sequence[Component]) -> Callable[[], Mapping[str, str]]:
    """The VTIMEZONEs by label, read when they are first asked for."""
    return cache(lambda: {label: component_text(lines, zone) for label, zone in definitions(lines, calendars).items()})


def definitions(lines: Sequence[str], calendars: Sequence[Component]) -> dict[str, Component]:
    """The VTIMEZONEs by label; the first of equal ones."""
    found: dict[str, Component] = {}
    for calendar in calendars:
        for child in calendar.children:
            if child.name == "VTIMEZONE":
                names = (parsed[2] for row in child.rows if (parsed := parse_line(lines[row])) and parsed[0] == "TZID")
                found.setdefault(unescape(next(names, "")).strip(), child)
    return found


def vevents(lines: Sequence[str], calendars: Sequence[Component]) -> list[Vevent]:
    """All VEVENTs of a text, in its order."""
    return [scan(lines, child) for calendar in calendars for child in calendar.children if child.name == "VEVENT"]


def scan(lines: Sequence[str], component: Component) -> Vevent:
    """Sort the properties of a VEVENT by what they are to content."""
    one: dict[str, Value] = {}
    many: dict[str, list[Row]] = {}
    event = Vevent(component, one, many)
    for number in component.rows:
        line = lines[number]
        parsed = parse_line(line)
        if parsed is None:
            continue
        name, params, value = parsed
        if name in SINGLE:
            if name not in one:
                one[name] = params, value
                if name == "RECURRENCE-ID":
                    event.recurrence_line = line
        elif name in MULTIPLE and is_modelled(name, params, value):
            many.setdefault(name, []).append((params, value, line))
        elif name not in IGNORED and not name.startswith(IGNORED_PREFIX) and name != "RRULE" and is_name(name):
            event.extra.setdefault(name, []).append(extra_line(name, line))
    if "RRULE" in many and event.recurrence_line is None:  # on an instance a rule means nothing
        for _, _, line in many["RRULE"][1:]:
            event.extra.setdefault("RRULE", []).append(extra_line("RRULE", line))
    return event


def read_vevent(lines: Sequence[str], event: Vevent, table: ZoneTable) -> Content:
    """The fields of one VEVENT, those of a series aside. Raises `InvalidEvent`."""
    content: Content = read_times(event, table)
    one, many = event.one, event.many
    for name, key in (("SUMMARY", "title"), ("DESCRIPTION", "description"), ("LOCATION", "location")):
        if (found := one.get(name)) and found[1]:
            content[key] = unescape(found[1])
    for name, key in (("URL", "url"), ("COLOR", "color")):
        if (found := one.get(name)) and (text := found[1].strip()):
            content[key] = unescape(text) if key == "color" else text
    if (found := one.get("STATUS")) and (status := STATUS.get(found[1].strip().upper())):
        content["status"] = status
    if (found := one.get("CLASS")) and (privacy := found[1].strip().upper()) not in ("PUBLIC", ""):
        content["privacy"] = "confidential" if privacy == "CONFIDENTIAL" else "private"
    if (found := one.get("TRANSP")) and found[1].strip().upper() == "TRANSPARENT":
        content["busy"] = False
    if (found := one.get("PRIORITY")) and (priority := found[1].strip()) in set("123456789"):
        content["priority"] = int(priority)
    if (found := one.get("GEO")) and (geo := read_geo(found[1])):
        content["geo"] = geo
    if (found := one.get("ORGANIZER")) and (organizer := read_organizer(*found)):
        content["organizer"] = organizer
    if "CATEGORIES" in many and (words := {word for row in many["CATEGORIES"] for word in text_list(row[1])}):
        content["categories"] = sorted(words)
    if "ATTENDEE" in many:
        attendees: dict[str, Content] = {}
        for params, value, _ in many["ATTENDEE"]:
            attendees.setdefault(read_address(value), read_attendee(params))
        content["attendees"] = attendees
    if "ATTACH" in many:
        content["attachments"] = in_order([read_attachment(params, value) for params, value, _ in many["ATTACH"]])
    if "CONFERENCE" in many:
        content["conferences"] = in_order([read_conference(params, value) for params, value, _ in many["CONFERENCE"]])
    if event.component.children:
        _read_children(lines, event.component, content)
    if event.extra:
        _register_zones(event.extra, table)
        content["extra"] = {name: sorted(found) for name, found in event.extra.items()}
    return content


def read_times(event: Vevent, table: ZoneTable) -> Content:
    """``start``, ``end`` and what belongs to them. Raises `InvalidEvent`."""
    if "DTSTART" not in event.one:
        raise InvalidEvent("The event has no start.")
    start = read_moment(*event.one["DTSTART"], table)
    end = read_moment(*event.one["DTEND"], table) if "DTEND" in event.one else None
    duration = parse_duration(event.one["DURATION"][1]) if "DURATION" in event.one and end is None else None
    frame = Frame({"start": start.wall}, table.used)
    return time_fields(start, read_end(start, end, duration, frame))


def _read_children(lines: Sequence[str], component: Component, content: Content) -> None:
    alarms, others = [], []
    for child in component.children:
        alarm = read_alarm(lines, child)
        if alarm is not None:
            alarms.append(alarm)
        else:
            others.append(component_text(lines, child))
    if alarms:
        content["alarms"] = in_order(alarms)
    if others:
        content["components"] = sorted(others)


def _register_zones(extra: Mapping[str, Sequence[str]], table: ZoneTable) -> None:
    """Private zones named by unknown properties belong to the content as well."""
    for found in extra.values():
        for line in found:
            if tzid := line_zone(line):
                table.resolve(tzid)


# The series


def read_series(lines: Sequence[str], events: Sequence[Vevent], table: ZoneTable) -> Content:
    """The content of all VEVENTs of one UID. Raises `InvalidEvent`.

    A text may hold overrides without a master (somebody was invited to single instances, RFC 5545 3.8.4.4). Then the
    earliest instance stands for the master, with its RECURRENCE-ID line in ``extra``; the others are overrides, and
    ``rdates`` names them, so that they occur.
    """
    masters = [event for event in events if event.recurrence_line is None]
    overrides = [event for event in events if event.recurrence_line is not None]
    if masters:
        word = master_word(lines, masters[0], table)
        content = dict(word[0])
        if masters[1:] and any(master_word(lines, other, table) != word for other in masters[1:]):
            raise InvalidEvent("Several different events share one UID.")
        read_recurrence(masters[0].many, content, table)
    else:
        first = first_instance(overrides, table)
        content = read_vevent(lines, first, table)
        content.setdefault("extra", {})["RECURRENCE-ID"] = [recurrence_extra(first)]
        overrides = [event for event in overrides if instance_key(event, table) != instance_key(first, table)]
    if overrides:
        _read_overrides(lines, overrides, content, table)
    if table.used and (zones := _private_zones(content, table)):
        content["zones"] = zones
    return content


def _private_zones(content: Content, table: ZoneTable) -> dict[str, str]:
    """The rules of private zones that the content names; times in others were converted."""
    named = set()
    for fields in (content, *content.get("overrides", {}).values()):
        named |= {fields.get("time_zone"), fields.get("end_time_zone")}
        named |= set(map(line_zone, (line for found in (fields.get("extra") or {}).values() for line in found)))
    return {tzid: text for tzid, text in sorted(table.used.items()) if tzid in named}


def master_word(lines: Sequence[str], event: Vevent, table: ZoneTable) -> tuple[Content, list[str]]:
    """What a master says, to be compared with another; bookkeeping aside. Raises `InvalidEvent`."""
    recurrence = [row[2] for name in ("RRULE", "RDATE", "EXDATE") for row in event.many.get(name, ())]
    return read_vevent(lines, event, table), recurrence


def is_detached(content: Content) -> bool:
    """Whether it stands for instances without a master; see `read_series`."""
    return "RECURRENCE-ID" in content.get("extra", {})


def is_cancellation(fields: Content) -> bool:
    """Whether an override, as an instance or as a patch, says no more than an EXDATE would."""
    return fields.get("status") == "cancelled" and not fields.get("following")


def recurrence_extra(event: Vevent) -> str:
    """The RECURRENCE-ID line as ``extra`` has it."""
    return extra_line("RECURRENCE-ID", event.recurrence_line or "")


def instance_key(event: Vevent, table: ZoneTable) -> datetime:
    """The instant that the RECURRENCE-ID of a loose instance names."""
    moment = slot(event, table, loose=True)
    return Frame({"start": moment.wall}, table.used).instant(moment)


def slot(event: Vevent, table: ZoneTable, *, loose: bool) -> Moment:
    """What RECURRENCE-ID says; on a loose instance, which has no master to go by, in the zone of its own start."""
    moment = read_moment(*event.one["RECURRENCE-ID"], table)
    if not loose or moment.zone or moment.is_date or "DTSTART" not in event.one:
        return moment
    return Moment(moment.wall, read_moment(*event.one["DTSTART"], table).zone)


def first_instance(overrides: Sequence[Vevent], table: ZoneTable) -> Vevent:
    """The VEVENT that counts for the earliest instance."""
    earliest = min(instance_key(event, table) for event in overrides)
    # `max` takes the first of equals, but the last one in the text is to count.
    return max((each for each in reversed(overrides) if instance_key(each, table) == earliest), key=lambda e: e.rank)


def read_override(lines: Sequence[str], event: Vevent, table: ZoneTable) -> Content:
    """The fields of a VEVENT with RECURRENCE-ID, ``following`` included.

    The other RANGE, that of RFC 2445, is gone from RFC 5545: such an override is for its one instance.
    """
    own = read_vevent(lines, event, table)
    if event.one["RECURRENCE-ID"][0].get("RANGE", "").strip().upper() == "THISANDFUTURE":
        own["following"] = True
    return own


def _read_overrides(lines: Sequence[str], overrides: list[Vevent], content: Content, table: ZoneTable) -> None:
    frame = Frame(content, table.used)
    detached = is_detached(content)
    cancels = not detached and content.get("status") != "cancelled"
    latest: dict[str, Vevent] = {}
    for event in overrides:
        rid = frame.recurrence_id(slot(event, table, loose=detached))
        if rid not in latest or event.rank >= latest[rid].rank:
            latest[rid] = event
    patches: dict[str, Content] = {}
    cancelled = set()
    against = content | {"zones": table.used}
    for rid, event in latest.items():
        own = read_override(lines, event, table)
        if cancels and is_cancellation(own):
            cancelled.add(rid)
            continue
        patches[rid] = instance_patch(against, rid, own)
    if patches:
        content["overrides"] = dict(sorted(patches.items()))
    if detached:
        content["rdates"] = sorted(patches)
    # An instance that is there, though it is excepted too, is there (seen in exports of Outlook).
    exdates = (set(content.pop("exdates", ())) | cancelled) - patches.keys()
    if exdates:
        content["exdates"] = sorted(exdates)


def read_recurrence(many: Mapping[str, Sequence[Row]], content: Content, table: ZoneTable) -> None:
    """Add ``rrule``, ``rdates`` and ``exdates`` to a content that has its times. Raises `InvalidEvent`."""
    frame = Frame(content, table.used)
    if "RRULE" in many:
        content["rrule"] = read_rule(many["RRULE"][0][1], frame)
    dates = (read_rdates(params, value, frame, table) for params, value, _ in many.get("RDATE", ()))
    if rdates := {rid for group in dates for rid in group}:
        content["rdates"] = sorted(rdates)
    if "EXDATE" in many:
        times = day_times(content, frame)
        found = (read_exdates(params, value, frame, table, times) for params, value, _ in many["EXDATE"])
        if exdates := {rid for group in found for rids in group.values() for rid in rids}:
            content["exdates"] = sorted(exdates)


def read_rule(value: str, frame: Frame) -> str:
    """The canonical RRULE. UNTIL gets the type of the start (RFC 5545 3.3.10): a date is the end of that day."""
    rule = rules.parse(value)
    if rule.until is None:
        return str(rule)
    return ";".join(
        f"UNTIL={_until(rule.until, frame)}" if part.startswith("UNTIL=") else part for part in str(rule).split(";")
    )


def _until(until: date | datetime, frame: Frame) -> str:
    if not isinstance(until, datetime):
        if frame.all_day:
            return write_value(Moment(until.isoformat()))
        until = datetime.combine(until, time(23, 59, 59))
    if frame.all_day:
        return write_value(Moment(until.date().isoformat()))
    if until.tzinfo is not None and frame.zone is not None:
        return write_value(Moment(until.astimezone(UTC).replace(tzinfo=None).isoformat(), "UTC"))
    wall = until.replace(tzinfo=None).isoformat()
    if frame.zone is None:
        return write_value(Moment(wall))
    return write_value(Moment(frame.instant(Moment(wall, frame.zone)).replace(tzinfo=None).isoformat(), "UTC"))


def day_times(content: Content, frame: Frame) -> list[str]:
    """The times of day at which the series' rule may have an instance, as ``T10:00:00``."""
    hour, minute, second = frame.start[11:13], frame.start[14:16], frame.start[17:19]
    if frame.all_day:
        return []
    if "rrule" not in content:
        return [frame.start[10:]]
    rule = rules.parse(content["rrule"])
    hours = [f"{n:02}" for n in rule.by_hour] or [hour]
    minutes = [f"{n:02}" for n in rule.by_minute] or [minute]
    return [f"T{h}:{m}:{s}" for h, m, s in product(hours, minutes, [f"{n:02}" for n in rule.by_second] or [second])]


def read_exdates(
    params: Params, value: str, frame: Frame, table: ZoneTable, times: Sequence[str]
) -> dict[str, list[str]]:
    """Raw value -> recurrence ids, of an EXDATE line. A date on a timed series excepts that whole day."""
    found = {}
    texts = value.split(",")
    if len(texts) * len(times) > MOST_EXCEPTIONS and any(len(text.strip()) == 8 for text in texts):
        raise InvalidEvent("The event has more exceptions than can be kept.")
    for text in texts:
        if text.strip():
            moment = read_moment(params, text, table)
            moments = [Moment(moment.wall + at) for at in times] if moment.is_date and times else [moment]
            found[text] = [frame.recurrence_id(each) for each in moments]
    return found


def read_rdates(params: Params, value: str, frame: Frame, table: ZoneTable) -> dict[str, str]:
    """Recurrence id (of a period ``id/end-id``) -> raw value, of an RDATE line."""
    found = {}
    for text in value.split(","):
        first, slash, last = text.partition("/")
        if not first.strip():
            continue
        start = read_moment(params, first, table)
        rid = frame.recurrence_id(start)
        if slash:
            start = Moment(start.wall, start.zone or frame.zone)
            ending = "P" in last.upper()
            end = add(start, parse_duration(last), frame) if ending else read_moment(params, last, table)
            rid = f"{rid}/{frame.recurrence_id(end)}"
        found[rid] = text
    return found
