"""Webhooks to others: who is told of changes, and what became of the messages.

All of it is for administrators: whoever knows such an address can often post to it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from calhub.api import bodies, shapes
from calhub.api.depends import Here, Slowly, needs
from calhub.api.idempotency import NO_STORE
from calhub.api.paging import Cursor, Json, Limit, by_id, number, page, part
from calhub.daemon import delivery, outgoing
from calhub.hub import endpoints, messages
from calhub.hub.sql import Connection

router = APIRouter(tags=["webhooks"])

Id = Annotated[int, Path(ge=1, le=2**62)]


@router.get("/webhooks", response_model=shapes.Page[shapes.Webhook], dependencies=[needs("admin")])
def list_webhooks(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Who is told of changes, and whether that works."""
    with here.hub.read() as conn:
        return page([endpoints.shape(conn, each) for each in endpoints.endpoints(conn)], limit, cursor, by_id)


@router.post("/webhooks", status_code=201, response_model=shapes.WebhookMade, dependencies=[needs("admin")])
async def add_webhook(here: Here, slowly: Slowly, body: bodies.WebhookNew) -> Response:
    """Have an address told of what happens from now on. The answer shows the secret, this once.

    The address may not lead into a private network, unless the setting `allow_private_networks` is on.
    """

    def work() -> Response:
        public_only = here.public_only
        url = outgoing.accept(body.url, public_only=public_only)
        with here.hub.transaction() as conn:
            made = endpoints.add(conn, here.hub.home, url, body.calendars, public_only=public_only, now=here.hub.now())
        return _secret(made, 201, {"Location": f"/api/v1/webhooks/{made['id']}"})

    answer: Response = await slowly(work)
    return answer


@router.get("/webhooks/{id}", response_model=shapes.Webhook, dependencies=[needs("admin")])
def show_webhook(here: Here, id: Id) -> Response:
    """One of them."""
    with here.hub.read() as conn:
        return _shown(conn, id)


@router.patch("/webhooks/{id}", response_model=shapes.Webhook, dependencies=[needs("admin")])
async def change_webhook(here: Here, slowly: Slowly, id: Id, body: bodies.WebhookEdit) -> Response:
    """Another address or other calendars from now on, or whether it is told anything. What is not named stays.

    `active` sends what waits at once.
    """

    def work() -> Response:
        public_only = here.public_only
        url = None if body.url is None else outgoing.accept(body.url, public_only=public_only)
        with here.hub.transaction() as conn:
            if url is not None:
                endpoints.set_url(conn, id, url, public_only=public_only)
            if "calendars" in body.model_fields_set:
                endpoints.set_calendars(conn, id, body.calendars)
            if body.state == "active":
                endpoints.enable(conn, id, here.hub.now())
            elif body.state == "disabled":
                endpoints.disable(conn, id, endpoints.BY_HAND)
            return _shown(conn, id)

    answer: Response = await slowly(work)
    return answer


@router.delete("/webhooks/{id}", response_model=shapes.Removed, dependencies=[needs("admin")])
def remove_webhook(here: Here, id: Id) -> Response:
    """Tell it nothing any more, and forget all messages to it."""
    with here.hub.transaction() as conn:
        endpoints.remove(conn, here.hub.home, id)
    return Json({"removed": id})


@router.post("/webhooks/{id}/rotate", response_model=shapes.WebhookMade, dependencies=[needs("admin")])
def rotate_webhook(here: Here, id: Id) -> Response:
    """Give it a new secret, shown this once. For a day messages are signed with the old one, too."""
    with here.hub.transaction() as conn:
        return _secret(endpoints.rotate(conn, here.hub.home, id, here.hub.clock()))


@router.post("/webhooks/{id}/test", response_model=shapes.Ping, dependencies=[needs("admin")])
async def test_webhook(here: Here, slowly: Slowly, id: Id) -> Response:
    """Send a message of the type `ping` now, once, also to one that is disabled, and tell what came of it."""
    return Json(await slowly(lambda: delivery.ping(here.hub, id)))


@router.get("/webhooks/{id}/messages", response_model=shapes.Page[shapes.Message], dependencies=[needs("admin")])
def list_messages(
    here: Here,
    id: Id,
    state: Annotated[messages.State | None, Query(description="Only those.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """The messages to it, newest first: those that wait, dead ones, and those delivered in the last day."""
    with here.hub.read() as conn:
        endpoints.endpoint(conn, id)
        found = messages.messages(conn, limit + 1, endpoint_id=id, state=state, before=number(cursor))
        return part(found, limit, _by_number)


@router.post("/webhooks/{id}/resend", response_model=shapes.Resent, dependencies=[needs("admin")])
def resend_dead(here: Here, id: Id) -> Response:
    """Have all its dead messages sent again, under their ids."""
    with here.hub.transaction() as conn:
        return Json({"resent": messages.resend_dead(conn, id, here.hub.now())})


@router.post("/webhooks/messages/{message}/resend", response_model=shapes.Message, dependencies=[needs("admin")])
def resend_message(here: Here, message: Annotated[str, Path(max_length=100)]) -> Response:
    """Have a message that waits or is dead sent now, under its id."""
    with here.hub.transaction() as conn:
        return Json(messages.resend(conn, message, here.hub.now()))


def _shown(conn: Connection, endpoint_id: int) -> Response:
    return Json(endpoints.shape(conn, endpoints.endpoint(conn, endpoint_id)))


def _secret(made: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer that must not be kept anywhere."""
    return Json(made, status, dict([NO_STORE]) | (headers or {}))


def _by_number(message: dict[str, Any]) -> list[Any]:
    return [message["number"]]
