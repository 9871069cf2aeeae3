"""The event shape: what commands and the API print for one event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from calhub.calendar.event import TIME_UNIT, Content
from calhub.calendar.frame import frame_of
from calhub.calendar.recurrence import Series, is_recurring, patched_times, times_of

#: What a field of the shape is where the content does not have it.
DEFAULTS: Final[Mapping[str, Any]] = {
    "title": "", "description": None, "location": None, "time_zone": None, "end_time_zone": None, "rrule": None,
    "rdates": [], "exdates": [], "status": "confirmed", "privacy": "public", "busy": True, "categories": [],
    "attendees": [], "organizer": None, "url": None, "color": None, "priority": None, "geo": None, "alarms": [],
    "attachments": [], "conferences": [],
}  # fmt: skip


def event_shape(
    uid: str, content: Content, *, calendar: str, rev: int, updated: str, remotes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The event as JSON data. ``start`` and ``end``: RFC 3339 with the event's own offset, local when floating, dates
    when all-day, ``end`` exclusive. ``overrides`` hold what differs in an instance, in the same spellings.

    The content must have passed `recurrence.validate`.
    """
    shape: dict[str, Any] = {"uid": uid, "calendar": calendar}
    shape |= {name: _shown(name, content.get(name)) for name in DEFAULTS}
    shape |= _shown_times(content) | {"all_day": bool(content.get("all_day"))}
    shape["overrides"] = _shown_overrides(content) if is_recurring(content) else {}
    return shape | {"rev": rev, "updated": updated, "remotes": [dict(remote) for remote in remotes]}


def _shown(name: str, value: Any) -> Any:
    if value is None:
        default = DEFAULTS.get(name)
        return list(default) if isinstance(default, list) else default
    if name == "attendees":
        return [_attendee(address, record) for address, record in sorted(value.items())]
    return value


def _attendee(address: str, record: Mapping[str, Any]) -> dict[str, Any]:
    return {"email": address, "name": None, "role": "required", "status": "needs-action", **record}


def _shown_times(times: Content) -> dict[str, str]:
    start, end = times_of(times)
    end_frame = frame_of(times, "end_time_zone") if "end_time_zone" in times else frame_of(times)
    return {"start": frame_of(times).spell(start), "end": end_frame.spell(end)}


def _shown_overrides(content: Content) -> dict[str, dict[str, Any]]:
    series, result = Series(content), {}
    for ts, (rid, patch) in sorted(series.overrides.items()):
        shown = {name: _shown(name, value) for name, value in patch.items() if name not in ("start", "end")}
        if any(name in patch for name in TIME_UNIT):
            shown |= _shown_times(patched_times(series.times_at(ts), patch, content.get("zones")))
        if "all_day" in patch:
            shown["all_day"] = bool(patch["all_day"])
        result[rid] = shown
    return result
