"""Alerts of a command from cron."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cli.conftest import Calhub, Folder
from tests.health.inbox import Inbox


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


def test_sync_tells(calhub: Calhub, work: Folder, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that leaves a hold says so, once."""
    monkeypatch.setenv("CALHUB_ALERT_URLS", inbox.url)
    for number in range(20):
        work.put("work", f"e{number}", "x")
    assert calhub("sync").code == 0
    assert inbox.messages == []
    for name in work.names("work"):
        (work.path / "work" / f"{name}.ics").unlink()

    assert calhub("sync").code == 4
    assert calhub("sync").code == 4

    (message,) = inbox.messages
    assert "1 holds" in message["message"]
