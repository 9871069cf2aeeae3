"""What a user sees of a sync: two remotes and the hub end up equal, and nothing typed anywhere is lost."""

from __future__ import annotations

import pytest

from calhub.hub import runs
from calhub.testing.memory import How, Quirks
from calhub.testing.world import World


def assert_in_step(world: World) -> None:
    for remote in world.remotes:
        assert remote.contents == world.contents
    writes = sum(remote.writes for remote in world.remotes)
    seq = world.seq

    reports = world.sync()

    assert [report.status for report in reports] == ["ok"] * len(world.remotes)
    assert sum(remote.writes for remote in world.remotes) == writes, "a further sync writes nothing (Q8)"
    assert world.seq == seq


def test_first_pass_brings_everything_to_every_side(world: World) -> None:
    """Items of two remotes and of the hub are everywhere after one sync."""
    one, two = world.add_remote(), world.add_remote()
    one.put("a", title="from one")
    two.put("b", title="from two")
    world.put("c", title="from the hub")

    world.sync()

    assert sorted(world.contents) == ["a", "b", "c"]
    assert_in_step(world)


def test_first_link_matches_instead_of_doubling(world: World) -> None:
    """The same UID on both sides is one event; a field that differs is kept as a conflict."""
    one, two = world.add_remote(), world.add_remote()
    one.put("a", title="same")
    two.put("a", title="same", location="Room 1")

    world.sync()

    assert list(world.contents) == ["a"]
    assert world.contents["a"]["location"] == "Room 1"
    assert world.conflicts == []
    assert_in_step(world)


def test_batches_carry_every_write_and_doubt_ends_in_one_copy(world: World) -> None:
    """Seven creations in batches of three, one answer lost: every event is there once."""
    one = world.add_remote(quirks=Quirks(batch_writes=3))
    for number in range(7):
        world.put(f"e{number}")
    one.service.fail("create", "lost-after", skip=4)

    world.sync()

    assert one.writes == 7
    assert_in_step(world)


def test_edits_of_different_fields_on_three_sides_all_survive(world: World) -> None:
    """Title at one remote, location at the other, description in the hub: the event has all three."""
    one, two = world.add_remote(), world.add_remote()
    world.put("a")
    world.sync()
    one.edit("a", title="Dinner")
    two.edit("a", location="Room 2")
    world.edit("a", description="Bring cake")

    world.sync()

    assert world.contents["a"]["title"] == "Dinner"
    assert world.contents["a"]["location"] == "Room 2"
    assert world.contents["a"]["description"] == "Bring cake"
    assert world.conflicts == []
    assert_in_step(world)


def test_same_field_clash_takes_the_later_edit_and_keeps_the_other(world: World) -> None:
    """Under merge the later edit wins; the loser stays readable in an auto conflict."""
    one = world.add_remote()
    world.put("a")
    world.sync()
    world.edit("a", title="hub title")
    world.clock.advance(minutes=5)
    one.edit("a", title="remote title")

    world.sync()

    assert world.contents["a"]["title"] == "remote title"
    [clash] = world.conflicts
    assert clash["state"] == "auto"
    assert clash["fields"] == [
        {"name": "title", "base": "Lunch", "hub": "hub title", "remote": "remote title", "taken": "remote"}
    ]
    assert_in_step(world)


@pytest.mark.parametrize(("policy", "winner"), [("hub", "hub title"), ("remote", "remote title")])
def test_policy_names_the_winner_and_keeps_the_loser(world: World, policy: str, winner: str) -> None:
    """`hub` and `remote` decide every clash for their side."""
    one = world.add_remote(conflicts=policy)
    world.put("a")
    world.sync()
    world.edit("a", title="hub title")
    one.edit("a", title="remote title")

    world.sync()

    assert world.contents["a"]["title"] == winner
    assert {world.conflicts[0]["fields"][0][side] for side in ("hub", "remote")} == {"hub title", "remote title"}
    assert_in_step(world)


def test_ask_leaves_both_values_where_they_are(world: World) -> None:
    """Under ask each side keeps its own value, other fields still flow, and the conflict stays open."""
    one = world.add_remote(conflicts="ask")
    world.put("a")
    world.sync()
    world.edit("a", title="hub title", location="Room 1")
    one.edit("a", title="remote title", description="note")

    world.sync()

    assert world.contents["a"]["title"] == "hub title"
    assert world.contents["a"]["description"] == "note"
    assert one.contents["a"]["title"] == "remote title"
    assert one.contents["a"]["location"] == "Room 1"
    assert [clash["state"] for clash in world.conflicts] == ["open"]
    writes = one.writes
    world.sync()
    assert one.writes == writes


