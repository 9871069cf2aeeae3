"""Single properties and alarms in the words of content: participants, attachments, places, VALARM."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from calhub.calendar.event import Content
from calhub.calendar.ical_time import parse_duration, write_duration
from calhub.calendar.lines import Component, Params, is_name, parse_line, unescape

Value = tuple[Params, str]

#: Bookkeeping of clients and servers: in the text it stays, to content it means nothing.
IGNORED: Final = frozenset(
    {"CREATED", "PRODID", "X-MOZ-LASTACK", "X-MOZ-GENERATION", "X-EVOLUTION-CALDAV-HREF", "X-LIC-ERROR"}
)
IGNORED_PREFIX: Final = "X-MOZ-SNOOZE-TIME"

ROLES: Final = {"CHAIR": "chair", "OPT-PARTICIPANT": "optional", "NON-PARTICIPANT": "informational"}

#: The description a display alarm has when none is given: the property is compulsory (RFC 5545 3.6.6).
ALARM_TEXT: Final = "Reminder"

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:|/", re.IGNORECASE)

_FILE_NAMES: Final = ("FILENAME", "X-FILENAME", "X-APPLE-FILENAME")


def extra_line(name: str, line: str) -> str:
    """A line as ``extra`` has it: the name in upper case."""
    return line if line.startswith(name) else name + line[len(name) :]


def is_modelled(name: str, params: Params, value: str) -> bool:
    """Whether a line of a repeatable property has a field of its own, or goes to ``extra``."""
    if name == "ATTACH":
        return "ENCODING" not in params and params.get("VALUE", "").upper() != "BINARY" and value.strip() != ""
    if name == "ATTENDEE":
        return read_address(value) != ""
    return name not in ("CONFERENCE", "RRULE") or value.strip() != ""


def read_address(value: str) -> str:
    """A CAL-ADDRESS as content names it: mail addresses bare and in lower case, other URIs as they are."""
    text = value.strip()
    if text[:7].lower() == "mailto:":
        return text[7:].strip().lower()
    return text if is_uri(text) else text.lower()


def is_uri(address: str) -> bool:
    """Whether an address is a URI (or a server's path) rather than a bare mail address."""
    return _SCHEME.match(address) is not None


def component_text(lines: Sequence[str], component: Component) -> str:
    """A component as content keeps it: unfolded, CRLF line ends."""
    return "\r\n".join([*component.lines(lines), ""])


def in_order(items: list[Any]) -> list[Any]:
    """Lists whose order has no meaning, in one that depends on nothing else."""
    return items if len(items) < 2 else sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def read_geo(value: str) -> Content | None:
    latitude, _, longitude = value.partition(";")
    try:
        place = {"latitude": float(latitude), "longitude": float(longitude)}
    except ValueError:
        return None
    # Also refuses "nan" and "inf", which compare false.
    return place if abs(place["latitude"]) <= 90 and abs(place["longitude"]) <= 180 else None


def read_organizer(params: Params, value: str) -> Content | None:
    address = read_address(value)
    if not address:
        return None
    return {"email": address, "name": params["CN"]} if params.get("CN") else {"email": address}


def _word(text: str) -> str:
    """A word of RFC 5545 in lower case; nothing for what cannot be one, and has perhaps no way back from lower case."""
    return text.strip().lower() if text.isascii() else ""


def read_attendee(params: Params) -> Content:
    """One participant: RFC 5545 words in lower case, defaults left out, roles in the words of content."""
    fields: Content = {}
    if name := params.get("CN"):
        fields["name"] = name
    if role := ROLES.get(params.get("ROLE", "").upper()):
        fields["role"] = role
    if (status := _word(params.get("PARTSTAT", ""))) not in ("needs-action", ""):
        fields["status"] = status
    if (kind := _word(params.get("CUTYPE", ""))) not in ("individual", ""):
        fields["kind"] = kind
    if params.get("RSVP", "").upper() == "TRUE":
        fields["rsvp"] = True
    return fields


def read_attachment(params: Params, value: str) -> Content:
    fields: Content = {"uri": value.strip()}
    if media_type := params.get("FMTTYPE"):
        fields["media_type"] = media_type
    if name := next((params[key] for key in _FILE_NAMES if params.get(key)), None):
        fields["name"] = name
    return fields


def read_conference(params: Params, value: str) -> Content:
    fields: Content = {"uri": value.strip()}
    if label := params.get("LABEL"):
        fields["label"] = label
    if features := {_word(word) for word in params.get("FEATURE", "").split(",")} - {""}:
        fields["features"] = sorted(features)
    return fields


def read_alarm(lines: Sequence[str], component: Component) -> Content | None:
    """A VALARM as content has it, or None if the model cannot say it (then it is an unknown component).

    ``action`` in lower case, absent = display; ``description`` absent = `ALARM_TEXT`.
    """
    if component.name != "VALARM" or component.children:
        return None
    one: dict[str, Value] = {}
    extra: dict[str, list[str]] = {}
    for number in component.rows:
        parsed = parse_line(lines[number])
        if parsed is None:
            continue
        name, params, value = parsed
        if name in ("TRIGGER", "ACTION", "DESCRIPTION") and name not in one:
            one[name] = params, value
        elif name not in IGNORED and is_name(name):
            extra.setdefault(name, []).append(extra_line(name, lines[number]))
    alarm = _read_trigger(*one["TRIGGER"]) if "TRIGGER" in one else None
    if alarm is None:
        return None
    if (action := _word(one.get("ACTION", ({}, ""))[1])) not in ("display", ""):
        alarm["action"] = action
    if (text := unescape(one.get("DESCRIPTION", ({}, ""))[1])) not in ("", ALARM_TEXT):
        alarm["description"] = text
    if extra:
        alarm["extra"] = {name: sorted(found) for name, found in extra.items()}
    return alarm


def _read_trigger(params: Params, value: str) -> Content | None:
    try:
        if "P" in value.upper():
            alarm: Content = {"trigger": write_duration(parse_duration(value))}
            if params.get("RELATED", "").upper() == "END":
                alarm["related"] = "end"
            return alarm
        instant = datetime.strptime(value.strip().upper(), "%Y%m%dT%H%M%SZ")
    except ValueError:  # InvalidEvent too: an alarm of a kind we do not know is kept as it is
        return None
    return {"trigger": instant.isoformat() + "Z"}


def line_zone(line: str) -> str | None:
    """The TZID parameter of a logical line."""
    parsed = parse_line(line) if "TZID" in line else None
    return parsed[1].get("TZID") if parsed else None
