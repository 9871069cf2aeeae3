"""``calendar`` and ``replica``: making, naming, tying, untying; never a deletion nobody asked for."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Calhub, Folder


def test_calendar_add_rename_list(calhub: Calhub) -> None:
    """A calendar is made with colour and zone, renamed, and listed in the calendar shape."""
    made = calhub("calendar", "add", "Büro", "--color", "#1e88e5", "--time-zone", "europe/paris", "--json")
    renamed = calhub("calendar", "rename", "Büro", "Work", "--json")

    assert made.json == {
        "id": 1, "name": "Büro", "color": "#1e88e5", "time_zone": "Europe/Paris", "events": 0, "replicas": [],
    }  # fmt: skip
    assert renamed.json["name"] == "Work"
    assert calhub("calendar", "list", "--json").json == [renamed.json]


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("add", "one"), 2),
        (("add", ""), 2),
        (("add", "new", "--time-zone", "Mars/Base"), 2),
        (("rename", "two", "one"), 2),
        (("rename", "three", "four"), 1),
        (("remove", "three"), 1),
        (("add",), 2),
        ((), 2),
    ],
)
def test_calendar_with_bad_names(calhub: Calhub, argv: tuple[str, ...], code: int) -> None:
    """Taken and empty names are usage errors, unknown ones fail; nothing changes."""
    calhub("calendar", "add", "one")
    calhub("calendar", "add", "two")

    result = calhub("calendar", *argv, "--json")

    assert result.code == code
    assert result.error["message"]
    assert [each["name"] for each in calhub("calendar", "list", "--json").json] == ["one", "two"]


def test_calendar_named_like_an_id(calhub: Calhub) -> None:
    """A name that is also another's id is ambiguous: a usage error with the candidates."""
    calhub("calendar", "add", "one")
    calhub("calendar", "add", "1")

    result = calhub("calendar", "rename", "1", "x", "--json")
    agenda = calhub("agenda", "--calendar", "1", "--json")

    assert result.code == 2
    assert "1 (one)" in result.error["hint"]
    assert agenda.code == 2
    assert "1 (one)" in agenda.error["hint"]


def test_remove_keeping_the_remote(calhub: Calhub, work: Folder) -> None:
    """--keep-remote takes the calendar out of the hub and deletes nothing at the remote."""
    work.put("work", "a", "Stays")
    calhub("sync")

    result = calhub("calendar", "remove", "work", "--keep-remote", "--json")

    assert (result.code, result.json) == (0, {"removed": "work", "deleted_at_remotes": 0})
    assert work.names("work") == ["a"]
    assert calhub("replica", "list", "--json").json == []


def test_remove_asks_before_it_deletes_at_a_remote(calhub: Calhub, work: Folder) -> None:
    """Without --keep-remote and without a terminal to ask at, nothing happens unless --yes is given."""
    work.put("work", "a", "Goes")
    calhub("sync")

    refused = calhub("calendar", "remove", "work", "--json")
    assert (refused.code, work.names("work")) == (2, ["a"])
    done = calhub("calendar", "remove", "work", "--yes", "--json")

    assert done.json == {"removed": "work", "deleted_at_remotes": 1}
    assert work.names("work") == []
    assert calhub("calendar", "list", "--json").json == []


def test_remove_leaves_what_changed_meanwhile(calhub: Calhub, work: Folder) -> None:
    """An event changed at the remote since the last sync is not deleted; then the calendar stays and it fails."""
    work.put("work", "a", "Goes")
    work.put("work", "b", "Changes")
    calhub("sync")
    work.put("work", "b", "Changed meanwhile")

    result = calhub("calendar", "remove", "work", "--yes", "--json")

    assert result.code == 1
    assert work.names("work") == ["b"]
    assert [each["name"] for each in calhub("calendar", "list", "--json").json] == ["work"]


def test_remove_spares_a_replica_that_only_pulls(calhub: Calhub, work: Folder) -> None:
    """A remote that we only read from is left as it is, without a question."""
    work.put("work", "a", "Stays")
    calhub("sync")
    calhub("replica", "set", "work", "--direction", "pull")

    assert calhub("calendar", "remove", "work", "--json").code == 0
    assert work.names("work") == ["a"]


# Replicas


