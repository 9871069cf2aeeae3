"""How the installation fares, for people, for Prometheus and for whoever restarts it; beside the API's root."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from calhub.api import bodies, shapes
from calhub.api.auth import Caller
from calhub.api.depends import Here, Slowly, needs
from calhub.api.paging import Cursor, Json, Limit, by_id, number, part
from calhub.health.report import report
from calhub.hub import accounts, runs
from calhub.hub.debug import stored_events
from calhub.rules.validate import validate

router = APIRouter(tags=["health"])

#: Shows what is in events as it is stored; only served with the setting ``development``.
debug = APIRouter(tags=["development"])


@router.get("/health", include_in_schema=False)
async def alive() -> Response:
    """Whether the server answers. Asks nothing, not even the database, and needs no token."""
    return Json({"status": "ok"})


@router.get("/health/detailed", response_model=shapes.Health, dependencies=[needs("read")])
async def detailed(request: Request, here: Here, slowly: Slowly) -> Response:
    """Accounts, database, scheduler, channels and disk, with a score from 0 to 1. Asks no service.

    To the scope admin it also shows the token by which a subscription at Notion is verified, until it is.
    """
    caller: Caller = request.scope["caller"]
    return Json(await slowly(lambda: report(here.hub, here.load(), secrets=caller.may("admin"))))


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    dependencies=[needs("read")],
)
async def metrics(request: Request, slowly: Slowly) -> Response:
    """Metrics in Prometheus' text format."""
    registry = request.app.state.metrics.registry
    return Response(await slowly(lambda: generate_latest(registry)), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/history", response_model=shapes.History, dependencies=[needs("read")])
def history(
    here: Here,
    limit: Limit = 20,
    hours: Annotated[int, Query(ge=1, le=24 * 31, description="How far back the trend goes.")] = 24,
) -> Response:
    """The last passes, the trend by hour (UTC), and the share of passes that succeeded in that time."""
    with here.hub.read() as conn:
        trend = runs.trend(conn, here.hub.clock(), hours)
        return Json({"runs": runs.history(conn, limit), **trend})


@router.post("/validate-sync", response_model=shapes.Validated, dependencies=[needs("write")])
async def validate_sync(
    here: Here, slowly: Slowly, body: Annotated[bodies.Validation | None, Body()] = None
) -> Response:
    """Check that copies and remotes are what they should be. Asks the services; changes nothing."""
    calendar, full = (None, False) if body is None else (body.calendar, body.full)
    return Json(await slowly(lambda: validate(here.hub, here.connector(), calendar=calendar, full=full)))


@debug.get("/debug/events/{calendar:path}", response_model=shapes.Page[dict[str, Any]], dependencies=[needs("admin")])
def debug_events(here: Here, calendar: str, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Events as they are stored, with what ties them to remotes. For development only: it shows everything."""
    after = number(cursor)
    with here.hub.read() as conn:
        found = stored_events(conn, accounts.calendar(conn, calendar).id, after or 0, limit + 1)
        return part(found, limit, by_id)
