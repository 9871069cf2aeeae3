"""``sync`` as cron starts it: accounts in turn and at their intervals, and runs that overlap."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Calhub, Folder

FEED = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nEND:VCALENDAR\r\n"


@pytest.fixture
def usb(calhub: Calhub, work: Folder, tmp_path: Path) -> Folder:
    """A second account, ``usb``, with a calendar ``home``."""
    del work
    other = Folder(tmp_path / "other")
    other.calendar("home")
    assert calhub("account", "add", "folder", "usb", "--url", str(other.path), "--json").code == 0
    return other


def synced(calhub: Calhub, *options: str) -> list[str]:
    """The accounts of a sync that goes well, in their order."""
    result = calhub("sync", *options, "--json")
    assert result.code == 0, result
    return [run["account"] for run in result.json["runs"]]


# account set


@pytest.mark.usefixtures("work")
def test_account_set(calhub: Calhub) -> None:
    """Priority and interval are kept, each until it is named again."""
    first = calhub("account", "set", "disk", "--priority", "3", "--interval", "5m", "--json")
    second = calhub("account", "set", "disk", "--interval", "1h30m", "--json")
    third = calhub("account", "set", "disk", "--interval", "0", "--priority", "-1", "--json")

    found = [(each.json["priority"], each.json["interval"]) for each in (first, second, third)]
    assert found == [(3, 300), (3, 5400), (-1, 0)]
    assert calhub("account", "list", "--json").json == [third.json]
    assert calhub("status", "--json").json["accounts"] == [third.json]
    assert "disk" in calhub("account", "set", "disk", "--priority", "1").out


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("disk",), 2),
        (("disk", "--interval", "5"), 2),
        (("disk", "--interval", "often"), 2),
        (("disk", "--interval", "-5m"), 2),
        (("disk", "--interval", "1000w"), 2),
        (("disk", "--priority", "high"), 2),
        (("usb", "--priority", "1"), 1),
    ],
)
def test_account_set_with_bad_values(calhub: Calhub, argv: tuple[str, ...], code: int) -> None:
    """Nothing to set, values that are none, an account that is not there: a sentence, and nothing is changed."""
    before = calhub("account", "list", "--json").json

    result = calhub("account", "set", *argv, "--json")

    assert (result.code, sorted(result.error)) == (code, ["hint", "message"])
    assert calhub("account", "list", "--json").json == before


# In turn


@pytest.mark.usefixtures("usb")
def test_order_of_accounts(calhub: Calhub) -> None:
    """The higher priority goes first; at first the one that was never synced."""
    assert synced(calhub) == ["usb", "disk"]
    calhub("account", "set", "disk", "--priority", "1")
    assert synced(calhub) == ["disk", "usb"]


@pytest.mark.usefixtures("usb")
@pytest.mark.parametrize("workers", ["0", "-1", "many", "1.5", "100"])
def test_bad_number_of_workers(calhub: Calhub, monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    """The limit is a number from 1 to 99."""
    monkeypatch.setenv("CALHUB_SYNC_WORKERS", workers)

    result = calhub("sync", "--json")

    assert result.code == 2
    assert "sync_workers" in result.error["message"]


@pytest.mark.usefixtures("usb")
def test_one_worker(calhub: Calhub, monkeypatch: pytest.MonkeyPatch) -> None:
    """One account after the other is a choice too."""
    monkeypatch.setenv("CALHUB_SYNC_WORKERS", "1")

    assert synced(calhub) == ["usb", "disk"]


# At their intervals


def test_interval_leaves_an_account_out(calhub: Calhub, usb: Folder) -> None:
    """Within its interval an account has no run in a plain sync, whatever is new there; -v says so."""
    calhub("account", "set", "usb", "--interval", "1h")
    assert synced(calhub) == ["usb", "disk"]
    usb.put("home", "a", "New")

    assert synced(calhub) == ["disk"]
    loud = calhub("sync", "-v")
    assert "usb: left out, not due before " in loud.err
    assert "usb" not in calhub("sync").err
    calhub("account", "set", "disk", "--interval", "1h")
    nothing = calhub("sync")
    assert (nothing.code, nothing.out) == (0, "")
    assert "No account is due" in nothing.err
    assert synced(calhub) == []
    assert calhub("search", "New", "--json").json == []


@pytest.mark.usefixtures("usb")
@pytest.mark.parametrize(
    ("options", "accounts"),
    [
        (("--account", "usb"), ["usb"]),
        (("--calendar", "home"), ["usb"]),
        (("--full",), ["disk", "usb"]),
        (("--dry-run",), ["disk", "usb"]),
    ],
)
def test_whoever_asks_gets_it(calhub: Calhub, options: tuple[str, ...], accounts: list[str]) -> None:
    """An account or calendar named is synced at once; so is everything with --full and --dry-run."""
    calhub("account", "set", "usb", "--interval", "1h")
    calhub("account", "set", "disk", "--interval", "1h")
    calhub("sync")

    assert sorted(synced(calhub, *options)) == accounts


def test_a_local_edit_is_pushed_at_once(calhub: Calhub, usb: Folder) -> None:
    """What waits to be written to an account does not wait for its interval."""
    calhub("account", "set", "usb", "--interval", "1h")
    calhub("sync")
    calhub("event", "add", "--calendar", "home", "--uid", "a", "--title", "Mine", "--start", "2026-11-23")

    assert "usb" in synced(calhub)
    assert usb.names("home") == ["a"]
    assert "usb" not in synced(calhub)


def test_a_failed_account_does_not_rest(calhub: Calhub, usb: Folder) -> None:
    """An interval is for what went well: after a failure each sync tries, until the account is left alone."""
    calhub("account", "set", "usb", "--interval", "1h")
    usb.path.rename(usb.path.with_name("unplugged"))
    assert calhub("sync", "--json").code == 1
    assert calhub("sync", "--json").code == 1
    usb.path.with_name("unplugged").rename(usb.path)

    assert "usb" in synced(calhub)
    assert "usb" not in synced(calhub)


def test_signing_in_again_keeps_the_schedule(calhub: Calhub, tmp_path: Path) -> None:
    """Signing in changes nothing about when the account has its turn; nor does a key of a credentials file."""
    credentials = tmp_path / "credentials.json"
    credentials.write_text(json.dumps({"url": str(tmp_path / "vdirs"), "schedule": "x"}))
    Folder(tmp_path / "vdirs").calendar("work")
    added = calhub("account", "add", "folder", "disk", "--credentials", str(credentials), "--json").json
    assert (added["account"]["priority"], added["account"]["interval"]) == (0, 0)
    calhub("account", "set", "disk", "--priority", "7", "--interval", "1h")

    assert calhub("account", "login", "disk", "--json").json["priority"] == 7
    assert synced(calhub) == ["disk"]
    assert synced(calhub) == []


# Overlapping


@pytest.fixture
def slow(calhub: Calhub, usb: Folder) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A third account, a feed that answers only when told to: (somebody asks, answer)."""
    del usb
    asked, answer = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            answer.wait(timeout=60)
            self.send_response(200)
            self.send_header("Content-Length", str(len(FEED)))
            self.end_headers()
            self.wfile.write(FEED)

        def log_message(self, *_: Any) -> None:
            """Not into the output of the tests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        threading.Thread(target=site.serve_forever).start()
        answer.set()
        url = f"http://127.0.0.1:{site.server_port}/slow.ics"
        assert calhub("account", "add", "feed", "slow", "--url", url, "--json").code == 0
        asked.clear()
        answer.clear()
        yield asked, answer
        answer.set()
        site.shutdown()


def test_overlapping_runs_end_with_3(calhub: Calhub, slow: tuple[threading.Event, threading.Event]) -> None:
    """A run that meets another one leaves its accounts alone, does the others, says so and ends with 3."""
    asked, answer = slow
    first = subprocess.Popen(
        [sys.executable, "-m", "calhub.cli", "sync", "--account", "slow", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert asked.wait(timeout=60)

    second = calhub("sync", "--json")
    answer.set()
    out, err = first.communicate(timeout=60)

    assert second.code == 3
    runs = {run["account"]: run for run in second.json["runs"]}
    assert {name: run["status"] for name, run in runs.items()} == {"slow": "skipped", "usb": "ok", "disk": "ok"}
    assert [error["message"] for error in runs["slow"]["errors"]] == ['Another sync is working on the account "slow".']
    assert (first.returncode, json.loads(out)["runs"][0]["status"]) == (0, "ok"), err
    assert synced(calhub, "--account", "slow") == ["slow"]


def test_a_slow_account_holds_up_no_other(calhub: Calhub, slow: tuple[threading.Event, threading.Event]) -> None:
    """While one service takes its time, the accounts after it are read."""
    asked, answer = slow
    calhub("account", "set", "slow", "--priority", "9")
    process = subprocess.Popen(
        [sys.executable, "-m", "calhub.cli", "sync", "-v"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    read = [process.stderr.readline().strip() for _ in range(2)]
    assert asked.wait(timeout=60)
    answer.set()
    _, rest = process.communicate(timeout=60)

    assert sorted(read) == ["home (usb): reading", "work (disk): reading"]
    assert "slow (slow): reading" in rest
    assert process.returncode == 0
