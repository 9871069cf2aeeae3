"""What the tests share: a clock, and events as Outlook would make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from calhub.providers.base import Provider
from calhub.providers.limits import Limiter
from calhub.providers.microsoft import MicrosoftProvider
from calhub.providers.microsoft.client import Graph as Client
from calhub.providers.rest import Rest
from calhub.testing.services.graph import Graph


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def signed_in(graph: Graph, clock: Clock) -> MicrosoftProvider:
    """A provider with an access token of its own, whose waiting is only noted."""
    limiter = Limiter(rate=1000, burst=1000, clock=lambda: 0.0, sleep=clock.sleep)
    rest = Rest(graph.root, Renewing(graph), limiter=limiter)
    return MicrosoftProvider(Client(rest, sleep=clock.sleep), clock=clock)


class Renewing:
    """Tokens as an account has them: a refused one is replaced, unless the user took the consent back."""

    def __init__(self, graph: Graph) -> None:
        self._oauth = graph.oauth
        self._token = graph.oauth.access()

    def current(self) -> str:
        return self._token

    def refused(self, token: str) -> None:
        if token == self._token:
            self._token = self._oauth.access()


def client_of(provider: Provider) -> Client:
    """The Graph client inside a provider."""
    assert isinstance(provider, MicrosoftProvider)
    return provider._graph


def meeting(**props: Any) -> dict[str, Any]:
    """An hour on a Monday in Berlin, as Outlook would make it."""
    zone = "W. Europe Standard Time"
    return {
        "subject": "Meeting",
        "start": {"dateTime": "2026-11-23T10:00:00", "timeZone": zone},
        "end": {"dateTime": "2026-11-23T11:00:00", "timeZone": zone},
        "isReminderOn": False,
        **props,
    }


def weekly(**props: Any) -> dict[str, Any]:
    """Six Mondays."""
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "monday"}
    bounds = {"type": "numbered", "startDate": "2026-11-23", "numberOfOccurrences": 6}
    return meeting(recurrence={"pattern": pattern, "range": bounds}, **props)


def moved(props: dict[str, Any], days: int) -> dict[str, Any]:
    """The event so many days later."""
    result = dict(props)
    for name in ("start", "end"):
        wall = datetime.fromisoformat(props[name]["dateTime"]) + timedelta(days=days)
        result[name] = {**props[name], "dateTime": wall.isoformat()}
    return result
