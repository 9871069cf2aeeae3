"""The tests of the tests: for each invariant the engine is broken in the way it is there for, and the checks notice.

Each sabotage patches the engine from here; nothing in the shipped code can switch one on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from calhub.hub import events, journal, links, sql
from calhub.sync import engine, guard, observe, plan, pull, push
from calhub.testing.memory import MemoryProvider, MemoryService
from calhub.testing.simulation.soak import Stage, play_scenario, stage
from calhub.testing.simulation.steps import read_scenario
from calhub.testing.world import World

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    with stage() as made:
        yield made


ORDINARY = """
remote work: ordinary
remote phone: ordinary
"""
ONE_EDIT = (
    ORDINARY
    + """
work creates e1: title t0001
sync
hub edits e1: title t0002
sync
"""
)


def on_a_hub_where(*statements: str) -> Callable[[Patch], None]:
    """The database itself is changed before the first step."""

    def sabotage(patch: Patch) -> None:
        plain = World.add_remote

        def changed(world: World, **given: Any) -> Any:
            remote = plain(world, **given)
            with world.hub.transaction() as conn:
                for statement in statements:
                    conn.execute(statement)
            return remote

        patch.setattr(World, "add_remote", changed)

    return sabotage


def invites_people(patch: Patch) -> None:
    plain = MemoryService.apply_create
    patch.setattr(MemoryService, "apply_create", lambda *given, notify: plain(*given, notify=not notify))


def agrees_on_another_version(patch: Patch) -> None:
    one, many = links.set_link, links.link_new
    patch.setattr(links, "set_link", lambda *given, **more: one(*given, **{**more, "version": "v0"}))
    patch.setattr(
        links,
        "link_new",
        lambda conn, at, taken, now: many(conn, at, [(e, replace(item, version="v0")) for e, item in taken], now=now),
    )


def takes_an_unwritten_change_for_written(patch: Patch) -> None:
    patch.setattr(
        push, "plan_push", lambda hub, seen, bases, *_: None if bases else plan.plan_push(hub, seen, bases, *_)
    )


def skips_the_journal(patch: Patch) -> None:
    plain = push.journal_writes

    def closed_at_once(conn: Any, of: Any, ids: Any) -> Any:
        planned = plain(conn, of, ids)
        for _, intent in planned:
            journal.close_intent(conn, intent.id, "done", now=of.hub.now())
        return planned

    patch.setattr(push, "journal_writes", closed_at_once)


def drops_a_row_of_a_page(patch: Patch) -> None:
    plain = links.observe_items
    patch.setattr(links, "observe_items", lambda conn, replica, items, **now: plain(conn, replica, items[1:], **now))


def forgets_tombstones(patch: Patch) -> None:
    plain = events.delete_event

    def and_everything_about_it(conn: Any, event_id: int, **given: Any) -> None:
        plain(conn, event_id, **given)
        conn.execute("DELETE FROM link WHERE event_id = ?", (event_id,))
        events.forget_tombstone(conn, event_id)

    patch.setattr(events, "delete_event", and_everything_about_it)


def forgets_the_precondition(patch: Patch) -> None:
    plain = push._request
    patch.setattr(push, "_request", lambda uid, intent: replace(plain(uid, intent), expected=None))


def writes_the_whole_event(patch: Patch) -> None:
    def whole(hub: Any, seen: Any, bases: Any, policy: Any, withheld: Any) -> Any:
        write = plan.plan_push(hub, seen, bases, policy, withheld)
        return replace(write, content=hub.content) if write is not None and write.op == "update" else write

    patch.setattr(push, "plan_push", whole)


def sees_no_edits(patch: Patch) -> None:
    patch.setattr(links, "dirty_events", lambda *_, **__: [])
    patch.setattr(links, "due_retries", lambda *_: [])


def keeps_no_losers(patch: Patch) -> None:
    plain = plan.plan_pull
    patch.setattr(pull, "plan_pull", lambda *given: replace(plain(*given), noted=None))


def brings_deleted_events_back(patch: Patch) -> None:
    def back(_: Any, theirs: Any, moved: Any, *__: Any) -> Any:
        return plan.Pull(hub=plan.Write(op="create", content=theirs), bases=moved)

    patch.setattr(plan, "_pull_against_delete", back)


def takes_absence_for_deletion(patch: Patch) -> None:
    patch.setattr(observe, "_ASKED_SINGLY", -1)


def does_not_look_after_doubt(patch: Patch) -> None:
    def blind(of: Any, intents: Any) -> None:
        for intent in intents:
            with of.hub.transaction() as conn:
                journal.close_intent(conn, intent.id, "failed", now=of.hub.now())
                links.requeue(conn, of.replica.id, intent.event_id, now=of.hub.now())

    patch.setattr(push, "recover", blind)
    patch.setattr(push, "_identity", lambda _, of, stored: of.provider.reserve(of.replica.remote_id, stored.uid))


def leaves_intents_open(patch: Patch) -> None:
    patch.setattr(engine, "recover_open", lambda _: None)


def writes_what_is_written(patch: Patch) -> None:
    def again(hub: Any, seen: Any, bases: Any, policy: Any, withheld: Any) -> Any:
        write = plan.plan_push(hub, seen, bases, policy, withheld)
        return write or (plan.Write(op="update", content=seen) if seen is not None else None)

    patch.setattr(push, "plan_push", again)
    plain = links.dirty_events

    def all_of_them(conn: Any, *given: Any, everything: bool) -> list[int]:
        found = plain(conn, *given, everything=everything)
        return found if everything else list(sql.column(conn, "SELECT id FROM event"))

    patch.setattr(links, "dirty_events", all_of_them)


def lets_everything_through(patch: Patch) -> None:
    patch.setattr(guard, "check", lambda *_, **__: None)


def forgets_what_failed(patch: Patch) -> None:
    patch.setattr(links, "set_retry", lambda *_, **__: None)


CREATE_E1 = "hub creates e1: title t0001\n"

#: invariant: the one that is seen to break, the sabotage, the scenario.
CASES: dict[str, tuple[str, Callable[[Patch], None], str]] = {
    "I1": ("I1", on_a_hub_where("ALTER TABLE link RENAME TO former", "CREATE TABLE link AS SELECT * FROM former"),
           "remote work: ordinary\n" + CREATE_E1),
    "I5": ("I5", on_a_hub_where("DROP INDEX intent_one_open"), "remote work: ordinary\n" + CREATE_E1),
    "I9": ("I9", invites_people, "remote work: ordinary\n" + CREATE_E1 + "hub edits e1: attendees t0002\nsync"),
    "I2": ("I2", agrees_on_another_version, ONE_EDIT),
    "I3": ("I3", takes_an_unwritten_change_for_written, ONE_EDIT),
    "I4": ("I4", skips_the_journal, ONE_EDIT),
    "I6": ("I6", drops_a_row_of_a_page, ONE_EDIT),
    "I7": ("I7", forgets_tombstones, ORDINARY + "hub creates e1: title t0001\nsync\nhub deletes e1\n"),
    "I8": ("I8", forgets_the_precondition, ONE_EDIT),
    "I10": (
        "I10", writes_the_whole_event,
        "remote work: rewrites_text\nhub creates e1: title t0001\nhub edits e1: description t0002\nsync\n"
        "hub edits e1: location t0003\nsync",
    ),
    "Q1": ("Q1", sees_no_edits,
           "remote work: ordinary\nwork creates e1: title t0001\nsync\nhub edits e1: title t0002\nsync"),
    "Q2": ("Q2", keeps_no_losers, ONE_EDIT + "hub edits e1: title t0003\nwork edits e1: title t0004\nsync"),
    "Q3": ("Q3", brings_deleted_events_back,
           ORDINARY + "hub creates e1: title t0001\nhub creates e2: title t0002\nsync\nhub deletes e1\n"
           "work begins: idle_etag_moves\nsync"),
    "Q4": ("Q4", takes_absence_for_deletion,
           "remote work: page_size=2, page_drops_row\nremote phone: ordinary\nhub creates e1: title t0001\n"
           "hub creates e2: title t0002\nhub creates e3: title t0003\nhub creates e4: title t0004\nsync\nfull sync"),
    "Q5": ("Q5", does_not_look_after_doubt,
           "remote work: rewrites_uid\n" + CREATE_E1 + "work fails: create lost-after, 1 times after 0 good\nsync"),
    "Q7": ("Q1", leaves_intents_open, ORDINARY + "hub creates e1: title t0001\nsync, killed at moment 22\n"),
    "Q8": ("Q8", writes_what_is_written, ORDINARY + "work creates e1: title t0001\nfull sync\n"),
    "Q9": ("Q9", lets_everything_through,
           ORDINARY + "hub creates e1: title t0001\nhub creates e2: title t0002\nhub creates e3: title t0003\nsync\n"
           "work deletes e1\nwork deletes e2\nwork deletes e3\nsync"),
    "Q12": ("I3", forgets_what_failed,
            "remote work: ordinary\nsync\n" + CREATE_E1 + "work fails: create not-sent, 1 times after 0 good\nsync"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_sabotage_is_noticed(on: Stage, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same scenario passes on the engine as it is, and breaks the invariant on the sabotaged one."""
    broken, sabotage, text = CASES[case]
    scenario = read_scenario(text)
    assert play_scenario(on, scenario).verdict == "ok"

    sabotage(monkeypatch)

    assert play_scenario(on, scenario).verdict == broken


def test_chance_is_noticed(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Q13: one identity drawn by chance, and the same scenario tells two stories."""
    scenario = read_scenario(ONE_EDIT)
    assert play_scenario(on, scenario).told == play_scenario(on, scenario).told

    monkeypatch.setattr(MemoryProvider, "reserve", lambda *_: str(uuid4()))

    assert play_scenario(on, scenario).told != play_scenario(on, scenario).told
