"""Backups, restoring them, and telling whether a database is sound; locks between processes."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from calhub.hub import accounts, events, restored, sql
from calhub.hub.accounts import Replica
from calhub.hub.backup import backup, check, restore
from calhub.hub.database import Hub
from calhub.hub.errors import Busy, CorruptDatabase, HubError, InvalidValue, NewerDatabase, NotFound
from calhub.hub.locks import hub_lock, replica_lock

EVENT = {"title": "Lunch", "start": "2026-11-21T12:00:00", "end": "2026-11-21T13:00:00", "time_zone": "UTC"}


def put(hub: Hub, calendar_id: int, uid: str) -> None:
    with hub.transaction() as conn:
        events.put_event(conn, calendar_id, uid, EVENT, now=hub.now())


def uids(home: Path) -> list[str]:
    with Hub.open(home, create=False) as hub, hub.read() as conn:
        return [one.uid for calendar in accounts.calendars(conn) for one in events.events(conn, calendar.id)]


def execute(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize("as_path", [True, False])
def test_backup_is_a_whole_hub(hub: Hub, work: int, tmp_path: Path, as_path: bool) -> None:
    """A backup, made also while a transaction is open, is one private file that opens as a hub."""
    put(hub, work, "u1")
    file = tmp_path / "backup" / "hub.db"
    file.parent.mkdir()
    with hub.transaction() as conn:
        events.put_event(conn, work, "uncommitted", EVENT, now=hub.now())
        backup(hub.home if as_path else hub, file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["hub.db"]
    assert check(file) == []
    assert uids(file.parent) == ["u1"]


def test_backup_replaces_only_when_complete(hub: Hub, work: int, tmp_path: Path) -> None:
    """A new backup replaces the old one; one that fails leaves it alone."""
    file = tmp_path / "backup.db"
    backup(hub, file)
    first = file.read_bytes()
    put(hub, work, "u1")
    backup(hub, file)
    second = file.read_bytes()
    assert first != second

    hub.close()
    hub.path.write_bytes(hub.path.read_bytes()[:5000])
    with pytest.raises(HubError):
        backup(hub.home, file)
    assert file.read_bytes() == second
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["backup.db"]


def test_backup_needs_a_hub_and_another_file(hub: Hub, tmp_path: Path) -> None:
    """There must be something to copy, and it is never copied over itself."""
    with pytest.raises(NotFound):
        backup(tmp_path / "nowhere", tmp_path / "file")
    with pytest.raises(InvalidValue):
        backup(hub, hub.path)
    with pytest.raises(HubError):
        backup(hub, tmp_path / "no" / "folder")


def test_restore(hub: Hub, work: int, replica: Replica, tmp_path: Path) -> None:
    """The backup becomes the hub, the replaced one is kept, and every replica starts over."""
    put(hub, work, "old")
    with hub.transaction() as conn:
        accounts.update_replica(conn, replica.id, cursor="c1", phase="steady")
        conn.execute(
            "INSERT INTO observation (replica_id, remote_id, content, pending, seen) VALUES (?, '/1', '{}', 0, 't')",
            (replica.id,),
        )
    file = tmp_path / "backup.db"
    backup(hub, file)
    original = file.read_bytes()
    put(hub, work, "new")
    replaced = restore(hub.home, file)

    assert file.read_bytes() == original
    with hub.read() as conn:  # opened before the restore
        assert [one.uid for one in events.events(conn, work)] == ["old"]
        assert accounts.replica(conn, replica.id).cursor is None
        assert sql.value(conn, "SELECT pending FROM observation") == 1
        assert restored.since(conn, replica.id) == 1
    put(hub, work, "newer")
    assert uids(hub.home) == ["old", "newer"]
    assert check(hub.home) == []
    assert replaced is not None
    shutil.copy(replaced, tmp_path / "hub.db")
    assert uids(tmp_path) == ["old", "new"]
    assert [one.name for one in replaced.parent.iterdir()] == [replaced.name]


def test_restore_over_a_damaged_hub(hub: Hub, work: int, tmp_path: Path) -> None:
    """A hub that cannot be read is put aside as it is, and the backup takes its place."""
    put(hub, work, "u1")
    file = tmp_path / "backup.db"
    backup(hub, file)
    hub.close()
    rubbish = b"not a database" * 1000
    hub.path.write_bytes(rubbish)
    replaced = restore(hub.home, file)

    assert replaced is not None
    assert replaced.read_bytes() == rubbish
    assert uids(hub.home) == ["u1"]
    assert stat.S_IMODE(hub.path.stat().st_mode) == 0o600


def test_restore_into_an_empty_home(hub: Hub, work: int, tmp_path: Path) -> None:
    """On a new machine there is nothing to put aside."""
    put(hub, work, "u1")
    file = tmp_path / "backup.db"
    backup(hub, file)

    assert restore(tmp_path / "new", file) is None
    assert uids(tmp_path / "new") == ["u1"]


def test_restore_refuses_what_is_not_sound(hub: Hub, work: int, tmp_path: Path) -> None:
    """A missing, damaged, foreign or newer backup is refused, and the hub stays as it was."""
    put(hub, work, "u1")
    good = tmp_path / "good.db"
    backup(hub, good)
    cut, dangling, newer, empty = (tmp_path / name for name in ("cut.db", "dangling.db", "newer.db", "empty.db"))
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    empty.touch()
    for file in (dangling, newer):
        shutil.copy(good, file)
    execute(dangling, "UPDATE event SET calendar_id = 99")
    execute(newer, "UPDATE alembic_version SET version_num = '0999'")

    for file, error in (
        (tmp_path / "missing.db", NotFound),
        (cut, CorruptDatabase),
        (dangling, CorruptDatabase),
        (newer, NewerDatabase),
        (empty, CorruptDatabase),
    ):
        with pytest.raises(error):
            restore(hub.home, file)
    assert uids(hub.home) == ["u1"]
    assert list((hub.home / "backups").iterdir()) == []


def test_no_restore_beside_a_pass(hub: Hub, work: int, tmp_path: Path) -> None:
    """While a pass is under way, the hub is not replaced."""
    backup(hub, tmp_path / "backup.db")
    put(hub, work, "u1")

    with replica_lock(hub.home, 1), pytest.raises(Busy):
        restore(hub.home, tmp_path / "backup.db")
    assert uids(hub.home) == ["u1"]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE event SET calendar_id = 99", "points to a row of calendar"),
        ("DELETE FROM event_search", "search index and event 1 disagree"),
        ("INSERT INTO event_search (rowid, title) VALUES (9, 'ghost')", "knows event 9"),
        ("UPDATE event_search_data SET block = x'00' WHERE id > 10", "search index"),
        ("UPDATE event SET deleted = 1", "has occurrences it should not have"),
        ("UPDATE event SET rev = 99", "not in the change log"),
        ("UPDATE event SET content = '{'", "is not JSON"),
        ("UPDATE link SET hub_rev = 99", "later revision"),
        ("UPDATE replica SET calendar_id = 2", "another calendar"),
    ],
)
def test_check_finds(hub: Hub, work: int, replica: Replica, damage: str, found: str) -> None:
    """Each kind of damage is named; a sound database has none."""
    put(hub, work, "u1")
    with hub.transaction() as conn:
        accounts.add_calendar(conn, "Other", hub.now())
        conn.execute(
            "INSERT INTO link (replica_id, event_id, remote_id, base_remote, hub_rev, synced) "
            "VALUES (?, 1, '/1', '{}', 1, 't')",
            (replica.id,),
        )
    hub.close()
    assert check(hub.home) == []
    execute(hub.path, damage)

    assert any(found in problem for problem in check(hub.home))


def test_check_of_a_damaged_file(hub: Hub, work: int) -> None:
    """Overwritten pages are reported, not raised; what is no database is CorruptDatabase."""
    put(hub, work, "u1")
    with hub.read() as conn:
        page = sql.value(conn, "SELECT rootpage FROM sqlite_master WHERE name = 'event'")
        size = sql.value(conn, "PRAGMA page_size")
    hub.close()
    content = bytearray(hub.path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xa5" * size
    hub.path.write_bytes(content)

    assert check(hub.home)
    hub.path.write_bytes(b"rubbish" * 1000)
    with pytest.raises(CorruptDatabase):
        check(hub.home)
    hub.path.write_bytes(b"")
    assert check(hub.home) == [f"{hub.path} is empty."]
    hub.path.unlink()
    with pytest.raises(NotFound):
        check(hub.path)


# Locks

_HOLD = """
import sys
from pathlib import Path
from calhub.hub.locks import replica_lock
with replica_lock(Path(sys.argv[1]), 1):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_between_processes(home: Path) -> None:
    """Another process's lock is Busy; other replicas are free; it ends with its process, however that ends."""
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Busy, match="replica 1"), replica_lock(home, 1):
            pass
        with replica_lock(home, 2):
            pass
        with pytest.raises(Busy), hub_lock(home):
            pass
        other.kill()
        other.wait()

    with replica_lock(home, 1):
        pass


def test_lock_in_one_process(home: Path) -> None:
    """A replica is locked once, also by threads of one process, and free again after an exception."""
    with replica_lock(home, 1), pytest.raises(Busy), replica_lock(home, 1):
        pass

    def failing_pass() -> None:
        with replica_lock(home, 1):
            raise KeyError

    with pytest.raises(KeyError):
        failing_pass()
    with hub_lock(home), pytest.raises(Busy), replica_lock(home, 1):
        pass
    with replica_lock(home, 1):
        pass
