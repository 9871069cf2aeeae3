"""From content to VEVENT lines. All lines here are logical ones; who puts them into a text folds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from calhub.calendar.event import Content
from calhub.calendar.ical_read import is_cancellation, is_detached
from calhub.calendar.ical_time import Frame, Moment, instance, instance_patch, write_value
from calhub.calendar.ical_values import ALARM_TEXT, ROLES, is_uri, line_zone
from calhub.calendar.lines import escape, make_line, unfold
from calhub.calendar.zones import canonical_zone, vtimezone

PRODUCT: Final = "PRODID:-//calhub//calhub//EN"
HEADER: Final = ("BEGIN:VCALENDAR", "VERSION:2.0", PRODUCT)

_ROLE_WORDS: Final = {word: role for role, word in ROLES.items()}


class Labels:
    """TZIDs for zones: the labels a text has already, else the zone's own name. ``asked`` collects the zones."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = known or {}
        self.asked: set[str] = set()

    def of(self, zone: str) -> str:
        self.asked.add(zone)
        return self._known.get(zone, zone)


def stamp(now: datetime) -> str:
    """A UTC DATE-TIME value."""
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def moment_line(name: str, moment: Moment, labels: Labels, kept: Sequence[str] = ()) -> str:
    """A property with a DATE or DATE-TIME value."""
    params: list[tuple[str, str]] = []
    if moment.is_date:
        params = [("VALUE", "DATE")]
    elif moment.zone and moment.zone != "UTC":
        params = [("TZID", labels.of(moment.zone))]
    return make_line(name, params, write_value(moment), kept)


def recurrence_line(rid: str, frame: Frame, labels: Labels, following: bool, kept: Sequence[str] = ()) -> str:
    """RECURRENCE-ID in the form of the series' start (RFC 5545 3.8.4.4)."""
    reach = ["RANGE=THISANDFUTURE"] if following else []
    return moment_line("RECURRENCE-ID", frame.slot(rid), labels, [*reach, *kept])


def rdate_line(rid: str, frame: Frame, labels: Labels) -> str:
    """RDATE with one date, time or period."""
    first, slash, last = rid.partition("/")
    start = frame.slot(first)
    if not slash:
        return moment_line("RDATE", start, labels)
    end = frame.slot(last)
    if start.zone != end.zone:  # one of them is the second showing of a wall time
        start, end = (Moment(frame.instant(each).replace(tzinfo=None).isoformat(), "UTC") for each in (start, end))
    params = [("VALUE", "PERIOD")]
    if start.zone and start.zone != "UTC":
        params.append(("TZID", labels.of(start.zone)))
    return make_line("RDATE", params, f"{write_value(start)}/{write_value(end)}")


def exdate_line(rid: str, frame: Frame, labels: Labels) -> str:
    return moment_line("EXDATE", frame.slot(rid), labels)


def start_line(times: Content, labels: Labels, kept: Sequence[str] = ()) -> str:
    return moment_line("DTSTART", Moment(times["start"], times.get("time_zone")), labels, kept)


def end_moment(times: Content) -> Moment:
    """The end as a moment in its own zone."""
    zone = times.get("time_zone")
    return Moment(times["end"], times.get("end_time_zone", zone) if zone else None)


def field_lines(key: str, value: Any) -> list[str]:
    """The lines of one field that is neither a time nor about the series."""
    if value is None:
        return []
    if key in SIMPLE:
        name, render = SIMPLE[key]
        return [f"{name}:{render(value)}"]
    return list(_STRUCTURED[key](value))


def organizer_line(organizer: Content, kept: Sequence[str] = (), raw: str | None = None) -> str:
    params = [("CN", organizer["name"])] if organizer.get("name") else []
    return make_line("ORGANIZER", params, raw or _address(organizer["email"]), kept)


def attendee_line(address: str, fields: Content, kept: Sequence[str] = (), raw: str | None = None) -> str:
    """``raw`` is the address as the text has it, ``kept`` are parameters to leave as they are."""
    params = [("CN", fields["name"])] if fields.get("name") else []
    if fields.get("kind"):
        params.append(("CUTYPE", fields["kind"].upper()))
    if fields.get("role"):
        params.append(("ROLE", _ROLE_WORDS.get(fields["role"], "REQ-PARTICIPANT")))
    if fields.get("status"):
        params.append(("PARTSTAT", fields["status"].upper()))
    if fields.get("rsvp"):
        params.append(("RSVP", "TRUE"))
    return make_line("ATTENDEE", params, raw or _address(address), kept)


def attachment_line(item: Content) -> str:
    names = (("media_type", "FMTTYPE"), ("name", "FILENAME"))
    return make_line("ATTACH", [(param, item[key]) for key, param in names if item.get(key)], item["uri"])


def conference_line(item: Content) -> str:
    params = [("VALUE", "URI")]
    kept = [f"FEATURE={','.join(word.upper() for word in item['features'])}"] if item.get("features") else []
    if item.get("label"):
        params.append(("LABEL", item["label"]))
    return make_line("CONFERENCE", params, item["uri"], kept)


