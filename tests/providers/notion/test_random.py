"""Made-up lives of a calendar: people edit in Notion and elsewhere, requests fail, and all sides end up equal."""

import random
from pathlib import Path
from typing import Any

import pytest
from tests.providers.notion.conftest import FULL, USUAL, Connect, text
from tests.providers.notion.test_sync import Shared, hour_later

from calhub.calendar.event import Content
from calhub.calendar.fields import project
from calhub.providers.notion.provider import NotionProvider
from calhub.testing.contract_kit import Remote, listing
from calhub.testing.services.notion import NotionService
from calhub.testing.world import VirtualClock

SEEDS = range(6)
WORDS = ("Lunch", "Board", "Party", "Sprint", "Größe 😀")
RULES = ("FREQ=DAILY;COUNT=6", "FREQ=WEEKLY;COUNT=4", "FREQ=MONTHLY;COUNT=3;BYDAY=1MO")


class Life:
    """One seed's worth of edits."""

    def __init__(self, world: Shared, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.made = 0

    def step(self) -> None:
        choices = [self.create, self.edit, self.edit, self.delete, self.create_row, self.edit_row, self.move_row,
                   self.trash_row, self.fail]  # fmt: skip
        self.random.choice(choices)()

    def name(self) -> str:
        """Never the same twice, so that a lost edit shows."""
        self.made += 1
        return f"{self.random.choice(WORDS)} {self.made}"

    def create(self) -> None:
        fields: Content = {"title": self.name(), "location": self.name()}
        if self.random.random() < 0.4:
            fields["rrule"] = self.random.choice(RULES)
        elif self.random.random() < 0.3:
            fields |= {"start": "2026-11-24", "end": "2026-11-26", "all_day": True, "time_zone": None}
        self.world.other.put(f"{self.made}@example.org", **fields)

    def edit(self) -> None:
        contents = self.world.other.contents
        if not contents:
            return
        uid = self.random.choice(sorted(contents))
        field = self.random.choice(["title", "location", "description", "categories", "status"])
        value: Any = {"categories": [self.name()], "status": "tentative"}.get(field, self.name())
        self.world.other.edit(uid, **{field: value})

    def delete(self) -> None:
        if contents := self.world.other.contents:
            self.world.other.delete(self.random.choice(sorted(contents)))

    def create_row(self) -> None:
        date = self.random.choice([{"start": "2026-12-01"}, {"start": "2026-12-01T09:00:00Z"}])
        self.world.notion.user_create(self.world.source, {"Title": text(self.name()), "Date": date})

    def edit_row(self) -> None:
        if rows := self.world.rows:
            values = {self.random.choice(["Title", "Location", "Description"]): text(self.name())}
            self.world.notion.user_edit(self.random.choice(rows), values)

    def move_row(self) -> None:
        if rows := self.world.rows:
            page = self.random.choice(rows)
            date = self.world.notion.shown(page)["Date"]
            if len(date["start"]) > 10:
                moved = {name: hour_later(date[name]) for name in ("start", "end") if date[name]}
                self.world.notion.user_edit(page, {"Date": moved})

    def trash_row(self) -> None:
        if rows := self.world.rows:
            self.world.notion.user_trash(self.random.choice(rows))

    def fail(self) -> None:
        match = self.random.choice(["POST */pages", "PATCH */pages/*", "POST */query", "GET */pages/*"])
        how: Any = self.random.choice(["cut-before", "cut-after", "truncated", "status", "status-after"])
        self.world.notion.fail(match, how, status=self.random.choice([500, 503, 504]))


@pytest.mark.parametrize("series", ["master", "occurrences"])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_sides_end_up_equal(
    tmp_path: Path, service: NotionService, connect: Connect, clock: VirtualClock, seed: int, series: str
) -> None:
    world = Shared(tmp_path, clock=clock)
    world.connect_notion, world.notion, world.other = connect, service, world.add_remote()
    schema = USUAL if seed % 2 else FULL
    settings = {"series": series, "past": 30, "future": 30, "guard_number": 1000}
    world.attach(service.add_database("Team", schema), **settings)
    life = Life(world, seed)
    for _ in range(25):
        for _ in range(life.random.randint(1, 3)):
            life.step()
        world.sync()
        clock.advance(minutes=life.random.randint(1, 90))
    for _ in range(6):
        world.sync(full=True)
        clock.advance(hours=8)

    before = world.writes()
    world.sync(full=True)
    assert world.writes() == before
    assert world.other.contents == world.contents
    provider = connect()
    shown = seen(provider, world, settings)
    keeps = provider.prepare(world.source.id, settings).keeps
    assert shown == {uid: said(project(content, keeps)) for uid, content in world.contents.items()}
    world.close()


def said(content: Content) -> Content:
    """Without overrides that say nothing: at Notion they are rows like all others."""
    overrides = {rid: patch for rid, patch in content.get("overrides", {}).items() if patch}
    rest = {name: value for name, value in content.items() if name != "overrides"}
    return rest | ({"overrides": overrides} if overrides else {})


def seen(provider: NotionProvider, world: Shared, settings: dict[str, Any]) -> dict[str, Content]:
    """The events in Notion by UID. Rows of a series that was deleted there may be left behind; they are none."""
    provider.prepare(world.source.id, settings)
    found = listing(Remote(provider, world.source.id)).items.values()
    return {item.uid: item.content for item in found if item.uid is not None and item.content is not None}
