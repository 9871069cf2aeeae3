"""In Google Calendar."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Unpack

from calhub.testing.people.base import ZONE, Entry, Fields, aware, excepted, is_day, rule_of, the, wall
from calhub.testing.services.google import GoogleService


class GooglePerson:
    """Categories cannot be typed in there: Google has none."""

    def __init__(self, google: GoogleService, calendar: str) -> None:
        self._google = google
        self._calendar = calendar

    def entries(self) -> list[Entry]:
        rows = self._google.calendars[self._calendar].rows.values()
        gone: dict[str, list[str]] = {}
        for row in rows:
            if row.cancelled and row.master:
                gone.setdefault(row.master, []).append(_moment(row.body["originalStartTime"])[:10])
        live = self._google.live(self._calendar)
        return sorted(_entry(body, gone.get(name, [])) for name, body in live.items())

    def add(self, *, days: int = 1, weeks: int = 1, **fields: Unpack[Fields]) -> None:
        rule = rule_of(days, weeks)
        recurrence = {"recurrence": [f"RRULE:{rule}"]} if rule else {}
        self._google.user_insert(self._calendar, **_body(fields), **recurrence)

    def edit(self, event: str, **fields: Unpack[Fields]) -> None:
        self._google.user_patch(self._calendar, self._find(event), **_body(fields))

    def edit_instance(self, event: str, day: str, **fields: Unpack[Fields]) -> None:
        self._google.user_patch(self._calendar, self._instance(event, day), **_body(fields))

    def cancel_instance(self, event: str, day: str) -> None:
        self._google.user_delete(self._calendar, self._instance(event, day))

    def delete(self, event: str) -> None:
        self._google.user_delete(self._calendar, self._find(event))

    def _find(self, title: str) -> str:
        live = self._google.live(self._calendar).items()
        return the([key for key, body in live if body.get("summary") == title and not _is_instance(body)], title)

    def _instance(self, title: str, day: str) -> str:
        master = self._find(title)
        start = _moment(self._google.live(self._calendar)[master]["start"])
        if is_day(start):
            return f"{master}_{day.replace('-', '')}"
        return f"{master}_{aware(day + start[10:]).astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _entry(body: dict[str, Any], gone: list[str]) -> Entry:
    recurrence = body.get("recurrence") or []
    return Entry(
        title=body.get("summary", ""),
        start=_moment(body["start"]),
        end=_moment(body["end"]),
        location=body.get("location", ""),
        description=body.get("description", ""),
        repeats=bool(recurrence),
        instance=_is_instance(body),
        cancelled=tuple(sorted({*gone, *excepted(recurrence)})),
    )


def _is_instance(body: dict[str, Any]) -> bool:
    return "recurringEventId" in body


def _moment(value: dict[str, str]) -> str:
    return value.get("date") or wall(datetime.fromisoformat(value["dateTime"]))


def _body(fields: Fields) -> dict[str, Any]:
    """A time of another kind than before takes the place of the old one."""
    if "categories" in fields:
        raise KeyError("Google has no categories")
    names = {"title": "summary", "location": "location", "description": "description"}
    body: dict[str, Any] = {names[name]: value for name, value in fields.items() if name in names}
    for name, moment in (("start", fields.get("start")), ("end", fields.get("end"))):
        if moment is not None:
            days, times = (moment, None) if is_day(moment) else (None, moment)
            body[name] = {"date": days, "dateTime": times, "timeZone": ZONE if times else None}
    return body
