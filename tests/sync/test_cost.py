"""Q11: what a sync costs follows what has changed, not what is there. Counted, not timed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from calhub.hub import sql
from calhub.sync.context import Pass
from calhub.testing.memory import Quirks
from calhub.testing.world import World

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
    assert max(small.rows, large.rows) <= 15 * 2 * CHANGES
    assert large.rows <= 1.1 * small.rows


def test_reading_everything_again_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage of Q11: every pass a full one."""
    plain = Pass.__init__
    monkeypatch.setattr(Pass, "__init__", lambda of, **given: plain(of, **{**given, "full": True}))

    assert cost(tmp_path / "large", 1000).requests > 1 + CHANGES
