"""A hub in a folder of its own, on a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calhub.hub import accounts
from calhub.hub.database import Hub

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def hub(home: Path) -> Iterator[Hub]:
    with Hub.open(home, clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def work(hub: Hub) -> int:
    """The id of a calendar called Work."""
    with hub.transaction() as conn:
        return accounts.add_calendar(conn, "Work", hub.now()).id


@pytest.fixture
def replica(hub: Hub, work: int) -> accounts.Replica:
    """A replica that ties Work to the remote calendar /cal/work."""
    with hub.transaction() as conn:
        account = accounts.add_account(conn, "home", "caldav", {"url": "https://dav.example.org"}, hub.now())
        return accounts.add_replica(conn, work, account.id, "/cal/work", "Work", hub.now())
