"""What waits for a person: conflicts, holds, dead letters and quarantined items."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from calhub.api import bodies, shapes
from calhub.api.depends import Here, Slowly, needs
from calhub.api.paging import Cursor, Json, Limit, by_id, page
from calhub.api.surroundings import Order
from calhub.hub import accounts, inbox
from calhub.sync.resolve import resolve

router = APIRouter(tags=["inbox"])

Id = Annotated[int, Path(ge=1, le=2**62)]


@router.get("/conflicts", response_model=shapes.Page[shapes.Conflict], dependencies=[needs("read")])
def list_conflicts(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Conflicts that wait (open) and those decided automatically that can still be flipped (auto)."""
    with here.hub.read() as conn:
        return page(inbox.conflicts(conn), limit, cursor, by_id)


@router.get("/conflicts/{id}", response_model=shapes.Conflict, dependencies=[needs("read")])
def show_conflict(here: Here, id: Id) -> Response:
    """Both values of each field, and what both sides last agreed on."""
    with here.hub.read() as conn:
        return Json(inbox.get_conflict(conn, id))


@router.post("/conflicts/{id}/resolve", response_model=shapes.Conflict, dependencies=[needs("write")])
def resolve_conflict(here: Here, id: Id, body: bodies.Resolution) -> Response:
    """Decide a conflict: `take` a side for all fields, or name sides by field; takes effect at the next sync."""
    with here.hub.transaction() as conn:
        return Json(resolve(conn, id, body.take, body.fields, now=here.hub.now()))


@router.get("/holds", response_model=shapes.Page[shapes.Hold], dependencies=[needs("read")])
def list_holds(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """What the guard holds back."""
    with here.hub.read() as conn:
        return page(inbox.holds(conn), limit, cursor, by_id)


@router.get("/holds/{id}", response_model=shapes.HoldPlan, dependencies=[needs("read")])
def show_hold(here: Here, id: Id) -> Response:
    """One hold with every step it holds back."""
    with here.hub.read() as conn:
        return Json(inbox.get_hold(conn, id))


@router.post("/holds/{id}/release", response_model=shapes.Hold, dependencies=[needs("write")])
def release_hold(here: Here, id: Id) -> Response:
    """Let it happen at the next sync."""
    with here.hub.transaction() as conn:
        return Json(inbox.release_hold(conn, id, now=here.hub.now()))


@router.post("/holds/{id}/discard", response_model=shapes.Hold, dependencies=[needs("write")])
def discard_hold(here: Here, id: Id) -> Response:
    """The other side is right: what was to be deleted is written back at the next sync."""
    with here.hub.transaction() as conn:
        return Json(inbox.discard_hold(conn, id, now=here.hub.now()))


@router.get("/dead-letters", response_model=shapes.Page[shapes.DeadLetter], dependencies=[needs("read")])
def list_dead_letters(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Writes that a service refused for good, or that failed too often. A new change of the event tries again."""
    with here.hub.read() as conn:
        found = inbox.dead_letters(conn)
    return page(found, limit, cursor, lambda each: [each["replica"], each["uid"]])


@router.post("/dead-letters/retry", response_model=shapes.Retried, dependencies=[needs("write")])
async def retry_dead_letters(here: Here, slowly: Slowly, body: bodies.Retry) -> Response:
    """Try again now, and wait for it: those of an event, of a calendar, or all."""

    def work() -> Response:
        with here.hub.transaction() as conn:
            chosen = None if body.calendar is None else accounts.calendar(conn, body.calendar).id
            found = inbox.retry_dead_letters(conn, uid=body.uid, calendar_id=chosen, now=here.hub.now())
        places = dict.fromkeys((each["account"], each["calendar"]) for each in found)
        orders = [Order(account=account, calendar=calendar) for account, calendar in places]
        return Json({"retried": found, "runs": [run for order in orders for run in here.run(order)]})

    answer: Response = await slowly(work)
    return answer


@router.get("/quarantine", response_model=shapes.Page[shapes.Quarantined], dependencies=[needs("read")])
def list_quarantine(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Items that cannot be read, and why. The rest of their calendars goes on."""
    with here.hub.read() as conn:
        return page(inbox.quarantine(conn), limit, cursor, by_id)


@router.get("/quarantine/{id}", response_model=shapes.Quarantined, dependencies=[needs("read")])
def show_quarantined(here: Here, id: Id) -> Response:
    """One item with its text as the remote holds it."""
    with here.hub.read() as conn:
        return Json(inbox.get_quarantined(conn, id))
