"""Notion beside another replica of the same calendar, through the engine."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.providers.notion.conftest import FULL, USUAL, Connect, text

from calhub.hub import accounts
from calhub.hub.accounts import Account
from calhub.providers.base import Provider
from calhub.providers.layers import Retry
from calhub.testing.services.notion import NotionService
from calhub.testing.services.notion.model import DataSource, Page
from calhub.testing.world import Remote, VirtualClock, World


class Shared(World):
    """A calendar at a service in memory and in a Notion data source."""

    connect_notion: Connect
    notion: NotionService
    source: DataSource
    other: Remote

    def connect(self, account: Account) -> Provider:
        if account.provider == "notion":
            return Retry(self.connect_notion(), sleep=lambda seconds: None)  # noqa: ARG005 (what is waited for is told by Retry's tests)
        return super().connect(account)

    def attach(self, source: DataSource, **settings: Any) -> None:
        self.source = source
        with self.hub.transaction() as conn:
            account = accounts.add_account(conn, "team", "notion", {}, self.hub.now())
            accounts.add_replica(
                conn, self.calendar.id, account.id, source.id, "Team", self.hub.now(), settings=settings
            )

    def converge(self) -> None:
        """Sync until all is quiet, then once more: that writes nothing."""
        for _ in range(3):
            reports = self.sync()
            assert [report.errors for report in reports if report.errors] == []
            self.clock.advance(minutes=10)
        before = self.writes()
        self.sync(full=True)
        assert self.writes() == before

    def writes(self) -> int:
        changed = [*self.notion.requests("PATCH *"), *self.notion.requests("POST */pages")]
        return len(changed) + self.other.writes

    @property
    def rows(self) -> list[Page]:
        return self.notion.rows(self.source)

    def shown(self, title: str) -> dict[str, Any]:
        (page,) = [page for page in self.rows if self.notion.text(page, "Title") == title]
        return self.notion.shown(page)


@pytest.fixture
def world(tmp_path: Path, service: NotionService, connect: Connect, clock: VirtualClock) -> Iterator[Shared]:
    world = Shared(tmp_path, clock=clock)
    world.connect_notion, world.notion = connect, service
    world.other = world.add_remote()
    yield world
    world.close()


@pytest.fixture(params=["usual", "full", "bare"])
def anywhere(request: pytest.FixtureRequest, world: Shared, service: NotionService) -> Shared:
    """With the usual properties, with one for the zone, and with what calhub makes itself."""
    schema = {"usual": USUAL, "full": FULL, "bare": {"Name": {"title": {}}, "When": {"date": {}}}}[request.param]
    world.attach(service.add_database("Team", schema), create_properties=request.param == "bare")
    return world


def test_edits_arrive_everywhere(anywhere: Shared) -> None:
    world = anywhere
    world.other.put("a", title="Board", location="Room 4", alarms=[{"trigger": "-PT15M"}])
    world.notion.user_create(world.source, {"title": text("Party"), world_date(world): {"start": "2026-12-24"}})
    world.converge()
    party = next(uid for uid, content in world.other.contents.items() if content["title"] == "Party")
    assert world.other.contents[party] == {
        "title": "Party", "start": "2026-12-24", "end": "2026-12-25", "all_day": True,
    }  # fmt: skip
    row = next(page for page in world.rows if world.notion.text(page, title_of(world)) == "Board")
    world.notion.user_edit(row, {"title": text("Board, later")})
    world.other.edit(party, title="Big party")
    world.converge()

    assert world.other.contents["a"] == world.contents["a"]
    assert world.contents["a"]["title"] == "Board, later"
    assert world.contents["a"]["alarms"] == [{"trigger": "-PT15M"}]
    assert sorted(world.notion.text(page, title_of(world)) for page in world.rows) == ["Big party", "Board, later"]


def test_zone_survives_a_move_in_notion(anywhere: Shared) -> None:
    """Notion shows instants; moved by an hour there, the event is an hour later by its own clock."""
    world = anywhere
    world.other.put("a", end_time_zone="Europe/Lisbon", end="2026-11-23T13:00:00")
    world.other.put("floating", time_zone=None)
    world.converge()
    for page in world.rows:
        date = world.notion.shown(page)[world_date(world)]
        later = {name: hour_later(date[name]) for name in ("start", "end")}
        world.notion.user_edit(page, {world_date(world): later})
    world.converge()
    moved, floating = world.other.contents["a"], world.other.contents["floating"]

    assert (moved["start"], moved["time_zone"]) == ("2026-11-23T13:00:00", "Europe/Berlin")
    assert (moved["end"], moved["end_time_zone"]) == ("2026-11-23T14:00:00", "Europe/Lisbon")
    assert (floating["start"], floating.get("time_zone")) == ("2026-11-23T13:00:00", None)


def test_series_both_ways(anywhere: Shared) -> None:
    world = anywhere
    world.other.put("a", rrule="FREQ=WEEKLY;COUNT=4", exdates=["2026-12-07T12:00:00+01:00"])
    world.converge()
    (page,) = world.rows
    assert "RRULE:FREQ=WEEKLY;COUNT=4" in world.notion.text(page, "Recurrence")
    edited = {"title": "Special", "start": "2026-11-30T15:00:00", "end": "2026-11-30T16:00:00"}
    world.other.edit("a", overrides={"2026-11-30T12:00:00+01:00": edited})
    world.converge()
    assert len(world.rows) == 2
    world.notion.user_edit(world.rows[1], {"title": text("Very special")})
    world.converge()

    assert world.other.contents["a"]["overrides"]["2026-11-30T12:00:00+01:00"]["title"] == "Very special"
    assert world.other.contents["a"]["exdates"] == ["2026-12-07T12:00:00+01:00"]
    assert world.other.contents["a"] == world.contents["a"]


def test_occurrences_as_rows(world: Shared, service: NotionService) -> None:
    """An edit of one is an override, a deletion an exception, and the window is kept up by itself."""
    world.attach(service.add_database("Team", FULL), series="occurrences", past=30, future=60)
    world.other.put("a", rrule="FREQ=WEEKLY")
    world.converge()
    first, second, third = world.rows[:3]
    service.user_edit(second, {"Location": text("Cellar")})
    service.user_trash(third)
    world.converge()
    assert world.other.contents["a"]["overrides"] == {"2026-11-30T12:00:00+01:00": {"location": "Cellar"}}
    assert world.other.contents["a"]["exdates"] == ["2026-12-07T12:00:00+01:00"]
    count = len(world.rows)
    world.clock.advance(days=31)
    world.converge()
    assert len(world.rows) > count
    service.user_edit(first, {"Title": text("Supper")})
    world.converge()

    assert {service.text(page, "Title") for page in world.rows} == {"Supper"}
    assert world.other.contents["a"]["title"] == "Supper"


def test_upkeep_of_many_series_is_not_held(world: Shared, service: NotionService) -> None:
    """The guard is about changes, and nothing is changed."""
    world.attach(service.add_database("Team", FULL), series="occurrences", past=30, future=30)
    for number in range(12):
        world.other.put(str(number), rrule="FREQ=MONTHLY")
    world.converge()
    world.clock.advance(days=40)
    world.converge()

    assert world.holds == []
    assert len(world.rows) == 12 * 3


def test_deletions_go_both_ways(anywhere: Shared) -> None:
    world = anywhere
    for number in range(4):
        world.other.put(str(number), title=f"Event {number}")
    world.converge()
    world.notion.user_trash(next(page for page in world.rows if world.notion.text(page, title_of(world)) == "Event 0"))
    world.other.delete("1")
    world.converge()

    assert set(world.other.contents) == {"2", "3"}
    assert len(world.rows) == 2


def test_removed_property_erases_nothing_elsewhere(world: Shared, service: NotionService) -> None:
    """Neither at once nor when it comes back."""
    world.attach(service.add_database("Team", USUAL))
    world.other.put("a", location="Room 4")
    world.converge()
    with service.lock:
        del world.source.properties[world.source.find("Location").id]
    world.clock.advance(hours=2)
    world.converge()
    assert world.other.contents["a"]["location"] == "Room 4"
    world.other.edit("a", title="Other")
    world.converge()
    assert world.shown("Other")
    with service.lock:
        world.source.add("Location", {"rich_text": {}})
    world.clock.advance(hours=2)
    world.converge()

    assert world.other.contents["a"]["location"] == "Room 4"
    assert [service.text(page, "Location") for page in world.rows] == ["Room 4"]


def test_without_uid_it_pulls_only(world: Shared, service: NotionService) -> None:
    world.attach(service.add_database("Team", {"Name": {"title": {}}, "Date": {"date": {}}}))
    world.other.put("a")
    service.user_create(world.source, {"Name": text("Theirs"), "Date": {"start": "2026-11-23"}})
    world.converge()

    assert len(world.rows) == 1
    assert {content["title"] for content in world.other.contents.values()} == {"Lunch", "Theirs"}


@pytest.mark.parametrize("how", ["cut-before", "cut-after", "truncated", "status", "status-after"])
@pytest.mark.parametrize("match", ["POST */pages", "PATCH */pages/*", "POST */query", "GET */pages/*"])
def test_nothing_is_doubled_or_lost(world: Shared, service: NotionService, how: Any, match: str) -> None:
    """Whatever is cut off or fails in the middle."""
    world.attach(service.add_database("Team", FULL))
    world.other.put("a", rrule="FREQ=DAILY;COUNT=9", overrides={"2026-11-25T12:00:00+01:00": {"title": "Special"}})
    world.other.put("b")
    service.fail(match, how, times=2, status=502)
    for _ in range(3):
        world.sync()
        world.clock.advance(hours=1)
    world.other.edit("b", title="New")
    page = next(page for page in world.rows if service.text(page, "Title") == "Special")
    service.user_edit(page, {"Location": text("Roof")})
    service.fail(match, how, times=2, status=502)
    for _ in range(3):
        world.sync()
        world.clock.advance(hours=1)
    world.converge()

    assert sorted(service.text(page, "Title") for page in world.rows) == ["Lunch", "New", "Special"]
    assert world.other.contents["a"]["overrides"]["2026-11-25T12:00:00+01:00"] == {
        "title": "Special",
        "location": "Roof",
    }
    assert world.conflicts == []


def test_unshared_database_deletes_nothing(world: Shared, service: NotionService) -> None:
    world.attach(service.add_database("Team", FULL))
    world.other.put("a")
    world.converge()
    service.database_of(world.source).shared = False
    world.sync(full=True)

    assert set(world.contents) == {"a"}
    assert set(world.other.contents) == {"a"}


def hour_later(text: str) -> str:
    return (datetime.fromisoformat(text) + timedelta(hours=1)).isoformat()


def world_date(world: Shared) -> str:
    return next(prop.name for prop in world.source.properties.values() if prop.type == "date")


def title_of(world: Shared) -> str:
    return next(prop.name for prop in world.source.properties.values() if prop.type == "title")
