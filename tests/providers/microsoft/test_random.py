"""Made-up lives of a calendar: edits on both sides, faults at any request. In the end nothing differs."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tests.providers.microsoft.kit import Clock, meeting, moved, signed_in, weekly
from tests.providers.microsoft.test_sync import GraphWorld, shown, world, writes

from calhub.calendar.edit import delete_occurrence, edit_occurrence
from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.fields import project
from calhub.hub import journal
from calhub.testing.contract_kit import Remote, event
from calhub.testing.services.graph import Graph

__all__ = ["world"]

DAYS = ["2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14"]
BROKEN = ("POST */events", "PATCH *", "DELETE *", "POST */$batch", "GET */instances", "GET */events", "GET */delta")
HOW: list[Any] = ["cut-before", "cut-after", "status-after", "truncated", "expired", "status"]


class Life:
    """One made-up life; every text that is typed is a new one, so that a loss shows."""

    def __init__(self, seed: int, graph: Graph, world: GraphWorld, remote: Remote) -> None:
        self.random = Random(seed)
        self.graph = graph
        self.world = world
        self.calendar = remote.calendar
        self.typed = 0

    def word(self) -> str:
        self.typed += 1
        return f"word {self.typed}"

    def step(self) -> None:
        act = self.random.choice(
            [self.add_here, self.edit_here, self.edit_here, self.instance_here, self.delete_here, self.add_there,
             self.edit_there, self.edit_there, self.instance_there, self.delete_there, self.world.run, self.fault]
        )  # fmt: skip
        act()

    def add_here(self) -> None:
        rrule = self.random.choice([{}, {"rrule": "FREQ=WEEKLY;COUNT=4;BYDAY=MO"}])
        self.world.put(self.word(), **event(title=self.word(), **rrule))

    def edit_here(self) -> None:
        uid = self.one_here()
        if uid is not None:
            fields: Content = self.random.choice(
                [{"title": self.word()}, {"location": self.word()}, {"busy": False}, {"description": self.word()}]
            )
            self.world.edit(uid, **fields)

    def instance_here(self) -> None:
        uid = self.one_here()
        day = f"{self.random.choice(DAYS)}T10:00:00+01:00"
        try:
            content = self.world.contents.get(uid or "", {})
            if self.random.random() < 0.3:
                changed = delete_occurrence(content, day)
            else:
                changed = edit_occurrence(content, day, title=self.word())
        except (InvalidEvent, KeyError):
            return
        self.world.put(uid or "", **changed)

    def delete_here(self) -> None:
        uid = self.one_here()
        if uid is not None and self.random.random() < 0.4:
            self.world.delete(uid)

    def add_there(self) -> None:
        props = self.random.choice([meeting, weekly])()
        self.graph.user_event(self.calendar, **{**props, "subject": self.word()})

    def edit_there(self) -> None:
        name = self.one_there()
        if name is None:
            return
        times = moved(meeting(), 7 * self.random.randint(0, 3))
        change: dict[str, Any] = self.random.choice(
            [
                {"subject": self.word()},
                {"location": {"displayName": self.word()}},
                {"showAs": "oof"},
                {"importance": "high"},
            ]
        )
        if self.graph.event(name).pattern is None and self.random.random() < 0.2:
            change = {"start": times["start"], "end": times["end"]}
        self.graph.user_patch(name, **change)

    def instance_there(self) -> None:
        name = self.one_there()
        if name is None or self.graph.event(name).pattern is None:
            return
        instance = self.graph.user_instance(name, self.random.choice(DAYS))
        if self.graph.mailbox.find(instance) is None:
            return
        if self.random.random() < 0.3:
            self.graph.user_delete(instance)
        else:
            self.graph.user_patch(instance, subject=self.word())

    def delete_there(self) -> None:
        name = self.one_there()
        if name is not None and self.random.random() < 0.4:
            self.graph.user_delete(name)

    def fault(self) -> None:
        status = self.random.choice([429, 500, 503])
        match, how, part = self.random.choice(BROKEN), self.random.choice(HOW), self.random.random() < 0.5
        self.graph.fail(match, how, status=status, part=part, skip=self.random.randint(0, 2))

    def one_here(self) -> str | None:
        return self.random.choice(sorted(self.world.contents)) if self.world.contents else None

    def one_there(self) -> str | None:
        found = self.graph.mailbox.listed(self.calendar)
        return self.random.choice(found).id(immutable=True) if found else None


@pytest.mark.parametrize("seed", range(25))
def test_a_made_up_life(seed: int, graph: Graph, world: GraphWorld, remote: Remote) -> None:
    """Whatever happened: both sides equal, one copy of each, no open intents, and a further pass writes nothing."""
    tied = world.tie(graph, remote, guard_share=1.0, guard_number=1000)
    life = Life(seed, graph, world, tied)
    for _ in range(40):
        life.step()
    graph.heal()
    for _ in range(6):
        world.run()
    fresh = signed_in(graph, Clock())
    keeps = fresh.prepare(tied.calendar, {}).keeps
    expected = {uid: project(content, keeps) for uid, content in world.contents.items()}
    found = shown(Remote(fresh, tied.calendar))
    fresh.close()

    assert found == expected
    assert len(graph.mailbox.listed(tied.calendar)) == len(expected)
    with world.hub.read() as conn:
        assert journal.open_intents(conn, 1) == []
    done = len(writes(graph))
    world.run()
    assert len(writes(graph)) == done
