"""The hub loses its memory, or gets an old one back: no remote loses anything for that (Q10)."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from calhub.hub import sql
from calhub.hub.backup import backup, restore
from calhub.testing.world import Remote, World


class Crash(BaseException):
    """The process is gone."""


def deletes(*remotes: Remote) -> int:
    return sum(request.method == "delete" for remote in remotes for request in remote.service.log)


def lose_base(world: World) -> None:
    """Links, journal and cursors are gone; events and observations are still there."""
    with world.hub.transaction() as conn:
        conn.execute("DELETE FROM link")
        conn.execute("DELETE FROM intent")
        conn.execute("UPDATE replica SET cursor = NULL")


def put_back(world: World, file: Path) -> None:
    """The hub is damaged; a person restores the backup, and all that the process knew is gone."""
    world.hub.close()
    world.hub.path.write_bytes(b"\0" * 10_000)
    restore(world.home, file)
    world.reopen()


def in_step(world: World, *, events: int = 12) -> tuple[Remote, Remote]:
    """Two remotes and a hub that hold the same events, ``e0`` and so on."""
    one, two = world.add_remote(), world.add_remote()
    for number in range(events):
        world.put(f"e{number}", title=f"event {number}")
    world.sync()
    return one, two


def assert_equal_everywhere(world: World, *remotes: Remote) -> None:
    for remote in remotes:
        assert remote.contents == world.contents


def test_equal_pairs_are_adopted_without_a_write(world: World) -> None:
    """Without links, journal and cursors one pass ties everything again and writes nothing."""
    one, two = in_step(world)
    writes = one.writes + two.writes
    lose_base(world)

    world.sync()
    world.sync()

    assert one.writes + two.writes == writes
    assert world.conflicts == []
    with world.hub.read() as conn:
        assert sql.value(conn, "SELECT count(*) FROM link") == 24
    one.edit("e3", title="after")
    world.sync()
    assert two.contents["e3"]["title"] == "after"


def test_pairs_that_differ_are_in_the_conflict_list(world: World) -> None:
    """What differs is merged without a base; the value that lost is kept, and nothing is deleted."""
    one, two = in_step(world)
    world.clock.advance(minutes=1)
    one.edit("e1", title="at the remote")
    world.edit("e2", title="in the hub")
    world.delete("e4")
    world.put("new", title="not pushed yet")
    lose_base(world)

    world.settle()

    assert deletes(one, two) == 0
    assert_equal_everywhere(world, one, two)
    fields = {(clash["uid"], entry["name"]) for clash in world.conflicts for entry in clash["fields"]}
    assert {("e1", "title"), ("e2", "title")} <= fields
    assert "e4" in world.contents  # nobody can know any more that its deletion was still to be pushed
    assert "new" in one.contents


def test_an_event_no_link_knows_reaches_the_remote(world: World) -> None:
    """An event that only the hub has is created again once its link is lost, though it did not change."""
    one, _ = in_step(world)
    one.delete("e5")
    lose_base(world)

    world.settle()

    assert one.contents == world.contents
    assert "e5" in one.contents


def test_old_backup(world: World, tmp_path: Path) -> None:
    """After a restore the remotes' changes are taken, whatever happened since; nothing is deleted at a remote."""
    one, two = in_step(world)
    file = tmp_path / "old.db"
    world.edit("e6", title="pending in the backup")
    world.delete("e7")
    backup(world.hub, file)
    world.sync()
    world.delete("e0")
    world.put("new", title="new in the hub")
    two.put("e7", title="event 7")  # as it was before its deletion
    world.sync()
    one.edit("e1", title="newer")
    one.delete("e2")
    one.put("newest", title="newest")
    before = deletes(one, two)

    put_back(world, file)
    world.settle()

    assert deletes(one, two) == before
    assert_equal_everywhere(world, one, two)
    assert "e0" not in world.contents  # gone from both remotes
    assert "e2" in one.contents  # one remote still had it
    assert {"e7", "new", "newest"} <= world.contents.keys()
    assert world.contents["e1"]["title"] == "newer"
    assert world.contents["e6"]["title"] == "pending in the backup"
    assert world.holds == []


def test_deletion_pending_in_the_backup_is_not_sent(world: World, tmp_path: Path) -> None:
    """The backup wants an event deleted that has been put back since, just as it was."""
    one, two = in_step(world)
    world.delete("e1")
    backup(world.hub, tmp_path / "old.db")

    put_back(world, tmp_path / "old.db")
    world.settle()

    assert deletes(one, two) == 0
    assert "e1" in world.contents


def test_a_person_may_delete_right_after_the_restore(world: World, tmp_path: Path) -> None:
    """What is deleted after the restore is deleted, also before the first pass."""
    one, two = in_step(world)
    backup(world.hub, tmp_path / "old.db")
    put_back(world, tmp_path / "old.db")
    world.delete("e1")

    world.settle()

    assert_equal_everywhere(world, one, two)
    assert "e1" not in world.contents


