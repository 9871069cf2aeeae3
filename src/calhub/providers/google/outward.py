"""From content to an event of Google Calendar: whole for a new one, only what changed for a patch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from calhub.calendar.event import RECURRENCE_UNIT, TIME_UNIT, Content
from calhub.calendar.ical_read import read_rule
from calhub.calendar.ical_time import Duration, Frame, parse_duration
from calhub.calendar.ical_write import Labels, exdate_line, rdate_line
from calhub.calendar.recurrence import is_recurring
from calhub.providers.google import more
from calhub.providers.google.inward import (
    Row,
    outside,
    read_attachment,
    read_attendee,
    read_conferences,
    read_organizer,
)
from calhub.providers.google.tables import ANSWERS, BESIDE, COLOR_IDS
from calhub.providers.google.text import marked
from calhub.providers.google.times import Unholdable, bound, write_times

Body = dict[str, Any]

MAX_REMINDERS: Final = 5
MAX_MINUTES: Final = 40320
MAX_ATTACHMENTS: Final = 25


class Target(NamedTuple):
    """What is to be written: the content, over the event as it is (empty for a new one), in a calendar of ``zone``."""

    content: Content
    row: Row
    zone: str


def whole(target: Target, event_id: str, uid: str) -> Body:
    """The body of a new event. Raises `Unholdable`."""
    body = _parts(target, set(_ALL))
    body["extendedProperties"] = {"private": more.write(event_id, uid, beside(target))}
    return without_none({**body, "id": event_id})


def changed(target: Target, before: Content, event_id: str, uid: str) -> Body:
    """A patch with what differs from ``before``, the content of the row; empty where nothing does.

    ``event_id`` is that of the series for an instance. Raises `Unholdable`.
    """
    content = target.content
    names = {name for name in {*before, *content} if before.get(name) != content.get(name)}
    body = _parts(target, names)
    wanted = beside(target)
    if wanted or more.private(target.row):
        kept = uid if target.row.get("iCalUID") != uid else ""
        if properties := more.patch(target.row, more.write(event_id, kept, wanted)):
            body["extendedProperties"] = {"private": properties}
    return body


def without_none(body: Body) -> Body:
    """For an insert, where there is nothing to be cleared."""
    return {
        name: without_none(value) if isinstance(value, dict) else value
        for name, value in body.items()
        if value is not None
    }


def _parts(target: Target, names: set[str]) -> Body:
    body: Body = {}
    for fields, write in _PARTS:
        if not names.isdisjoint(fields):
            body |= write(target)
    return body


def beside(target: Target) -> Content:
    """What Google has no place for; see `calhub.providers.google.more`. Raises `Unholdable`."""
    content, row = target.content, target.row
    document: Content = {name: content[name] for name in BESIDE if name in content}
    document |= write_times(content, target.zone)[1]
    if content.get("status") == "cancelled":
        document["status"] = "cancelled"
    if content.get("url") and not _has_source(target):
        document["url"] = content["url"]
    if content.get("color") and content["color"] not in COLOR_IDS:
        document["color"] = content["color"]
    if details := {
        address: rest for address, fields in content.get("attendees", {}).items() if (rest := _rest(fields))
    }:
        document["attendees"] = details
    if content.get("organizer") and content["organizer"] != read_organizer(row):
        document["organizer"] = content["organizer"]
    _, alarms = _split_alarms(target)
    if alarms:
        document["alarms"] = alarms
    known = read_conferences(row)
    if others := [each for each in content.get("conferences", ()) if each not in known]:
        document["conferences"] = others
    return document


def _rest(fields: Content) -> Content:
    """Of a participant what Google cannot say."""
    said = read_attendee(_person("", fields))
    return {name: value for name, value in fields.items() if said.get(name) != value}


# Parts


def _text(name: str, field: str) -> Callable[[Target], Body]:
    return lambda target: {name: target.content.get(field) or None}


def _description(target: Target) -> Body:
    text = target.content.get("description")
    return {"description": marked(text) if text else None}


def _times(target: Target) -> Body:
    return write_times(target.content, target.zone)[0]


def _recurrence(target: Target) -> Body:
    """Lines of kinds that calhub does not edit stay."""
    content = target.content
    if not is_recurring(content):
        return {"recurrence": None} if target.row.get("recurrence") else {}
    if any("/" in rid for rid in content.get("rdates", ())):
        raise Unholdable("Google Calendar cannot hold an additional date with a length of its own.")
    frame, labels = Frame(bound(content, target.zone)), Labels()
    lines = [f"RRULE:{read_rule(content['rrule'], frame)}"] if "rrule" in content else []
    rules = [line for line in target.row.get("recurrence", ()) if line.startswith("RRULE")]
    lines += rules[1:] + [line for line in target.row.get("recurrence", ()) if line.startswith("EXRULE")]
    lines += [rdate_line(rid, frame, labels) for rid in sorted({*content.get("rdates", ()), *_extra(content)})]
    lines += [exdate_line(rid, frame, labels) for rid in content.get("exdates", ())]
    if not lines:
        raise Unholdable("Google Calendar cannot hold a series without a rule.")
    return {"recurrence": lines} if sorted(lines) != sorted(target.row.get("recurrence", ())) else {}


def _extra(content: Content) -> set[str]:
    """Overrides of instances that the rule does not have: at Google they need a date of their own."""
    return outside(content, content.get("overrides", ()))


def _extra_dates(target: Target) -> Body:
    return _recurrence(target) if _extra(target.content) else {}


def _status(target: Target) -> Body:
    return {"status": "tentative" if target.content.get("status") == "tentative" else "confirmed"}


def _visibility(target: Target) -> Body:
    return {"visibility": target.content.get("privacy", "default")}


def _transparency(target: Target) -> Body:
    return {"transparency": "opaque" if target.content.get("busy", True) else "transparent"}


def _color(target: Target) -> Body:
    return {"colorId": COLOR_IDS.get(target.content.get("color", ""))}


def _source(target: Target) -> Body:
    if not _has_source(target):
        return {}
    url = target.content.get("url")
    return {"source": {"url": url, "title": target.row.get("source", {}).get("title") or url} if url else None}


def _has_source(target: Target) -> bool:
    """Only the creator can set or see a source, and only of the web."""
    creator = target.row.get("creator", {}).get("self", not target.row)
    return bool(creator) and urlsplit(target.content.get("url", "http:")).scheme in ("http", "https")


def _attendees(target: Target) -> Body:
    """All participants, or of somebody else's event only our own answer: the list there may not be whole."""
    content, row = target.content, target.row
    people = {person.get("email", "").lower(): person for person in row.get("attendees", ())}
    wanted = {
        address: _clean(people.get(address, {}) | _person(address, fields))
        for address, fields in content.get("attendees", {}).items()
    }
    if row.get("attendeesOmitted") or not row.get("organizer", {}).get("self", True):
        own = [wanted[address] for address, person in people.items() if person.get("self") and address in wanted]
        return {"attendees": own, "attendeesOmitted": True} if own else {}
    return {"attendees": list(wanted.values()) or None}


