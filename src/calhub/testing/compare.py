"""What a calendar object says, read with the `icalendar` library alone, so that two texts can be compared by meaning.

It shares no code with ``calhub.calendar``: the demo and the benchmarks use it to check the hub's work from outside.
Left out: what every program rewrites (DTSTAMP, SEQUENCE, ...), values that RFC 5545 gives to an absent property, and of
participants what stays at the remote that has it: X- parameters, and SCHEDULE-AGENT, by which a server is told not to
send mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeAlias

from icalendar import Calendar, Component

#: (UID, RECURRENCE-ID or "" for the master)
Key: TypeAlias = tuple[str, str]
#: Sorted statements such as ``SUMMARY: Lunch``.
Meaning: TypeAlias = tuple[str, ...]

_REWRITTEN: Final = frozenset(
    {"DTSTAMP", "LAST-MODIFIED", "CREATED", "SEQUENCE", "UID", "DURATION", "DTEND", "BEGIN", "END"}
)
_DEFAULTS: Final = frozenset(
    {"TRANSP: OPAQUE", "CLASS: PUBLIC", "STATUS: CONFIRMED", "PRIORITY: 0", "SUMMARY: ", "DESCRIPTION: ", "LOCATION: "}
)
_PARAMETER_DEFAULTS: Final = frozenset(
    {
        "ROLE=REQ-PARTICIPANT",
        "PARTSTAT=NEEDS-ACTION",
        "RSVP=FALSE",
        "CUTYPE=INDIVIDUAL",
        "RELATED=START",
        "VALUE=DURATION",
    }
)


def meanings(text: str) -> dict[Key, Meaning]:
    """The events in an iCalendar text, by UID and recurrence id. Raises ValueError if it is none."""
    found: dict[Key, Meaning] = {}
    for event in Calendar.from_ical(text).walk("VEVENT"):
        found[str(event["UID"]), _recurrence_id(event)] = tuple(sorted(set(_statements(event)) - _DEFAULTS))
    return found


def merged(texts: Iterable[str]) -> dict[Key, Meaning]:
    """`meanings` of several texts in one."""
    return {key: meaning for text in texts for key, meaning in meanings(text).items()}


def differences(one: dict[Key, Meaning], other: dict[Key, Meaning]) -> list[str]:
    """One line for each event that is not the same in both; empty when they are equal."""
    lines = []
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            ours, theirs = set(one.get(key, ("missing",))), set(other.get(key, ("missing",)))
            lines.append(f"{' '.join(key).strip()}: {sorted(ours - theirs)} against {sorted(theirs - ours)}")
    return lines


def _statements(component: Component) -> Iterator[str]:
    if component.name == "VEVENT":
        yield f"END: {_end(component)}"
    for name, value in component.property_items(recursive=False, sorted=False):
        if name not in _REWRITTEN:
            yield from _property(name, value)
    for child in component.subcomponents:
        yield f"{child.name}: {sorted(_statements(child))}"


def _property(name: str, value: Any) -> Iterator[str]:
    zone = value.params.get("TZID") if hasattr(value, "params") else None
    if name in {"EXDATE", "RDATE"}:
        for entry in value.dts:
            yield f"{name}: {_when(entry.dt, zone)}"
    elif name == "CATEGORIES":
        for entry in value.cats:
            yield f"{name}: {entry}"
    elif name == "RRULE":
        parts = {
            f"{part}={text}" for part, text in (p.split("=", 1) for p in value.to_ical().decode().upper().split(";"))
        }
        yield f"{name}: {';'.join(sorted(parts - {'INTERVAL=1', 'WKST=MO'}))}"
    elif hasattr(value, "dt") and isinstance(value.dt, date):
        yield f"{name}: {_when(value.dt, zone)}"
    elif name in {"ATTENDEE", "ORGANIZER"}:
        yield f"{name}: {str(value).lower()} {_parameters(value, ('X-', 'SCHEDULE-AGENT'))}"
    else:
        raw, parameters = value.to_ical(), _parameters(value)
        yield f"{name}: {raw.decode() if isinstance(raw, bytes) else raw}{parameters and f' {parameters}'}"


def _parameters(value: Any, without: tuple[str, ...] = ("TZID",)) -> str:
    parameters = getattr(value, "params", {}).items()
    pairs = {f"{name.upper()}={text}" for name, text in parameters if not name.upper().startswith(without)}
    return " ".join(sorted(pairs - _PARAMETER_DEFAULTS))


def _recurrence_id(event: Component) -> str:
    value = event.get("RECURRENCE-ID")
    return _when(value.dt, value.params.get("TZID")) if value is not None else ""


def _end(event: Component) -> str:
    """The end, whether it was written as DTEND, as DURATION or left out (RFC 5545 3.6.1)."""
    start: Any = event["DTSTART"]
    end: Any = event.get("DTEND")
    if end is not None:
        return _when(end.dt, end.params.get("TZID"))
    duration: Any = event.get("DURATION")
    all_day = not isinstance(start.dt, datetime)
    length = timedelta(days=1 if all_day else 0) if duration is None else duration.dt
    return _when(start.dt + length, start.params.get("TZID"))


def _when(value: Any, zone: str | None) -> str:
    """Wall time and zone name; an RDATE period as its two ends."""
    if isinstance(value, tuple):
        return "/".join(_when(part, zone) for part in value)
    if not isinstance(value, datetime):
        return str(value)
    if value.tzinfo is UTC or (value.tzinfo is not None and not zone):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f"{value:%Y-%m-%dT%H:%M:%S}{f' {zone}' if zone else ''}"
