"""Q11: what a sync costs follows what has changed, not what is there. Counted, not timed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calhub.calendar.ical import write_object
from calhub.hub import sql
from calhub.sync.context import Pass
from calhub.testing.davserver import DavServer
from calhub.testing.memory import Quirks
from calhub.testing.world import World, plain

CHANGES = 10


@dataclass(frozen=True)
class Cost:
    requests: int
    rows: int


def cost(home: Path, events: int) -> Cost:
    """Of a sync that brings ten changes from each side to the other, in a calendar of so many events."""
    world = World(home)
    remote = world.add_remote(quirks=Quirks(page_size=50))
    for number in range(events):
        remote.put(f"e{number}", title=f"event {number}")
    world.sync()
    for number in range(CHANGES):
        remote.edit(f"e{number}", title="changed there")
        world.edit(f"e{number + CHANGES}", title="changed here")
    requests, rows = len(remote.service.log), written(world)
    world.sync()
    spent = Cost(len(remote.service.log) - requests, written(world) - rows)
    assert remote.contents == world.contents
    world.close()
    return spent


def written(world: World) -> int:
    with world.hub.transaction() as conn:
        return int(sql.value(conn, "SELECT total_changes()"))


def test_cost_follows_the_changes(tmp_path: Path) -> None:
    """The same at 100 events and at 1,000: one page, ten writes, and a bounded number of rows for each change.

    The full-text index now and then tidies up a few rows of its own.
    """
    small, large = cost(tmp_path / "small", 100), cost(tmp_path / "large", 1000)

    assert small.requests == large.requests == 1 + CHANGES
    assert max(small.rows, large.rows) <= 16 * 2 * CHANGES  # two of them for the audit log
    assert large.rows <= 1.1 * small.rows


def test_a_pass_with_nothing_to_do_loads_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither SQLAlchemy nor the iCalendar codec nor rules: they take longer to load than the rest of such a pass."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    with DavServer() as server:
        args = ["--url", f"{server.url}/", "--username", "user", "--password-stdin"]
        script = (
            "import sys; from calhub.cli.main import run;"
            f"code = run(['--home', {str(tmp_path / 'home')!r}, *sys.argv[1:]]);"
            "print(code, [name for name in ('sqlalchemy', 'calhub.calendar.ical_read', 'calhub.rules.derive')"
            " if name in sys.modules])"
        )

        def calhub(*argv: str) -> str:
            command = [sys.executable, "-c", script, *argv]
            done = subprocess.run(command, input="secret", capture_output=True, text=True, check=True)
            return done.stdout.splitlines()[-1]

        calhub("account", "add", "caldav", "dav", *args)
        server.store("a.ics", write_object("a", plain(title="A"), now=datetime(2026, 11, 21, tzinfo=UTC)))

        assert "ical_read" in calhub("sync")
        assert calhub("sync") == "0 []"


def test_reading_everything_again_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage of Q11: every pass a full one."""
    usual = Pass.__init__
    monkeypatch.setattr(Pass, "__init__", lambda of, **given: usual(of, **{**given, "full": True}))

    assert cost(tmp_path / "large", 1000).requests > 1 + CHANGES
