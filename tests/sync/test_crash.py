"""Crash sweep: stop before and after every commit and every remote call; the end is that of the clean run (Q7)."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from calhub.testing.world import World


class Crash(BaseException):
    """The process is gone. A BaseException, so that nothing on the way can take it for an ordinary failure."""


class Bomb:
    """Counts moments and goes off at the chosen one."""

    def __init__(self, at: int | None) -> None:
        self.moments = 0
        self._at = at

    def __call__(self, *_: object) -> None:
        self.moments += 1
        if self.moments == self._at:
            raise Crash


def build(folder: Path) -> World:
    """Two remotes in step, then all at once: creations, disjoint edits, a clash, deletions, edit against delete."""
    world = World(folder)
    one, two = world.add_remote(), world.add_remote()
    for number in range(6):
        world.put(f"e{number}", title=f"event {number}")
    world.sync()
    one.edit("e0", title="token-1")
    two.edit("e0", location="token-2")
    world.edit("e1", description="token-3")
    world.clock.advance(minutes=1)
    one.edit("e2", title="token-4")
    world.edit("e2", title="token-5")
    world.put("new-in-hub", title="token-6")
    two.put("new-at-two", title="token-7")
    one.delete("e3")
    world.delete("e4")
    two.delete("e5")
    world.edit("e5", title="token-8")
    return world


def run_until_idle(world: World) -> None:
    for _ in range(8):
        world.sync()
        world.clock.advance(hours=12)


def arm(world: World, bomb: Bomb) -> None:
    world.hub.on_commit = bomb
    for remote in world.remotes:
        remote.service.hook = bomb


def disarm(world: World) -> None:
    for remote in world.remotes:
        remote.service.hook = None


def end_state(world: World) -> tuple[object, ...]:
    """Hub, remotes, and the values that lost a clash."""
    losers = {(clash["uid"], entry["name"], entry["remote"]) for clash in world.conflicts for entry in clash["fields"]}
    return (world.contents, *(remote.contents for remote in world.remotes), losers)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[object, ...], int]:
    world = build(tmp_path_factory.mktemp("clean"))
    bomb = Bomb(None)
    arm(world, bomb)
    world.sync()
    disarm(world)
    world.hub.on_commit = None
    run_until_idle(world)
    state = end_state(world)
    world.close()
    return state, bomb.moments


def crash_and_recover(folder: Path, points: list[int]) -> World:
    world = build(folder)
    for point in points:
        arm(world, Bomb(point))
        with contextlib.suppress(Crash):
            world.sync()
        disarm(world)
        world.reopen()
    run_until_idle(world)
    return world


def test_the_clean_run_is_what_the_edits_imply(clean: tuple[tuple[object, ...], int]) -> None:
    """Every token is there, both remotes equal the hub."""
    (hub, one, two, losers), moments = clean

    assert hub == one == two
    for token in (f"token-{number}" for number in (1, 2, 3, 5, 6, 7, 8)):
        assert token in repr(hub)
    assert isinstance(losers, set)
    assert ("e2", "title", "token-4") in losers
    assert moments > 40


def test_stopping_anywhere_ends_like_the_clean_run(
    clean: tuple[tuple[object, ...], int], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """Each single crash point, before and after each commit and call; then each again right after the restart."""
    state, moments = clean
    for point in range(1, moments + 1):
        for points in ([point], [point, 1 + point % 7]):
            with subtests.test(points=points):
                world = crash_and_recover(tmp_path / "-".join(map(str, points)), points)
                try:
                    assert end_state(world) == state
                    uids = [request.uid for remote in world.remotes for request in remote.service.writes()]
                    assert uids
                    writes = sum(remote.writes for remote in world.remotes)
                    world.sync()
                    assert sum(remote.writes for remote in world.remotes) == writes
                finally:
                    world.close()


def test_a_crash_loses_no_token_from_the_database(tmp_path: Path) -> None:
    """What a user typed is in the hub or at a remote right after the crash, before any recovery."""
    world = build(tmp_path / "home")
    arm(world, Bomb(9))
    with pytest.raises(Crash):
        world.sync()
    disarm(world)
    world.reopen()

    everywhere = repr((world.contents, [remote.contents for remote in world.remotes], world.conflicts))

    for number in range(1, 9):
        assert f"token-{number}" in everywhere
    world.close()
