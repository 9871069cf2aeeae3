"""Change notifications (microsoft: Push): create, renew and stop subscriptions, and read what arrives.

A notification only says that something changed, so it leads to an ordinary pass; it may come twice, late or never, so
passes by the clock go on. Who serves the address answers the handshake with what `handshake` returns (200, text/plain)
and everything else with 202 within three seconds.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from calhub.providers.base import ProviderError
from calhub.providers.microsoft.client import Graph, Part, error_of, path
from calhub.providers.rest import Reply

#: Just under the 10,080 minutes that events may be subscribed to.
LIFETIME: Final = timedelta(minutes=10_000)
#: Renewed when less than this is left, so that a day without network loses nothing.
SPARE: Final = timedelta(days=3)

_CHANGES: Final = "created,updated,deleted"

#: What to do: run a pass; renew the subscription; make it anew and run a pass; run a full pass.
Action = Literal["pass", "renew", "recreate", "full"]
_LIFECYCLE: Final[Mapping[str | None, Action]] = {
    "reauthorizationRequired": "renew",
    "subscriptionRemoved": "recreate",
    "missed": "full",
}


@dataclass(frozen=True)
class Subscription:
    """One calendar's subscription. ``secret`` comes back with each notification; ``expires`` is RFC 3339."""

    id: str
    calendar: str
    secret: str
    expires: str

    def dump(self) -> str:
        """As text, to be stored sealed: whoever knows the secret can make notifications up."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Subscription:
        return cls(**json.loads(text))

    def due(self, now: datetime) -> bool:
        """Whether it is time to renew."""
        return now >= datetime.fromisoformat(self.expires) - SPARE


class Subscriptions:
    """The subscriptions of one account. All methods raise `ProviderError`."""

    def __init__(self, graph: Graph, clock: Callable[[], datetime]) -> None:
        self._graph = graph
        self._clock = clock

    def create(self, calendar: str, url: str) -> Subscription:
        """Subscribe; Graph calls the address before it answers. One left over from an earlier life is replaced."""
        wanted = self._wanted(calendar, url)
        reply = self._send("POST", "subscriptions", json=wanted)
        if reply.status == 409:
            for row in self._own(wanted["resource"]):
                self._send("DELETE", "subscriptions", row["id"])
            reply = self._send("POST", "subscriptions", json=wanted)
        row = _success(reply)
        return Subscription(row["id"], calendar, wanted["clientState"], row["expirationDateTime"])

    def renew(self, subscription: Subscription) -> Subscription | None:
        """The subscription with a later end; None if it is not there any more and has to be created again."""
        reply = self._send("PATCH", "subscriptions", subscription.id, json={"expirationDateTime": self._end()})
        if reply.status == 404:
            return None
        expires = _success(reply)["expirationDateTime"]
        return Subscription(subscription.id, subscription.calendar, subscription.secret, expires)

    def stop(self, subscription: Subscription) -> None:
        """Unsubscribe; one that is gone already is fine."""
        reply = self._send("DELETE", "subscriptions", subscription.id)
        if reply.status >= 300 and reply.status != 404:
            raise error_of(reply)

    def _wanted(self, calendar: str, url: str) -> dict[str, str]:
        return {
            "changeType": _CHANGES,
            "notificationUrl": url,
            "lifecycleNotificationUrl": url,
            "resource": path("me", "calendars", calendar, "events"),
            "expirationDateTime": self._end(),
            "clientState": secrets.token_urlsafe(32),
        }

    def _own(self, resource: str) -> Iterator[dict[str, Any]]:
        for page in self._graph.pages(path("subscriptions")):
            yield from (row for row in page.get("value") or () if row.get("resource") == resource)

    def _end(self) -> str:
        return f"{self._clock() + LIFETIME:%Y-%m-%dT%H:%M:%SZ}"

    def _send(self, method: str, *segments: str, json: Any = None) -> Reply:
        return self._graph.send(Part(method, path(*segments), json))


class Push:
    """`calhub.providers.push.Push`: states are subscriptions as text; one that is planned has no id yet."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    def plan(self, calendar: str) -> str:
        return Subscription("", calendar, "", "").dump()

    def open(self, state: str, address: str) -> str:
        return self._subscriptions.create(Subscription.load(state).calendar, address).dump()

    def renew(self, state: str) -> str | None:
        renewed = self._subscriptions.renew(Subscription.load(state))
        return None if renewed is None else renewed.dump()

    def stop(self, state: str) -> None:
        if (subscription := Subscription.load(state)).id:
            self._subscriptions.stop(subscription)

    def expires(self, state: str) -> datetime:
        return datetime.fromisoformat(Subscription.load(state).expires)

    def due(self, state: str) -> datetime:
        return self.expires(state) - SPARE


def handshake(query: Mapping[str, str]) -> str | None:
    """The text to answer Graph's first call with, and nothing but it; None for any other call."""
    return query.get("validationToken")


def actions(body: bytes, known: Mapping[str, Subscription]) -> list[tuple[Subscription, Action]]:
    """What the notifications in one POST ask for, each once. ``known``: subscriptions by id.

    What is not for one of ours, or does not know its secret, is passed over. A kind that is not known is worth a look.
    """
    try:
        values = json.loads(body)["value"]
        found = [action for value in values if (action := _action(value, known)) is not None]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return list(dict.fromkeys(found))


def _action(value: Mapping[str, Any], known: Mapping[str, Subscription]) -> tuple[Subscription, Action] | None:
    subscription = known.get(value.get("subscriptionId", ""))
    secret = str(value.get("clientState")).encode()
    if subscription is None or not hmac.compare_digest(secret, subscription.secret.encode()):
        return None
    return subscription, _LIFECYCLE.get(value.get("lifecycleEvent"), "pass")


def _success(reply: Reply) -> dict[str, Any]:
    if reply.status >= 300 or not isinstance(reply.json, dict):
        error = error_of(reply)
        raise ProviderError("Microsoft 365 does not send notifications to this address.", error.message, error.trait)
    return reply.json
