"""What a person decides afterwards: conflicts, undo, and writes that must reach all or none."""

from __future__ import annotations

import pytest

from calhub.hub import inbox
from calhub.hub.errors import InvalidValue
from calhub.sync import atomic
from calhub.sync.resolve import Take, resolve
from calhub.sync.undo import undo
from calhub.testing.memory import How
from calhub.testing.world import Remote, World, plain


def clash(world: World, *, conflicts: str) -> Remote:
    one = world.add_remote(conflicts=conflicts)
    world.put("a")
    world.sync()
    world.edit("a", title="hub title")
    one.edit("a", title="remote title")
    world.sync()
    return one


def decide(world: World, take: Take | None, **fields: str) -> None:
    [waiting] = world.conflicts
    with world.hub.transaction() as conn:
        resolve(conn, waiting["id"], take, fields, now=world.hub.now())  # type: ignore[arg-type]  # bad sides are tested


@pytest.mark.parametrize(("take", "title"), [("hub", "hub title"), ("remote", "remote title")])
@pytest.mark.parametrize("conflicts", ["ask", "merge"])
def test_resolving_brings_both_sides_to_the_chosen_value(world: World, conflicts: str, take: Take, title: str) -> None:
    """An open conflict is settled, and an automatic one flipped, at the next sync."""
    one = clash(world, conflicts=conflicts)

    decide(world, take)
    world.sync()

    assert world.contents["a"]["title"] == title
    assert one.contents == world.contents
    assert world.conflicts == []


def test_both_keeps_two_events(world: World) -> None:
    """`both` leaves the hub's event and adds one with the remote's values."""
    one = clash(world, conflicts="ask")

    decide(world, "both")
    world.sync()

    assert sorted(each["title"] for each in world.contents.values()) == ["hub title", "remote title"]
    assert sorted(each["title"] for each in one.contents.values()) == ["hub title", "remote title"]


def test_unknown_or_missing_choice_changes_nothing(world: World) -> None:
    """A field that is not in dispute, or none chosen, is refused in one sentence."""
    clash(world, conflicts="ask")
    before = world.contents

    with pytest.raises(InvalidValue, match="no field 'colour'"):
        decide(world, "hub", colour="hub")
    with pytest.raises(InvalidValue, match="Nothing was chosen for title"):
        decide(world, None)

    assert world.contents == before
    assert len(world.conflicts) == 1


def test_deletion_can_be_flipped(world: World) -> None:
    """Edit beat delete; choosing the deletion afterwards deletes on both sides."""
    one = world.add_remote()
    world.put("a")
    world.put("b")
    world.sync()
    one.delete("a")
    world.edit("a", title="edited")
    world.sync()
    assert one.contents["a"]["title"] == "edited"

    decide(world, "remote")
    world.sync()

    assert sorted(world.contents) == sorted(one.contents) == ["b"]


def test_undo_puts_back_what_a_run_pushed(world: World) -> None:
    """Created, changed and deleted at the remote: all three are as before, in the hub and at every replica."""
    one, two = world.add_remote(), world.add_remote()
    for uid in ("a", "b", "c", "d"):
        world.put(uid)
    world.sync()
    before = world.contents
    world.edit("a", title="changed")
    world.delete("b")
    world.put("new")
    report, _ = world.sync()
    assert one.contents == world.contents
    assert report.run_id is not None

    rehearsed = undo(world.hub, world.connect, report.run_id, dry_run=True)
    assert (rehearsed["undone"], one.contents) == (3, world.contents)
    result = undo(world.hub, world.connect, report.run_id)

    assert result == {"run": report.run_id, "undone": 3, "skipped": [], "dry_run": False}
    assert one.contents == before
    world.settle()
    assert world.contents == one.contents == two.contents == before


def test_undo_of_a_pull_restores_the_hub_and_then_the_remote(world: World) -> None:
    """An edit that came in is taken back in the hub, and at its source by the next sync."""
    one, two = world.add_remote(), world.add_remote()
    for uid in ("a", "b", "c", "d"):
        world.put(uid)
    world.sync()
    before = world.contents
    one.edit("a", title="unwanted")
    one.delete("b")
    report, _ = world.sync()
    assert report.run_id is not None

    undo(world.hub, world.connect, report.run_id)
    world.settle()

    assert world.contents == one.contents == two.contents == before


