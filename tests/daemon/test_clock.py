"""Somebody sets the clock of the machine on which a daemon runs, an hour ahead or back: nothing waits for that hour."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.daemon.rig import Daemon, Pair, eventually

from calhub.hub import accounts, audit, sql
from calhub.hub.breaker import PAUSE, Breaker
from calhub.hub.database import Hub

MOVED: Final = Path(__file__).parent / "moved"
HOUR: Final = timedelta(hours=1)


class Clock:
    """The clock of the daemon's processes: ``moved/sitecustomize.py`` keeps it as far from the real one as told."""

    def __init__(self, file: Path, serving: Daemon) -> None:
        self._file = file
        self._serving = serving
        self._ahead = timedelta(0)
        self._write()
        path = os.pathsep.join(filter(None, [str(MOVED), os.environ.get("PYTHONPATH")]))
        serving.environment |= {"CALHUB_TEST_CLOCK": str(file), "PYTHONPATH": path}

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def set(self, jump: timedelta) -> None:
        """Have it jump, and wait until both processes go by it."""
        self._ahead += jump
        self._write()
        eventually(lambda: abs(self._front() - self.now) < HOUR / 4, "the front's clock is set")
        eventually(lambda: abs(self._engine() - self.now) < HOUR / 4, "the engine's clock is set")

    def _write(self) -> None:
        partial = self._file.with_suffix(".partial")
        partial.write_text(str(self._ahead.total_seconds()))
        partial.rename(self._file)  # nobody reads half of it

    def _front(self) -> datetime:
        return parsedate_to_datetime(self._serving.get("health").headers["date"])

    def _engine(self) -> datetime:
        """When it began the last run; it is asked for one."""
        self._serving.post("api/v1/sync", {"account": "disk"})
        with Hub.open(self._serving.home, create=False) as hub, hub.read() as conn:
            return datetime.fromisoformat(sql.value(conn, "SELECT started FROM run ORDER BY id DESC"))


@pytest.fixture
def clock(tmp_path: Path, serving: Daemon) -> Clock:
    return Clock(tmp_path / "clock", serving)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "back"])
def test_the_clock_is_set(serving: Daemon, pair: Pair, clock: Clock, ahead: timedelta) -> None:
    """And put right again: each time changes go on their way from all sides, and nothing is made twice."""
    serving.start()
    pair.put("e", "event")
    eventually(lambda: pair.agree_on({"e": "event"}), "the first event")
    made = _ask(serving)
    titles = {"e": "event", made.json()["uid"]: "asked for"}

    for jump in (ahead, -ahead):
        ending = clock.now + PAUSE
        clock.set(jump)
        _leave_alone(pair, ending)
        assert _ask(serving).headers["Idempotency-Replayed"] == "true"
        pair.put(f"file {jump}", "a file")
        pair.put_remote(f"there {jump}", "made there")
        serving.calhub("event", "edit", "e", "--title", f"edited {jump}")
        titles |= {f"file {jump}": "a file", f"there {jump}": "made there", "e": f"edited {jump}"}
        _arrive(pair, titles)
    serving.stop()
    pair.assert_whole()
    with Hub.open(pair.hub, create=False) as hub, hub.read() as conn:
        assert audit.verify(conn)["ok"]


def _ask(serving: Daemon) -> httpx.Response:
    """Add an event by a request that is always the same."""
    event = {"calendar": "Work", "title": "asked for", "start": "2026-11-24T10:00"}
    url, key = serving.url + "api/v1/events", {"Idempotency-Key": "key"}
    return httpx.post(url, json=event, headers=key, trust_env=False, timeout=60)


def _leave_alone(pair: Pair, until: datetime) -> None:
    """The server's account was to rest until then when the clock was set."""
    with Hub.open(pair.hub, create=False) as hub, hub.transaction() as conn:
        account = accounts.account(conn, "dav")
        accounts.set_breaker(conn, account.id, Breaker("open", 5, until))


def _arrive(pair: Pair, titles: dict[str, str]) -> None:
    eventually(lambda: pair.agree_on(titles), "everything everywhere")
