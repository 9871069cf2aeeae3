"""Passes: have one made, look at those that were, take one back; how everything fares."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path
from starlette.responses import Response

from calhub.api import bodies, shapes
from calhub.api.depends import Here, Slowly, needs
from calhub.api.paging import Cursor, Json, Limit, by_id, number, part
from calhub.api.surroundings import Order
from calhub.hub import runs
from calhub.sync.undo import undo as put_back

router = APIRouter(tags=["sync"])


@router.post("/sync", response_model=shapes.Runs, dependencies=[needs("write")])
async def sync(here: Here, slowly: Slowly, body: Annotated[bodies.SyncOrder | None, Body()] = None) -> Response:
    """Pull, merge and push now, and wait for it. Without a body: everything."""
    order = Order() if body is None else Order(**body.model_dump())
    return Json({"runs": await slowly(lambda: here.run(order))})


@router.get("/runs", response_model=shapes.Page[shapes.Run], dependencies=[needs("read")])
def history(here: Here, limit: Limit = 20, cursor: Cursor = None) -> Response:
    """The last runs, newest first."""
    before = number(cursor)
    with here.hub.read() as conn:
        return part(runs.history(conn, limit + 1, before), limit, by_id)


@router.get("/runs/{id}", response_model=shapes.Run, dependencies=[needs("read")])
def show_run(here: Here, id: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
    """One run."""
    with here.hub.read() as conn:
        return Json(runs.run_shape(runs.run_row(conn, id)))


@router.post("/runs/{id}/undo", response_model=shapes.Undone, dependencies=[needs("write")])
async def undo(
    here: Here,
    slowly: Slowly,
    id: Annotated[int, Path(ge=1, le=2**62)],
    body: Annotated[bodies.Undo | None, Body()] = None,
) -> Response:
    """Put hub and remote back to what they were before a run; what was changed since is left alone."""
    dry = body is not None and body.dry_run
    return Json(await slowly(lambda: put_back(here.hub, here.connector(), id, dry)))


@router.get("/status", response_model=shapes.Status, dependencies=[needs("read")])
def status(here: Here) -> Response:
    """Accounts, replicas and what waits, at a glance; asks no service."""
    with here.hub.read() as conn:
        return Json(runs.status(conn))
