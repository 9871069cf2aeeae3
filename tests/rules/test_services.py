"""Busy blocks between calendars at Google, Microsoft 365, Notion, a CalDAV server and in a folder: a full mesh."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest
from tests.providers.mixed.world import NAMES, Services, at, day

from calhub.hub import accounts, rules
from calhub.hub.accounts import Account
from calhub.hub.database import Hub
from calhub.providers.base import Provider
from calhub.providers.layers import Retry
from calhub.rules.derive import derive
from calhub.sync import engine
from calhub.testing.world import VirtualClock

OTHERS = {name: [other for other in NAMES if other != name] for name in NAMES}


class Mesh:
    """Five calendars, one at each service."""

    def __init__(self, folder: Path, services: Services, clock: VirtualClock) -> None:
        self._folder, self._services, self._clock = folder, services, clock
        self._homes = 0
        self.begin()

    def begin(self) -> None:
        """A new machine: accounts and rules are made again, under the same names."""
        self._homes += 1
        self.hub = Hub.open(self._folder / f"home-{self._homes}", clock=self._clock)
        with self.hub.transaction() as conn:
            for name in NAMES:
                account = accounts.add_account(conn, name, name, {}, self.hub.now())
                calendar = accounts.add_calendar(conn, name, self.hub.now())
                settings = {"past": 7, "future": 60} if name == "notion" else {}
                remote_id = self._services.calendars[name]
                accounts.add_replica(
                    conn, calendar.id, account.id, remote_id, "Team", self.hub.now(), settings=settings
                )
            for source, target in permutations(NAMES, 2):
                rules.add_rule(conn, "mirror", source, target, {"title": "Busy ({calendar})"}, self.hub.now())

    def connect(self, account: Account) -> Provider:
        return Retry(self._services.connect(account.name, self._clock), sleep=lambda _: None)

    def sync(self) -> None:
        for report in engine.sync(self.hub, self.connect, derive=derive):
            assert report.status == "ok", report.shape()
        self._clock.advance(hours=6)

    def settle(self) -> None:
        """A few passes; then a further one writes nothing anywhere."""
        for _ in range(3):
            self.sync()
        before = self._services.writes()
        self.sync()
        assert self._services.writes() == before

    def shown(self, name: str) -> list[tuple[str, str]]:
        return sorted((each.title, each.start) for each in self._services.people[name].entries())


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def services(tmp_path: Path, clock: VirtualClock) -> Iterator[Services]:
    (tmp_path / "folders").mkdir()
    with Services(tmp_path / "folders", clock) as services:
        yield services


@pytest.fixture
def mesh(tmp_path: Path, services: Services, clock: VirtualClock) -> Iterator[Mesh]:
    mesh = Mesh(tmp_path, services, clock)
    yield mesh
    mesh.hub.close()


def expected(name: str, *hours: int) -> list[tuple[str, str]]:
    """What somebody sees whose own event is one of five, an hour each."""
    rows = zip(NAMES, hours, strict=True)
    return sorted(
        (f"Own {each}" if each == name else f"Busy ({each})", f"{day(0)}T{hour:02}:00:00") for each, hour in rows
    )


def test_everybody_sees_when_the_others_are_busy(mesh: Mesh, services: Services) -> None:
    """Made, moved and deleted in each; and nothing else of an event is anywhere but in its own calendar."""
    for hour, name in enumerate(NAMES, 9):
        services.people[name].add(title=f"Own {name}", location="Secret", description="Secret", **at(hour))
    mesh.settle()
    for name in NAMES:
        assert mesh.shown(name) == expected(name, 9, 10, 11, 12, 13)
        assert not [each for each in services.people[name].entries() if "Busy" in each.title and "Secret" in str(each)]

    for hour, name in enumerate(NAMES, 14):
        services.people[name].edit(f"Own {name}", **at(hour))
    mesh.settle()
    for name in NAMES:
        assert mesh.shown(name) == expected(name, 14, 15, 16, 17, 18)

    for name in NAMES:
        services.people[name].delete(f"Own {name}")
    mesh.settle()
    assert {name: mesh.shown(name) for name in NAMES} == {name: [] for name in NAMES}


def test_a_lost_hub_doubles_nothing(mesh: Mesh, services: Services) -> None:
    """Each service has kept the UIDs, and these are the marks."""
    for hour, name in enumerate(NAMES, 9):
        services.people[name].add(title=f"Own {name}", **at(hour))
    mesh.settle()
    mesh.hub.close()
    mesh.begin()
    mesh.settle()

    for name in NAMES:
        assert mesh.shown(name) == expected(name, 9, 10, 11, 12, 13)


@pytest.mark.parametrize("name", NAMES)
def test_a_block_edited_by_hand_is_put_back(mesh: Mesh, services: Services, name: str) -> None:
    other = OTHERS[name][0]
    services.people[other].add(title="Own", **at(9))
    mesh.settle()
    services.people[name].edit(f"Busy ({other})", title="Dentist", **at(12))
    mesh.settle()

    assert mesh.shown(name) == [(f"Busy ({other})", f"{day(0)}T09:00:00")]
    assert mesh.shown(other) == [("Own", f"{day(0)}T09:00:00")]
