"""``calhub serve`` as a process: how it begins, what it does by itself, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.daemon.rig import Daemon, Pair, eventually

from calhub.hub.backup import backup
from calhub.testing.davserver import Reply, Request
from calhub.testing.services.google import GoogleService


def test_as_a_new_user_starts_it(serving: Daemon) -> None:
    """It says where it is and what to do next, answers, keeps a second one out, and ends when asked."""
    serving.start()

    said = serving.log.read_text()
    assert serving.url in said
    assert "calhub account add" in said
    assert serving.get("health").json() == {"status": "ok"}
    code, said = serving.refused("--port", "0")
    assert (code, said.splitlines()[0]) == (3, "calhub: Another calhub serve keeps this home.")
    assert serving.stop() == 0


def test_changes_go_everywhere_by_themselves(serving: Daemon, pair: Pair) -> None:
    """A file, an edit on the command line and, asked for, a change at the server: all three places hold all."""
    pair.put_remote("r", "from the server")
    serving.start()
    eventually(lambda: pair.agree_on({"r": "from the server"}), "the first passes")

    pair.put("f", "from a file")
    eventually(lambda: len(pair.at_server()) == 2, "the file at the server")
    made = serving.calhub("event", "add", "--calendar", "Work", "--title", "by hand", "--start", "2026-11-24T10:00")
    serving.calhub("event", "edit", "f", "--title", "edited")

    pair.put_remote("s", "asked for")
    answer = serving.post("api/v1/sync", {"account": "dav"}).json()
    assert [(run["account"], run["status"]) for run in answer["runs"]] == [("dav", "ok")]

    everything = {"r": "from the server", "f": "edited", made["uid"]: "by hand", "s": "asked for"}
    eventually(lambda: pair.agree_on(everything), "everything everywhere")
    serving.stop()
    pair.assert_whole()


def test_a_wrong_command_line_is_refused(serving: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = serving.refused("--public-url", "calendar")
    assert code == 2
    assert "The public URL is no web address: 'calendar'." in said
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, said = serving.refused("--port", str(taken.getsockname()[1]))
    assert code == 1
    assert "calhub cannot listen on 127.0.0.1" in said
    for name, value in (("SERVE_PASSES", "0"), ("LOG_LEVEL", "verbose"), ("LOG_FORMAT", "xml")):
        monkeypatch.setenv(f"CALHUB_{name}", value)
        code, said = serving.refused()
        assert code == 2
        assert name.lower() in said
        assert "Traceback" not in said
        monkeypatch.delenv(f"CALHUB_{name}")


def test_a_restore_waits_for_the_daemon_to_end(serving: Daemon, pair: Pair) -> None:
    """The file under an open database is never replaced."""
    copy = pair.hub.parent / "copy.db"
    backup(pair.hub, copy)
    serving.start()
    assert "calhub serve" in serving.calhub("db", "restore", str(copy), code=3)["error"]["message"]
    serving.stop()
    serving.calhub("db", "restore", str(copy))


def test_settings_are_read_again(serving: Daemon) -> None:
    """SIGHUP with a public URL in the settings: the service is asked to tell of changes, and what it tells arrives."""
    with GoogleService() as google:
        calendar = google.user_add_calendar("Work")
        credentials = json.dumps(google.credentials())
        serving.calhub("account", "add", "google", "me", "--credentials", "-", "--calendars", "all", stdin=credentials)
        serving.start()
        assert google.channels == {}
        (serving.home / "config.toml").write_text(f'public_url = "{serving.url}"\n')
        serving.signal(signal.SIGHUP)
        eventually(lambda: len(google.channels) == 1, "a channel is opened")

        google.user_insert(calendar, summary="told", start={"date": "2026-11-23"}, end={"date": "2026-11-24"})
        assert {each.status for each in google.deliver()} == {200}
        eventually(lambda: len(serving.calhub("search", "told")) == 1, "what was told of")

        serving.calhub("account", "remove", "me")
        assert google.channels == {}


def test_settings_are_read_again_by_http(serving: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed counts at once, or is said to wait for the next start; broken settings change nothing."""
    monkeypatch.delenv("CALHUB_API_RATE", raising=False)
    config = serving.home / "config.toml"
    serving.start()
    page = {"Origin": "https://page.example"}
    assert serving.post("api/v1/reload", None).json() == {"changed": [], "restart": []}
    lines = {
        "time_zone": "Asia/Tokyo", "cors_origins": page["Origin"], "log_level": "debug", "target_query": "7",
        "public_url": serving.url, "serve_passes": "3", "alert_urls": "json://127.0.0.1:9", "keep_days": "5",
    }  # fmt: skip
    config.write_text("".join(f'{name} = "{value}"\n' for name, value in lines.items()))

    found = serving.post("api/v1/reload", None)

    assert (found.status_code, set(found.json()["changed"]), found.json()["restart"]) == (
        200,
        set(lines),
        ["log_level"],
    )
    assert serving.get("api/v1/status", page).headers["access-control-allow-origin"] == page["Origin"]
    targets = {each["name"]: each["target"] for each in serving.get("api/v1/criteria").json()["criteria"]}
    assert targets["query"] == 7
    serving.post("api/v1/calendars", {"name": "Work"})
    event = {"calendar": "Work", "title": "Lunch", "start": "2026-11-23T12:00"}
    assert serving.post("api/v1/events", event).json()["start"] == "2026-11-23T12:00:00+09:00"

    for broken in ("this is no TOML", 'api_rate = "many"', 'time_zone = "Mars"', "serve_passes = 0"):
        config.write_text(broken)
        answer = serving.post("api/v1/reload", None)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-value")
        assert serving.get("api/v1/status", page).headers["access-control-allow-origin"] == page["Origin"]
    serving.signal(signal.SIGHUP)
    eventually(lambda: "The settings stay as they were: " in serving.log.read_text(), "a complaint")
    first = serving.engine
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: serving.engine not in (None, first), "an engine with the settings there are")

    config.write_text("api_rate = 5\n")
    assert "api_rate" in serving.post("api/v1/reload", None).json()["changed"]
    answers = [serving.get("api/v1/status").status_code for _ in range(7)]
    assert 429 in answers
    assert "access-control-allow-origin" not in serving.get("health", page).headers
    serving.stop()
    assert [each["what"] for each in serving.calhub("audit", "show")].count("settings read again") == 3


