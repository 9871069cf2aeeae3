"""What one service cannot hold survives in the others, whoever edits the rest of the event."""

from __future__ import annotations

from typing import Any

import pytest
from tests.providers.mixed.world import NAMES, MixedWorld, at, day

from calhub.calendar.fields import project
from calhub.testing.contract_kit import Remote, event, listing

RICH = event(
    title="Rich",
    description="Bring the slides.",
    location="Room 4",
    status="tentative",
    privacy="private",
    busy=False,
    categories=["planning"],
    priority=5,
    url="https://example.org/agenda",
    alarms=[{"trigger": "-PT15M"}, {"trigger": "-PT2H"}],
    end_time_zone="Europe/Lisbon",
)
#: A rule that Graph has no pattern for, with an addition and an exception.
ODD = event(
    title="Odd",
    rrule="FREQ=YEARLY;BYDAY=1MO;BYMONTH=1,7",
    rdates=["2026-12-24T10:00:00+01:00"],
    exdates=["2027-07-05T10:00:00+02:00"],
)


def held(world: MixedWorld, name: str) -> dict[str, Any]:
    """What a provider reads at its service, by title."""
    provider = world.services.connect(name, world.clock)
    calendar = world.services.calendars[name]
    provider.prepare(calendar, {})
    items = listing(Remote(provider, calendar)).items.values()
    provider.close()
    return {item.content["title"]: item.content for item in items if item.content is not None}


@pytest.mark.parametrize("where", NAMES)
def test_rich_event(world: MixedWorld, where: str) -> None:
    """Renamed and moved in each of the services in turn: all else is as it was, here and at each as far as it can."""
    world.tie()
    world.put("rich", **RICH)
    world.converge()
    world.services.people[where].edit("Rich", title="Richer", location="Room 5")
    world.converge()
    expected = {**world.contents["rich"]}
    assert expected == {**RICH, "title": "Richer", "location": "Room 5"}
    for name in NAMES:
        provider = world.services.connect(name, world.clock)
        keeps = provider.prepare(world.services.calendars[name], {}).keeps
        provider.close()
        assert held(world, name)["Richer"] == project(expected, keeps), name


@pytest.mark.parametrize("where", [name for name in NAMES if name != "microsoft"])
def test_rule_that_graph_cannot_hold(world: MixedWorld, where: str) -> None:
    """It is everywhere else, whole; Graph never gets a flattened one, and says why. The rest goes on there."""
    world.tie()
    world.put("odd", **ODD)
    world.put("plain", **event(title="Plain"))
    assert [error["uid"] for error in world.run()["microsoft"].errors] == ["odd"]
    world.run()
    world.services.people[where].edit("Odd", title="Odder")
    world.services.people["microsoft"].edit("Plain", title="Plainer")
    for _ in range(2):
        world.run()
    before = world.services.writes()
    world.run()

    assert world.services.writes() == before
    assert world.contents["odd"] == {**ODD, "title": "Odder"}
    for name in NAMES:
        assert set(held(world, name)) == ({"Plainer"} if name == "microsoft" else {"Odder", "Plainer"}), name
        if name != "microsoft":
            odd = held(world, name)["Odder"]
            assert [odd[field] for field in ("rrule", "rdates", "exdates")] == [
                ODD[field] for field in ("rrule", "rdates", "exdates")
            ], name


def test_occurrences_as_rows(world: MixedWorld) -> None:
    """With a row for each occurrence in Notion: each is edited there, and all others see an override."""
    world.tie(notion_series="occurrences")
    people = world.services.people
    people["google"].add(title="Stand-up", weeks=4, **at(9))
    world.run()
    people["notion"].edit_instance("Stand-up", day(1), location="Roof")
    people["folder"].edit_instance("Stand-up", day(2), title="Long one", **at(14, day(2)))
    for _ in range(3):
        world.run()
    world.check_quiet()
    for name in ("google", "microsoft", "caldav", "folder"):
        changed = {each.title: each for each in people[name].entries() if each.instance}
        assert changed["Stand-up"].location == "Roof", name
        assert changed["Long one"].start == f"{day(2)}T14:00:00", name
    rows = {each.start[:10]: (each.title, each.location) for each in people["notion"].entries()}
    assert rows == {
        day(0): ("Stand-up", ""), day(1): ("Stand-up", "Roof"), day(2): ("Long one", ""), day(3): ("Stand-up", ""),
    }  # fmt: skip
