"""``validate``, ``reset`` and ``cleanup`` as people and their scripts meet them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Calhub, Folder

from calhub.hub import rules
from calhub.hub.database import Hub


@pytest.fixture
def mirrored(calhub: Calhub, folder: Folder, home: Path) -> Folder:
    """Two folders; the two events of ``work`` stand as blocks in ``home``, beside one of its own."""
    for name in ("work", "home"):
        folder.calendar(name)
    assert calhub("account", "add", "folder", "disk", "--url", str(folder.path), "--json").code == 0
    folder.put("work", "a", "Salary talk", "20261124T090000Z")
    folder.put("work", "b", "Interview", "20261125T090000Z")
    folder.put("home", "own", "Dentist", "20261126T090000Z")
    with Hub.open(home) as hub, hub.transaction() as conn:
        rules.add_rule(conn, "mirror", "work", "home", {}, hub.now())
    assert calhub("sync", "--json").code == 0
    assert len(folder.names("home")) == 3
    return folder


def copies(folder: Folder) -> list[str]:
    return [name for name in folder.names("home") if name.startswith("calhub-copy-")]


def test_validate_is_silent_where_all_is_right(calhub: Calhub, mirrored: Folder) -> None:
    assert len(copies(mirrored)) == 2
    for options in ([], ["--full"], ["--calendar", "home"]):
        result = calhub("validate", "--json", *options)
        assert (result.code, result.json) == (0, {"ok": True, "findings": []})
    assert "All is as it should be." in calhub("validate").err


def test_validate_names_what_is_wrong(calhub: Calhub, mirrored: Folder) -> None:
    """By UID, never by the words of an event."""
    uid = copies(mirrored)[0]
    (mirrored.path / "home" / f"{uid}.ics").unlink()

    result = calhub("validate", "--json")

    assert result.code == 1
    assert result.json["ok"] is False
    (finding,) = result.json["findings"]
    assert (finding["check"], finding["calendar"], finding["uid"]) == ("count", "home", uid)
    shown = calhub("validate")
    assert shown.code == 1
    assert uid in shown.out
    assert "Salary" not in shown.out + shown.err + result.out


def test_validate_of_an_unknown_calendar(calhub: Calhub, mirrored: Folder) -> None:
    assert mirrored.names("work") == ["a", "b"]
    result = calhub("validate", "--calendar", "nowhere", "--json")
    assert result.code == 1
    assert "nowhere" in result.error["message"]


def test_reset_asks_first(calhub: Calhub, mirrored: Folder) -> None:
    """Without --confirm it explains, exits with 2 and does nothing."""
    result = calhub("reset", "home", "--json")

    assert result.code == 2
    assert '2 copies that rules made in "home"' in result.error["message"]
    assert "--confirm" in result.error["hint"]
    assert len(copies(mirrored)) == 2


def test_reset_dry_run(calhub: Calhub, mirrored: Folder) -> None:
    result = calhub("reset", "home", "--dry-run", "--json")

    assert result.code == 0
    assert sorted(each["uid"] for each in result.json["removed"]) == copies(mirrored)
    assert (result.json["dry_run"], result.json["run"], len(copies(mirrored))) == (True, None, 2)


def test_reset_and_undo(calhub: Calhub, mirrored: Folder) -> None:
    before = copies(mirrored)
    done = calhub("reset", "home", "--confirm", "--json")

    assert done.code == 0
    assert mirrored.names("home") == ["own"]
    assert [run["status"] for run in done.json["runs"]] == ["ok"]
    (run,) = [each for each in calhub("history", "--json").json if each["kind"] == "reset"]
    assert run["id"] == done.json["run"]

    undone = calhub("undo", str(done.json["run"]), "--json")

    assert (undone.code, undone.json["undone"]) == (0, 2)
    assert calhub("sync", "--json").code == 0
    assert copies(mirrored) == before
    assert calhub("validate", "--full", "--json").json["ok"]


def test_reset_says_how_to_take_it_back(calhub: Calhub, mirrored: Folder) -> None:
    result = calhub("reset", "home", "--confirm")

    assert copies(mirrored) == []
    assert "2 copies were deleted. To bring them back: calhub undo" in result.err


def test_reset_of_an_unknown_calendar(calhub: Calhub, mirrored: Folder) -> None:
    result = calhub("reset", "nowhere", "--confirm", "--json")

    assert result.code == 1
    assert len(copies(mirrored)) == 2


def lose_the_rule(home: Path) -> None:
    """As after a repair of the database that saved the events and nothing else."""
    with Hub.open(home) as hub, hub.transaction() as conn:
        conn.execute("DELETE FROM rule")


def test_cleanup(calhub: Calhub, mirrored: Folder, home: Path) -> None:
    assert calhub("cleanup", "--json").json["copies"] == []
    lose_the_rule(home)

    rehearsed = calhub("cleanup", "--dry-run", "--json")
    assert len(copies(mirrored)) == 2
    done = calhub("cleanup", "--json")

    assert (rehearsed.code, done.code) == (0, 0)
    assert rehearsed.json["copies"] == done.json["copies"]
    assert sorted(each["uid"] for each in done.json["copies"]) == copies(mirrored)
    calhub("sync")
    assert mirrored.names("home") == ["own"]


def test_cleanup_at_the_remotes(calhub: Calhub, mirrored: Folder, home: Path) -> None:
    lose_the_rule(home)

    result = calhub("cleanup", "--remote")

    assert result.code == 0
    assert "Removed copies: 2" in result.err
    assert mirrored.names("home") == ["own"]
    assert mirrored.names("work") == ["a", "b"]


@pytest.mark.usefixtures("mirrored")
def test_retention_is_a_setting(calhub: Calhub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        calhub("sync")
    runs = len(calhub("history", "--limit", "100", "--json").json)
    (home / "config.toml").write_text("keep_days = 0\n")

    assert calhub("cleanup", "--json").json["expired"]["runs"] == 0
    monkeypatch.setenv("CALHUB_KEEP_RUNS", "1")
    assert calhub("cleanup", "--json").json["expired"]["runs"] == runs - 2

    monkeypatch.setenv("CALHUB_KEEP_RUNS", "all")
    result = calhub("cleanup", "--json")
    assert result.code == 2
    assert "keep_runs" in result.error["message"]
