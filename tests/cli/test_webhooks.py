"""`calhub webhook`: addresses that are told of changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Calhub
from tests.daemon.receiver import Receiver, fail

from calhub.daemon.delivery import Delivery
from calhub.hub.database import Hub


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver(time.time)
    yield made
    made.close()
    assert made.refused == []


@pytest.fixture
def told(calhub: Calhub, receiver: Receiver) -> Receiver:
    """A hub with the calendar Work that tells the receiver of it."""
    calhub("calendar", "add", "Work")
    made = calhub("webhook", "add", receiver.url, "--calendar", "Work", "--json").json
    receiver.secrets.append(made["secret"])
    return receiver


def test_secret_for_a_script(calhub: Calhub, receiver: Receiver) -> None:
    """Without --json the secret alone is on standard output."""
    result = calhub("webhook", "add", receiver.url)
    assert result.out.startswith("whsec_")
    assert "calhub webhook test 1" in result.err
    assert calhub("webhook", "rotate", "1").out != result.out


def test_list_and_remove(calhub: Calhub, told: Receiver) -> None:
    (listed,) = calhub("webhook", "list", "--json").json
    assert listed | {"created": ""} == {
        "id": 1, "url": told.url, "calendars": ["Work"], "state": "active", "reason": None, "failing_since": None,
        "pending": 0, "dead": 0, "created": "",
    }  # fmt: skip
    assert told.url in calhub("webhook", "list").out

    assert calhub("webhook", "remove", "1", "--json").json == {"removed": 1}
    assert calhub("webhook", "remove", "1", "--json").code == 1
    assert calhub("webhook", "list", "--json").json == []


def test_ping(calhub: Calhub, told: Receiver) -> None:
    """Says what came, and exits with 1 unless it was a success."""
    assert calhub("webhook", "test", "1").out.startswith("The answer was 204, after ")
    told.answers += fail(1, 500)
    result = calhub("webhook", "test", "1", "--json")
    assert (result.code, result.json["ok"], result.json["error"]) == (1, False, "The answer was 500.")
    assert told.types == ["ping", "ping"]


def test_messages_and_what_to_do_about_them(
    calhub: Calhub, told: Receiver, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Listed by state, sent again; `status` and `doctor` tell of a webhook that is disabled, and how to go on."""
    calhub("event", "add", "--calendar", "Work", "--title", "Lunch", "--start", "2026-11-24T12:00")
    told.answers += fail(1, 410)
    _deliver(home)
    capfd.readouterr()  # the log
    assert calhub("status", "--json").json["webhooks"]["disabled"] == [
        {"id": 1, "reason": "It wants no more messages (410)."}
    ]
    assert "Webhook 1 is disabled. It wants no more messages (410)." in calhub("status").out
    checks = {each["name"]: each for each in calhub("doctor", "--json").json["checks"]}
    assert (checks["webhook 1"]["ok"], "webhook enable 1" in checks["webhook 1"]["hint"]) == (False, True)
    (message,) = calhub("webhook", "messages", "--endpoint", "1", "--state", "pending", "--json").json
    assert (message["status"], message["attempts"]) == (410, 1)
    assert "disabled" in calhub("webhook", "resend", message["id"], "--json").error["message"]

    assert calhub("webhook", "enable", "1", "--json").json["state"] == "active"
    assert calhub("webhook", "resend", message["id"], "--json").json == {"resent": 1}
    assert calhub("webhook", "resend", "--dead", "--json").json == {"resent": 0}
    _deliver(home)
    assert message["id"] in calhub("webhook", "messages", "--state", "delivered").out
    assert len(told.told) == 1
    assert calhub("webhook", "disable", "1", "--json").json["reason"] == "Disabled by hand."
    assert calhub("doctor", "--json").code == 0


def test_usage(calhub: Calhub) -> None:
    assert calhub("webhook", "add", "ftp://example.org", "--json").code == 2
    assert calhub("webhook", "add", "http://example.org/", "--json").code == 2
    assert calhub("webhook", "add", "https://example.org", "--calendar", "Wrok", "--json").code == 1
    assert calhub("webhook", "resend", "--json").code == 2
    assert calhub("webhook", "resend", "msg_0", "--dead", "--json").code == 2
    assert calhub("webhook", "resend", "msg_0", "--json").code == 1


def _deliver(home: Path) -> None:
    """What calhub serve would do now."""
    with Hub.open(home) as hub:
        delivery = Delivery(hub)
        delivery.cut()
        for due in delivery.due():
            delivery.attempt(due)
