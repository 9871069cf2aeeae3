"""What becomes a message to an endpoint, what waits for it, and what is forgotten."""

from __future__ import annotations

from itertools import count

import pytest
from tests.daemon.receiver import fail
from tests.daemon.town import Town

from calhub.daemon.delivery import Delivery
from calhub.hub import accounts, changes, endpoints, events, messages
from calhub.hub.backup import backup, restore
from calhub.hub.database import Hub
from calhub.testing.world import plain


def test_chosen_calendars(town: Town) -> None:
    """Others are not told of; a calendar that goes leaves the choice, and its number is worth nothing to its heir."""
    town.add(calendars=["Home"])
    town.put("w", calendar="Work")
    town.put("h", calendar="Home")
    town.go()
    assert (town.receiver.told, town.shape()["calendars"]) == (["h"], ["Home"])

    with town.hub.transaction() as conn:
        accounts.remove_calendar(conn, town.calendars["Home"])
        town.calendars["Heir"] = accounts.add_calendar(conn, "Heir", town.hub.now()).id
    assert town.calendars["Heir"] == town.calendars["Home"]
    town.put("x", calendar="Heir")
    town.go()
    assert (town.receiver.told, town.shape()["calendars"]) == (["h"], [])


def test_a_storm_is_few_messages(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many changes in one, and so many messages waiting: the rest stays in the log until there is room."""
    town.add()
    town.put(*(f"e{number}" for number in range(220)))
    town.go()
    assert [len(each.data["items"]) for each in town.receiver.received] == [100, 100, 20]
    assert town.receiver.told == [f"e{number}" for number in range(220)]

    monkeypatch.setattr(messages, "MOST_ITEMS", 2)
    monkeypatch.setattr(messages, "MOST_WAITING", 3)
    town.receiver.close()
    town.put(*(f"f{number}" for number in range(20)))
    town.delivery.cut()
    assert town.shape()["pending"] == 3
    town.receiver.open()
    for _ in range(10):
        town.go()
    assert town.receiver.told[220:] == [f"f{number}" for number in range(20)]


def test_the_log_waits_for_those_who_are_told(town: Town) -> None:
    """It is kept for an active endpoint; a disabled one that has missed something is told so."""
    town.add()
    town.put("a", "b")
    town.pass_time(days=1)
    town.clean_up()
    town.go()
    assert town.receiver.told == ["a", "b"]

    town.disable()
    town.put("c", "d")
    town.pass_time(days=1)
    town.clean_up()
    town.enable()
    town.put("e")
    town.go()
    lost = town.receiver.received[1]
    assert (lost.type, lost.data) == ("changes.lost", {"seq": 5})
    town.put("f")
    town.go()
    assert town.receiver.told == ["a", "b", "f"]


def test_a_log_with_gaps_is_not_whole(town: Town) -> None:
    """An old row that is kept for an event must not make up for later ones that are gone."""
    town.put("kept", "gone", "gone too", "last")
    town.delete("kept")
    town.pass_time(days=1)
    with town.hub.read() as conn:
        assert [changes.is_whole_after(conn, seq) for seq in (0, 2, 5, 6)] == [True, True, True, False]
    town.clean_up()

    with town.hub.read() as conn:
        left = [each["seq"] for each in changes.log_after(conn, 0, 100)]
        whole = {seq: changes.is_whole_after(conn, seq) for seq in range(6)}
    assert left == [1, 5]
    assert whole == {0: False, 1: False, 2: False, 3: False, 4: True, 5: True}


def test_what_is_forgotten(town: Town) -> None:
    """Delivered messages after a day, dead ones with the history, and what waits for somebody who is disabled, too."""
    town.add()
    town.put("a")
    town.go()
    town.put("b")
    town.receiver.answers += fail(1)
    town.go()
    town.pass_time(hours=23)
    for _ in range(2):
        with town.hub.transaction() as conn:
            messages.drop_delivered(conn, town.hub.clock())
        counted = len(town.kept("delivered"))
        town.pass_time(hours=2)
    assert counted == 0
    with town.hub.transaction() as conn:
        conn.execute("UPDATE message SET state = 'dead', next_try = NULL")
    town.put("c")
    town.delivery.cut()
    town.disable()
    town.pass_time(days=10)
    town.clean_up(keep_days=12)
    assert [each["state"] for each in town.kept()] == ["pending", "dead"]
    town.clean_up(keep_days=9)
    assert town.kept() == []
    town.enable()
    town.go()
    assert town.receiver.types[-1] == "changes.lost"


def test_after_a_restore(town: Town) -> None:
    """Who was told of what this hub does not know any more is told to read everything anew."""
    town.add()
    town.put("a")
    town.go()
    backup(town.hub.home, town.hub.home.parent / "copy.db")
    town.put("b")
    town.go()
    town.hub.close()
    restore(town.hub.home, town.hub.home.parent / "copy.db")
    town.hub = Hub.open(town.hub.home, clock=lambda: town.now)
    town.delivery = Delivery(town.hub)
    town.go()
    assert (town.receiver.types, town.receiver.received[-1].data) == (
        ["changes", "changes", "changes.lost"],
        {"seq": 1},
    )


def test_removed(town: Town) -> None:
    """With everything that waits for it; also between cutting and sending."""
    town.add()
    town.put("a")
    town.delivery.cut()
    (due,) = town.delivery.due()
    with town.hub.transaction() as conn:
        endpoints.remove(conn, town.hub.home, 1)
    town.delivery.attempt(due)
    assert (town.kept(), town.receiver.received) == ([], [])
    assert town.add() == 2
    assert town.audited() == ["webhook added", "webhook removed", "webhook added"]


def test_what_happens_meanwhile_waits_for_the_next_turn(town: Town) -> None:
    """In a storm messages would be cut as fast as changes come, with one change in each."""
    town.add()
    town.put("a")
    moments = count()
    with Hub.open(town.hub.home) as another:

        def storm() -> None:
            if (moment := next(moments)) % 2:  # after a commit
                with another.transaction() as conn:
                    events.put_event(conn, town.calendars["Work"], f"e{moment}", plain(), now=another.now())

        town.hub.on_commit = storm
        town.delivery.cut()
        town.hub.on_commit = None

    assert town.shape()["pending"] == 1
