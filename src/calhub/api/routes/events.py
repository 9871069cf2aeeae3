"""Events: read, add, change, delete, move. Revisions are checked where `If-Match` asks for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from calhub.api import bodies, shapes
from calhub.api.depends import Here, Slowly, needs
from calhub.api.idempotency import HEADER
from calhub.api.paging import Cursor, Json, Limit, number, part
from calhub.api.problems import Problem
from calhub.api.surroundings import Surroundings
from calhub.api.writing import edited, new, whole
from calhub.calendar.event import Content
from calhub.hub import accounts, events, runs
from calhub.hub.errors import NotFound, Outdated
from calhub.hub.events import StoredEvent
from calhub.sync import edits

router = APIRouter(tags=["events"])

In = Annotated[
    str | None, Query(max_length=500, description="Name or id of the calendar; needed where several have the UID.")
]
Mode = Annotated[
    Literal["queued", "atomic"],
    Query(description="queued: in the hub now, at the remotes soon after; atomic: at every remote, or nowhere."),
]
IfMatch = Annotated[str | None, Header(max_length=1_000, description="ETag that the event must still have.")]
IfNoneMatch = Annotated[str | None, Header(max_length=1_000, description="`*`: only if there is no such event.")]
Occurrence = Annotated[str | None, Query(max_length=100, description="Recurrence id: only this instance.")]
Following = Annotated[str | None, Query(max_length=100, description="Recurrence id: this instance and all after it.")]

#: How often an edit is tried anew when somebody else was faster; only where no revision was asked for.
_TRIES: Final = 5

#: An edit: the UID to show afterwards, and the contents of events by UID, None to delete.
Edit = tuple[str, Mapping[str, Content | None]]


@router.get("/events", response_model=shapes.Page[shapes.Event], dependencies=[needs("read")])
def list_events(here: Here, calendar: In = None, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """All events, or those of one calendar."""
    after = number(cursor) or 0
    with here.hub.read() as conn:
        calendar_id = None if calendar is None else accounts.calendar(conn, calendar).id
        found = events.page(conn, calendar_id, after, limit + 1)
        last = found[limit - 1].id if len(found) > limit else 0
        return part([runs.event_shape(conn, each) for each in found], limit, lambda _: [last])


@router.post("/events", status_code=201, response_model=shapes.Event, dependencies=[needs("write")])
async def add_event(
    request: Request, here: Here, slowly: Slowly, body: bodies.EventNew, mode: Mode = "queued"
) -> Response:
    """Add an event. Without a `uid` it gets a new one."""

    def work() -> Response:
        with here.hub.read() as conn:
            calendar = accounts.calendar(conn, body.calendar)
        uid = body.uid or _new_uid(request)
        content = new(body, calendar.time_zone or here.zone_name)
        try:
            _write(here, calendar.id, {uid: content}, {uid: None}, mode)
        except Outdated:
            if HEADER not in request.headers or mode == "atomic" or not _is_there(here, calendar.id, uid, content):
                raise Problem(409, f'"{calendar.name}" has an event "{uid}" already.', code="exists") from None
        return _show(here, calendar.id, uid, 201)

    return await _run(slowly, work)


def _is_there(here: Surroundings, calendar_id: int, uid: str, content: Content) -> bool:
    """Whether just this was added: by a request that is repeated, since the process ended before it answered."""
    with here.hub.read() as conn:
        stored = events.event(conn, calendar_id, uid)
    return stored is not None and stored.content == content


def _new_uid(request: Request) -> str:
    """Random; with an idempotency key derived from it, so that a repetition after a crash adds nothing either."""
    key = request.headers.get(HEADER)
    return str(uuid.uuid4() if key is None else uuid.uuid5(uuid.NAMESPACE_OID, f"{request.scope['caller'].key} {key}"))


@router.get("/events/{uid:path}/why", response_model=shapes.Why, dependencies=[needs("read")])
def why(here: Here, uid: str, calendar: In = None) -> Response:
    """Where an event is held, what is still to be done for it, and what is in its way."""
    with here.hub.read() as conn:
        return Json(runs.why(conn, events.find_event(conn, uid, calendar)))


@router.post("/events/{uid:path}/move", response_model=shapes.Event, dependencies=[needs("write")])
def move(here: Here, uid: str, body: bodies.Move, calendar: In = None, if_match: IfMatch = None) -> Response:
    """Move an event to another calendar; its UID stays."""
    with here.hub.transaction() as conn:
        stored = events.find_event(conn, uid, calendar)
        _check(stored, if_match)
        goal = accounts.calendar(conn, body.calendar)
        edits.move(conn, stored, goal, now=here.hub.now())
    return _show(here, goal.id, uid)


@router.get("/events/{uid:path}", response_model=shapes.Event, dependencies=[needs("read")])
def show(here: Here, uid: str, calendar: In = None) -> Response:
    """One event with everything calhub knows of it. Its ETag is for `If-Match`."""
    with here.hub.read() as conn:
        stored = events.find_event(conn, uid, calendar)
    return _show(here, stored.calendar_id, stored.uid)


@router.put(
    "/events/{uid:path}", response_model=shapes.Event, dependencies=[needs("write")],
    responses={201: {"model": shapes.Event, "description": "There was no such event; now there is."}},
)  # fmt: skip
async def put(
    here: Here, slowly: Slowly, uid: str, body: bodies.EventWhole, calendar: In = None, mode: Mode = "queued",
    if_match: IfMatch = None, if_none_match: IfNoneMatch = None,
) -> Response:  # fmt: skip
    """Replace an event, or add it under this UID where there is none."""
    asked = calendar or body.calendar

    def work() -> Response:
        stored = _find(here, uid, asked)
        if stored is not None and if_none_match is not None:
            raise Problem(412, "There is such an event already.")
        if stored is not None:
            return change(stored)
        if if_match is not None:
            raise Problem(412, "There is no such event.")
        return create()

    def change(stored: StoredEvent) -> Response:
        def edit(current: StoredEvent, shape: Mapping[str, Any]) -> Edit:
            return uid, {uid: whole(body, current.content, shape, here.zone_name)}

        return _edit(here, stored, edit, mode, if_match)

    def create() -> Response:
        if asked is None:
            raise Problem(422, "A new event needs its calendar.", code="calendar-needed", hint="Add ?calendar=NAME")
        with here.hub.read() as conn:
            chosen = accounts.calendar(conn, asked)
        content = whole(body, None, {}, chosen.time_zone or here.zone_name)
        _write(here, chosen.id, {uid: content}, {uid: None}, mode)
        return _show(here, chosen.id, uid, 201)

    return await _run(slowly, work)


@router.patch("/events/{uid:path}", response_model=shapes.Event, dependencies=[needs("write")])
async def patch(
    here: Here, slowly: Slowly, uid: str, body: bodies.EventEdit, calendar: In = None, mode: Mode = "queued",
    occurrence: Occurrence = None, following: Following = None, if_match: IfMatch = None,
) -> Response:  # fmt: skip
    """Change what is named: of the event, of one occurrence, or of one and all that follow.

    `following` ends the series before that instance, and answers with the new series that goes on from there.
    """

    def edit(stored: StoredEvent, _: Mapping[str, Any]) -> Edit:
        return edits.change(stored, edited(body), occurrence=occurrence, following=following)

    return await _run(slowly, lambda: _edit(here, _known(here, uid, calendar), edit, mode, if_match))


@router.delete("/events/{uid:path}", response_model=shapes.Deleted, dependencies=[needs("write")])
async def delete(
    here: Here, slowly: Slowly, uid: str, calendar: In = None, mode: Mode = "queued",
    occurrence: Occurrence = None, following: Following = None, if_match: IfMatch = None,
) -> Response:  # fmt: skip
    """Delete an event, one instance of a series, or an instance and all after it."""

    def edit(stored: StoredEvent, _: Mapping[str, Any]) -> Edit:
        return uid, {uid: edits.without(stored, occurrence=occurrence, following=following)}

    def work() -> Response:
        _edit(here, _known(here, uid, calendar), edit, mode, if_match)
        return Json({"deleted": [uid]})

    return await _run(slowly, work)


# What all of them share


async def _run(slowly: Slowly, work: Callable[[], Response]) -> Response:
    """Writes may wait for the engine's, and atomic ones for services: not in the threads that answer questions."""
    answer: Response = await slowly(work)
    return answer