def _person(address: str, fields: Content) -> Body:
    return {
        "email": address,
        "displayName": fields.get("name"),
        "optional": fields.get("role") == "optional" or None,
        "responseStatus": ANSWERS.get(fields.get("status", ""), "needsAction"),
        "resource": fields.get("kind") == "resource" or None,
    }


def _clean(person: Body) -> Body:
    """Elements of an array are replaced whole, so there is nothing to be cleared in them."""
    return {name: value for name, value in person.items() if value is not None}


def _reminders(target: Target) -> Body:
    overrides, _ = _split_alarms(target)
    if not target.row and not overrides:
        return {}  # the calendar's default
    return {"reminders": {"useDefault": False, "overrides": overrides}}


def _split_alarms(target: Target) -> tuple[list[Body], list[Content]]:
    """What Google can hold as reminders, and the rest."""
    held: list[Body] = []
    rest: list[Content] = []
    for alarm in target.content.get("alarms", ()):
        reminder = _reminder(alarm)
        if reminder is None or len(held) == MAX_REMINDERS:
            rest.append(alarm)
        else:
            held.append(reminder)
    return held, rest


def _reminder(alarm: Content) -> Body | None:
    action = alarm.get("action", "display")
    if alarm["trigger"].endswith("Z") or not alarm.keys() <= {"trigger", "action"} or action not in _METHODS:
        return None
    before: Duration = parse_duration(alarm["trigger"])
    seconds = -(before.days * 86400 + before.seconds)
    if seconds % 60 or not 0 <= seconds // 60 <= MAX_MINUTES:
        return None
    return {"method": _METHODS[action], "minutes": seconds // 60}


_METHODS: Final = {"display": "popup", "email": "email"}


def _attachments(target: Target) -> Body:
    wanted = target.content.get("attachments", ())
    if len(wanted) > MAX_ATTACHMENTS:
        raise Unholdable(f"Google Calendar holds at most {MAX_ATTACHMENTS} attachments.")
    known = {each.get("fileUrl"): each for each in target.row.get("attachments", ())}
    written = []
    for each in wanted:
        stored = known.get(each["uri"])
        if stored is not None and read_attachment(stored) == each:
            written.append(stored)  # with the parts that only Google knows
        else:
            body = {"fileUrl": each["uri"], "title": each.get("name"), "mimeType": each.get("media_type")}
            written.append(_clean(body))
    return {"attachments": written}


_PARTS: Final[tuple[tuple[tuple[str, ...], Callable[[Target], Body]], ...]] = (
    (("title",), _text("summary", "title")),
    (("description",), _description),
    (("location",), _text("location", "location")),
    ((*TIME_UNIT, "zones"), _times),
    (("overrides",), _extra_dates),
    ((*RECURRENCE_UNIT, *TIME_UNIT), _recurrence),
    (("status",), _status),
    (("privacy",), _visibility),
    (("busy",), _transparency),
    (("color",), _color),
    (("url",), _source),
    (("attendees",), _attendees),
    (("alarms",), _reminders),
    (("attachments",), _attachments),
)
_ALL: Final = frozenset(name for fields, _ in _PARTS for name in fields)
