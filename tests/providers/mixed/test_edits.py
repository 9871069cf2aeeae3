"""One calendar held by all of them: edits made anywhere are everywhere, and what only one can hold stays there."""

from __future__ import annotations

import pytest
from tests.providers.mixed.world import NAMES, MixedWorld, at, day

from calhub.testing.people import Entry

OTHERS = {name: [other for other in NAMES if other != name] for name in NAMES}


@pytest.mark.parametrize("where", NAMES)
def test_single_events(world: MixedWorld, where: str) -> None:
    """Made, renamed, moved in time and place, made all-day, deleted: in one service, and seen in all."""
    world.tie()
    person = world.services.people[where]
    person.add(title="Budget", location="Room 1", **at(10))
    person.add(title="Lunch", **at(12))
    assert [each.title for each in world.converge()] == ["Budget", "Lunch"]

    person.edit("Budget", title="Budget 2027", location="Room 7", description="Bring the figures")
    person.edit("Lunch", start=day(1), end=day(2))
    moved = world.converge()
    assert moved[0] == Entry(title="Budget 2027", location="Room 7", description="Bring the figures", **at(10))
    assert moved[1] == Entry(title="Lunch", start=day(1), end=day(2))

    person.edit("Budget 2027", **at(15, day(2)))
    person.delete("Lunch")
    assert [(each.title, each.start) for each in world.converge()] == [("Budget 2027", f"{day(2)}T15:00:00")]


@pytest.mark.parametrize("where", [name for name in NAMES if name != "google"])
def test_categories(world: MixedWorld, where: str) -> None:
    """Google has none to show, and keeps those of the others."""
    world.tie()
    person = world.services.people[where]
    person.add(title="Budget", categories=["finance"], **at(10))
    world.converge()
    person.edit("Budget", categories=["finance", "board"])
    assert [each.categories for each in world.converge()] == [("board", "finance")]
    world.services.people["google"].edit("Budget", title="Budget 2027")
    assert [each.categories for each in world.converge()] == [("board", "finance")]


@pytest.mark.parametrize("where", NAMES)
def test_series(world: MixedWorld, where: str) -> None:
    """Made in one service; instances moved and renamed in the others, cancelled, edited again; deleted."""
    world.tie()
    people = world.services.people
    people[where].add(title="Stand-up", weeks=8, **at(9))
    assert world.converge() == [Entry(title="Stand-up", repeats=True, **at(9))]

    for number, other in enumerate(["google", "microsoft", "caldav", "folder"], start=1):
        people[other].edit_instance("Stand-up", day(number), title=f"Changed at {other}", **at(14, day(number)))
    people[where].cancel_instance("Stand-up", day(5))
    entries = world.converge()
    assert [each.cancelled for each in entries if each.repeats] == [(day(5),)]
    assert {each.title for each in entries if each.instance} == {
        f"Changed at {other}" for other in ("google", "microsoft", "caldav", "folder")
    }

    people["notion"].edit_instance("Stand-up", day(2), location="Roof")
    people[where].edit("Stand-up", description="Be short")
    entries = world.converge()
    assert [each.location for each in entries if each.title == "Changed at microsoft"] == ["Roof"]
    people[where].delete("Stand-up")
    assert world.converge() == []