def test_what_it_measures_of_itself(serving: Daemon, pair: Pair) -> None:
    """Each criterion from what has happened here: from a file to the hub, and on to the server."""

    def criteria() -> dict[str, Any]:
        return {each["name"]: each for each in serving.get("api/v1/criteria").json()["criteria"]}

    pair.put("old", "there before")
    serving.start()
    eventually(lambda: pair.agree_on({"old": "there before"}), "the first passes")
    eventually(lambda: criteria()["consistency"]["count"] == 2, "both ties")
    eventually(lambda: {run["status"] for run in serving.get("history").json()["runs"]} == {"ok"}, "passes have ended")
    before = criteria()
    assert before["detection"]["status"] == "not measured yet"  # what first passes bring is old

    pair.put("new", "a file")
    eventually(lambda: criteria()["propagation"]["count"] == before["propagation"]["count"] + 2, "both ways")
    assert serving.get("api/v1/search?q=file").status_code == 200
    found = criteria()

    more = {name: each["count"] - before[name]["count"] for name, each in found.items()}
    assert more == {"propagation": 2, "query": 1, "writes": 1, "consistency": 2, "detection": 1}
    assert all(0 < found[name]["value"] < 60 for name in ("propagation", "query", "detection"))
    assert (found["writes"]["value"], found["consistency"]["value"]) == (1.0, 1.0)
    metrics = serving.get("metrics").text.splitlines()
    assert 'calhub_detection_seconds_count{provider="folder"} 1.0' in metrics
    assert 'calhub_propagation_seconds_count{provider="folder",way="remote_to_hub"} 1.0' in metrics
    assert 'calhub_request_seconds_count{provider="caldav",status="201"} 2.0' in metrics
    assert 'calhub_operations_total{op="create",side="remote"} 2.0' in metrics
    assert 'calhub_api_seconds_count{method="GET",route="/api/v1/search",status="200"} 1.0' in metrics


class Gate:
    def __init__(self) -> None:
        self.arrived, self.opened = threading.Event(), threading.Event()


@pytest.fixture
def gate(pair: Pair) -> Iterator[Gate]:
    """The server keeps writes waiting until the gate is opened, and is slow afterwards."""
    made = Gate()

    def keep(request: Request) -> Reply | None:
        if request.method == "PUT":
            made.arrived.set()
            made.opened.wait()
            threading.Event().wait(0.05)
        return None

    pair.dav.answerers.append(keep)
    yield made
    made.opened.set()


def test_sigterm_lets_a_write_under_way_come_to_its_end(serving: Daemon, pair: Pair, gate: Gate) -> None:
    """The answer to the write that was sent is waited for and committed; the others are left to the next start."""
    for number in range(60):
        pair.put(f"e{number}", f"event {number}")
    serving.start()
    eventually(gate.arrived.is_set, "a write arrives")
    serving.signal(signal.SIGTERM)
    gate.opened.set()

    assert serving.wait() == 0
    written = len(pair.at_server())
    assert 1 <= written < 60
    pair.assert_whole()
    serving.start()
    eventually(lambda: pair.agree_on({f"e{n}": f"event {n}" for n in range(60)}), "the rest")
    creations = [request.path for request in pair.dav.seen("PUT")]
    assert len(creations) == len(set(creations)), "a write was made twice"


def test_a_server_that_never_answers_does_not_keep_it(serving: Daemon, pair: Pair, gate: Gate) -> None:
    """After ten seconds it ends anyway; what the server did meanwhile is found by the next one."""
    pair.put("e", "event")
    serving.start()
    eventually(gate.arrived.is_set, "a write arrives")
    assert serving.stop() == 0
    gate.opened.set()
    eventually(lambda: len(pair.dav.items) == 1, "the write is made after all")
    serving.start()
    eventually(lambda: pair.open_intents() == 0, "it is recognised")
    serving.stop()
    assert [request.method for request in pair.dav.requests if request.method == "PUT"] == ["PUT"]
    pair.assert_whole()