def test_deletions_work_as_ever_after_the_first_pass(world: World, tmp_path: Path) -> None:
    """Once a replica has gone through, a deletion at one remote reaches the other one."""
    one, two = in_step(world)
    backup(world.hub, tmp_path / "old.db")
    put_back(world, tmp_path / "old.db")
    world.sync()
    one.delete("e1")

    world.settle()

    assert "e1" not in two.contents
    assert deletes(two) == 1


def test_a_replica_that_was_out_of_reach_keeps_its_events_too(world: World, tmp_path: Path) -> None:
    """The rule holds for each replica until it has been read, however late that is."""
    one, two = in_step(world)
    backup(world.hub, tmp_path / "old.db")
    one.delete("e1")
    put_back(world, tmp_path / "old.db")
    two.service.fail("any", "login")
    world.sync()
    world.clock.advance(hours=12)

    world.settle()

    assert deletes(one, two) == 0
    assert_equal_everywhere(world, one, two)
    assert "e1" in one.contents


def test_many_remote_changes_since_the_backup_are_no_accident(world: World, tmp_path: Path) -> None:
    """The guard does not hold what a restore is for; it does hold a calendar that has gone empty."""
    one, _ = in_step(world, events=30)
    backup(world.hub, tmp_path / "old.db")
    for number in range(25):
        one.edit(f"e{number}", title=f"newer {number}")
    world.sync()
    for hold in world.holds:  # the guard's own business before the restore
        assert hold["updates"] == 25
    put_back(world, tmp_path / "old.db")
    world.sync()
    assert world.contents["e20"]["title"] == "newer 20"

    put_back(world, tmp_path / "old.db")
    for uid in list(one.contents):
        one.delete(uid)
    [first, _] = world.sync()
    assert first.status == "held"
    assert len(world.contents) == 30


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["create", "update", "delete"])
def test_open_intents_in_the_backup(world: World, tmp_path: Path, call: str, when: str) -> None:
    """A backup of a hub that had died in the middle of a write; the write was repeated and overtaken since."""
    one, two = in_step(world)
    world.put("new", title="new")
    world.edit("e1", title="edited")
    world.delete("e2")

    def crash(moment: str) -> None:
        if moment == f"{call}:{when}":
            raise Crash

    one.service.hook = crash
    with contextlib.suppress(Crash):
        world.sync()
    one.service.hook = None
    world.reopen()
    with world.hub.read() as conn:
        assert sql.value(conn, "SELECT count(*) FROM intent WHERE state = 'open'")
    backup(world.hub, tmp_path / "old.db")
    world.settle()
    world.clock.advance(minutes=1)
    one.put("e2", title="event 2")
    one.edit("e1", location="later")
    one.edit("new", location="later")
    world.settle()
    before = deletes(one, two)

    put_back(world, tmp_path / "old.db")
    world.settle()

    assert deletes(one, two) == before
    assert_equal_everywhere(world, one, two)
    assert world.contents["e1"] | {"title": "edited", "location": "later"} == world.contents["e1"]
    assert world.contents["new"]["location"] == "later"
    assert "e2" in world.contents


@pytest.mark.parametrize("seed", range(40))
def test_any_history_between_backup_and_restore(world: World, tmp_path: Path, seed: int) -> None:
    """Whatever was done before and after the backup: no delete, no item lost, no token lost, and all end equal."""
    chance = random.Random(seed)
    one, two = in_step(world)
    for _ in range(chance.randrange(4)):
        act(chance, world, one, two)
    backup(world.hub, tmp_path / "old.db")
    for _ in range(chance.randrange(2, 8)):
        act(chance, world, one, two)
    before, there = deletes(one, two), [set(one.contents), set(two.contents)]
    tokens = {
        event["description"] for remote in (one, two) for event in remote.contents.values() if "description" in event
    }

    put_back(world, tmp_path / "old.db")
    world.settle(cycles=8)

    assert world.holds == []
    assert deletes(one, two) == before
    assert_equal_everywhere(world, one, two)
    assert there[0] | there[1] <= world.contents.keys()
    kept = repr((world.contents, world.conflicts))
    assert [token for token in tokens if token not in kept] == []


def act(chance: random.Random, world: World, one: Remote, two: Remote) -> None:
    """One thing that a person does somewhere, or a sync. Each text is new, so that a loss shows."""
    world.clock.advance(minutes=1)
    where = chance.choice((world, one, two))
    uid = chance.choice(sorted(where.contents))
    token = f"token-{chance.getrandbits(40):x}"
    match chance.choice(("create", "edit", "edit", "delete", "sync", "sync")):
        case "create":
            where.put(f"new-{token}", description=token)
        case "edit":
            where.edit(uid, description=token)
        case "delete":
            where.delete(uid)
        case "sync":
            world.sync()