def test_replica_add_makes_the_calendar(calhub: Calhub, work: Folder) -> None:
    """`replica add` ties a remote calendar to a calendar, made where there is none of that name."""
    work.calendar("spare")

    options = ("--direction", "pull", "--conflicts", "remote", "--past", "30d", "--guard-number", "5")
    replica = calhub("replica", "add", "Ersatz", "disk", "spare", *options, "--json").json

    assert replica == {
        "id": 2, "calendar": "Ersatz", "account": "disk", "remote": "spare", "remote_name": "spare",
        "direction": "pull", "conflicts": "remote", "state": "ok", "last_success": None, "error": None, "pending": 0,
    }  # fmt: skip


def test_replica_add_creates_the_remote_calendar(calhub: Calhub, work: Folder) -> None:
    """--create makes the remote calendar; events of the calendar go there at the next sync."""
    calhub("event", "add", "--calendar", "work", "--uid", "a", "--title", "x", "--start", "2026-11-23")

    replica = calhub("replica", "add", "work", "disk", "--create", "second", "--json").json
    calhub("sync")

    assert replica["remote_name"] == "second"
    assert work.names("work") == work.names(replica["remote"]) == ["a"]


@pytest.mark.usefixtures("work")
def test_one_remote_has_one_replica(calhub: Calhub) -> None:
    """A second replica of one remote calendar is a usage error with the way out."""
    result = calhub("replica", "add", "other", "disk", "work", "--json")

    assert result.code == 2
    assert "calhub replica remove 1" in result.error["hint"]
    assert [each["name"] for each in calhub("calendar", "list", "--json").json] == ["work"]


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("add", "x", "disk", "nope"), 2),
        (("add", "x", "nope", "work"), 1),
        (("add", "x", "disk"), 2),
        (("add", "x", "disk", "spare", "--create", "y"), 2),
        (("add", "x", "disk", "--create", " "), 2),
        (("add", "x", "disk", "spare", "--direction", "up"), 2),
        (("add", "x", "disk", "spare", "--past", "long"), 2),
        (("add", "x", "disk", "spare", "--guard-share", "3"), 2),
        (("add", "x", "disk", "spare", "--property", "title"), 2),
        (("set", "work"), 2),
        (("set", "9", "--direction", "pull"), 1),
        (("set", "work", "--conflicts", "mine"), 2),
        (("pause", "9"), 1),
        (("remove", "9"), 1),
    ],
)
def test_replica_with_bad_values(calhub: Calhub, work: Folder, argv: tuple[str, ...], code: int) -> None:
    """Wrong options are usage errors, unknown replicas and accounts fail; no replica or calendar is made."""
    work.calendar("spare")

    result = calhub("replica", *argv, "--json")

    assert result.code == code
    assert result.error["message"]
    assert [each["name"] for each in calhub("calendar", "list", "--json").json] == ["work"]


def test_set_keeps_what_is_not_named(calhub: Calhub, work: Folder) -> None:
    """`replica set` changes the options named; a narrowed guard is in force at the next sync."""
    for number in range(5):
        work.put("work", f"e{number}", "x", f"2026120{number + 1}T090000Z")
    calhub("replica", "set", "work", "--conflicts", "newest")
    calhub("replica", "set", "1", "--guard-number", "1", "--guard-share", "0.1")
    calhub("sync")
    for name in ("e0", "e1"):
        (work.path / "work" / f"{name}.ics").unlink()

    assert calhub("sync").code == 4
    assert calhub("replica", "list", "--json").json[0]["conflicts"] == "newest"


def test_pause_and_resume(calhub: Calhub, work: Folder) -> None:
    """A paused replica is left out of sync until it is resumed."""
    work.put("work", "a", "x")

    assert calhub("replica", "pause", "1", "--json").json["state"] == "paused"
    assert calhub("sync", "--json").json == {"runs": []}
    assert calhub("replica", "resume", "1", "--json").json["state"] == "ok"
    assert calhub("sync", "--json").json["runs"][0]["pulled"]["created"] == 1


def test_remove_deletes_nothing(calhub: Calhub, work: Folder) -> None:
    """`replica remove` leaves the events on both sides."""
    work.put("work", "a", "x")
    calhub("sync")

    assert calhub("replica", "remove", "1", "--json").json == {"removed": 1}
    assert work.names("work") == ["a"]
    assert calhub("event", "show", "a").code == 0
