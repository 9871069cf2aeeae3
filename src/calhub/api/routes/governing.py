"""Governing the installation: writes stopped, what was promised measured, what was done told."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from calhub.api import bodies, shapes
from calhub.api.depends import Here, Slowly, needs
from calhub.api.paging import Cursor, Json, Limit, by_id, number, part
from calhub.api.problems import Problem
from calhub.api.surroundings import Order, Surroundings
from calhub.health.criteria import CRITERIA, judge
from calhub.hub import audit, modes
from calhub.hub.errors import HubError

router = APIRouter(tags=["governing"])


@router.get("/dry-run", response_model=shapes.DryRun, dependencies=[needs("write")])
async def show_dry_run(here: Here, slowly: Slowly) -> Response:
    """Whether writes to remotes are stopped; if so, with what a sync would do now. Asks the services then."""
    return Json(await slowly(lambda: _dry_run(here)))


@router.post("/dry-run", response_model=shapes.DryRun, dependencies=[needs("admin")])
async def set_dry_run(here: Here, slowly: Slowly, body: bodies.DryRun) -> Response:
    """Stop all writes to remotes, in every process and at once, or let them go on.

    Passes go on pulling. What they would write is shown, and waits. Switching it off has it done.
    """

    def work() -> dict[str, Any]:
        with here.hub.transaction() as conn:
            was_on = modes.dry_run_since(conn) is not None
            modes.set_dry_run(conn, body.on, here.hub.now())
        if was_on and not body.on:
            return {"on": False, "since": None, "runs": here.run(Order())}
        return _dry_run(here)

    return Json(await slowly(work))


def _dry_run(here: Surroundings) -> dict[str, Any]:
    with here.hub.read() as conn:
        since = modes.dry_run_since(conn)
    return {"on": since is not None, "since": since, "runs": here.run(Order(dry_run=True)) if since else []}


@router.post("/reload", response_model=shapes.Reloaded, dependencies=[needs("admin")])
async def reload(here: Here, slowly: Slowly) -> Response:
    """Read the settings again, as SIGHUP does. Where they cannot be read all stay as they were (422)."""
    if here.reload is None:
        raise Problem(404, "No daemon runs here whose settings could be read again.")
    return Json(await slowly(here.reload))


@router.get("/criteria", response_model=shapes.Criteria, dependencies=[needs("read")])
def criteria(here: Here, request: Request) -> Response:
    """What this installation measured of itself, against the targets (settings `target_*`). Never a constant."""
    targets = {each.name: _target(here, f"target_{each.name}") for each in CRITERIA}
    with here.hub.read() as conn:
        return Json({"criteria": judge(conn, targets, list(request.app.state.queries))})


def _target(here: Surroundings, name: str) -> float:
    try:
        return float(here.setting(name))
    except ValueError:
        raise HubError(f"The setting {name} is not a number: {here.setting(name)!r}.", "Write it like 0.5.") from None


@router.get("/audit", response_model=shapes.Page[shapes.AuditEntry], dependencies=[needs("admin")])
def audit_log(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Who did what to this installation, newest first."""
    with here.hub.read() as conn:
        return part(audit.entries(conn, limit + 1, number(cursor)), limit, by_id)


@router.get("/audit/verify", response_model=shapes.AuditVerdict, dependencies=[needs("admin")])
def verify_audit(
    here: Here, expect: Annotated[str | None, Query(max_length=64, description="A head seen earlier.")] = None
) -> Response:
    """Whether the audit log is as it was written; if not, where it was changed."""
    with here.hub.read() as conn:
        return Json(audit.verify(conn, expect))
