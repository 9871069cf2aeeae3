"""``audit``: the log of what was done, and the proof that it is whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.cli.conftest import Calhub, Folder


def test_what_was_done(calhub: Calhub, work: Folder) -> None:
    """Sign-in, calendars, passes that did something, each write and each undo; no pass that found nothing to do."""
    assert (
        calhub("event", "add", "--calendar", "work", "--title", "Surprise party", "--start", "2026-11-23T18:00").code
        == 0
    )
    run = calhub("sync", "--json").json["runs"][0]["id"]
    assert calhub("sync").code == 0
    assert calhub("undo", str(run)).code == 0

    entries = calhub("audit", "show", "--json").json[::-1]

    assert [each["what"] for each in entries] == [
        "account added", "signed in", "calendar added", "replica added", "write", "pass", "write", "undo",
    ]  # fmt: skip
    assert [each["facts"]["op"] for each in entries if each["what"] == "write"] == ["create", "delete"]
    assert entries[5]["facts"]["pushed created"] == 1
    assert {each["actor"] for each in entries} == {"command line"}
    assert "Surprise" not in calhub("audit", "show", "--limit", "100", "--json").out
    assert work.names("work") == []


@pytest.mark.usefixtures("work")
def test_replica_and_restore(calhub: Calhub, tmp_path: Path) -> None:
    """A change of a replica names what was changed; a restore is told in the log that was put back."""
    assert calhub("db", "backup", str(tmp_path / "copy.db")).code == 0
    assert calhub("replica", "set", "1", "--guard-number", "50", "--direction", "pull").code == 0
    (changed,) = calhub("audit", "show", "--limit", "1", "--json").json
    assert changed["facts"] == {"replica": 1, "calendar": "work", "changed": ["direction", "guard_number"]}

    assert calhub("db", "restore", str(tmp_path / "copy.db")).code == 0

    entries = calhub("audit", "show", "--json").json
    assert [each["what"] for each in entries[:2]] == ["database restored", "replica added"]
    assert calhub("audit", "verify").code == 0


@pytest.mark.usefixtures("work")
def test_verify(calhub: Calhub, home: Path) -> None:
    """It says where the log was changed, and exits with 1."""
    sound = calhub("audit", "verify", "--json")
    assert (sound.code, sound.json["ok"], sound.json["entries"]) == (0, True, 4)
    assert calhub("audit", "verify", "--expect", sound.json["head"]).code == 0
    assert calhub("audit", "verify", "--expect", "0" * 64).code == 1

    with sqlite3.connect(home / "hub.db") as db:
        db.execute("DELETE FROM audit WHERE id = 2")
    db.close()

    broken = calhub("audit", "verify", "--json")
    assert (broken.code, broken.json["ok"], broken.json["entry"]) == (1, False, 2)
    assert broken.json["message"] == "Entry 2 is missing."
    assert "Entry 2" in calhub("audit", "verify").out
