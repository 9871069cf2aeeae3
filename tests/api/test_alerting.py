"""Alerts of a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.api.conftest import NOW, Serve, Settings
from tests.health.inbox import Inbox

from calhub.hub import accounts
from calhub.hub.breaker import Breaker
from calhub.hub.database import Hub


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


def test_server_tells(serve: Serve, hub: Hub, settings: Settings, inbox: Inbox) -> None:
    """Nobody has to ask it for anything."""
    with hub.transaction() as conn:
        made = accounts.add_account(conn, "cloud", "caldav", {}, hub.now())
        accounts.set_breaker(conn, made.id, Breaker("open", 5, NOW + timedelta(minutes=5)))
    settings["alert_urls"] = inbox.url

    serve()

    assert inbox.arrived.wait(60)
    assert inbox.messages[0]["message"].startswith("cloud keeps failing")
