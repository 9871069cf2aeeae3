"""``/subscriptions`` (microsoft: Push): validated by a real POST, limited in time, told of every change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlencode

import httpx

from calhub.testing.services.base import WEBHOOK_SECONDS, Request, Response
from calhub.testing.services.graph.checks import Bad
from calhub.testing.services.graph.store import Event

if TYPE_CHECKING:
    from calhub.testing.services.graph.service import Graph

LONGEST: Final = timedelta(minutes=10_080)
SHORTEST: Final = timedelta(minutes=45)
_TOKEN: Final = "Validation: Testing client application reachability for subscription Request-Id: 1/ä"


@dataclass
class Subscription:
    row: dict[str, Any]
    expires: datetime


class Subscriptions:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.rows: dict[str, Subscription] = {}
        self._count = 0

    def routes(self) -> list[tuple[str, str, Callable[[Request], Response]]]:
        return [
            ("GET", "/subscriptions", lambda _: Response.of({"value": [each.row for each in self._alive().values()]})),
            ("POST", "/subscriptions", self._create),
            ("GET", "/subscriptions/{name}", lambda request: Response.of(self._one(request).row)),
            ("PATCH", "/subscriptions/{name}", self._renew),
            ("DELETE", "/subscriptions/{name}", self._delete),
            ("POST", "/subscriptions/{name}/reauthorize", self._reauthorize),
        ]

    def tell(self, event: Event, change: str) -> None:
        """Queue a notification for each subscription that wants to know; it has no event data."""
        for name, each in self._alive().items():
            if change in each.row["changeType"] and _concerns(each.row["resource"], event.calendar):
                data = {"@odata.type": "#Microsoft.Graph.Event", "id": event.id(immutable=True)}
                value = {**self._message(name, each), "changeType": change, "resourceData": data}
                self._post(each.row["notificationUrl"], value)

    def lifecycle(self, name: str, kind: str) -> None:
        """Queue ``reauthorizationRequired``, ``subscriptionRemoved`` or ``missed``."""
        each = self.rows[name]
        if kind == "subscriptionRemoved":
            del self.rows[name]
        self._post(each.row["lifecycleNotificationUrl"], {**self._message(name, each), "lifecycleEvent": kind})

    def _message(self, name: str, each: Subscription) -> dict[str, Any]:
        return {
            "subscriptionId": name,
            "clientState": each.row.get("clientState"),
            "resource": each.row["resource"],
            "tenantId": "tenant",
            "subscriptionExpirationDateTime": each.row["expirationDateTime"],
        }

    def _post(self, url: str, value: dict[str, Any]) -> None:
        self._graph.notify(url, {"Content-Type": "application/json"}, json.dumps({"value": [value]}).encode())

    def _create(self, request: Request) -> Response:
        body = request.json() or {}
        if {"changeType", "notificationUrl", "resource", "expirationDateTime"} - body.keys():
            raise Bad("ValidationError", "The subscription is not complete.")
        if len(body.get("clientState", "")) > 128:
            raise Bad("ValidationError", "clientState is longer than 128 characters.")
        same = ("resource", "changeType")
        if any([each.row[name] for name in same] == [body[name] for name in same] for each in self._alive().values()):
            raise Bad("Conflict", "Subscription for the same resource and change type exists.", 409)
        expires = self._expiry(body)
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            if name in body:
                _validate(body[name])
        self._count += 1
        name = f"00000000-0000-4000-8000-{self._count:012d}"
        row = {**body, "id": name, "expirationDateTime": f"{expires:%Y-%m-%dT%H:%M:%SZ}"}
        self.rows[name] = Subscription(row, expires)
        return Response.of(row, 201)

    def _renew(self, request: Request) -> Response:
        body, each = request.json() or {}, self._one(request)
        if body.keys() - {"expirationDateTime", "notificationUrl"}:
            raise Bad("ValidationError", "Only the expiration and the address can be changed.")
        each.expires = self._expiry(body)
        each.row["expirationDateTime"] = f"{each.expires:%Y-%m-%dT%H:%M:%SZ}"
        return Response.of(each.row)

    def _reauthorize(self, request: Request) -> Response:
        self._one(request)
        return Response(status=204)

    def _delete(self, request: Request) -> Response:
        self._one(request)
        del self.rows[request.path_value("name")]
        return Response(status=204)

    def _expiry(self, body: dict[str, Any]) -> datetime:
        now, wanted = self._graph.clock(), datetime.fromisoformat(body["expirationDateTime"])
        if wanted > now + LONGEST:
            raise Bad("ValidationError", "Subscription expiration can only be 10080 minutes in the future.")
        return max(wanted, now + SHORTEST)

    def _one(self, request: Request) -> Subscription:
        each = self._alive().get(request.path_value("name"))
        if each is None:
            raise Bad("ResourceNotFound", "The subscription was not found.", 404)
        return each

    def _alive(self) -> dict[str, Subscription]:
        return {name: each for name, each in self.rows.items() if each.expires > self._graph.clock()}


def _concerns(resource: str, calendar: str) -> bool:
    resource = unquote(resource)
    return resource.strip("/") == "me/events" or resource.strip("/") == f"me/calendars/{calendar}/events"


def _validate(url: str) -> None:
    """The handshake: 200, text/plain, the decoded token and nothing else, within ten seconds."""
    query = urlencode({"validationToken": _TOKEN})
    try:
        answer = httpx.post(f"{url}{'&' if '?' in url else '?'}{query}", timeout=WEBHOOK_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        raise Bad("ValidationError", "Subscription validation request failed.") from error
    plain = answer.headers.get("content-type", "").startswith("text/plain")
    if answer.status_code != 200 or not plain or answer.text != _TOKEN:
        raise Bad("ValidationError", "Subscription validation request failed: wrong answer.")
