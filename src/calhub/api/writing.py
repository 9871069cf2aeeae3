"""From what a client sends to the content of an event. Raises `InvalidEvent` and `Problem`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from calhub.api import bodies
from calhub.api.problems import Problem
from calhub.calendar.edit import edit_content, new_content
from calhub.calendar.event import TIME_UNIT, Content
from calhub.calendar.recurrence import is_recurring
from calhub.calendar.render import DEFAULTS

_OFFSET: Final = re.compile(r"(Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)

#: What GET shows and PUT ignores: it says where and when, not what.
_BESIDE: Final = frozenset({"uid", "calendar", "rev", "updated", "remotes"})


def zone_of_new(start: str, asked: str | None, default: str) -> str | None:
    """The zone for a new event; None: floating, all-day, or UTC for a start that carries its offset."""
    if asked is not None:
        return None if asked.strip().lower() == "floating" else asked
    if len(start.strip()) <= 10 or _OFFSET.search(start.strip()[10:]):
        return None
    return default


def new(body: bodies.EventNew | bodies.EventWhole, default_zone: str) -> Content:
    """A new event; ``default_zone`` is for a start without offset where no zone is named."""
    null = "time_zone" in body.model_fields_set and body.time_zone is None
    return new_content(
        title=body.title, start=body.start, end=body.end, duration=body.duration, all_day=bool(body.all_day),
        time_zone=zone_of_new(body.start, "floating" if null else body.time_zone, default_zone), rrule=body.rrule,
        location=body.location, description=body.description, details=body.details(),
    )  # fmt: skip


def edited(body: bodies.EventEdit) -> dict[str, Any]:
    """The arguments for `edit_content` and `edit_occurrence`. Raises `Problem` where there is nothing to change."""
    given = body.model_fields_set
    changes: dict[str, Any] = {name: getattr(body, name) or "" for name in bodies.TEXTS if name in given}
    if changes.get("title") == "":
        raise Problem(422, "An event needs a title.", code="invalid-event")
    for name in bodies.TIMES:
        if name in given and getattr(body, name) is None:
            raise Problem(
                422, f"{name} cannot be cleared.", code="invalid-event", hint="Leave it out, or PUT the event."
            )
    changes |= {name: getattr(body, name) for name in bodies.TIMES if name in given}
    if details := body.details():
        changes["details"] = details
    if not changes:
        raise Problem(422, "Nothing to change.", code="nothing-to-change", hint="Name at least one field.")
    return changes


def whole(body: bodies.EventWhole, current: Content | None, shape: Mapping[str, Any], default_zone: str) -> Content:
    """The event as it is to be. Of ``current`` stays what cannot be said here: overrides, alarms and the like."""
    _check_rest(body, shape or DEFAULTS)
    if current is None:
        return new(body, default_zone)
    texts: dict[str, Any] = {name: getattr(body, name) or "" for name in bodies.TEXTS}
    if texts["rrule"] == current.get("rrule", ""):
        del texts["rrule"]
    times: dict[str, Any] = {}
    if not _same_times(body, shape):
        if is_recurring(current):
            times = _moved(body, current)
        else:
            fresh = new(body, default_zone)
            current = {name: value for name, value in current.items() if name not in TIME_UNIT}
            current |= {name: fresh[name] for name in TIME_UNIT if name in fresh}
    return edit_content(current, **texts, **times, details=dict.fromkeys(bodies.DETAILS) | body.details())


def _same_times(body: bodies.EventWhole, shape: Mapping[str, Any]) -> bool:
    """Whether the times are those that GET shows: then they stay, with what the shape cannot tell."""
    said = {"start": body.start, "end": body.end, "time_zone": body.time_zone, "all_day": bool(body.all_day)}
    return body.duration is None and all(shape[name] == value for name, value in said.items())


def _moved(body: bodies.EventWhole, current: Content) -> dict[str, Any]:
    """The times of a series, which takes its exceptions along. Raises `Problem` where it would lose its zone."""
    if "time_zone" in body.model_fields_set and body.time_zone is None and "time_zone" in current and not body.all_day:
        raise Problem(422, "A series cannot be made floating.", code="invalid-event", hint="Make a new one.")
    times = {name: value for name in bodies.TIMES if (value := getattr(body, name)) is not None}
    return times | ({"all_day": True} if len(body.start.strip()) == 10 else {})


def _check_rest(body: bodies.EventWhole, shape: Mapping[str, Any]) -> None:
    """What is sent beyond the fields that can be set must be as it is."""
    for name, value in (body.model_extra or {}).items():
        if name not in _BESIDE and not (name in shape and shape[name] == value):
            raise Problem(
                422, f"{name} cannot be set here.", code="read-only",
                hint="Leave it out, or send what GET shows. Single occurrences: PATCH with ?occurrence=",
            )  # fmt: skip