def alarm_lines(alarm: Content) -> list[str]:
    """A whole VALARM."""
    trigger = alarm["trigger"]
    params = [("RELATED", "END")] if alarm.get("related") == "end" else []
    if trigger.endswith("Z"):
        params, trigger = [("VALUE", "DATE-TIME")], trigger.replace("-", "").replace(":", "")
    action = alarm.get("action", "display")
    text = alarm.get("description") or (ALARM_TEXT if action == "display" else "")
    return [
        "BEGIN:VALARM",
        f"ACTION:{action.upper()}",
        make_line("TRIGGER", params, trigger),
        *([f"DESCRIPTION:{escape(text)}"] if text else []),
        *(line for found in alarm.get("extra", {}).values() for line in found),
        "END:VALARM",
    ]


def _address(address: str) -> str:
    return address if is_uri(address) else f"mailto:{address}"


def _number(value: float) -> str:
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


SIMPLE: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "title": ("SUMMARY", escape),
    "description": ("DESCRIPTION", escape),
    "location": ("LOCATION", escape),
    "url": ("URL", str),
    "color": ("COLOR", escape),
    "status": ("STATUS", str.upper),
    "privacy": ("CLASS", str.upper),
    "busy": ("TRANSP", lambda busy: "OPAQUE" if busy else "TRANSPARENT"),
    "priority": ("PRIORITY", str),
    "geo": ("GEO", lambda geo: f"{_number(geo['latitude'])};{_number(geo['longitude'])}"),
}

_STRUCTURED: Final[Mapping[str, Callable[[Any], Iterable[str]]]] = {
    "organizer": lambda value: [organizer_line(value)],
    "categories": lambda words: ["CATEGORIES:" + ",".join(map(escape, words))],
    "attendees": lambda people: [attendee_line(address, fields) for address, fields in people.items()],
    "attachments": lambda items: map(attachment_line, items),
    "conferences": lambda items: map(conference_line, items),
    "extra": lambda extra: [line for found in extra.values() for line in found],
    "alarms": lambda alarms: [line for alarm in alarms for line in alarm_lines(alarm)],
    "components": lambda texts: [line for text in texts for line in unfold(text) if line],
}
#: Fields in the order they are written; sub-components come last.
_ORDER: Final = (*SIMPLE, *_STRUCTURED)


def vevent_lines(uid: str, fields: Content, now: datetime, labels: Labels, middle: Iterable[str] = ()) -> list[str]:
    """A whole VEVENT for a master or an instance; ``middle`` are the lines about recurrence."""
    lines = ["BEGIN:VEVENT", f"UID:{uid}", f"DTSTAMP:{stamp(now)}", start_line(fields, labels)]
    lines.append(moment_line("DTEND", end_moment(fields), labels))
    lines += middle
    for key in _ORDER:
        lines += field_lines(key, fields.get(key))
    for line in field_lines("extra", fields.get("extra")):
        if (zone := line_zone(line)) and canonical_zone(zone) == zone:
            labels.asked.add(zone)
    return [*lines, "END:VEVENT"]


def override_lines(uid: str, content: Content, rid: str, now: datetime, labels: Labels) -> list[str]:
    """The VEVENT of one override: the full instance."""
    own = instance(content, rid)
    line = recurrence_line(rid, Frame(content), labels, "following" in own)
    return vevent_lines(uid, own, now, labels, [line])


def series_lines(uid: str, content: Content, now: datetime, labels: Labels) -> list[str]:
    """All VEVENTs of an event, master first."""
    frame = Frame(content)
    middle = [f"RRULE:{content['rrule']}"] if "rrule" in content else []
    if not is_detached(content):
        middle += [rdate_line(rid, frame, labels) for rid in content.get("rdates", ())]
        middle += [exdate_line(rid, frame, labels) for rid in content.get("exdates", ())]
    lines = vevent_lines(uid, content, now, labels, middle)
    for rid in override_ids(content):
        lines += override_lines(uid, content, rid, now, labels)
    return lines


def override_ids(content: Content) -> list[str]:
    """The recurrence ids that have a VEVENT of their own."""
    rids = set(content.get("overrides", ()))
    if is_detached(content):  # no rule and no RDATE is written there: each instance is a VEVENT
        rids = (rids | set(content.get("rdates", ()))) - set(content.get("exdates", ()))
    return sorted(rids)


def canonical(content: Content) -> Content:
    """The content as reading it back gives it, as far as its parts depend on each other.

    A cancelled instance is an entry of ``exdates``, and none of those is overridden too; a patch has no field in which
    its instance is like the series. Edits of one part leave such traces in others.
    """
    overrides: Content | None = content.get("overrides")
    if overrides is None:
        return content
    patches = {rid: instance_patch(content, rid, instance(content, rid)) for rid in overrides}
    cancelled = set()
    if content.get("status") != "cancelled" and not is_detached(content):
        cancelled = {rid for rid, patch in patches.items() if is_cancellation(patch)}
    kept = {rid: patch for rid, patch in patches.items() if rid not in cancelled}
    exdates = sorted((set(content.get("exdates", ())) | cancelled) - kept.keys())
    rest = {key: value for key, value in content.items() if key not in ("overrides", "exdates")}
    return rest | ({"overrides": kept} if kept else {}) | ({"exdates": exdates} if exdates else {})


def zone_lines(zone: str, content: Content) -> list[str]:
    """The VTIMEZONE of a zone that ``content`` uses; none for UTC."""
    if zone in content.get("zones", {}):
        return [line for line in unfold(content["zones"][zone]) if line]
    starts = [content["start"], *content.get("rdates", ()), *content.get("overrides", ())]
    starts += [patch["start"] for patch in content.get("overrides", {}).values() if patch.get("start")]
    return [] if zone == "UTC" else list(vtimezone(zone, int(min(starts)[:4])))
