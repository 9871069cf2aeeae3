"""From an event of Google Calendar to content (reference: Calendar API v3, Events)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.frame import frame_of
from calhub.calendar.ical_read import read_recurrence
from calhub.calendar.ical_time import Duration, Frame, Moment, instance_patch, write_duration, write_value
from calhub.calendar.ical_values import in_order
from calhub.calendar.lines import parse_line
from calhub.calendar.recurrence import Series
from calhub.calendar.rule import parse
from calhub.calendar.zones import ZoneTable
from calhub.providers.google import more
from calhub.providers.google.tables import ANSWERS, BESIDE, COLORS
from calhub.providers.google.text import plain
from calhub.providers.google.times import read_moment, read_times

Row = Mapping[str, Any]

_FEATURES: Final = {"video": ["audio", "video"], "phone": ["phone"]}


def uid_of(row: Row) -> str | None:
    """Our UID of an event that we made, else Google's. Events that we make cannot have both an id and a UID of ours."""
    found: str | None = more.private(row).get(more.UID) or row.get("iCalUID")
    return found


def read_event(row: Row, zone: str) -> Content:
    """The fields of one event or instance, those of a series aside. Raises `InvalidEvent`."""
    document = more.read(row)
    content = read_times(row, zone, document)
    if title := row.get("summary"):
        content["title"] = title
    if (text := row.get("description")) and (text := plain(text)):
        content["description"] = text
    if location := row.get("location"):
        content["location"] = location
    if url := document.get("url") or row.get("source", {}).get("url"):
        content["url"] = url
    if color := document.get("color") or COLORS.get(row.get("colorId", "")):
        content["color"] = color
    if (status := document.get("status") or row.get("status")) in ("tentative", "cancelled"):
        content["status"] = status
    if (privacy := row.get("visibility")) in ("private", "confidential"):
        content["privacy"] = privacy
    if row.get("transparency") == "transparent":
        content["busy"] = False
    if people := read_attendees(row, document):
        content["attendees"] = people
    if organizer := document.get("organizer") or read_organizer(row):
        content["organizer"] = organizer
    if alarms := [*read_reminders(row), *document.get("alarms", ())]:
        content["alarms"] = in_order(alarms)
    if attachments := row.get("attachments"):
        content["attachments"] = in_order([read_attachment(each) for each in attachments])
    if conferences := [*read_conferences(row), *document.get("conferences", ())]:
        content["conferences"] = in_order(conferences)
    content |= {name: document[name] for name in BESIDE if name in document}
    return content


def read_organizer(row: Row) -> Content | None:
    """Only of an event with participants: every event has an organizer at Google, which would not mean anything."""
    organizer = row.get("organizer", {})
    if not organizer.get("email") or not row.get("attendees"):
        return None
    email = organizer["email"].lower()
    return {"email": email, "name": organizer["displayName"]} if organizer.get("displayName") else {"email": email}


def read_attendees(row: Row, document: Mapping[str, Any]) -> Content:
    details = document.get("attendees", {})
    people: Content = {}
    for person in row.get("attendees", ()):
        address = person.get("email", "").lower()
        if address:
            # What Google cannot say of a participant counts only while Google says nothing else.
            people[address] = details.get(address, {}) | read_attendee(person)
    return people


def read_attendee(person: Row) -> Content:
    fields: Content = {}
    if name := person.get("displayName"):
        fields["name"] = name
    if person.get("optional"):
        fields["role"] = "optional"
    if answer := ANSWERS.get(person.get("responseStatus", "")):
        fields["status"] = answer
    if person.get("resource"):
        fields["kind"] = "resource"
    return fields


def read_reminders(row: Row) -> list[Content]:
    """The default reminders of the calendar are not the event's own."""
    alarms = []
    for reminder in row.get("reminders", {}).get("overrides", ()):
        alarm: Content = {"trigger": trigger_of(reminder["minutes"])}
        if reminder.get("method") == "email":
            alarm["action"] = "email"
        alarms.append(alarm)
    return alarms