def test_undo_skips_what_has_changed_since(world: World) -> None:
    """An item edited after the run is left alone, and the answer says so."""
    one = world.add_remote()
    world.put("a")
    world.put("b")
    world.sync()
    world.edit("a", title="one")
    world.edit("b", title="two")
    [report] = world.sync()
    world.edit("a", title="later")
    assert report.run_id is not None

    result = undo(world.hub, world.connect, report.run_id)

    assert result["undone"] == 1
    assert [each["uid"] for each in result["skipped"]] == ["a"]
    assert world.contents["a"]["title"] == "later"
    assert one.contents["b"]["title"] == "Lunch"


@pytest.mark.parametrize("op", ["create", "update", "delete"])
@pytest.mark.parametrize("how", ["refused", "stale", "not-sent", "lost-before"])
def test_atomic_write_is_all_or_none(world: World, op: str, how: How) -> None:
    """If the second replica does not take it, neither the first nor the hub keeps it."""
    one, two = world.add_remote(), world.add_remote()
    for uid in ("a", "b", "c"):
        world.put(uid)
    world.sync()
    before = world.contents
    two.service.fail(op, how)
    uid = "new" if op == "create" else "a"
    content = None if op == "delete" else plain(title="atomic")

    with pytest.raises(atomic.AtomicFailed) as failed:
        atomic.write(world.hub, world.connect, world.calendar.id, uid, content)

    assert "account-2" in failed.value.message
    assert world.contents == one.contents == two.contents == before
    world.settle()
    assert world.contents == one.contents == two.contents == before


def test_a_creation_that_is_taken_back_stays_so_where_nobody_heard_of_it(world: World) -> None:
    """The second replica took it, but neither says so nor can be asked. The next sync takes it away there."""
    one, two = world.add_remote(), world.add_remote()
    two.service.fail("create", "lost-after")
    two.service.fail("get", "5xx")
    with pytest.raises(atomic.AtomicFailed):
        atomic.write(world.hub, world.connect, world.calendar.id, "a", plain(title="atomic"))
    assert "a" in two.contents

    world.settle()

    assert world.contents == one.contents == two.contents == {}


@pytest.mark.parametrize("how", [None, "lost-after"])
def test_atomic_write_reaches_every_replica_before_it_returns(world: World, how: How | None) -> None:
    """After it returns hub and remotes are equal; an answer lost after it was applied counts as made."""
    one, two = world.add_remote(), world.add_remote()
    if how is not None:
        two.service.fail("create", how)

    atomic.write(world.hub, world.connect, world.calendar.id, "a", plain(title="atomic"))

    assert world.contents["a"]["title"] == "atomic"
    assert world.contents == one.contents == two.contents
    assert not world.open_work()
    writes = one.writes + two.writes
    world.settle()
    assert one.writes + two.writes == writes


def test_arrivals_that_are_discarded_go_where_they_came_from_too(world: World) -> None:
    """Many events come from one remote, and are linked there; then a person does not want them at the other."""
    one, two = world.add_remote(), world.add_remote(guard_number=2)
    one.put("old")
    world.settle()
    for number in range(4):
        one.put(f"new{number}")
    world.sync()

    with world.hub.transaction() as conn:
        inbox.discard_hold(conn, world.holds[0]["id"], now=world.hub.now())
    world.settle()

    assert world.holds == []
    assert set(world.contents) == set(one.contents) == set(two.contents) == {"old"}


def test_cancelled_instance_against_edited_one_can_be_flipped(world: World) -> None:
    """Cancelled in the hub, edited at the remote: the edit stays; choosing the hub cancels the instance everywhere."""
    one = world.add_remote()
    world.put("a", rrule="FREQ=DAILY;COUNT=5")
    world.put("b")
    world.sync()
    instance = "2026-11-24T12:00:00+01:00"
    world.edit("a", exdates=[instance])
    one.edit("a", overrides={instance: {"title": "Long lunch"}})
    world.sync()
    assert world.contents["a"]["overrides"] == {instance: {"title": "Long lunch"}}

    decide(world, "hub")
    world.sync()

    assert world.contents["a"]["exdates"] == [instance]
    assert "overrides" not in world.contents["a"]
    assert one.contents == world.contents
