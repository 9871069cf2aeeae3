"""Calendars of the hub; whole calendars in and out as iCalendar files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from calhub.api import bodies, shapes
from calhub.api.depends import Here, Slowly, needs
from calhub.api.paging import Cursor, Json, Limit, by_id, page
from calhub.api.problems import Problem
from calhub.calendar.zones import canonical_zone
from calhub.hub import accounts, runs, transfer
from calhub.sync import calendars

router = APIRouter(tags=["calendars"])

CALENDAR_FILE = "text/calendar"
Name = Annotated[str, Query(min_length=1, max_length=500, description="The calendar's name or id.")]


@router.get("/calendars", response_model=shapes.Page[shapes.Calendar], dependencies=[needs("read")])
def list_calendars(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """All calendars with their events and replicas."""
    with here.hub.read() as conn:
        found = [runs.calendar_shape(conn, each) for each in accounts.calendars(conn)]
    return page(found, limit, cursor, by_id)


@router.post("/calendars", status_code=201, response_model=shapes.Calendar, dependencies=[needs("admin")])
def add_calendar(here: Here, body: bodies.CalendarNew) -> Response:
    """Make an empty calendar in the hub."""
    zone = None if body.time_zone is None else canonical_zone(body.time_zone)
    if body.time_zone is not None and zone is None:
        raise Problem(422, f"There is no time zone {body.time_zone!r}.", hint="Write it like Europe/Paris.")
    with here.hub.transaction() as conn:
        made = accounts.add_calendar(conn, body.name, here.hub.now(), color=body.color, time_zone=zone)
        return Json(runs.calendar_shape(conn, made), 201, {"Location": f"/api/v1/calendars/{made.id}"})


@router.get("/calendars/{name:path}", response_model=shapes.Calendar, dependencies=[needs("read")])
def show_calendar(here: Here, name: str) -> Response:
    """One calendar, by name or id."""
    with here.hub.read() as conn:
        return Json(runs.calendar_shape(conn, accounts.calendar(conn, name)))


@router.patch("/calendars/{name:path}", response_model=shapes.Calendar, dependencies=[needs("admin")])
def rename_calendar(here: Here, name: str, body: bodies.CalendarEdit) -> Response:
    """Rename a calendar in the hub; remote calendars keep their names."""
    with here.hub.transaction() as conn:
        found = accounts.calendar(conn, name)
        accounts.rename_calendar(conn, found.id, body.name)
        return Json(runs.calendar_shape(conn, accounts.calendar(conn, found.id)))


@router.delete("/calendars/{name:path}", response_model=shapes.CalendarRemoved, dependencies=[needs("admin")])
async def remove_calendar(
    here: Here,
    slowly: Slowly,
    name: str,
    keep_remote: Annotated[bool, Query(description="False: its events are deleted at the remotes as well.")] = True,
) -> Response:
    """Remove a calendar with its events from the hub, and the rules from and to it."""

    def work() -> Response:
        with here.hub.read() as conn:
            removal = calendars.plan_removal(conn, name, keep_remote=keep_remote)
        calendars.remove(here.hub, here.connector(), removal)
        return Json({"removed": removal.calendar.name, "deleted_at_remotes": removal.number})

    answer: Response = await slowly(work)
    return answer


@router.post(
    "/import", response_model=shapes.Import, dependencies=[needs("write")],
    openapi_extra={
        "requestBody": {"required": True, "content": {CALENDAR_FILE: {"schema": {"type": "string"}}}},
    },
)  # fmt: skip
async def import_file(request: Request, here: Here, slowly: Slowly, calendar: Name) -> Response:
    """Put all events of an iCalendar file (up to 10 MB) into a calendar, or none when it is cut off."""
    kind = request.headers.get("content-type", CALENDAR_FILE).partition(";")[0].strip().lower()
    if kind != CALENDAR_FILE:
        raise Problem(415, f"This takes {CALENDAR_FILE}.")
    data = await request.body()

    def work() -> Response:
        with here.hub.read() as conn:
            chosen = accounts.calendar(conn, calendar)
        return Json(transfer.import_file(here.hub, chosen.id, data))

    answer: Response = await slowly(work)
    return answer


@router.get(
    "/export", response_class=StreamingResponse, dependencies=[needs("read")],
    responses={200: {"description": "One VCALENDAR.", "content": {CALENDAR_FILE: {"schema": {"type": "string"}}}}},
)  # fmt: skip
def export(here: Here, calendar: Name) -> Response:
    """A calendar as one iCalendar file."""
    with here.hub.read() as conn:
        chosen = accounts.calendar(conn, calendar)

    def pieces() -> Iterator[bytes]:
        with here.hub.read() as conn:
            for piece in transfer.export(here.hub, conn, chosen):
                yield piece.encode()

    name = f"attachment; filename*=UTF-8''{quote(chosen.name)}.ics"
    return StreamingResponse(
        pieces(), media_type=f"{CALENDAR_FILE}; charset=utf-8", headers={"Content-Disposition": name}
    )
