"""What Graph refuses in a written event: names, types, enumerations, times, recurrence. As strict as the service.

Every check raises `Bad`; the service answers with its code as a 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from html import escape
from typing import Any, Final

from calhub.testing.services.graph.store import zone_of


class Bad(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_INDEXES: Final = ("first", "second", "third", "fourth", "last")
#: Pattern type -> the fields it needs (microsoft: Recurrence and exceptions).
_PATTERNS: Final[dict[str, frozenset[str]]] = {
    "daily": frozenset(),
    "weekly": frozenset({"daysOfWeek"}),
    "absoluteMonthly": frozenset({"dayOfMonth"}),
    "relativeMonthly": frozenset({"daysOfWeek"}),
    "absoluteYearly": frozenset({"dayOfMonth", "month"}),
    "relativeYearly": frozenset({"daysOfWeek", "month"}),
}
_RANGES: Final = {"noEnd": None, "endDate": "endDate", "numbered": "numberOfOccurrences"}
_PROPERTY: Final = re.compile(r"(String|Integer|Boolean|SystemTime) \{[0-9a-fA-F-]{36}\} (Name .+|Id 0x[0-9a-fA-F]+)")
_WALL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,7})?)?")


_BREAK: Final = "<br>\r\n"
_META: Final = '<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _one_of(*names: str) -> Callable[[Any], bool]:
    return lambda value: value in names


def _people(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 500 and all(
        isinstance(each, dict)
        and "@" in str((each.get("emailAddress") or {}).get("address"))
        and each.get("type", "required") in ("required", "optional", "resource")
        for each in value
    )  # fmt: skip


def _body(value: Any) -> bool:
    return isinstance(value, dict) and value.get("contentType") in ("text", "html") and _text(value.get("content"))


def _extended(value: Any) -> bool:
    return isinstance(value, list) and all(
        _PROPERTY.fullmatch(str(each.get("id"))) and _text(each.get("value")) for each in value
    )


#: Writable property -> whether a value is good. Everything else in a body is refused.
WRITABLE: Final[dict[str, Callable[[Any], bool]]] = {
    "subject": lambda value: value is None or (_text(value) and len(value) <= 255),
    "body": _body,
    "start": lambda value: isinstance(value, dict),
    "end": lambda value: isinstance(value, dict),
    "isAllDay": lambda value: isinstance(value, bool),
    "location": lambda value: isinstance(value, dict) and _text(value.get("displayName", "")),
    "categories": lambda value: isinstance(value, list) and all(map(_text, value)),
    "showAs": _one_of("free", "tentative", "busy", "oof", "workingElsewhere", "unknown"),
    "sensitivity": _one_of("normal", "personal", "private", "confidential"),
    "importance": _one_of("low", "normal", "high"),
    "isReminderOn": lambda value: isinstance(value, bool),
    "reminderMinutesBeforeStart": lambda value: isinstance(value, int) and value >= 0,
    "recurrence": lambda value: value is None or isinstance(value, dict),
    "attendees": _people,
    "isOnlineMeeting": lambda value: isinstance(value, bool),
    "onlineMeetingProvider": _text,
    "responseRequested": lambda value: isinstance(value, bool),
    "allowNewTimeProposals": lambda value: isinstance(value, bool),
    "hideAttendees": lambda value: isinstance(value, bool),
    "transactionId": _text,
    "singleValueExtendedProperties": _extended,
}


def check_names(body: Any, *, creating: bool, instance: bool) -> None:
    if not isinstance(body, dict):
        raise Bad("RequestBodyRead", "The body is not an event.")
    for name, value in body.items():
        if name.startswith("@odata."):
            continue
        if name not in WRITABLE:
            raise Bad("RequestBodyRead", f"The property '{name}' cannot be written on type 'microsoft.graph.event'.")
        if not WRITABLE[name](value):
            raise Bad("ErrorPropertyValidationFailure", f"The value of '{name}' is not valid.")
    if not creating and "transactionId" in body:
        raise Bad("ErrorInvalidRequest", "transactionId cannot be changed.")
    if instance and "recurrence" in body:
        raise Bad("ErrorInvalidRequest", "An occurrence has no recurrence of its own.")


def check_event(props: dict[str, Any]) -> None:
    """The whole event as it would be after the write."""
    walls = []
    for name in ("start", "end"):
        moment = props.get(name)
        if not moment or not _WALL.fullmatch(str(moment.get("dateTime"))):
            raise Bad("ErrorPropertyValidationFailure", f"'{name}' needs a dateTime without offset.")
        if zone_of(str(moment.get("timeZone"))) is None:
            raise Bad("TimeZoneNotSupportedException", f"The time zone of '{name}' is not supported.")
        walls.append(datetime.fromisoformat(moment["dateTime"]).replace(tzinfo=zone_of(moment["timeZone"])))
    if walls[1] < walls[0]:
        raise Bad("ErrorCalendarEndDateIsEarlierThanStartDate", "The end is before the start.")
    if props.get("isAllDay"):
        # microsoft: Time zones and all-day
        same = props["start"]["timeZone"] == props["end"]["timeZone"]
        midnight = all((wall.hour, wall.minute, wall.second) == (0, 0, 0) for wall in walls)
        if not same or not midnight or walls[1].date() <= walls[0].date():
            raise Bad("ErrorPropertyValidationFailure", "An all-day event lasts whole days in one time zone.")
    if props.get("recurrence"):
        _check_recurrence(props["recurrence"], walls[0].date())


def _check_recurrence(recurrence: dict[str, Any], start: date) -> None:
    pattern, bounds = recurrence.get("pattern") or {}, recurrence.get("range") or {}
    kind = pattern.get("type")
    if kind not in _PATTERNS or not isinstance(pattern.get("interval"), int) or not 1 <= pattern["interval"] <= 999:
        raise Bad("ErrorPropertyValidationFailure", "The recurrence pattern has no valid type and interval.")
    if not _PATTERNS[kind] <= pattern.keys():
        raise Bad("ErrorPropertyValidationFailure", "The recurrence pattern lacks a field.")
    # Fields the type does not need are checked all the same (microsoft: Recurrence).
    checks: dict[str, Callable[[Any], bool]] = {
        "daysOfWeek": lambda days: bool(days) and set(days) <= set(DAYS),
        "dayOfMonth": lambda day: isinstance(day, int) and 1 <= day <= 31,
        "month": lambda month: isinstance(month, int) and 1 <= month <= 12,
        "index": lambda index: index in _INDEXES,
        "firstDayOfWeek": lambda day: day in DAYS,
    }
    if not all(checks[name](value) for name, value in pattern.items() if name in checks):
        raise Bad("ErrorPropertyValidationFailure", "The recurrence pattern has a field that is out of range.")
    _check_range(bounds, start)


def _check_range(bounds: dict[str, Any], start: date) -> None:
    kind = bounds.get("type")
    if kind not in _RANGES or (_RANGES[kind] and _RANGES[kind] not in bounds):
        raise Bad("ErrorPropertyValidationFailure", "The recurrence range is not complete.")
    if bounds.get("startDate") != start.isoformat():
        raise Bad("ErrorPropertyValidationFailure", "The recurrence range does not begin on the day of the start.")
    if kind == "endDate" and date.fromisoformat(bounds["endDate"]) < start:
        raise Bad("ErrorPropertyValidationFailure", "The recurrence range ends before it begins.")
    if kind == "numbered" and not 1 <= bounds["numberOfOccurrences"] <= 999:
        raise Bad("ErrorPropertyValidationFailure", "The number of occurrences is out of range.")


def stored_body(body: dict[str, str]) -> dict[str, str]:
    """As Exchange keeps it: always HTML (microsoft: Mapping table, "server rewrites HTML")."""
    content = body["content"]
    if body["contentType"] == "text":
        lines = content.replace("\r\n", "\n").split("\n")
        lines = [escape(line, quote=False).replace("  ", " &nbsp;") for line in lines]
        content = f'<div class="PlainText">{_BREAK.join(lines)}</div>' if content else ""
    if not content:
        return {"contentType": "html", "content": ""}
    if "<html" not in content:
        content = f"<html><head>\r\n{_META}</head>\r\n<body>\r\n{content}\r\n</body>\r\n</html>\r\n"
    return {"contentType": "html", "content": content}
