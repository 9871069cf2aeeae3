"""Accounts, calendars, replicas: naming them, limits, removing them."""

from __future__ import annotations

from typing import Any

import pytest

from calhub.hub import accounts, events, sql
from calhub.hub.accounts import Account, Calendar, Replica
from calhub.hub.database import Hub
from calhub.hub.errors import Ambiguous, InvalidValue, NotFound

EVENT = {"title": "Lunch", "start": "2026-11-21T12:00:00", "end": "2026-11-21T13:00:00", "time_zone": "UTC"}


def count(hub: Hub, table: str) -> int:
    with hub.read() as conn:
        return int(sql.value(conn, f"SELECT count(*) FROM {table}"))


def linked_event(hub: Hub, replica: Replica, uid: str = "u1") -> int:
    """An event with a link and an observation in the replica."""
    with hub.transaction() as conn:
        event = events.put_event(conn, replica.calendar_id, uid, EVENT, now=hub.now())
        conn.execute(
            "INSERT INTO link (replica_id, event_id, remote_id, base_remote, hub_rev, synced) "
            "VALUES (?, ?, ?, '{}', 1, 't')",
            (replica.id, event.id, f"/{uid}"),
        )
        conn.execute(
            "INSERT INTO observation (replica_id, remote_id, content, seen) VALUES (?, ?, '{}', 't')",
            (replica.id, f"/{uid}"),
        )
    return event.id


def test_account_round_trip(hub: Hub) -> None:
    """What was stored comes back, and is changed by id."""
    settings = {"url": "https://dav.example.org", "username": "ann"}
    with hub.transaction() as conn:
        added = accounts.add_account(conn, "home", "caldav", settings, hub.now())
        accounts.set_account_state(conn, added.id, "needs_login", "The password was refused.")

    with hub.read() as conn:
        stored = accounts.account(conn, "home")
        assert added == Account(added.id, "home", "caldav", settings, "ok", None)
        assert stored == Account(added.id, "home", "caldav", settings, "needs_login", "The password was refused.")
        assert accounts.account(conn, added.id) == stored == accounts.account(conn, str(added.id))


def test_secrets_of_an_account(hub: Hub, replica: Replica) -> None:
    """Sealed secrets are replaced by name, and go with their account."""
    with hub.transaction() as conn:
        accounts.set_secret(conn, replica.account_id, "password", "aesgcm:old")
        accounts.set_secret(conn, replica.account_id, "password", "aesgcm:new")
        accounts.set_secret(conn, replica.account_id, "token", "keyring:x")
        assert accounts.sealed_secrets(conn, replica.account_id) == {"password": "aesgcm:new", "token": "keyring:x"}
        accounts.remove_account(conn, replica.account_id)

    assert count(hub, "secret") == 0


@pytest.mark.parametrize("name", ["home", "", "  "])
def test_account_names_are_unique_and_not_empty(hub: Hub, replica: Replica, name: str) -> None:
    """A taken or empty name is an InvalidValue, and nothing is stored."""
    assert replica.account == "home"

    with pytest.raises(InvalidValue), hub.transaction() as conn:
        accounts.add_account(conn, name, "caldav", {}, hub.now())
    assert count(hub, "account") == 1


def test_not_found_says_what_there_is(hub: Hub, work: int) -> None:
    """The hint lists what could have been meant."""
    with hub.read() as conn:
        with pytest.raises(NotFound) as caught:
            accounts.calendar(conn, "work")
        assert "Work" in caught.value.hint
        with pytest.raises(NotFound) as caught:
            accounts.account(conn, "home")
        assert caught.value.hint == "There is no account yet."
        with pytest.raises(NotFound):
            accounts.replica(conn, work + 99)
        with pytest.raises(NotFound):
            accounts.calendar(conn, "9" * 40)


def test_calendar_by_id_or_name(hub: Hub, work: int) -> None:
    """An id, its digits and the exact name all name the calendar."""
    with hub.read() as conn:
        wanted = Calendar(work, "Work", None, None)
        assert [accounts.calendar(conn, name) for name in (work, str(work), "Work")] == [wanted] * 3


def test_a_name_that_is_also_an_id(hub: Hub, work: int) -> None:
    """Digits that are one calendar's id and another's name are ambiguous; the integer is not."""
    with hub.transaction() as conn:
        accounts.add_calendar(conn, str(work), hub.now())

        with pytest.raises(Ambiguous) as caught:
            accounts.calendar(conn, str(work))
        assert caught.value.candidates == (f"{work} (Work)", f"{work + 1} ({work})")
        assert accounts.calendar(conn, work).name == "Work"


def test_rename_calendar(hub: Hub, work: int) -> None:
    """A calendar takes any free name, its own included."""
    with hub.transaction() as conn:
        accounts.add_calendar(conn, "Home", hub.now())
        accounts.rename_calendar(conn, work, "Work")
        accounts.rename_calendar(conn, work, "Office")
        with pytest.raises(InvalidValue):
            accounts.rename_calendar(conn, work, "Home")

        assert accounts.calendar(conn, work).name == "Office"


