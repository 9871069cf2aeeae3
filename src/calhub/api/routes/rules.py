"""Rules: busy blocks and public calendars, derived from other events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from calhub.api import bodies, shapes
from calhub.api.depends import Here, needs
from calhub.api.paging import Cursor, Json, Limit, by_id, page
from calhub.hub import rules
from calhub.rules import manage

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
