"""In Outlook, at Microsoft 365."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final, Unpack

from calhub.testing.people.base import Entry, Fields, is_day, the, wall
from calhub.testing.services.graph import Graph
from calhub.testing.services.graph.store import Event, instant

_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TAG: Final = re.compile(r"<[^>]+>")


class OutlookPerson:
    def __init__(self, graph: Graph, calendar: str) -> None:
        self._graph = graph
        self._calendar = calendar

    def entries(self) -> list[Entry]:
        found = []
        for event in self._graph.mailbox.listed(self._calendar):
            gone = tuple(day.isoformat() for day in sorted(event.cancelled))
            found.append(_entry(event.props, repeats=event.pattern is not None, cancelled=gone))
            found += [_entry(event.instance(day), instance=True) for day in event.exceptions]
        return sorted(found)

    def add(self, *, days: int = 1, weeks: int = 1, **fields: Unpack[Fields]) -> None:
        props = {"isReminderOn": False, **_props(fields)}
        if days > 1 or weeks > 1:
            props["recurrence"] = _recurrence(fields["start"][:10], days, weeks)
        self._graph.user_event(self._calendar, **props)

    def edit(self, event: str, **fields: Unpack[Fields]) -> None:
        self._graph.user_patch(self._find(event), **_props(fields))

    def edit_instance(self, event: str, day: str, **fields: Unpack[Fields]) -> None:
        self._graph.user_patch(self._graph.user_instance(self._find(event), day), **_props(fields))

    def cancel_instance(self, event: str, day: str) -> None:
        self._graph.user_delete(self._graph.user_instance(self._find(event), day))

    def delete(self, event: str) -> None:
        self._graph.user_delete(self._find(event))

    def _find(self, title: str) -> str:
        found: list[Event] = self._graph.mailbox.listed(self._calendar)
        return the([each for each in found if each.props["subject"] == title], title).id(immutable=True)


def _entry(
    props: dict[str, Any], *, repeats: bool = False, instance: bool = False, cancelled: tuple[str, ...] = ()
) -> Entry:
    start, end = (
        props[name]["dateTime"][:10] if props["isAllDay"] else wall(instant(props[name])) for name in ("start", "end")
    )
    return Entry(
        title=props["subject"] or "",
        start=start,
        end=end,
        location=(props.get("location") or {}).get("displayName", ""),
        description=_TAG.sub("", (props.get("body") or {}).get("content", "")).strip(),
        categories=tuple(sorted(props.get("categories") or ())),
        repeats=repeats,
        instance=instance,
        cancelled=cancelled,
    )


def _recurrence(day: str, days: int, weeks: int) -> dict[str, Any]:
    pattern: dict[str, Any] = {"type": "daily", "interval": 1}
    if weeks > 1:
        weekday = _WEEKDAYS[date.fromisoformat(day).weekday()]
        pattern |= {"type": "weekly", "daysOfWeek": [weekday], "firstDayOfWeek": "monday"}
    bounds = {"type": "numbered", "startDate": day, "numberOfOccurrences": max(days, weeks)}
    return {"pattern": pattern, "range": bounds}


def _props(fields: Fields) -> dict[str, Any]:
    """All-day events are from midnight to midnight."""
    props: dict[str, Any] = {}
    if "title" in fields:
        props["subject"] = fields["title"]
    if "location" in fields:
        props["location"] = {"displayName": fields["location"]}
    if "description" in fields:
        props["body"] = {"contentType": "text", "content": fields["description"]}
    if "categories" in fields:
        props["categories"] = list(fields["categories"])
    for name, moment in (("start", fields.get("start")), ("end", fields.get("end"))):
        if moment is not None:
            at = datetime.fromisoformat(moment).isoformat()
            props[name] = {"dateTime": at, "timeZone": "W. Europe Standard Time"}
            props["isAllDay"] = is_day(moment)
    return props
