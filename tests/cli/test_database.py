"""``db`` and ``doctor``: looking after the hub."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.cli.conftest import Calhub, Folder


@pytest.mark.usefixtures("work")
def test_check_and_migrate(calhub: Calhub) -> None:
    """A sound database passes the check; migrating a current one changes nothing."""
    assert calhub("db", "check", "--json").json == {"ok": True, "problems": []}
    migrated = calhub("db", "migrate", "--json").json
    assert migrated["before"] == migrated["version"]


def test_migrate_makes_a_missing_hub(calhub: Calhub, home: Path) -> None:
    """`db migrate` on a new home makes an empty hub."""
    assert calhub("db", "migrate", "--json").json["before"] is None
    assert (home / "hub.db").exists()


def test_check_names_the_damage(calhub: Calhub, work: Folder, home: Path) -> None:
    """A damaged search index is a problem and exit 1."""
    work.put("work", "a", "x")
    calhub("sync")
    with sqlite3.connect(home / "hub.db") as db:
        db.execute("DELETE FROM event_search")
    db.close()

    result = calhub("db", "check", "--json")

    assert result.code == 1
    assert result.json["ok"] is False
    assert result.json["problems"]


def test_backup_and_restore(calhub: Calhub, work: Folder, tmp_path: Path) -> None:
    """A backup brings back what was lost; the database before is kept."""
    work.put("work", "a", "Kept")
    calhub("sync")
    file = tmp_path / "hub-backup.db"
    saved = calhub("db", "backup", str(file), "--json")
    calhub("event", "delete", "a")

    restored = calhub("db", "restore", str(file), "--json")

    assert saved.json == {"file": str(file), "bytes": file.stat().st_size}
    assert Path(restored.json["replaced"]).exists()
    assert calhub("event", "show", "a", "--json").json["title"] == "Kept"
    assert calhub("sync").code == 0


@pytest.mark.usefixtures("work")
def test_bad_files_for_backup_and_restore(calhub: Calhub, tmp_path: Path, home: Path) -> None:
    """A folder, a missing file and a file that is no backup are refused, and the hub stays."""
    (tmp_path / "text.db").write_text("no database " * 100)

    assert calhub("db", "backup", str(tmp_path), "--json").code == 2
    assert calhub("db", "backup", str(home / "hub.db"), "--json").code == 2
    assert calhub("db", "backup", str(tmp_path / "no" / "folder"), "--json").code == 1
    assert calhub("db", "restore", str(tmp_path / "missing"), "--json").code == 2
    assert calhub("db", "restore", str(tmp_path / "text.db"), "--json").code == 1
    assert calhub("account", "list", "--json").json[0]["name"] == "disk"


@pytest.mark.usefixtures("work")
def test_doctor_on_a_healthy_home(calhub: Calhub) -> None:
    """With all well, `doctor` exits 0 and says so for each part."""
    result = calhub("doctor", "--json")

    assert (result.code, result.json["ok"]) == (0, True)
    assert {check["name"] for check in result.json["checks"]} == {"home", "disk", "database", "account disk", "writes"}


def test_doctor_on_a_new_home(calhub: Calhub) -> None:
    """A home that does not exist yet is no problem."""
    assert calhub("doctor", "--json").json["ok"] is True


def test_doctor_names_an_account_that_fails(calhub: Calhub, work: Folder) -> None:
    """An account whose service is away is a problem with a hint, and exit 1."""
    work.path.rename(work.path.with_name("unplugged"))

    result = calhub("doctor", "--json")

    failed = [check for check in result.json["checks"] if not check["ok"]]
    assert result.code == 1
    assert [check["name"] for check in failed] == ["account disk"]
    assert failed[0]["hint"]


@pytest.mark.usefixtures("work")
def test_doctor_names_a_damaged_database(calhub: Calhub, home: Path) -> None:
    """A damaged database is named with the way back, and nothing breaks."""
    (home / "hub.db").write_bytes(b"garbage" * 1000)

    result = calhub("doctor", "--json")

    assert result.code == 1
    assert any("restore" in check["hint"] for check in result.json["checks"])


@pytest.mark.usefixtures("work")
def test_doctor_names_an_open_key_file(calhub: Calhub, home: Path) -> None:
    """A key file that others can read is a problem with the command that closes it."""
    (home / "key").write_bytes(b"x" * 44)
    (home / "key").chmod(0o644)

    assert calhub("doctor").out.count("chmod 600") == 1
