"""What takes place when, where a word occurs, who is busy and when there is time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from calhub.api import shapes
from calhub.api.depends import Here, needs
from calhub.api.paging import Cursor, Json, Limit, number, page, part, read_cursor, write_cursor
from calhub.api.problems import Problem
from calhub.api.surroundings import Surroundings
from calhub.calendar import free, zones
from calhub.hub import accounts, agenda
from calhub.hub.sql import Connection
from calhub.rules import options

router = APIRouter(tags=["queries"])

#: The longest range of a question, in seconds: a series without end has that many occurrences.
_LONGEST: Final = 3660 * 86_400
_LONGEST_FREE: Final = 366 * 86_400

Begin = Annotated[
    str | None,
    Query(alias="from", max_length=40, description="RFC 3339 or a date; default: today.", examples=["2026-11-23"]),
]
End = Annotated[
    str | None,
    Query(alias="to", max_length=40, description="Exclusive; default: a week after `from`.", examples=["2026-11-30"]),
]
In = Annotated[str | None, Query(max_length=500, description="Only this calendar, by name or id.")]
Several = Annotated[list[str] | None, Query(max_length=100, description="Only these calendars; may be repeated.")]
Hours = Annotated[str, Query(max_length=11, description="Only at this time of day.", examples=["09:00-18:00"])]
Days = Annotated[str, Query(max_length=40, description="Only on these days: mon-fri, or sat,sun.")]
Zone = Annotated[
    str | None,
    Query(max_length=100, description="Whose clock dates, floating and all-day times go by; default: the hub's."),
]


@router.get("/occurrences", response_model=shapes.Page[shapes.Occurrence], dependencies=[needs("read")])
def occurrences(
    here: Here, begin: Begin = None, end: End = None, calendar: In = None, time_zone: Zone = None,
    limit: Limit = 1000, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """What takes place in a range, in order: by default the next seven days."""
    zone = _zone(here, time_zone)
    first, last = _range(here, begin, end, zone, _LONGEST)
    after = read_cursor(cursor, int, str, str, int, str)  # as `agenda_page` gives them
    with here.hub.read() as conn:
        calendar_id = None if calendar is None else accounts.calendar(conn, calendar).id
        found, next_ = agenda.agenda_page(conn, first, last, calendar_id, zone=zone, after=after, limit=limit)
    return Json({"items": found, "next": None if next_ is None else write_cursor(next_)})


@router.get("/search", response_model=shapes.Page[shapes.Occurrence], dependencies=[needs("read")])
def search(
    here: Here,
    q: Annotated[str, Query(max_length=1_000, description='Words; "in quotes" a phrase; the last may be unfinished.')],
    begin: Begin = None, end: End = None, calendar: In = None, time_zone: Zone = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Find events by title, description, place or people, best first: of each the next occurrence, or the latest."""
    zone, now = _zone(here, time_zone), _now(here)
    skip = number(cursor) or 0
    start_ts = None if begin is None else _stamp(begin, zone, now)
    end_ts = None if end is None else _stamp(end, zone, now)
    with here.hub.read() as conn:
        calendar_id = None if calendar is None else accounts.calendar(conn, calendar).id
        found = agenda.search(
            conn, q, start_ts, end_ts, skip + limit + 1, calendar_id=calendar_id, zone=zone, now_ts=int(now.timestamp())
        )
    return part(found[skip:], limit, lambda _: [skip + limit])


