"""The disk that holds the home is full, or cannot be written to: one sentence, exit 1, and nothing is lost."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import disk
from tests.cli.conftest import Calhub, Folder, Result

from calhub.hub import database


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk.small_disk(tmp_path / "disk", 2) as folder:
        yield folder


def assert_one_sentence(result: Result, words: str) -> None:
    assert result.code == 1
    assert words in result.error["message"]
    assert result.error["hint"]


def fill(work: Folder) -> None:
    """Few enough events for the guard, more than the disk takes."""
    for number in range(8):
        work.put("work", f"e{number}", "x" * 300_000)


def test_full_disk(calhub: Calhub, folder: Folder, small_disk: Path) -> None:
    """Adding, editing and syncing fail with a sentence; once there is room all goes on, and nothing is missing."""
    folder.calendar("work")
    home = ("--home", str(small_disk / "home"))
    assert calhub(*home, "account", "add", "folder", "disk", "--url", str(folder.path)).code == 0
    folder.put("work", "first", "First")
    assert calhub(*home, "sync").code == 0
    fill(folder)
    texts = {uid: folder.text("work", uid) for uid in folder.names("work")}

    synced = calhub(*home, "sync", "--json")
    ballast = small_disk / "ballast"
    disk.fill_up(ballast)
    edited = calhub(
        *home, "event", "add", "--calendar", "work", "--title", "y" * 20_000, "--start", "2026-11-23T09:00", "--json"
    )

    assert synced.code == 1
    assert " is full." in synced.out
    assert_one_sentence(edited, " is full.")
    assert {uid: folder.text("work", uid) for uid in folder.names("work")} == texts
    ballast.unlink()
    assert calhub(*home, "event", "show", "first", "--json").json["title"] == "First"
    roomy = small_disk.parent / "roomy"
    shutil.copytree(small_disk / "home", roomy)
    assert calhub("--home", str(roomy), "sync").code == 0
    assert calhub("--home", str(roomy), "db", "check").code == 0
    assert len(calhub("--home", str(roomy), "agenda", "2026-11-23", "2026-11-24", "--json").json) == 9


def test_database_that_cannot_grow(calhub: Calhub, work: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same wherever mounting is not allowed: SQLite is given no more pages."""
    work.put("work", "first", "First")
    assert calhub("sync").code == 0
    assert calhub("event", "edit", "first", "--title", "Edited").code == 0
    fill(work)
    texts = {uid: work.text("work", uid) for uid in work.names("work")}
    connect = database._connect

    def cramped(path: Path, *, writes: bool) -> sqlite3.Connection:
        db = connect(path, writes=writes)
        db.execute(f"PRAGMA max_page_count = {path.stat().st_size // 4096 + 10}")
        return db

    with monkeypatch.context() as patch:
        patch.setattr(database, "_connect", cramped)
        synced = calhub("sync", "--json")
        edited = calhub("event", "edit", "first", "--description", "y" * 100_000, "--json")

    assert synced.code == 1
    assert " is full." in synced.out
    assert_one_sentence(edited, " is full.")
    assert {uid: work.text("work", uid) for uid in work.names("work")} == texts
    assert calhub("sync").code == 0
    assert "SUMMARY:Edited" in work.text("work", "first")
    assert work.names("work") == sorted(texts)
    assert calhub("db", "check").code == 0


def test_read_only_home(calhub: Calhub, folder: Folder, small_disk: Path) -> None:
    """On a file system mounted read-only every command is one sentence, and nothing reaches the remote."""
    folder.calendar("work")
    home = ("--home", str(small_disk / "home"))
    assert calhub(*home, "account", "add", "folder", "disk", "--url", str(folder.path)).code == 0
    folder.put("work", "first", "First")
    assert calhub(*home, "sync").code == 0
    assert calhub(*home, "event", "edit", "first", "--title", "Edited").code == 0
    text = folder.text("work", "first")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    results = [calhub(*home, *command, "--json") for command in (
        ("sync",), ("event", "delete", "first"), ("calendar", "add", "new"), ("agenda",), ("search", "first"),
    )]  # fmt: skip
    doctor = calhub(*home, "doctor", "--json")

    for result in results:
        assert_one_sentence(result, str(small_disk))
    assert doctor.code == 1
    assert folder.text("work", "first") == text
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert calhub(*home, "sync").code == 0
    assert "SUMMARY:Edited" in folder.text("work", "first")