def test_free_calendar_name(hub: Hub, work: int) -> None:
    """A taken name gets the account's in brackets, and then a number."""
    names = []
    with hub.transaction() as conn:
        for _ in range(3):
            names.append(accounts.free_calendar_name(conn, "Work", "home"))
            accounts.add_calendar(conn, names[-1], hub.now())
        nameless = accounts.free_calendar_name(conn, " ", "home")

    assert names == ["Work (home)", "Work (home 2)", "Work (home 3)"]
    assert nameless == "home"
    assert work


def test_one_replica_per_remote(hub: Hub, replica: Replica) -> None:
    """A second replica of the same remote is refused with the way out."""
    with hub.transaction() as conn:
        other = accounts.add_calendar(conn, "Other", hub.now())
    with pytest.raises(InvalidValue) as caught, hub.transaction() as conn:
        accounts.add_replica(conn, other.id, replica.account_id, replica.remote_id, "Work", hub.now())

    assert f"calhub replica remove {replica.id}" in caught.value.hint
    assert count(hub, "replica") == 1


def test_replica_round_trip(hub: Hub, work: int, replica: Replica) -> None:
    """A replica knows the names around it; what may change is set by column."""
    with hub.transaction() as conn:
        accounts.update_replica(conn, replica.id, cursor="c1", phase="steady", hub_seq=4, settings={"past": "1d"})
        accounts.update_replica(conn, replica.id, state="failing", error="The host is dead.")
        stored = accounts.replica(conn, replica.id)
        by_name = accounts.replica(conn, "Work")

    assert stored == by_name
    assert (stored.calendar_id, stored.calendar, stored.account, stored.provider) == (work, "Work", "home", "caldav")
    assert (stored.cursor, stored.phase, stored.hub_seq, stored.settings) == ("c1", "steady", 4, {"past": "1d"})
    assert (stored.state, stored.error, stored.direction, stored.conflicts) == (
        "failing",
        "The host is dead.",
        "both",
        "merge",
    )


@pytest.mark.parametrize("columns", [{"direction": "sideways"}, {"remote_id": "/other"}, {"nonsense": 1}])
def test_replica_refuses_bad_values(hub: Hub, replica: Replica, columns: dict[str, Any]) -> None:
    """Values the schema forbids and columns that never change are InvalidValue; the transaction can go on."""
    with hub.transaction() as conn:
        with pytest.raises(InvalidValue):
            accounts.update_replica(conn, replica.id, **columns)
        accounts.update_replica(conn, replica.id, cursor="kept")

    with hub.read() as conn:
        assert accounts.replica(conn, replica.id).cursor == "kept"


def test_replicas_of_one_name_are_ambiguous(hub: Hub, work: int, replica: Replica) -> None:
    """Two remotes called alike are named by id."""
    with hub.transaction() as conn:
        second = accounts.add_replica(conn, work, replica.account_id, "/cal/other", "Work", hub.now())
        with pytest.raises(Ambiguous) as caught:
            accounts.replica(conn, "Work")

        assert [one.split()[0] for one in caught.value.candidates] == [str(replica.id), str(second.id)]
        assert accounts.replicas(conn, calendar_id=work, account_id=replica.account_id) == [replica, second]
        assert accounts.replicas(conn, account_id=999) == []


def test_removing_a_replica_keeps_events(hub: Hub, replica: Replica) -> None:
    """Links, observations and intents go, the events stay; a tombstone only this replica needed goes too."""
    linked_event(hub, replica)
    buried = linked_event(hub, replica, "buried")
    with hub.transaction() as conn:
        events.delete_event(conn, buried, now=hub.now())
        accounts.remove_replica(conn, replica.id)

    assert [count(hub, table) for table in ("replica", "link", "observation", "event")] == [0, 0, 0, 1]


def test_removing_an_account_keeps_events(hub: Hub, replica: Replica) -> None:
    """An account goes with its replicas; calendars and events stay."""
    linked_event(hub, replica)
    with hub.transaction() as conn:
        accounts.remove_account(conn, replica.account_id)

    assert [count(hub, table) for table in ("account", "replica", "link", "event", "calendar")] == [0, 0, 0, 1, 1]


def test_removing_a_calendar_removes_all_of_it(hub: Hub, replica: Replica) -> None:
    """A calendar goes with replicas, links, events, occurrences and search text, and with no other calendar's."""
    with hub.transaction() as conn:
        other = accounts.add_calendar(conn, "Other", hub.now())
        events.put_event(conn, other.id, "other", EVENT, now=hub.now())
    linked_event(hub, replica)
    with hub.transaction() as conn:
        accounts.remove_calendar(conn, replica.calendar_id)

    assert [count(hub, table) for table in ("calendar", "replica", "link", "event", "occurrence", "event_search")] == [
        1, 0, 0, 1, 1, 1,
    ]  # fmt: skip
    assert count(hub, "account") == 1