def trigger_of(minutes: int) -> str:
    """Whole days are nominal, as people mean them."""
    days = minutes % 1440 == 0
    return write_duration(Duration(-(minutes // 1440), 0) if days else Duration(0, -60 * minutes))


def read_attachment(attachment: Row) -> Content:
    fields = {"uri": attachment.get("fileUrl", "")}
    names = (("media_type", "mimeType"), ("name", "title"))
    return fields | {name: attachment[key] for name, key in names if attachment.get(key)}


def read_conferences(row: Row) -> list[Content]:
    data = row.get("conferenceData", {})
    name = data.get("conferenceSolution", {}).get("name")
    found: list[Content] = []
    for entry in data.get("entryPoints", ()):
        if entry.get("uri"):
            fields: Content = {"uri": entry["uri"]}
            if label := entry.get("label") or name:
                fields["label"] = label
            if features := _FEATURES.get(entry.get("entryPointType", "")):
                fields["features"] = features
            found.append(fields)
    return found


# Series


def read_series(master: Row, exceptions: Sequence[Row], zone: str) -> Content:
    """The content of an event with its exceptions. Raises `InvalidEvent`.

    A cancelled instance is an entry of ``exdates``; an exception that says what its series says is none.
    """
    content = read_event(master, zone)
    lines = master.get("recurrence")
    if not lines:
        return content
    document = more.read(master)
    floating = "time_zone" not in content and not content.get("all_day")
    own = content | {"time_zone": document["floating"]} if floating else content
    times: Content = {name: own[name] for name in ("start", "end", "all_day", "time_zone") if name in own}
    read_recurrence(recurrence_rows(lines), times, ZoneTable(dict))
    slots = {rid_of(row, times, zone): row for row in exceptions}
    cancelled = {rid for rid, row in slots.items() if row.get("status") == "cancelled"}
    # What a change of the rule has left behind takes nothing out.
    exdates = (set(times.get("exdates", ())) - slots.keys()) | (cancelled - outside(times, cancelled))
    content |= {name: times[name] for name in ("rrule", "rdates") if name in times}
    if exdates:
        content["exdates"] = sorted(exdates)
    patches = {}
    for rid, row in slots.items():
        if rid not in cancelled:
            key = rid[:19] if floating else rid
            patches[key] = instance_patch(content, key, read_event(row, zone))
    if floating:
        _unbind(content, Frame(own))
    if kept := {rid: patch for rid, patch in sorted(patches.items()) if patch}:
        content["overrides"] = kept
    return content


def recurrence_rows(lines: Sequence[str]) -> dict[str, list[tuple[dict[str, str], str, str]]]:
    """The lines by name, as the reader of iCalendar takes them. Raises `InvalidEvent`."""
    many: dict[str, list[Any]] = {}
    for line in lines:
        parsed = parse_line(line)
        if parsed is None:
            raise InvalidEvent("The event has a recurrence that cannot be read.")
        many.setdefault(parsed[0], []).append((parsed[1], parsed[2], line))
    return many


def rid_of(row: Row, content: Content, zone: str) -> str:
    """The recurrence id of an exception, in the terms of its series. Raises `InvalidEvent`."""
    frame = Frame(content)
    return frame.recurrence_id(read_moment(row.get("originalStartTime", {}), zone, frame))


def outside(content: Content, rids: Iterable[str]) -> set[str]:
    """Those of the recurrence ids at which the series has no instance; exceptions do not count."""
    slots = {rid: frame_of(content).read(rid) for rid in rids}
    if not slots:
        return set()
    series = Series({name: value for name, value in content.items() if name not in ("exdates", "overrides")})
    return {rid for rid, ts in slots.items() if not any(start == ts for start, _ in series.starts(ts, ts + 1))}


def _unbind(content: Content, frame: Frame) -> None:
    """Ids and UNTIL of a floating series, which Google has in the zone it is bound to, as wall times."""
    for name in ("rdates", "exdates"):
        if name in content:
            content[name] = sorted(rid[:19] for rid in content[name])
    until = parse(content["rrule"]).until if "rrule" in content else None
    if isinstance(until, datetime):
        bound = write_value(Moment(until.replace(tzinfo=None).isoformat(), "UTC"))
        local = until.astimezone(frame.tzinfo(frame.zone)).replace(tzinfo=None)
        content["rrule"] = content["rrule"].replace(bound, write_value(Moment(local.isoformat())))