def test_deletion_travels(world: World) -> None:
    """A deletion at one remote deletes in the hub and at the other remote, and is not undone."""
    one, two = world.add_remote(), world.add_remote()
    for uid in ("a", "b", "c", "d"):
        world.put(uid)
    world.sync()
    one.delete("a")
    world.delete("b")

    world.sync()

    assert sorted(world.contents) == ["c", "d"]
    assert sorted(two.contents) == ["c", "d"]
    assert_in_step(world)


def test_edit_beats_delete_in_both_directions(world: World) -> None:
    """What one side edited while the other deleted it comes back, and the deletion is noted."""
    one, two = world.add_remote(), world.add_remote()
    world.put("a")
    world.put("b")
    world.sync()
    one.delete("a")
    world.edit("a", title="edited in the hub")
    world.delete("b")
    two.edit("b", title="edited at the remote")

    world.settle()

    assert world.contents["a"]["title"] == "edited in the hub"
    assert world.contents["b"]["title"] == "edited at the remote"
    assert {clash["uid"] for clash in world.conflicts} == {"a", "b"}
    assert_in_step(world)


@pytest.mark.parametrize("how", ["lost-before", "lost-after", "5xx-after-apply", "not-sent", "429", "twice", "5xx"])
@pytest.mark.parametrize("op", ["create", "update", "delete"])
def test_no_fault_of_a_write_loses_or_doubles(world: World, op: str, how: How) -> None:
    """Whatever becomes of one write, the end is that of a clean run (Q6)."""
    one, two = world.add_remote(), world.add_remote()
    for uid in ("a", "b", "c", "d"):
        world.put(uid)
    world.sync()
    if op == "create":
        world.put("new", title="fresh")
    elif op == "update":
        world.edit("a", title="changed")
    else:
        world.delete("a")
    expected = world.contents
    one.service.fail(op, how)

    world.settle()

    assert world.contents == expected
    assert one.contents == expected
    assert two.contents == expected
    assert world.conflicts == []
    assert_in_step(world)


def test_refused_write_is_a_dead_letter_until_the_event_changes(world: World) -> None:
    """A refusal is reported and not repeated; a new edit tries again."""
    one = world.add_remote()
    world.put("a")
    one.service.fail("create", "refused")

    [report] = world.sync()
    assert report.status == "failed"
    assert report.errors[0]["uid"] == "a"
    with world.hub.read() as conn:
        state = runs.status(conn)
    assert state["dead_letters"] == 1
    assert [(each["uid"], each["attempts"], each["next_try"]) for each in state["failures"]] == [("a", 1, None)]
    world.clock.advance(days=2)
    world.sync()
    assert one.contents == {}

    world.edit("a", title="other")
    world.sync()
    assert one.contents == world.contents


def test_one_dead_account_does_not_stop_the_others(world: World) -> None:
    """The account that needs its user fails alone; the rest is in step."""
    one, two = world.add_remote(), world.add_remote()
    world.put("a")
    one.service.fail("changes", "login")

    first, second = world.sync()

    assert (first.status, second.status) == ("failed", "ok")
    assert two.contents == world.contents
    world.sync()
    assert_in_step(world)


def test_stale_write_merges_and_writes_again_in_the_same_pass(world: World) -> None:
    """An edit that lands between reading and writing is merged, not overwritten."""
    one = world.add_remote()
    world.put("a")
    world.sync()
    world.edit("a", title="hub")

    def meddle(moment: str) -> None:
        if moment == "update:before":
            one.service.hook = None
            one.edit("a", location="elsewhere")

    one.service.hook = meddle
    world.sync()

    assert world.contents["a"]["title"] == "hub"
    assert world.contents["a"]["location"] == "elsewhere"
    assert_in_step(world)


