"""Alerts: what is told, when it is told again, and that it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.health.inbox import Inbox

from calhub.health.alerts import Alert, check, conditions, decide
from calhub.hub import accounts, runs
from calhub.hub.breaker import Breaker
from calhub.hub.database import Hub

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
QUIET = {"hours": [], "passes": 0, "success_rate": None}


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub.open(tmp_path / "home", clock=lambda: NOW) as opened:
        yield opened


def status(**changed: Any) -> dict[str, Any]:
    account = {"name": "cloud", "state": "ok", "breaker": {"state": "closed"}}
    account |= changed.pop("account", {})
    return {"accounts": [account], "holds": 0, "conflicts": 0, "webhooks": {"disabled": []}} | changed


def trend(passes: int, rate: float, mean_ms: float = 10.0) -> dict[str, Any]:
    return {"hours": [{"mean_ms": mean_ms}], "passes": passes, "success_rate": rate}


@pytest.mark.parametrize(
    ("now", "hour", "keys"),
    [
        (status(), QUIET, []),
        (status(), trend(100, 0.9), []),
        (status(), trend(100, 0.89), ["failures"]),
        (status(), trend(4, 0.0), []),
        (status(), trend(5, 1.0, mean_ms=60_000), []),
        (status(), trend(5, 1.0, mean_ms=60_001), ["slow"]),
        (status(account={"state": "needs_login"}), QUIET, ["login cloud"]),
        (status(account={"breaker": {"state": "open"}}), QUIET, ["breaker cloud"]),
        (status(account={"breaker": {"state": "half_open"}}), QUIET, []),
        (status(holds=2, conflicts=1), QUIET, ["holds", "conflicts"]),
        (status(webhooks={"disabled": [{"id": 3, "reason": "Gone."}]}), QUIET, ["webhook 3"]),
    ],
)
def test_conditions(now: dict[str, Any], hour: dict[str, Any], keys: list[str]) -> None:
    assert [each.key for each in conditions(now, hour, slow_seconds=60)] == keys


def test_told_once_and_again_when_it_comes_back_or_after_a_day() -> None:
    alert, other = Alert("holds", "2 holds"), Alert("slow", "slow")

    due, told = decide([alert], {}, NOW)
    assert due == [alert]
    due, told = decide([Alert("holds", "3 holds"), other], told, NOW + timedelta(hours=23))
    assert due == [other]
    due, told = decide([alert, other], told, NOW + timedelta(hours=24))
    assert due == [alert]
    due, told = decide([other], told, NOW + timedelta(hours=25))
    assert (due, list(told)) == ([], ["slow"])
    due, told = decide([alert, other], told, NOW + timedelta(hours=26))
    assert due == [alert]


def break_account(hub: Hub) -> None:
    with hub.transaction() as conn:
        made = accounts.add_account(conn, "cloud", "caldav", {}, hub.now())
        accounts.set_breaker(conn, made.id, Breaker("open", 5, NOW + timedelta(minutes=5)))


def test_arrives_once(hub: Hub, inbox: Inbox) -> None:
    """Over HTTP, all in one message; the second look, by another process too, sends nothing."""
    assert check(hub, [inbox.url], 60) == []
    break_account(hub)

    assert [each.key for each in check(hub, [inbox.url], 60)] == ["breaker cloud"]
    with Hub.open(hub.home, clock=lambda: NOW) as other:
        assert check(other, [inbox.url], 60) == []

    (message,) = inbox.messages
    assert message["title"] == "calhub"
    assert message["message"].startswith("cloud keeps failing")


def test_not_sent_is_tried_again(hub: Hub, inbox: Inbox) -> None:
    """By a service that refuses, and for an address that is none."""
    break_account(hub)
    inbox.status = 500
    assert check(hub, [inbox.url], 60) == []
    assert check(hub, ["nothing at all"], 60) == []
    inbox.status = 200

    assert [each.key for each in check(hub, [inbox.url], 60)] == ["breaker cloud"]
    assert len(inbox.messages) == 1


def test_failing_passes_are_told(hub: Hub, inbox: Inbox) -> None:
    """From the history as passes leave it."""
    with hub.transaction() as conn:
        for number in range(10):
            run = runs.start_hub_run(conn, "Work", kind="sync", now=hub.now())
            status = "failed" if number < 2 else "ok"
            runs.finish_run(
                conn,
                run,
                status=status,
                counts=runs.empty_counts(),
                errors=[],
                requests=0,
                duration_ms=5,
                now=hub.now(),
            )

    (sent,) = check(hub, [inbox.url], 60)

    assert sent.text == "20% of 10 passes in the last hour failed."
