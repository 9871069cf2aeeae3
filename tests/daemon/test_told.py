"""``calhub serve`` and somebody who is told of changes: through pauses, and through deaths."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from tests.daemon.receiver import Receiver
from tests.daemon.rig import Daemon, eventually


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()
    assert made.refused == []


@pytest.fixture
def told(serving: Daemon, receiver: Receiver) -> Receiver:
    """Told of all that happens in the hub of ``serving``, which does not run yet."""
    serving.calhub("calendar", "add", "Work")
    receiver.secrets.append(serving.calhub("webhook", "add", receiver.url)["secret"])
    return receiver


def add(serving: Daemon, title: str) -> str:
    body = {"calendar": "Work", "title": title, "start": "2026-11-23T12:00"}
    uid: str = serving.post("api/v1/events", body).json()["uid"]
    return uid


def states(serving: Daemon) -> dict[str, int]:
    found: list[dict[str, Any]] = serving.calhub("webhook", "messages")
    return {state: [each["state"] for each in found].count(state) for state in ("pending", "delivered")}


def test_told_at_once(serving: Daemon, told: Receiver) -> None:
    """What happened while the daemon did not run, and what happens while it does, by the API and by other processes."""
    before = serving.calhub("event", "add", "--calendar", "Work", "--title", "x", "--start", "2026-11-24T10:00")["uid"]
    serving.start()
    eventually(lambda: told.told == [before], "what was there")
    by_api = add(serving, "by the API")
    eventually(lambda: told.told == [before, by_api], "a change by the API")
    by_hand = serving.calhub("event", "add", "--calendar", "Work", "--title", "y", "--start", "2026-11-24T10:00")["uid"]
    eventually(lambda: told.told == [before, by_api, by_hand], "a change by another process")
    assert serving.stop() == 0


def test_a_receiver_that_comes_back(serving: Daemon, told: Receiver) -> None:
    """What was missed waits, and arrives as soon as somebody says that all is well."""
    serving.start()
    told.close()
    uid = add(serving, "missed")
    eventually(lambda: serving.calhub("webhook", "list")[0]["failing_since"] is not None, "a failure")
    told.open()
    serving.calhub("webhook", "enable", "1")
    eventually(lambda: told.told == [uid], "what was missed")


def test_killed_between_cut_and_delivery(serving: Daemon, told: Receiver) -> None:
    """The message that was under way, and those that waited, are there after the next start; each change once."""
    arrived, over = threading.Event(), threading.Event()

    def keep(_: BaseHTTPRequestHandler) -> None:
        arrived.set()
        over.wait()

    told.answers.append(keep)
    serving.start()
    uids = [add(serving, "first")]
    eventually(arrived.is_set, "the first message arrives")
    uids += [add(serving, "second")]
    eventually(lambda: states(serving)["pending"] == 2, "the second one waits")
    engine = serving.engine
    assert engine is not None
    serving.signal(signal.SIGKILL)
    os.kill(engine, signal.SIGKILL)  # before it notes that nothing came of the first one
    serving.wait()
    over.set()

    serving.start()
    eventually(lambda: states(serving) == {"pending": 0, "delivered": 2}, "both are delivered")
    assert told.told == uids
    assert [each.id for each in told.received].count(told.received[0].id) == 2


def test_nobody_waits_for_a_receiver_that_hangs(serving: Daemon, told: Receiver) -> None:
    """Neither do those who ask, nor others who are told, nor the end."""
    arrived, over = threading.Event(), threading.Event()

    def keep(_: BaseHTTPRequestHandler) -> None:
        arrived.set()
        over.wait()

    other = Receiver()
    other.secrets.append(serving.calhub("webhook", "add", other.url)["secret"])
    told.answers.append(keep)
    serving.start()
    uid = add(serving, "x")
    eventually(arrived.is_set, "the message arrives")
    eventually(lambda: other.told == [uid], "the other one is told")
    assert serving.post("api/v1/sync", {}).status_code == 200
    assert serving.stop() == 0
    over.set()
    other.close()
    assert other.refused == []
