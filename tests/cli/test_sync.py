"""``sync`` with what follows from it: exit codes, conflicts, holds, quarantine, history, undo, why."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Calhub, Folder

from calhub.hub.locks import replica_lock

RUN = [
    "id", "account", "calendar", "remote", "status", "pulled", "pushed", "conflicts", "held", "quarantined", "errors",
    "requests", "duration_ms", "dry_run",
]  # fmt: skip


@pytest.fixture
def full(calhub: Calhub, work: Folder) -> Folder:
    """Twenty events, synced."""
    for number in range(20):
        work.put("work", f"e{number:02d}", f"Event {number}", f"202612{number + 1:02d}T090000Z")
    assert calhub("sync").code == 0
    return work


@pytest.fixture
def clash(calhub: Calhub, work: Folder) -> Folder:
    """One event, its title changed on both sides while conflicts are to be asked about, synced."""
    assert calhub("replica", "set", "work", "--conflicts", "ask").code == 0
    work.put("work", "a", "Base")
    calhub("sync")
    calhub("event", "edit", "a", "--title", "Ours")
    work.put("work", "a", "Theirs, longer")
    return work


def test_sync_prints_runs(calhub: Calhub, work: Folder) -> None:
    """`sync --json` prints the runs with their counters; a second sync finds nothing to do."""
    work.put("work", "a", "New")
    calhub("event", "add", "--calendar", "work", "--title", "Mine", "--start", "2026-11-23")

    first, second = calhub("sync", "--json"), calhub("sync", "--json")

    assert (first.code, second.code) == (0, 0)
    run = first.json["runs"][0]
    assert list(run) == RUN
    assert (run["pulled"]["created"], run["pushed"]["created"], run["status"]) == (1, 1, "ok")
    assert second.json["runs"][0]["pulled"] == {"created": 0, "updated": 0, "deleted": 0}
    assert second.json["runs"][0]["pushed"] == {"created": 0, "updated": 0, "deleted": 0}


def test_sync_without_accounts(calhub: Calhub) -> None:
    """With nothing to sync the list of runs is empty and all is well."""
    result = calhub("sync", "--json")

    assert (result.code, result.json) == (0, {"runs": []})


def test_dry_run_plans_and_changes_nothing(calhub: Calhub, work: Folder) -> None:
    """--dry-run adds a plan to each run; neither side changes."""
    work.put("work", "a", "Theirs")
    calhub("event", "add", "--calendar", "work", "--uid", "b", "--title", "Ours", "--start", "2026-11-23")

    run = calhub("sync", "--dry-run", "--json").json["runs"][0]

    assert run["dry_run"] is True
    assert {(step["side"], step["op"], step["uid"], step["title"]) for step in run["plan"]} == {
        ("hub", "create", "a", "Theirs"),
        ("remote", "create", "b", "Ours"),
    }
    assert work.names("work") == ["a"]
    assert calhub("event", "show", "a", "--json").code == 1
    assert "Theirs" in calhub("sync", "--dry-run").out


@pytest.mark.usefixtures("work")
def test_sync_of_one_calendar_or_account(calhub: Calhub, tmp_path: Path) -> None:
    """--calendar and --account choose the replicas; unknown names fail."""
    other = Folder(tmp_path / "other")
    other.calendar("home")
    calhub("account", "add", "folder", "usb", "--url", str(other.path))
    assert [run["calendar"] for run in calhub("sync", "--calendar", "home", "--json").json["runs"]] == ["home"]
    assert [run["account"] for run in calhub("sync", "--account", "disk", "--json").json["runs"]] == ["disk"]
    assert calhub("sync", "--account", "nope", "--json").code == 1
    assert calhub("sync", "--calendar", "nope", "--json").code == 1


def test_a_failed_run_exits_1(calhub: Calhub, work: Folder) -> None:
    """A service that is away fails its run, says why, and the exit code is 1."""
    work.path.rename(work.path.with_name("unplugged"))

    result = calhub("sync", "--json")

    assert result.code == 1
    assert result.json["runs"][0]["status"] == "failed"
    assert result.json["runs"][0]["errors"][0]["message"]


@pytest.mark.usefixtures("work")
def test_a_locked_replica_exits_3(calhub: Calhub, home: Path) -> None:
    """While another pass holds a replica, its run is skipped and the exit code is 3."""
    with replica_lock(home, 1):
        result = calhub("sync", "--json")

    assert result.code == 3
    assert result.json["runs"][0]["status"] == "skipped"
    assert calhub("sync").code == 0


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("seconds", ["0", "-1", "soon"])
def test_bad_timeout(calhub: Calhub, seconds: str) -> None:
    """A timeout is a positive number of seconds."""
    assert calhub("sync", f"--timeout={seconds}", "--json").code == 2


# Conflicts


@pytest.mark.usefixtures("clash")
def test_open_conflict_exits_4_until_resolved(calhub: Calhub) -> None:
    """An open conflict gives exit 4 at each sync; resolving it carries the choice to both sides."""
    first, again = calhub("sync", "--json"), calhub("sync", "--json")
    conflict = calhub("conflict", "list", "--json").json[0]

    assert (first.code, again.code) == (4, 4)
    assert {"id", "uid", "calendar", "replica", "state", "fields", "since"} <= conflict.keys()
    assert (conflict["state"], conflict["uid"]) == ("open", "a")
    assert conflict["fields"] == [
        {"name": "title", "base": "Base", "hub": "Ours", "remote": "Theirs, longer", "taken": None}
    ]
    assert calhub("conflict", "show", str(conflict["id"]), "--json").json == conflict
    assert calhub("conflict", "resolve", str(conflict["id"]), "--field", "title=remote", "--json").code == 0
    assert calhub("sync").code == 0
    assert calhub("event", "show", "a", "--json").json["title"] == "Theirs, longer"
    assert calhub("conflict", "list", "--json").json == []


def test_resolve_takes_the_hubs_value_to_the_remote(calhub: Calhub, clash: Folder) -> None:
    """--take hub writes our value to the remote at the next sync."""
    calhub("sync")

    calhub("conflict", "resolve", "1", "--take", "hub")

    assert calhub("sync").code == 0
    assert "SUMMARY:Ours" in clash.text("work", "a")


@pytest.mark.usefixtures("clash")
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("show", "99"), 1),
        (("show", "one"), 2),
        (("resolve", "99", "--take", "hub"), 1),
        (("resolve", "1"), 2),
        (("resolve", "1", "--take", "mine"), 2),
        (("resolve", "1", "--field", "title"), 2),
        (("resolve", "1", "--field", "title=mine"), 2),
        (("resolve", "1", "--field", "colour=hub"), 2),
    ],
)
def test_conflict_commands_with_bad_values(calhub: Calhub, argv: tuple[str, ...], code: int) -> None:
    """Unknown conflicts fail; choices that are none are usage errors."""
    calhub("sync")

    result = calhub("conflict", *argv, "--json")

    assert result.code == code
    assert result.error["message"]


# Holds


def test_mass_delete_is_held_and_released(calhub: Calhub, full: Folder) -> None:
    """Deleting most events at the remote is held with exit 4; released, it happens at the next sync."""
    for name in full.names("work")[:15]:
        (full.path / "work" / f"{name}.ics").unlink()

    held = calhub("sync", "--json")
    hold = calhub("hold", "list", "--json").json[0]

    assert held.code == 4
    assert held.json["runs"][0]["status"] == "held"
    assert {"id", "replica", "reason", "creates", "updates", "deletes", "since"} <= hold.keys()
    assert hold["deletes"] == 15
    assert calhub("calendar", "list", "--json").json[0]["events"] == 20
    assert len(calhub("hold", "show", str(hold["id"]), "--json").json["plan"]) == 15
    assert calhub("hold", "release", str(hold["id"]), "--json").code == 0
    assert calhub("sync").code == 0
    assert calhub("calendar", "list", "--json").json[0]["events"] == 5


def test_discarded_hold_writes_the_events_back(calhub: Calhub, full: Folder) -> None:
    """`hold discard`: the hub is right, the remote gets its events back."""
    for name in full.names("work")[:15]:
        (full.path / "work" / f"{name}.ics").unlink()
    calhub("sync")

    assert calhub("hold", "discard", "1").code == 0
    assert calhub("sync").code == 0
    assert len(full.names("work")) == 20


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("argv", [("show", "9"), ("release", "9"), ("discard", "9")])
def test_unknown_hold(calhub: Calhub, argv: tuple[str, ...]) -> None:
    """A hold that is not there fails."""
    assert calhub("hold", *argv, "--json").code == 1


# Quarantine


def test_quarantined_items_do_not_change_the_exit_code(calhub: Calhub, work: Folder) -> None:
    """An item that cannot be read is counted and listed; the rest goes on and the exit code is 0."""
    work.put("work", "good", "Good")
    (work.path / "work" / "bad.ics").write_bytes(b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:bad\r\n")

    result = calhub("sync", "--json")
    listed = calhub("quarantine", "list", "--json").json

    assert result.code == 0
    assert (result.json["runs"][0]["quarantined"], result.json["runs"][0]["pulled"]["created"]) == (1, 1)
    assert listed[0]["reason"]
    assert calhub("quarantine", "show", str(listed[0]["id"]), "--json").code == 0
    assert calhub("quarantine", "show", "99", "--json").code == 1
    assert calhub("status", "--json").json["quarantined"] == 1


# What happened


def test_history_undo_and_why(calhub: Calhub, work: Folder) -> None:
    """A run is in the history; undoing it puts the hub back, and the next sync keeps it so."""
    work.put("work", "a", "Before")
    calhub("sync")
    work.put("work", "a", "After, longer")
    run = calhub("sync", "--json").json["runs"][0]

    history = calhub("history", "--limit", "2", "--json").json
    rehearsed = calhub("undo", str(run["id"]), "--dry-run", "--json")
    undone = calhub("undo", str(run["id"]), "--json")

    assert [each["id"] for each in history] == [run["id"], run["id"] - 1]
    assert rehearsed.json["dry_run"] is True
    assert (rehearsed.json["undone"], undone.json["undone"]) == (1, 1)
    assert set(undone.json) >= {"run", "undone", "skipped", "dry_run"}
    assert calhub("event", "show", "a", "--json").json["title"] == "Before"
    assert calhub("sync").code == 0
    assert "SUMMARY:Before" in work.text("work", "a")


@pytest.mark.usefixtures("work")
def test_undo_of_an_unknown_run(calhub: Calhub) -> None:
    """A run that is not there fails; a number that is none is a usage error."""
    assert calhub("undo", "99", "--json").code == 1
    assert calhub("undo", "last", "--json").code == 2
    assert calhub("history", "--limit", "0", "--json").code == 2


def test_why_says_where_an_event_is_and_what_waits(calhub: Calhub, work: Folder) -> None:
    """`why` names each replica with what is pending there."""
    work.put("work", "a", "Here")
    calhub("sync")
    calhub("event", "edit", "a", "--title", "Changed")

    why = calhub("why", "a", "--json").json

    assert list(why) == ["uid", "calendar", "replicas", "copies", "copy_of", "conflicts", "holds"]
    assert why["replicas"][0]["remote_id"] == "a.ics"
    assert why["replicas"][0]["pending"]
    assert "a.ics" in calhub("why", "a").out
    assert calhub("why", "nope", "--json").code == 1


@pytest.mark.usefixtures("work")
def test_status(calhub: Calhub) -> None:
    """`status` counts what is pending and shows accounts and replicas in their shapes."""
    calhub("event", "add", "--calendar", "work", "--title", "x", "--start", "2026-11-23")

    status = calhub("status", "--json").json

    assert set(status) >= {"accounts", "replicas", "pending", "conflicts", "holds", "dead_letters", "quarantined"}
    assert (status["pending"], status["accounts"][0]["name"], status["replicas"][0]["calendar"]) == (1, "disk", "work")
    assert "calhub sync" in calhub("status").out
