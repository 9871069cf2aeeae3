"""What the emulated Google Calendar lets into an event, and how it says no."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from calhub.testing.services.base import Failed, Response
from calhub.testing.services.google import recurring
from calhub.testing.services.google.recurring import Body

_ID: Final = re.compile(r"[a-v0-9]{5,1024}")
_ZONES: Final = available_timezones()
TYPES: Final = ("birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation")
READ_ONLY: Final = frozenset(
    {"kind", "etag", "htmlLink", "created", "updated", "creator", "organizer", "recurringEventId", "originalStartTime",
     "hangoutLink", "locked"}
)  # fmt: skip
#: What only the organizer may change (google: Attendees and invitations).
SHARED: Final = ("summary", "description", "location", "start", "end", "recurrence", "attachments", "conferenceData")

REASONS: Final = {  # google: Limits and errors
    400: "badRequest", 401: "authError", 403: "rateLimitExceeded", 404: "notFound", 405: "httpMethodNotAllowed",
    409: "duplicate", 410: "deleted", 412: "conditionNotMet", 429: "rateLimitExceeded",
}  # fmt: skip


def error_response(status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error body of the API (google: Limits and errors)."""
    domain = "usageLimits" if "Limit" in reason or "quota" in reason else "global"
    errors = [{"domain": domain, "reason": reason, "message": message}]
    return Response.of({"error": {"code": status, "message": message, "errors": errors}}, status, headers)


def failed(status: int, reason: str, message: str = "") -> Failed:
    return Failed(error_response(status, reason, message or reason))


def check_id(event_id: str) -> None:
    if not isinstance(event_id, str) or not _ID.fullmatch(event_id):
        raise failed(400, "invalid", "Invalid resource id value.")


def check_event(body: Body, zone: str) -> None:
    """Raise `Failed` for an event that cannot be stored (google: Writing, Time zones, Recurrence)."""
    for name in ("start", "end"):
        _check_moment(body.get(name), name)
    if bool(body["start"].get("date")) != bool(body["end"].get("date")):
        raise failed(400, "invalid", "Start and end times must either both be date or both be dateTime.")
    if recurring.instant(body["end"], zone) <= recurring.instant(body["start"], zone):
        raise failed(400, "timeRangeEmpty", "The specified time range is empty.")
    problem = recurring.check(body, zone)
    if problem is not None:
        raise failed(400, "invalid", problem)
    _check_reminders(body.get("reminders"))
    if body.get("status") not in ("confirmed", "tentative", "cancelled"):
        raise failed(400, "invalid", "Invalid value for: status")
    if body.get("visibility") not in ("default", "public", "private", "confidential", None):
        raise failed(400, "invalid", "Invalid value for: visibility")
    if body.get("transparency") not in ("opaque", "transparent", None):
        raise failed(400, "invalid", "Invalid value for: transparency")
    if len(body.get("attachments", ())) > 25:
        raise failed(400, "invalid", "Too many attachments.")
    for person in body.get("attendees", ()):
        if "@" not in person.get("email", ""):
            raise failed(400, "invalid", "Invalid attendee email.")
        if person.get("responseStatus", "needsAction") not in ("needsAction", "declined", "tentative", "accepted"):
            raise failed(400, "invalid", "Invalid value for: responseStatus")
    _cut_properties(body)


def _check_moment(moment: Any, name: str) -> None:
    if not isinstance(moment, dict) or bool(moment.get("date")) == bool(moment.get("dateTime")):
        raise failed(400, "required", f"Missing {name} time.")
    if moment.get("timeZone") and moment["timeZone"] not in _ZONES:
        raise failed(400, "invalid", "Invalid time zone definition.")
    try:
        found = recurring.instant(moment, "UTC")
    except (ValueError, TypeError) as error:
        raise failed(400, "invalid", f"Invalid value for: {name}") from error
    text = moment.get("dateTime", "")
    if text and not moment.get("timeZone") and not re.search(r"(Z|[+-]\d\d:\d\d)$", text):
        raise failed(400, "required", f"Missing time zone definition for {name} time.")
    if found.year < 1900 or found.year > 2500:
        raise failed(400, "invalid", f"Invalid value for: {name}")


def _check_reminders(reminders: Any) -> None:
    if not reminders:
        return
    overrides = reminders.get("overrides") or []
    if reminders.get("useDefault") and overrides:
        raise failed(400, "cannotUseDefaultRemindersAndSpecifyOverride")
    if len(overrides) > 5 or any(
        not 0 <= each.get("minutes", -1) <= 40320 or each.get("method") not in ("popup", "email") for each in overrides
    ):
        raise failed(400, "invalid", "Invalid reminders.")


def _cut_properties(body: Body) -> None:
    """Keys and values that are too long go silently (google: Resources and identity)."""
    for kind, found in list(body.get("extendedProperties", {}).items()):
        kept = {key: str(value)[:1024] for key, value in found.items() if len(key) <= 44}
        body["extendedProperties"][kind] = kept
    everything = [item for found in body.get("extendedProperties", {}).values() for item in found.items()]
    if len(everything) > 300 or sum(len(key) + len(value) for key, value in everything) > 32768:
        raise failed(400, "invalid", "The extended properties are too large.")


def merged(stored: Body, patch: Body) -> Body:
    """PATCH: fields not sent stay, objects are merged, arrays replaced, null clears (google: Writing)."""
    result = dict(stored)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merged(stored.get(name) or {}, value)
        else:
            result[name] = deepcopy(value)
    return result


def shown_moment(moment: Body, zone: str) -> Body:
    """A time as reads show it: with the offset of its own zone here (google: Time zones and all-day)."""
    if moment.get("date"):
        return {"date": moment["date"]}
    name = moment.get("timeZone") or zone
    shown = recurring.instant(moment, zone).astimezone(ZoneInfo(name)).isoformat()
    return {"dateTime": shown.replace("+00:00", "Z"), "timeZone": name}
