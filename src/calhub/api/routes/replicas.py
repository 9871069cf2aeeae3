"""Replicas: which calendar goes with which remote calendar, and how."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from calhub.api import bodies, shapes
from calhub.api.depends import Here, Slowly, needs
from calhub.api.paging import Cursor, Json, Limit, by_id, page
from calhub.hub import accounts, runs
from calhub.sync import replicas

router = APIRouter(tags=["replicas"])

One = Annotated[str | None, Query(max_length=500)]


@router.get("/replicas", response_model=shapes.Page[shapes.Replica], dependencies=[needs("read")])
def list_replicas(
    here: Here, calendar: One = None, account: One = None, limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """All replicas, or those of a calendar or an account, and how they fare."""
    with here.hub.read() as conn:
        calendar_id = None if calendar is None else accounts.calendar(conn, calendar).id
        account_id = None if account is None else accounts.account(conn, account).id
        found = accounts.replicas(conn, calendar_id=calendar_id, account_id=account_id)
        return page([runs.replica_shape(conn, each) for each in found], limit, cursor, by_id)


@router.post("/replicas", status_code=201, response_model=shapes.Replica, dependencies=[needs("admin")])
async def add_replica(here: Here, slowly: Slowly, body: bodies.ReplicaNew) -> Response:
    """Tie a calendar to a remote calendar. One remote calendar has at most one replica."""
    add = partial(replicas.add, here.hub, here.connector(), body.calendar, body.account)
    made = await slowly(
        partial(
            add,
            remote=body.remote,
            create=body.create,
            direction=body.direction,
            conflicts=body.conflicts,
            settings=_settings(body),
        )
    )
    return Json(made, 201, {"Location": f"/api/v1/replicas/{made['id']}"})


def _settings(body: bodies.ReplicaEdit) -> dict[str, Any]:
    return {} if body.settings is None else body.settings.model_dump(exclude_none=True)


@router.get("/replicas/{name:path}", response_model=shapes.Replica, dependencies=[needs("read")])
def show_replica(here: Here, name: str) -> Response:
    """One replica, by id or the name of its remote calendar."""
    with here.hub.read() as conn:
        return Json(runs.replica_shape(conn, accounts.replica(conn, name)))


@router.patch("/replicas/{name:path}", response_model=shapes.Replica, dependencies=[needs("admin")])
def change_replica(here: Here, name: str, body: bodies.ReplicaEdit) -> Response:
    """Change how a replica syncs; what is not named stays."""
    return Json(
        replicas.change(here.hub, name, direction=body.direction, conflicts=body.conflicts, settings=_settings(body))
    )


@router.post("/replicas/{name:path}/pause", response_model=shapes.Replica, dependencies=[needs("admin")])
def pause(here: Here, name: str) -> Response:
    """Leave the replica out of every sync until it is resumed."""
    return Json(replicas.set_state(here.hub, name, "paused"))


@router.post("/replicas/{name:path}/resume", response_model=shapes.Replica, dependencies=[needs("admin")])
def resume(here: Here, name: str) -> Response:
    """Sync the replica again."""
    return Json(replicas.set_state(here.hub, name, "ok"))


@router.delete("/replicas/{name:path}", response_model=shapes.Removed, dependencies=[needs("admin")])
def remove_replica(here: Here, name: str) -> Response:
    """Untie the calendar from the remote calendar. Nothing is deleted, neither in the hub nor at the remote."""
    return Json({"removed": replicas.remove(here.hub, name).id})
