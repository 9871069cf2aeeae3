"""What the hub knows of remote items, and how much of it is read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from sqlite3 import Connection

import pytest

from calhub.hub import links, lookup
from calhub.hub.accounts import Replica
from calhub.hub.database import Hub
from calhub.providers.base import Item

CONTENT = {"title": "Lunch", "start": "2026-11-23T12:00:00", "end": "2026-11-23T13:00:00"}


def item(number: int, uid: str | None = None) -> Item:
    return Item(remote_id=f"/{number}.ics", version=f"v{number}", uid=uid or f"uid-{number}", content=CONTENT)


def observe(hub: Hub, replica: Replica, *items: Item) -> None:
    with hub.transaction() as conn:
        links.observe_items(conn, replica.id, items, now=hub.now())


class Reads:
    """Opens connections and counts them."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.count = 0

    def __call__(self) -> AbstractContextManager[Connection]:
        self.count += 1
        return self.hub.read()


@pytest.mark.parametrize("asked", [3, 2 * links.CHUNK])
def test_known_versions_are_those_of_the_observations(hub: Hub, replica: Replica, asked: int) -> None:
    """The answers are the same whether items are looked up one by one or, being many, all at once."""
    observe(hub, replica, *map(item, range(asked)))
    with hub.transaction() as conn:
        links.observe_gone(conn, replica.id, ["/1.ics"], now=hub.now())
    reads = Reads(hub)
    known = links.KnownVersions(reads, replica.id)

    found = {f"/{number}.ics": known.version(f"/{number}.ics") for number in range(asked + 2)}

    assert found.pop("/1.ics") is found.pop(f"/{asked}.ics") is found.pop(f"/{asked + 1}.ics") is None
    assert found == {f"/{number}.ics": f"v{number}" for number in range(asked) if number != 1}
    assert set(known.ids()) == set(found)
    assert reads.count <= links.CHUNK + 1


def test_nothing_is_read_before_somebody_asks(hub: Hub, replica: Replica) -> None:
    """A pass in which nothing changed costs the same however many items there are; a question is put once."""
    observe(hub, replica, item(1))
    reads = Reads(hub)
    known = links.KnownVersions(reads, replica.id)

    assert reads.count == 0
    assert [known.version("/1.ics") for _ in range(3)] == ["v1"] * 3
    assert reads.count == 1


def test_strangers_meet_nothing(hub: Hub, replica: Replica, work: int) -> None:
    """An item is new only if no event, no other item and no link has its UID or its name."""
    observe(hub, replica, item(1), item(2))
    items = [item(1), item(3, "uid-2"), item(4), item(5, "twice"), item(6, "twice"), item(7)]
    with hub.transaction() as conn:
        found = lookup.strangers(conn, work, replica.id, items)

    assert [each.remote_id for each in found] == ["/4.ics", "/7.ics"]