def test_emptied_remote_is_held_and_released(world: World) -> None:
    """A remote that lists nothing deletes nothing until a person releases the hold (Q9)."""
    one = world.add_remote()
    for number in range(5):
        world.put(f"e{number}")
    world.sync()
    for number in range(5):
        one.delete(f"e{number}")

    [report] = world.sync()

    assert report.status == "held"
    assert len(world.contents) == 5
    [hold] = world.holds
    assert hold["deletes"] == 5
    from calhub.hub import inbox

    with world.hub.transaction() as conn:
        inbox.release_hold(conn, hold["id"], now=world.hub.now())
    world.sync()
    assert world.contents == {}
    assert world.holds == []


def test_discarded_hold_writes_back(world: World) -> None:
    """Discarding the hold says the hub is right: what the remote lost is written there again."""
    one = world.add_remote()
    for number in range(20):
        world.put(f"e{number}")
    world.sync()
    for number in range(20):
        one.delete(f"e{number}")
    world.sync()
    [hold] = world.holds
    from calhub.hub import inbox

    with world.hub.transaction() as conn:
        inbox.discard_hold(conn, hold["id"], now=world.hub.now())
    world.sync()

    assert len(one.contents) == 20
    assert_in_step(world)


def test_mass_deletion_in_the_hub_is_held_at_the_remote(world: World) -> None:
    """More than ten and more than 30 %: not one request goes out; discarding brings the events back."""
    one = world.add_remote()
    for number in range(20):
        world.put(f"e{number}")
    world.sync()
    for number in range(12):
        world.delete(f"e{number}")
    writes = one.writes

    [report] = world.sync()

    assert report.status == "held"
    assert one.writes == writes
    from calhub.hub import inbox

    with world.hub.transaction() as conn:
        inbox.discard_hold(conn, world.holds[0]["id"], now=world.hub.now())
    world.sync()
    assert len(world.contents) == 20
    assert_in_step(world)


def test_incomplete_listing_deletes_nothing(world: World) -> None:
    """A listing that breaks off is no proof of absence."""
    one = world.add_remote(quirks=Quirks(page_size=2))
    for number in range(6):
        world.put(f"e{number}")
    world.sync()
    one.service.fail("changes", "5xx", skip=1)

    world.sync(full=True)

    assert len(world.contents) == 6
    world.sync()
    assert_in_step(world)


def test_provider_that_drops_fields_erases_nothing(world: World) -> None:
    """What a service silently forgets stays in the hub and at the other remote, and is not written for ever."""
    one = world.add_remote(quirks=Quirks(drops_fields=frozenset({"location", "extra"})))
    two = world.add_remote()
    two.put("a", location="Room 3", extra={"X-FOO": ["X-FOO:1"]})
    world.settle()
    one.edit("a", title="changed there")
    world.settle()

    assert world.contents["a"]["location"] == "Room 3"
    assert world.contents["a"]["title"] == "changed there"
    assert two.contents == world.contents
    writes = one.writes + two.writes
    world.sync()
    assert one.writes + two.writes == writes


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(rewrites_text=True), Quirks(idle_etag_moves=True), Quirks(lists_late=True), Quirks(expired_token=True),
        Quirks(no_conditional_writes=True), Quirks(no_deletion_feed=True), Quirks(no_chosen_ids=True),
        Quirks(page_size=1, page_duplicates=True),
        Quirks(page_size=2, page_drops_row=True, expired_token=True),
    ],
)  # fmt: skip
def test_awkward_services_converge(world: World, quirks: Quirks) -> None:
    """Edits on both sides of an awkward service meet, and then it is quiet."""
    one, two = world.add_remote(quirks=quirks), world.add_remote()
    for number in range(4):
        world.put(f"e{number}", description="plain")
    world.settle()
    one.edit("e0", location="there")
    two.edit("e0", url="https://example.org/")
    world.delete("e1")
    world.settle()

    assert sorted(world.contents) == ["e0", "e2", "e3"] == sorted(one.contents) == sorted(two.contents)
    assert world.contents["e0"]["location"] == "there"
    assert one.contents["e0"]["url"] == "https://example.org/"
    assert two.contents == world.contents
    writes = one.writes + two.writes
    world.sync()
    assert one.writes + two.writes == writes


def test_pull_only_never_writes(world: World) -> None:
    """A replica that pulls takes the remote's changes and sends none."""
    one = world.add_remote(direction="pull")
    one.put("a")
    world.put("mine")
    world.sync()
    world.edit("a", title="mine too")
    one.edit("a", location="theirs")
    world.sync()

    assert one.writes == 0
    assert world.contents["a"]["title"] == "mine too"
    assert world.contents["a"]["location"] == "theirs"


