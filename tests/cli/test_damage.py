"""The database file is cut, overwritten or gone: each command says so in a sentence, and no remote pays for it."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Calhub, Folder, Result

READING = (
    ("agenda", "2026-11-01", "2027-02-01"), ("search", "token"), ("status",), ("calendar", "list"), ("account", "list"),
    ("replica", "list"), ("history",), ("event", "show", "e7"), ("why", "e7"), ("conflict", "list"), ("hold", "list"),
    ("quarantine", "list"), ("export", "--calendar", "work"), ("doctor",), ("db", "check"),
)  # fmt: skip
EVENTS = 80


@pytest.fixture
def backup(calhub: Calhub, work: Folder, tmp_path: Path) -> Path:
    """A backup of a hub with events, after which a person has edited one; that edit has not been pushed."""
    for number in range(EVENTS):
        work.put(
            "work", f"e{number}", f"token {number} " + "x" * 300, f"2026{11 + number % 2}{1 + number % 28:02d}T090000Z"
        )
    assert calhub("sync").code == 0
    file = tmp_path / "backup.db"
    assert calhub("db", "backup", str(file)).code == 0
    assert calhub("event", "edit", "e7", "--title", "changed in the hub").code == 0
    return file


def cut(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(chance.randrange(1, path.stat().st_size))


def flip(path: Path, places: list[int], chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def flip_header(path: Path, chance: random.Random) -> None:
    flip(path, [chance.randrange(100)], chance)


def flip_schema(path: Path, chance: random.Random) -> None:
    flip(path, [chance.randrange(100, 4096) for _ in range(3)], chance)


def flip_anywhere(path: Path, chance: random.Random) -> None:
    flip(path, [chance.randrange(path.stat().st_size) for _ in range(40)], chance)


def flip_page_heads(path: Path, chance: random.Random) -> None:
    """Where a page says what it is and where its rows are."""
    pages = path.stat().st_size // 4096
    flip(path, [4096 * chance.randrange(1, pages) + chance.randrange(16) for _ in range(6)], chance)


def overwrite_page(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    page = 4096 * chance.randrange(path.stat().st_size // 4096)
    content[page : page + 4096] = chance.randbytes(4096)
    path.write_bytes(content)


def swap_pages(path: Path, chance: random.Random) -> None:
    """Two pages in each other's place, as a broken file system leaves them."""
    content = bytearray(path.read_bytes())
    one, two = (4096 * page for page in chance.sample(range(1, len(content) // 4096), 2))
    content[one : one + 4096], content[two : two + 4096] = content[two : two + 4096], content[one : one + 4096]
    path.write_bytes(content)


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def no_database(path: Path, _: random.Random) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as db:
            return bool(db.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)) and path.stat().st_size > 0
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # its own message may quote damaged text
        return False


def assert_is_a_sentence(result: Result) -> None:
    """One clear message and a way out; nothing that blames the program."""
    assert "fault of calhub" not in result.out + result.err
    if result.code == 1 and not result.out:
        first, *hint = result.err.strip().splitlines()
        assert first.startswith("calhub: ")
        assert hint


@pytest.mark.parametrize(
    ("damage", "rounds"),
    [
        (cut, 6), (flip_header, 8), (flip_schema, 8), (flip_anywhere, 8), (flip_page_heads, 8), (overwrite_page, 8),
        (swap_pages, 8), (empty, 1), (no_database, 1),
    ],
)  # fmt: skip
def test_damage(
    calhub: Calhub, work: Folder, backup: Path, home: Path, tmp_path: Path, subtests: pytest.Subtests,
    damage: Callable[[Path, random.Random], None], rounds: int,
) -> None:  # fmt: skip
    """No command breaks; a damaged hub writes to no remote; after a restore nothing is missing and all is in step."""
    texts = {uid: work.text("work", uid) for uid in work.names("work")}
    shutil.copytree(home, tmp_path / "whole")
    for seed in range(rounds):
        with subtests.test(seed=seed):
            shutil.rmtree(home)
            shutil.copytree(tmp_path / "whole", home)
            damage(home / "hub.db", random.Random(seed))
            sound = is_sound(home / "hub.db")

            for command in READING[seed % 3 :: 3]:
                result = calhub(*command)
                assert result.code in (0, 1, 2), (command, result)
                assert_is_a_sentence(result)
            checked, synced = calhub("db", "check"), calhub("sync")

            assert_is_a_sentence(synced)
            if not sound:
                assert (checked.code, synced.code) == (1, 1)
                assert {uid: work.text("work", uid) for uid in work.names("work")} == texts
            assert work.names("work") == sorted(texts)

            restored = calhub("db", "restore", str(backup), "--json")
            assert restored.code == 0
            assert Path(restored.json["replaced"]).exists()
            assert calhub("sync", "--json").code == 0
            assert work.names("work") == sorted(texts)
            assert len(calhub("agenda", "2026-11-01", "2027-02-01", "--json").json) == EVENTS
            assert calhub("db", "check").code == 0
            (work.path / "work" / "e7.ics").write_text(texts["e7"], encoding="utf-8", newline="")


@pytest.mark.usefixtures("backup")
def test_damaged_wal(calhub: Calhub, work: Folder, home: Path, subtests: pytest.Subtests) -> None:
    """A log that was cut or overwritten costs at most what was committed last; the remotes lose nothing."""
    with closing(sqlite3.connect(home / "hub.db")) as reader:  # keeps the log from being folded in
        reader.execute("SELECT count(*) FROM event").fetchone()
        calhub("event", "edit", "e8", "--title", "also changed")
        calhub("event", "delete", "e9")
        whole = {path.name: path.read_bytes() for path in home.glob("hub.db*")}
    assert whole["hub.db-wal"]
    texts = {uid: work.text("work", uid) for uid in work.names("work")}
    for seed, damage in enumerate([cut, cut, flip_header, flip_schema, flip_anywhere, no_database, empty]):
        with subtests.test(seed=seed, damage=damage.__name__):
            for path in home.glob("hub.db*"):
                path.unlink()
            for name in ("hub.db", "hub.db-wal"):
                (home / name).write_bytes(whole[name])
            damage(home / "hub.db-wal", random.Random(seed))

            assert calhub("db", "check").code == 0
            assert calhub("sync").code == 0

            assert set(texts) - {"e9"} <= set(work.names("work"))
            shown = {row["uid"]: row["title"] for row in calhub("agenda", "2026-11-01", "2027-02-01", "--json").json}
            assert sorted(shown) == work.names("work")
            for uid, title in shown.items():
                assert title in work.text("work", uid).replace("\r\n ", "")
            for uid, text in texts.items():
                (work.path / "work" / f"{uid}.ics").write_text(text, encoding="utf-8", newline="")


def test_anew_from_the_remotes(calhub: Calhub, work: Folder, backup: Path, home: Path) -> None:
    """Without a backup: a fresh hub reads everything again and writes nothing at all."""
    texts = {uid: work.text("work", uid) for uid in work.names("work")}
    no_database(home / "hub.db", random.Random())
    backup.unlink()
    (home / "hub.db").rename(home / "damaged.db")

    assert calhub("account", "add", "folder", "disk", "--url", str(work.path)).code == 0
    assert calhub("sync").code == 0

    assert {uid: work.text("work", uid) for uid in work.names("work")} == texts
    assert len(calhub("agenda", "2026-11-01", "2027-02-01", "--json").json) == EVENTS
