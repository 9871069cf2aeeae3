"""Time goes by: what enters a window appears, what leaves it is deleted nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rules.town import Town, instants

#: Every morning for eight weeks, but the second time in the evening.
DAILY: dict[str, Any] = {
    "start": "2026-11-23T10:00:00", "end": "2026-11-23T11:00:00", "time_zone": "Europe/Berlin",
    "rrule": "FREQ=DAILY;COUNT=56",
    "overrides": {"2026-11-24T10:00:00+01:00": {"start": "2026-11-24T20:00:00", "end": "2026-11-24T21:00:00"}},
}  # fmt: skip


@pytest.mark.parametrize("options", [{"hours": "09:00-18:00"}, {"merge": True}, {"merge": True, "buffer": "30m"}])
def test_single_blocks_stay_when_the_window_has_moved_on(town: Town, options: dict[str, Any]) -> None:
    """Also copies that are made one by one over the window, which then are new ones each day."""
    town.rule("mirror", "private", "work", past="7d", future="10d", **options)
    town.put("private", "s", **DAILY)
    town.settle()
    before = town.copies("work")

    for _ in range(4):
        town.clock.advance(days=7)
        town.settle()

    after = town.copies("work")
    assert before.items() <= after.items()
    assert len(after) == len({time for copy in after.values() for time in instants(copy)}) > 2 * len(before)


@pytest.mark.parametrize("options", [{"hours": "09:00-18:00"}, {"merge": True}])
def test_single_blocks_of_the_past_still_follow_their_rule(town: Town, options: dict[str, Any]) -> None:
    town.rule("mirror", "private", "work", past="7d", future="10d", keep="title", **options)
    town.put("private", "s", title="Secret", **DAILY)
    town.settle()
    town.clock.advance(days=28)
    town.settle()
    number = len(town.copies("work"))

    town.rule("mirror", "private", "work", past="7d", future="10d", private=True, **options)
    town.settle()

    copies = town.copies("work").values()
    assert len(copies) == number
    assert {(copy["title"], copy["privacy"]) for copy in copies} == {("Busy", "private")}


def test_single_blocks_of_the_past_still_follow_their_event(town: Town) -> None:
    town.rule("mirror", "private", "work", past="7d", future="10d", keep="title", hours="09:00-18:00")
    town.put("private", "s", title="Old", **DAILY)
    town.settle()
    town.clock.advance(days=28)
    town.settle()
    number = len(town.copies("work"))

    town.edit("private", "s", title="New")
    town.settle()
    assert [copy["title"] for copy in town.copies("work").values()] == ["New"] * number

    town.delete("private", "s")
    town.settle()
    assert town.copies("work") == {}
