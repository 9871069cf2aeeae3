"""Remotes that hold less than the hub, or hold it otherwise: nothing is lost by that anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calhub.calendar.event import FIELDS
from calhub.hub.accounts import Account
from calhub.providers.base import Capabilities, Item, Known, Page, Provider
from calhub.testing.memory import MemoryProvider, Quirks
from calhub.testing.world import World

INSTANTS = FIELDS - {"time_zone", "end_time_zone", "zones"}


def test_zone_survives_where_it_cannot_be_held(world: World) -> None:
    """Moved by an hour at a service that knows instants only, the event is an hour later by its own clock."""
    one, two = world.add_remote(), world.add_remote(quirks=Quirks(keeps=INSTANTS))
    one.put("a")
    world.settle()
    assert two.contents["a"] == {
        "title": "Lunch", "start": "2026-11-23T11:00:00", "end": "2026-11-23T12:00:00", "time_zone": "UTC",
    }  # fmt: skip
    two.edit("a", start="2026-11-23T12:00:00", end="2026-11-23T13:00:00")
    one.edit("a", description="Edited at once")
    world.settle()

    assert one.contents["a"] == {
        "title": "Lunch", "start": "2026-11-23T13:00:00", "end": "2026-11-23T14:00:00", "time_zone": "Europe/Berlin",
        "description": "Edited at once",
    }  # fmt: skip
    assert two.contents["a"]["start"] == "2026-11-23T12:00:00"


def test_edit_beating_a_delete_comes_back_in_its_zone(world: World) -> None:
    one, two = world.add_remote(), world.add_remote(quirks=Quirks(keeps=INSTANTS))
    one.put("a")
    world.settle()
    world.clock.advance(hours=1)
    two.edit("a", start="2026-11-23T12:00:00", end="2026-11-23T13:00:00")
    one.delete("a")
    world.settle()

    assert one.contents["a"]["start"] == "2026-11-23T13:00:00"
    assert one.contents["a"]["time_zone"] == "Europe/Berlin"


def test_field_that_cannot_be_held_any_more_is_not_deleted(world: World) -> None:
    """A service that forgets a field for good shows the events without it: that is no edit."""
    one, two = world.add_remote(), world.add_remote()
    one.put("a", location="Room 4")
    world.settle()
    two.service.quirks = replace(two.service.quirks, keeps=FIELDS - {"location"})
    two.edit("a", location=None, title="Other")
    world.settle()
    assert world.contents["a"]["location"] == "Room 4"
    two.service.quirks = replace(two.service.quirks, keeps=FIELDS)
    one.edit("a", title="Third")
    world.settle()

    assert one.contents["a"] == two.contents["a"] == world.contents["a"]
    assert world.contents["a"]["location"] == "Room 4"


class Notebook(MemoryProvider):
    """Notes the order of calls, and finds some of its items outdated."""

    calls: list[str]
    outdated: list[str]

    def prepare(self, calendar: str, settings: Mapping[str, Any]) -> Capabilities:
        self.calls.append("prepare")
        return super().prepare(calendar, settings)

    def get(self, calendar: str, remote_id: str) -> Item | None:
        self.calls.append("get")
        return super().get(calendar, remote_id)

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        self.calls.append("changes")
        for page in super().changes(calendar, cursor, known):
            yield replace(page, outdated=self.outdated)


class Noted(World):
    """A world whose providers are notebooks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.calls: list[str] = []
        self.outdated: list[str] = []

    def connect(self, account: Account) -> Provider:
        remote = next(each for each in self.remotes if each.replica.account_id == account.id)
        provider = Notebook(remote.service)
        provider.calls, provider.outdated = self.calls, self.outdated
        return provider


@pytest.fixture
def noted(tmp_path: Path) -> Iterator[Noted]:
    world = Noted(tmp_path)
    yield world
    world.close()


def test_provider_learns_the_settings_first(noted: Noted) -> None:
    """Also where an earlier pass left doubt behind."""
    one = noted.add_remote()
    noted.put("a")
    noted.sync()
    noted.edit("a", title="New")
    one.service.fail("update", "lost-after")
    one.service.fail("get", "5xx")
    noted.sync()
    noted.calls.clear()
    noted.sync()

    assert noted.calls[:2] == ["prepare", "get"]


def test_change_of_all_later_instances_is_refused_where_it_would_become_another(world: World) -> None:
    """Kept whole in the hub and reported once; other services get it; without it the series is written."""
    able, unable = world.add_remote(), world.add_remote(quirks=Quirks(keeps=FIELDS - {"following"}))
    series = {"rrule": "FREQ=DAILY;COUNT=6"}
    later = {"2026-11-25T12:00:00+01:00": {"title": "Later", "following": True}}
    world.put("a", **series, overrides=later)

    reports = world.sync()

    assert able.contents["a"]["overrides"] == later
    assert unable.contents == {}
    assert [len(report.errors) for report in reports] == [0, 1]
    assert "all later ones" in reports[1].errors[0]["message"]
    assert not world.sync()[1].errors
    world.edit("a", overrides=None)
    world.sync()
    assert unable.contents["a"] == able.contents["a"]


def test_outdated_items_are_written_as_they_are(noted: Noted) -> None:
    """Journalled as any write, and nothing the guard would hold."""
    one = noted.add_remote()
    for number in range(12):
        one.put(str(number))
    noted.sync()
    noted.outdated += [one.service.remote_id(one.calendar, str(number)) or "" for number in range(12)]
    before = noted.seq, one.contents
    (report,) = noted.sync()

    assert one.writes == 12
    assert report.counts["pushed"]["updated"] == 12
    assert (noted.seq, one.contents) == before
    assert noted.holds == []