def test_push_only_restores_the_hubs_values(world: World) -> None:
    """A replica that pushes takes nothing in and puts back what was changed or deleted there."""
    one = world.add_remote(direction="push")
    for uid in ("a", "b", "c", "d"):
        world.put(uid)
    world.sync()
    one.edit("a", title="vandal")
    one.delete("b")
    one.put("stranger")
    before = world.contents

    world.settle()

    assert world.contents == before
    assert {uid: one.contents[uid] for uid in before} == before
    assert "stranger" in one.contents


def test_broken_item_is_quarantined_alone(world: World) -> None:
    """An unreadable item is counted and left untouched; the rest goes on, and mending it heals."""
    one = world.add_remote()
    one.put("a")
    one.put("b")
    world.sync()
    one.service.user_break(one.calendar, "a", "The item has no start.")
    one.edit("b", title="new")

    [report] = world.sync()

    assert report.status == "ok"
    assert report.counts["quarantined"] == 1
    assert world.contents["b"]["title"] == "new"
    assert "a" in world.contents
    one.put("a", title="mended")
    world.sync()
    assert world.contents["a"]["title"] == "mended"
    assert_in_step(world)


def test_dry_run_says_all_and_changes_nothing(world: World) -> None:
    """The plan of a dry run is what the next sync then does."""
    one = world.add_remote()
    one.put("a", title="there")
    world.put("b", title="here")

    [report] = world.sync(dry_run=True)

    assert {(step["side"], step["op"], step["uid"]) for step in report.plan} == {
        ("hub", "create", "a"),
        ("remote", "create", "b"),
    }
    assert sorted(world.contents) == ["b"]
    assert sorted(one.contents) == ["a"]
    assert one.writes == 0


def test_read_only_service_only_pulls(world: World) -> None:
    """A refused write to a read-only calendar does not hurt the hub."""
    one = world.add_remote(quirks=Quirks(read_only=True))
    one.put("a")
    world.sync()
    world.put("b")
    world.sync()

    assert sorted(world.contents) == ["a", "b"]
    assert sorted(one.contents) == ["a"]


def test_nobody_is_mailed(world: World) -> None:
    """Creating, changing and deleting an event with attendees sends no invitation (I9)."""
    one = world.add_remote()
    world.put("a", attendees={"anna@example.org": {"name": "Anna"}})
    world.put("b")
    world.sync()
    world.edit("a", title="moved")
    world.sync()
    world.delete("a")
    world.sync()

    assert one.service.outbox == []


def test_lost_links_are_found_again_without_a_write(world: World) -> None:
    """With links, observations, journal and cursors gone, equal pairs are adopted: no write, no delete (Q10)."""
    one, two = world.add_remote(), world.add_remote()
    for number in range(15):
        world.put(f"e{number}")
    world.sync()
    before, writes = world.contents, one.writes + two.writes
    with world.hub.transaction() as conn:
        for table in ("link", "observation", "intent", "retry"):
            conn.execute(f"DELETE FROM {table}")
        conn.execute("UPDATE replica SET cursor = NULL, hub_seq = 0, phase = 'initial'")

    world.sync()

    assert one.writes + two.writes == writes
    assert world.contents == before
    assert world.conflicts == []
    assert_in_step(world)


def test_item_that_moves_to_another_name_stays_the_same_event(world: World) -> None:
    """Deleted under one name and listed under another with the same UID: no deletion, no second event."""
    one = world.add_remote()
    world.add_remote()
    for uid in ("a", "b", "c"):
        one.put(uid)
    world.sync()
    world.edit("a", description="kept")
    world.sync()
    content = one.contents["a"]
    one.delete("a")
    one.service.user_put(one.calendar, "a", content, remote_id="elsewhere")

    world.sync()

    assert sorted(world.contents) == ["a", "b", "c"]
    assert world.conflicts == []
    assert_in_step(world)


def test_a_deletion_that_went_through_at_the_last_try_is_done(world: World) -> None:
    """Nobody knows so until the item is looked at; by then there is no event left to be tried again."""
    remote = world.add_remote()
    world.put("a")
    world.sync()
    world.delete("a")
    remote.service.fail("delete", "lost-before", times=2)
    remote.service.fail("delete", "lost-after")
    world.sync()

    assert remote.contents == {}
    assert not world.open_work()