def _find(here: Surroundings, uid: str, calendar: str | None) -> StoredEvent | None:
    with here.hub.read() as conn:
        if calendar is not None:
            return events.event(conn, accounts.calendar(conn, calendar).id, uid)
        try:
            return events.find_event(conn, uid)
        except NotFound:
            return None


def _known(here: Surroundings, uid: str, calendar: str | None) -> StoredEvent:
    with here.hub.read() as conn:
        return events.find_event(conn, uid, calendar)


def _edit(
    here: Surroundings,
    stored: StoredEvent,
    edit: Callable[[StoredEvent, Mapping[str, Any]], Edit],
    mode: str,
    if_match: str | None,
) -> Response:
    """Read, change and write one event; anew when it changed in between, unless a revision was asked for."""
    for _ in range(_TRIES):
        with here.hub.read() as conn:
            current = events.event(conn, stored.calendar_id, stored.uid)
            if current is None:
                raise NotFound(f'There is no event "{stored.uid}" any more.')
            shape = runs.event_shape(conn, current)
        _check(current, if_match)
        key, changed = edit(current, shape)
        try:
            _write(here, current.calendar_id, changed, {current.uid: current.rev}, mode)
        except Outdated:
            continue
        gone = changed.get(key, current.content) is None
        return Response() if gone else _show(here, current.calendar_id, key)
    raise Problem(409, "The event keeps changing; nothing was written.", code="outdated", hint="Try again.")


def _check(stored: StoredEvent, if_match: str | None) -> None:
    """RFC 9110 section 13.1.1. Raises `Problem` 412."""
    tags = [tag.strip() for tag in (if_match or "*").split(",")]
    if "*" not in tags and _etag(stored) not in tags:
        raise Problem(412, "The event was changed since; nothing was written.", hint="Get it again.")


def _write(
    here: Surroundings,
    calendar_id: int,
    changed: Mapping[str, Content | None],
    revs: Mapping[str, int | None],
    mode: str,
) -> None:
    edits.write(here.hub, calendar_id, changed, connect=here.connector() if mode == "atomic" else None, revs=revs)


def _show(here: Surroundings, calendar_id: int, uid: str, status: int = 200) -> Response:
    with here.hub.read() as conn:
        stored = events.event(conn, calendar_id, uid)
        if stored is None:
            raise NotFound(f'There is no event "{uid}" any more.')
        shape = runs.event_shape(conn, stored)
    headers = {"ETag": _etag(stored)}
    if status == 201:
        headers["Location"] = event_path(uid)
    return Json(shape, status, headers)


def event_path(uid: str) -> str:
    from urllib.parse import quote

    return f"/api/v1/events/{quote(uid, safe='')}"


def _etag(stored: StoredEvent) -> str:
    return f'"{stored.rev}"'
