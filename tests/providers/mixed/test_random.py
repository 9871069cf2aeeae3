"""Everybody does what comes to their minds, while answers get lost. In the end nothing differs."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest
from tests.providers.mixed.test_faults import REQUESTS
from tests.providers.mixed.world import NAMES, MixedWorld, at, day

from calhub.testing.people import Entry, Person

FAULTS: list[Any] = ["cut-before", "cut-after", "status", "status-after", "truncated", "expired"]


class Life:
    """Every text that is typed is a new one, so that a loss shows."""

    def __init__(self, seed: int, world: MixedWorld) -> None:
        self.random = Random(seed)
        self.world = world
        self.typed = 0

    def step(self) -> None:
        name = self.random.choice(NAMES)
        person = self.world.services.people[name]
        act = self.random.choice([self.add, self.edit, self.edit, self.move, self.instance, self.cancel, self.delete])
        with suppress(KeyError):  # there is no such event or instance (any more), or Notion has no row for it
            act(person)

    def word(self) -> str:
        self.typed += 1
        return f"word {self.typed}"

    def one(self, person: Person, *, series: bool = False) -> Entry:
        found = [each for each in person.entries() if not each.instance and (each.repeats or not series)]
        if not found:
            raise KeyError("nothing there")
        return self.random.choice(found)

    def add(self, person: Person) -> None:
        weeks = self.random.choice([1, 1, 5])
        person.add(title=self.word(), weeks=weeks, **at(self.random.randint(8, 18), day(self.random.randint(0, 2))))

    def edit(self, person: Person) -> None:
        field = self.random.choice(["title", "location", "description"])
        fields: Any = {field: self.word()}
        person.edit(self.one(person).title, **fields)

    def move(self, person: Person) -> None:
        """A single event: what becomes of the exceptions of a series that is moved is up to each service."""
        one = self.one(person)
        if not one.repeats:
            person.edit(one.title, **at(self.random.randint(8, 18), day(self.random.randint(0, 4))))

    def instance(self, person: Person) -> None:
        fields: Any = {self.random.choice(["title", "location"]): self.word()}
        person.edit_instance(*self.slot(person), **fields)

    def cancel(self, person: Person) -> None:
        person.cancel_instance(*self.slot(person))

    def slot(self, person: Person) -> tuple[str, str]:
        series = self.one(person, series=True)
        days = [each for each in map(day, range(7)) if series.start[:10] <= each][:5]
        slots = [each for each in days if each not in series.cancelled]
        if not slots:
            raise KeyError("all cancelled")
        return series.title, self.random.choice(slots)

    def delete(self, person: Person) -> None:
        if self.random.random() < 0.3:
            person.delete(self.one(person).title)

    def fault(self) -> None:
        name, emulator = self.random.choice(sorted(self.world.services.emulators.items()))
        how = self.random.choice(FAULTS if name != "notion" else FAULTS[:-1])
        part = self.random.random() < 0.5
        emulator.fail(self.random.choice(REQUESTS[name]), how, part=part, skip=self.random.randrange(3))


@pytest.mark.parametrize("seed", range(4))
def test_all_come_to_agree(world: MixedWorld, seed: int) -> None:
    world.tie(guard_number=1000)
    life = Life(seed, world)
    for _ in range(8):
        for _ in range(life.random.randint(1, 5)):
            life.step()
        if life.random.random() < 0.6:
            life.fault()
        world.run()
    for emulator in world.services.emulators.values():
        emulator.heal()
    world.run(full=True)
    world.converge(4)
