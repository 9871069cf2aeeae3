"""Floods of webhooks, repeated, reordered and mixed with forged ones: all changes arrive, by few passes."""

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import httpx
from tests.daemon.rig import Daemon, eventually
from tests.providers.notion.conftest import text

from calhub.hub import sql
from calhub.hub.database import Hub
from calhub.testing.people import PROPERTIES
from calhub.testing.services.base import Notification, Service
from calhub.testing.services.google import GoogleService
from calhub.testing.services.graph import Graph
from calhub.testing.services.notion import NotionService

#: Each changes its calendar by one event, and has one message.
CHANGES: Final = 50
DAY: Final = {"start": {"date": "2026-11-23"}, "end": {"date": "2026-11-24"}}
HOUR: Final[dict[str, Any]] = {
    "start": {"dateTime": "2026-11-23T10:00:00", "timeZone": "UTC"},
    "end": {"dateTime": "2026-11-23T11:00:00", "timeZone": "UTC"},
}


class Inlet:
    """A daemon with one account, which is sent messages."""

    def __init__(self, serving: Daemon, provider: str, credentials: dict[str, str]) -> None:
        self._serving = serving
        add = ("account", "add", provider, "me", "--credentials", "-", "--calendars", "all")
        serving.calhub(*add, stdin=json.dumps(credentials))
        serving.start()
        (serving.home / "config.toml").write_text(f'public_url = "{serving.url}"\n')
        serving.signal(signal.SIGHUP)
        self._begun = 0

    def begin(self) -> None:
        """What has been done so far does not count."""
        self._begun = self._passes()

    def flood(self, messages: Iterable[Notification], forged: Iterable[Notification]) -> set[int]:
        """Send each message eight times, all in any order, several at a time; returns the statuses."""
        chosen = [*list(messages) * 8, *forged]
        random.Random(1).shuffle(chosen)
        with ThreadPoolExecutor(8) as pool, httpx.Client(trust_env=False, timeout=60) as client:

            def send(message: Notification) -> int:
                return client.post(message.url, headers=dict(message.headers), content=message.body).status_code

            return set(pool.map(send, chosen))

    def arrived(self) -> None:
        """Wait until all changes have, once each, and see that it took few passes."""
        eventually(lambda: len(self._serving.calhub("search", "event", "--limit", "100")) == CHANGES, "all events")
        assert self._passes() - self._begun < CHANGES

    def _passes(self) -> int:
        with Hub.open(self._serving.home, create=False) as hub, hub.read() as conn:
            return int(sql.value(conn, "SELECT count(*) FROM run"))


def taken(service: Service) -> list[Notification]:
    """The messages that wait to be sent, to be sent by others."""
    with service.lock:
        messages, service.pending = service.pending, []
    return messages


def test_google(serving: Daemon) -> None:
    with GoogleService() as google:
        calendar = google.user_add_calendar("Work")
        inlet = Inlet(serving, "google", google.credentials())
        eventually(lambda: len(google.channels) == 1, "a channel is opened")
        google.deliver()
        inlet.begin()
        for number in range(CHANGES):
            google.user_insert(calendar, summary=f"event {number}", **DAY)
        messages = taken(google)
        forged = [replace(each, headers={**each.headers, "X-Goog-Channel-Token": "no"}) for each in messages]

        assert inlet.flood(messages, forged) == {200}
        inlet.arrived()


def test_microsoft(serving: Daemon) -> None:
    """Among them those of the subscription's life: it is renewed, and made anew once although it was said to end."""
    with Graph() as graph:
        calendar = graph.user_calendar("Work")
        inlet = Inlet(serving, "microsoft", graph.credentials())
        eventually(lambda: len(graph.subscriptions.rows) == 2, "subscriptions to this calendar and the default one")
        inlet.begin()
        for number in range(CHANGES):
            graph.user_event(calendar, subject=f"event {number}", **HOUR)
        names = set(graph.subscriptions.rows)
        for name in names:
            for kind in ("missed", "reauthorizationRequired", "subscriptionRemoved"):
                graph.subscriptions.lifecycle(name, kind)
        messages = taken(graph)
        secret = re.compile(rb'(?<="clientState": ")')
        forged = [replace(each, body=secret.sub(b"x", each.body)) for each in messages]
        assert all(each.body != message.body for each, message in zip(forged, messages, strict=True))

        assert inlet.flood(messages, forged) == {202}
        inlet.arrived()
        eventually(lambda: len(graph.subscriptions.rows) == len(names), "a subscription in place of each that ended")
        assert names.isdisjoint(graph.subscriptions.rows)


def test_notion(serving: Daemon) -> None:
    with NotionService() as notion:
        source = notion.add_database("Work", PROPERTIES)
        inlet = Inlet(serving, "notion", {"token": notion.token, "api_root": notion.api_root})
        made = notion.webhooks.subscribe(f"{serving.url}webhooks/notion/1")
        assert {each.status for each in notion.deliver()} == {200}
        eventually(lambda: made.token in serving.log.read_text(), "the person is told what to type in")
        notion.webhooks.verify(made, made.token)
        inlet.begin()
        for number in range(CHANGES):
            notion.user_create(source, {"Title": text(f"event {number}"), "Date": {"start": "2026-11-23"}})
        notion.webhooks.flush()
        messages = taken(notion)
        assert len(messages) == CHANGES
        forged = [replace(each, body=each.body + b" ") for each in messages]

        assert inlet.flood(messages, forged) == {200, 403}
        inlet.arrived()