@router.get("/freebusy", response_model=shapes.Page[shapes.Busy], dependencies=[needs("read")])
def freebusy(
    here: Here, calendar: Several = None, begin: Begin = None, end: End = None, time_zone: Zone = None,
    limit: Limit = 1000, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """When somebody with these calendars is busy; what overlaps or meets is one stretch."""
    zone = _zone(here, time_zone)
    first, last = _range(here, begin, end, zone, _LONGEST)
    with here.hub.read() as conn:
        busy = free.merge(_busy(conn, calendar, first, last, zone), first, last)
    found = [{"start": _spell(start, zone), "end": _spell(stop, zone)} for start, stop in busy]
    return page(found, limit, cursor, _begin)


@router.get("/free-slots", response_model=shapes.Page[shapes.Slot], dependencies=[needs("read")])
def free_slots(
    here: Here, calendar: Several = None, begin: Begin = None, end: End = None, time_zone: Zone = None,
    minutes: Annotated[int, Query(ge=1, le=527_040, description="How long it has to be free.")] = 30,
    hours: Hours = "00:00-24:00",
    days: Days = "mon-sun",
    limit: Limit = 100, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """When everybody with these calendars has time: the stretches that are free and long enough."""
    zone = _zone(here, time_zone)
    first, last = _range(here, begin, end, zone, _LONGEST_FREE)
    wanted = options.read("mirror", {"hours": hours, "days": days})
    with here.hub.read() as conn:
        busy = _busy(conn, calendar, first, last, zone)
    whole = hours == "00:00-24:00" and len(wanted.days) == 7  # then free time goes on past midnight
    within = [(first, last)] if whole else list(free.working(first, last, zone, wanted.hours, wanted.days))
    found = [
        {"start": _spell(start, zone), "end": _spell(stop, zone), "minutes": (stop - start) // 60}
        for start, stop in free.slots(busy, within, minutes * 60)
    ]
    return page(found, limit, cursor, _begin)


def _begin(stretch: dict[str, Any]) -> list[Any]:
    return [_timestamp(datetime.fromisoformat(stretch["start"]))]


def _busy(conn: Connection, calendars: list[str] | None, first: int, last: int, zone: tzinfo) -> list[free.Stretch]:
    chosen = [accounts.calendar(conn, each).id for each in calendars or ()]
    return agenda.busy_times(conn, first, last, chosen, zone=zone)


def _zone(here: Surroundings, name: str | None) -> tzinfo:
    if name is None:
        return here.zone
    known = zones.canonical_zone(name)
    if known is None:
        raise Problem(422, f"There is no time zone {name!r}.", code="time-zone", hint="Write it like Europe/Paris.")
    return zones.tzinfo(known, None)


def _now(here: Surroundings) -> datetime:
    return datetime.fromtimestamp(here.clock(), UTC)


def _range(here: Surroundings, begin: str | None, end: str | None, zone: tzinfo, longest: int) -> tuple[int, int]:
    """The range asked for, in seconds since 1970. Raises `Problem`."""
    now = _now(here)
    first = _stamp(begin or "today", zone, now)
    last = _later(first, zone) if end is None else _stamp(end, zone, now)
    if not first < last:
        raise Problem(
            422, "The range is empty: `to` is not after `from`.", code="empty-range", hint="`to` is exclusive."
        )
    if last - first > longest:
        raise Problem(
            422, f"The range is longer than {longest // 86_400} days.", code="long-range", hint="Ask for less."
        )
    return first, last


def _stamp(text: str, zone: tzinfo, now: datetime) -> int:
    """Seconds since 1970 of an RFC 3339 time, of a date's midnight in ``zone``, or of ``today``. Raises `Problem`."""
    try:
        if text == "today":
            moment = datetime.combine(now.astimezone(zone).date(), time(), zone)
        elif len(text) == 10:
            moment = datetime.combine(date.fromisoformat(text), time(), zone)
        else:
            moment = datetime.fromisoformat(text.replace(" ", "+") if text[-6:-5] == " " else text)
        return _timestamp(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise Problem(
            422,
            f"{text!r} is not a date or time.",
            code="invalid-time",
            hint="Write 2026-11-23 or 2026-11-23T09:00:00Z.",
        ) from None


def _later(ts: int, zone: tzinfo) -> int:
    """A week later by the clock, whatever it is put to meanwhile."""
    try:
        return _timestamp(datetime.fromtimestamp(ts, zone) + timedelta(days=7))
    except (ValueError, OverflowError):
        return ts + 7 * 86_400


def _timestamp(moment: datetime) -> int:
    return int(moment.timestamp())


def _spell(ts: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(ts, zone).isoformat()
