"""Users of the hub and of two calendars at Google do what comes to their minds, while answers get lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.providers.google.conftest import account
from tests.providers.google.kit import instance, rid, times, writes
from tests.providers.google.world import BROKEN, GoogleWorld, shown

from calhub.calendar.event import Content
from calhub.testing.contract_kit import Remote, event
from calhub.testing.services.google import GoogleService
from calhub.testing.world import VirtualClock

DAYS = (23, 24, 25, 26, 27)
FAULTS = ("cut-before", "cut-after", "status", "status-after", "truncated", "expired")


class Players:
    """All that can happen, each by one method; what it is done to is drawn by lot."""

    def __init__(self, random: Random, google: GoogleService, world: GoogleWorld, remotes: list[Remote]) -> None:
        self.random = random
        self.google = google
        self.world = world
        self.remotes = remotes
        self.count = 0

    def play(self, steps: int) -> None:
        acts: list[Callable[[], None]] = [
            self.hub_creates, self.hub_creates, self.hub_edits, self.hub_edits, self.hub_changes_an_instance,
            self.hub_cancels_an_instance, self.hub_deletes, self.user_creates, self.user_creates, self.user_edits,
            self.user_edits, self.user_changes_an_instance, self.user_changes_an_instance,
            self.user_cancels_an_instance, self.user_deletes, self.tokens_end, self.answers_get_lost, self.sync,
            self.sync, self.sync,
        ]  # fmt: skip
        for _ in range(steps):
            self.random.choice(acts)()

    def word(self) -> str:
        self.count += 1
        return f"word-{self.count}"

    def sync(self) -> None:
        self.world.run()

    def tokens_end(self) -> None:
        self.google.expire_sync_tokens(self.random.choice(self.remotes).calendar)

    def answers_get_lost(self) -> None:
        match, how = self.random.choice(BROKEN), self.random.choice(FAULTS)
        self.google.fail(match, how, part=self.random.random() < 0.5, skip=self.random.randrange(3))  # type: ignore[arg-type]

    # The hub's user

    def hub_creates(self) -> None:
        fields: Content = event(title=self.word())
        if self.random.random() < 0.5:
            fields |= {
                "rrule": "FREQ=DAILY;COUNT=5",
                "exdates": [rid(24)],
                "overrides": {rid(26): {"title": self.word()}},
            }
        self.world.put(f"{self.word()}@hub", **fields)

    def hub_uid(self) -> str | None:
        uids = sorted(self.world.contents)
        return self.random.choice(uids) if uids else None

    def hub_edits(self) -> None:
        if uid := self.hub_uid():
            self.world.edit(uid, **{self.random.choice(["title", "location", "description"]): self.word()})

    def hub_changes_an_instance(self) -> None:
        word, key = self.word(), rid(self.random.choice(DAYS))

        def change(content: Content) -> Content:
            if "rrule" not in content or key in content.get("exdates", ()):
                return content
            overrides = content.get("overrides", {})
            return {**content, "overrides": {**overrides, key: {**overrides.get(key, {}), "location": word}}}

        if uid := self.hub_uid():
            self.world.change(uid, change)

    def hub_cancels_an_instance(self) -> None:
        key = rid(self.random.choice(DAYS))

        def change(content: Content) -> Content:
            if "rrule" not in content:
                return content
            overrides = {name: patch for name, patch in content.get("overrides", {}).items() if name != key}
            rest = {name: value for name, value in content.items() if name != "overrides"}
            rest |= {"exdates": sorted({*content.get("exdates", ()), key})}
            return rest | ({"overrides": overrides} if overrides else {})

        if uid := self.hub_uid():
            self.world.change(uid, change)

    def hub_deletes(self) -> None:
        if uid := self.hub_uid():
            self.world.delete(uid)

    # Google's users

    def user_creates(self) -> None:
        series: dict[str, Any] = {"recurrence": ["RRULE:FREQ=DAILY;COUNT=5"]} if self.random.random() < 0.5 else {}
        self.google.user_insert(self.random.choice(self.remotes).calendar, summary=self.word(), **times(), **series)

    def user_event(self, *, series: bool = False) -> tuple[str, str] | None:
        calendar = self.random.choice(self.remotes).calendar
        found = [
            name for name, body in sorted(self.google.live(calendar).items())
            if "recurringEventId" not in body and ("recurrence" in body or not series)
        ]  # fmt: skip
        return (calendar, self.random.choice(found)) if found else None

    def user_edits(self) -> None:
        if found := self.user_event():
            self.google.user_patch(*found, **{self.random.choice(["summary", "location"]): self.word()})

    def user_changes_an_instance(self) -> None:
        self.user_instance(lambda calendar, name: self.google.user_patch(calendar, name, summary=self.word()))

    def user_cancels_an_instance(self) -> None:
        self.user_instance(self.google.user_delete)

    def user_instance(self, act: Callable[[str, str], object]) -> None:
        if found := self.user_event(series=True):
            calendar, master = found
            name = instance(master, self.random.choice(DAYS))
            if name in self.google.live(calendar) or self.google.calendars[calendar].instance(name):
                act(calendar, name)

    def user_deletes(self) -> None:
        if found := self.user_event():
            self.google.user_delete(*found)


@pytest.mark.parametrize("seed", range(4))
def test_all_come_to_agree(google: GoogleService, tmp_path: Path, clock: VirtualClock, seed: int) -> None:
    random = Random(seed)
    google.resets_exceptions, google.follows_master = random.random() < 0.5, random.random() < 0.5
    world = GoogleWorld(tmp_path, clock)
    remotes = [world.tie(google, account(google), guard_share=1.0) for _ in range(2)]
    Players(random, google, world, remotes).play(40)
    google.heal()
    for _ in range(6):
        world.run()
    assert shown(remotes[0]) == world.contents
    assert shown(remotes[1]) == world.contents
    assert not world.open_work()
    before = len(writes(google)), world.seq
    world.run()
    assert (len(writes(google)), world.seq) == before
    for remote in remotes:
        remote.provider.close()
    world.close()
