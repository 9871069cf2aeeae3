"""Content as Graph's JSON: whole for a new event, only what changed for an old one. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from calhub.calendar.event import RECURRENCE_UNIT, TIME_UNIT, Content, InvalidEvent
from calhub.calendar.ical_time import parse_duration
from calhub.providers.microsoft import kept as keeping
from calhub.providers.microsoft.bodies import body_of
from calhub.providers.microsoft.inward import Row, address_of, narrow
from calhub.providers.microsoft.recurrence import from_graph, to_graph
from calhub.providers.microsoft.times import write_times

Properties: TypeAlias = dict[str, Any]

_SENSITIVITY: Final = {"private": "private", "confidential": "confidential"}
_ROLES: Final = {"optional": "optional", "informational": "optional"}

#: Properties of a meeting that are its owner's own business: writing them sends no mail.
SILENT: Final = frozenset(
    {
        "categories",
        "showAs",
        "sensitivity",
        "isReminderOn",
        "reminderMinutesBeforeStart",
        "singleValueExtendedProperties",
    }
)


def new_event(uid: str, content: Content, transaction: str, *, attendees: bool) -> Properties:
    """The body of a create. EXDATE and overrides come after it. Raises `Unholdable`, `InvalidEvent`."""
    properties = changes({}, content, {}, attendees=attendees)
    # Both are always sent: Outlook takes a reminder of 15 minutes where nothing is said.
    properties = {"subject": "", **_reminder(content, {}), **properties, "transactionId": transaction}
    stored = [{"id": keeping.UID, "value": uid}, *properties.pop("singleValueExtendedProperties", [])]
    return {**properties, "singleValueExtendedProperties": stored}


def changes(old: Content, new: Content, row: Row, *, attendees: bool, instance: bool = False) -> Properties:
    """The properties to be PATCHed to make the event shown by ``row`` say ``new`` instead of ``old``.

    ``instance``: it is one occurrence of a series, which has neither a rule nor kept properties of its own. EXDATE and
    overrides are left to the caller. Raises `Unholdable`, `InvalidEvent`.
    """
    properties: Properties = {}
    for names, write in _GROUPS:
        if any(old.get(name) != new.get(name) for name in names):
            properties |= write(new, row)
    if attendees and old.get("attendees") != new.get("attendees"):
        properties["attendees"] = _attendees(new.get("attendees", {}), row)
    if instance:
        properties.pop("recurrence", None)
        return properties
    value = _kept(new, {**row, **properties})
    if value != _stored(row):
        properties["singleValueExtendedProperties"] = [{"id": keeping.KEPT, "value": value}]
    return properties


def _times(content: Content, row: Row) -> Properties:
    """Times and recurrence go together: the range of a series names its start."""
    properties, _ = write_times(content)
    recurrence = to_graph(content)
    if recurrence is not None or row.get("recurrence"):
        properties["recurrence"] = recurrence
    return properties


def _text(content: Content, row: Row) -> Properties:
    return {"body": body_of(content.get("description", ""), row)}


def _show_as(content: Content, row: Row) -> Properties:
    """``status`` and ``busy`` in one. A way of being away or free that says the same is left as it is."""
    if content.get("status") == "cancelled" or not content.get("busy", True):
        wanted = "free"
    else:
        wanted = "tentative" if content.get("status") == "tentative" else "busy"
    now = narrow({"showAs": row.get("showAs")})
    return {} if row.get("showAs") and now == narrow({"showAs": wanted}) else {"showAs": wanted}


def _sensitivity(content: Content, row: Row) -> Properties:  # noqa: ARG001 - as the other groups
    return {"sensitivity": _SENSITIVITY.get(content.get("privacy", ""), "normal")}


def _importance(content: Content, row: Row) -> Properties:  # noqa: ARG001
    """RFC 5545 3.8.1.9: 1 to 4 are high, 5 is normal, 6 to 9 are low."""
    priority = content.get("priority", 5)
    return {"importance": "high" if priority < 5 else "normal" if priority == 5 else "low"}


def _reminder(content: Content, row: Row) -> Properties:  # noqa: ARG001
    """The first alarm that is some time before the start; Graph holds one."""
    for alarm in content.get("alarms", ()):
        minutes = _minutes(alarm)
        if minutes is not None:
            return {"isReminderOn": True, "reminderMinutesBeforeStart": minutes}
    return {"isReminderOn": False, "reminderMinutesBeforeStart": 0}


def _minutes(alarm: Mapping[str, Any]) -> int | None:
    if alarm.get("related") == "end" or not str(alarm.get("trigger")).startswith(("-P", "PT0S")):
        return None
    try:
        length = parse_duration(alarm["trigger"])
    except InvalidEvent:
        return None
    return -(length.days * 1440 + length.seconds // 60)


def _attendees(people: Mapping[str, Mapping[str, Any]], row: Row) -> list[dict[str, Any]]:
    """The whole list, since Graph replaces it: who is there already stays as Graph has them."""
    there = {address_of(each): each for each in row.get("attendees") or ()}
    written = []
    for address, person in people.items():
        is_resource = person.get("kind") in ("resource", "room")
        kind = "resource" if is_resource else _ROLES.get(person.get("role", ""), "required")
        known = there.get(address) or {"emailAddress": {"address": address, "name": person.get("name", address)}}
        written.append({**known, "type": kind})
    return written


_Write: TypeAlias = Callable[[Content, Row], Properties]
_GROUPS: Final[tuple[tuple[tuple[str, ...], _Write], ...]] = (
    (("title",), lambda content, _: {"subject": content.get("title", "")}),
    (("description",), _text),
    ((*TIME_UNIT, *RECURRENCE_UNIT[:2]), _times),
    (("location",), lambda content, _: {"location": {"displayName": content.get("location", "")}}),
    (("categories",), lambda content, _: {"categories": content.get("categories", [])}),
    (("status", "busy"), _show_as),
    (("privacy",), _sensitivity),
    (("priority",), _importance),
    (("alarms",), _reminder),
)


def _kept(content: Content, row: Row) -> str:
    """The value of the kept property for an event that will be shown by ``row``."""
    _, zones = write_times(content)
    seen = narrow(row)
    if row.get("recurrence"):
        times: Content = {name: content[name] for name in TIME_UNIT if name in content}
        seen["rrule"] = from_graph(row["recurrence"], times)
    return keeping.text(zones, content, seen)


def _stored(row: Row) -> str:
    """What is stored now; ``"{}"`` where there is nothing."""
    kept = keeping.read(row)
    fields = {name: list(pair) for name, pair in kept.fields.items()}
    return keeping.dump(kept.zones, fields)
