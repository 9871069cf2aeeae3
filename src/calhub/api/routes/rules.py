"""Rules: busy blocks and public calendars, derived from other events; taking that back, and tidying up."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from starlette.responses import Response

from calhub.api import bodies, shapes
from calhub.api.depends import Here, Slowly, needs
from calhub.api.paging import Cursor, Json, Limit, by_id, page
from calhub.hub import rules
from calhub.rules import manage
from calhub.rules.cleanup import cleanup
from calhub.rules.reset import reset

router = APIRouter(tags=["rules"])

Id = Annotated[int, Path(ge=1, le=2**62)]


@router.get("/rules", response_model=shapes.Page[shapes.Rule], dependencies=[needs("read")])
def list_rules(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """All rules, with how many copies they have made."""
    with here.hub.read() as conn:
        return page([rules.rule_shape(conn, each) for each in rules.rules(conn)], limit, cursor, by_id)


@router.post("/rules", status_code=201, response_model=shapes.Rule, dependencies=[needs("admin")])
def add_rule(here: Here, body: bodies.RuleNew) -> Response:
    """Add a rule, or give the one there is between the two calendars other options."""
    given = {name: value for name, value in body.options.items() if value is not False}
    made, _ = manage.add(here.hub, body.kind, [(body.source, body.target)], given)
    return Json(made[0], 201, {"Location": f"/api/v1/rules/{made[0]['id']}"})


@router.get("/rules/{id}", response_model=shapes.Rule, dependencies=[needs("read")])
def show_rule(here: Here, id: Id) -> Response:
    """One rule."""
    with here.hub.read() as conn:
        return Json(rules.rule_shape(conn, rules.rule(conn, id)))


@router.get("/rules/{id}/preview", response_model=shapes.Preview, dependencies=[needs("read")])
def preview(here: Here, id: Id) -> Response:
    """What a rule would do now, copy by copy, with the hub as it is. Changes nothing."""
    return Json(manage.preview_shape(here.hub, id))


@router.delete("/rules/{id}", response_model=shapes.RuleRemoved, dependencies=[needs("admin")])
def remove_rule(
    here: Here, id: Id, keep_copies: Annotated[bool, Query(description="Leave the copies where they are.")] = False
) -> Response:
    """Remove a rule and its copies: from the hub at once, from the remotes with the next sync."""
    with here.hub.transaction() as conn:
        deleted = rules.remove_rule(conn, id, keep_copies=keep_copies, now=here.hub.now())
    return Json({"removed": id, "deleted": deleted})


@router.post("/calendars/{name:path}/reset", response_model=shapes.WasReset, dependencies=[needs("admin")])
async def reset_calendar(here: Here, slowly: Slowly, name: str, body: bodies.Reset) -> Response:
    """Delete what rules made in a calendar, here and at its remotes, and nothing else; `undo` brings it back.

    Rules that are still there make their copies anew with the next pass.
    """
    take_away = partial(reset, here.hub, here.connector(), name, confirm=body.confirm, dry_run=body.dry_run)
    return Json(await slowly(take_away))


@router.post("/cleanup", response_model=shapes.Tidied, dependencies=[needs("admin")])
async def clean_up(here: Here, slowly: Slowly, body: Annotated[bodies.Cleanup | None, Body()] = None) -> Response:
    """Delete copies whose event or rule is gone, and history that has expired (settings `keep_runs`, `keep_days`)."""
    remote, dry = (False, False) if body is None else (body.remote, body.dry_run)
    keep = {name: here.number(name, least=0) for name in ("keep_runs", "keep_days")}
    tidy = partial(cleanup, here.hub, here.connector(), remote=remote, dry_run=dry, **keep)
    return Json(await slowly(tidy))
