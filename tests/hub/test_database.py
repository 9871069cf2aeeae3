"""Opening the hub, transactions, readers, migrations."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import IntegrityError

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from calhub.hub import accounts, migrate, schema, sql
from calhub.hub.database import Hub, instant
from calhub.hub.errors import Busy, CorruptDatabase, HubError, NewerDatabase, NotFound
from calhub.hub.locks import replica_lock


def names(hub: Hub) -> list[str]:
    with hub.read() as conn:
        return [one.name for one in accounts.calendars(conn)]


def add(hub: Hub, name: str) -> None:
    with hub.transaction() as conn:
        accounts.add_calendar(conn, name, hub.now())


def add_and_fail(hub: Hub, name: str) -> None:
    with hub.transaction() as conn:
        accounts.add_calendar(conn, name, hub.now())
        raise KeyError


def objects(db: sqlite3.Connection) -> set[tuple[str, tuple[str, ...]]]:
    """Tables and indexes with the lines of their definitions; the order of constraints inside a table is free."""
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'")
    return {
        (name, tuple(sorted(line.strip(" \t,") for line in sql.replace('"', "").splitlines()))) for name, sql in rows
    }


def test_migrations_make_what_the_schema_says(hub: Hub, tmp_path: Path) -> None:
    """A database made by the migrations has the tables, constraints and indexes of schema.py, to the letter."""
    wanted = tmp_path / "wanted.db"
    engine = create_engine(f"sqlite:///{wanted}")
    schema.metadata.create_all(engine)
    with engine.begin() as conn:
        conn.exec_driver_sql(schema.SEARCH_DDL)
    engine.dispose()

    with closing(sqlite3.connect(wanted)) as by_schema, closing(sqlite3.connect(hub.path)) as by_migration:
        assert objects(by_schema) == objects(by_migration)


def test_head_is_the_newest_migration() -> None:
    """The version that opening compares with is the newest under migrations/versions."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))

    assert ScriptDirectory.from_config(config).get_current_head() == migrate.HEAD


def test_home_is_private(hub: Hub) -> None:
    """Home is readable by its owner only, and so are the database and its companions."""
    add(hub, "Work")

    assert stat.S_IMODE(hub.home.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in hub.home.glob("hub.db*")}
    assert modes == {"hub.db": 0o600, "hub.db-wal": 0o600, "hub.db-shm": 0o600}


def test_connections_are_durable_and_check_references(hub: Hub) -> None:
    """The writer runs in WAL mode with synchronous=FULL, foreign keys checked and 30 s of patience."""
    with hub.transaction() as conn:
        pragmas = [
            sql.value(conn, f"PRAGMA {name}")
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]

    assert pragmas == ["wal", 2, 1, 30_000]


def test_opening_again_keeps_the_data_and_needs_no_alembic(home: Path) -> None:
    """A current database is opened without importing Alembic, and finds what was stored."""
    with Hub.open(home) as first:
        add(first, "Work")
    code = (
        "import sys; from pathlib import Path; from calhub.hub.database import Hub; from calhub.hub import accounts\n"
        "with Hub.open(Path(sys.argv[1])) as hub, hub.read() as conn:\n"
        "    print([one.name for one in accounts.calendars(conn)], 'alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['Work'] False"


def test_open_without_create_needs_a_hub(home: Path) -> None:
    """With create off a missing hub is NotFound, and nothing is made."""
    with pytest.raises(NotFound):
        Hub.open(home, create=False)

    assert not home.exists()


def test_newer_database_is_refused_untouched(home: Path) -> None:
    """A database of a later version raises NewerDatabase, with not a byte changed."""
    Hub.open(home).close()
    with closing(sqlite3.connect(home / "hub.db")) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '0999'")
    before = (home / "hub.db").read_bytes()

    with pytest.raises(NewerDatabase, match="newer calhub"):
        Hub.open(home)
    assert before == (home / "hub.db").read_bytes()


@pytest.mark.parametrize("junk", [b"not a database at all, but long enough to be read as one" * 100, b"short"])
def test_a_file_that_is_no_database_is_corrupt(home: Path, junk: bytes) -> None:
    """Junk in place of the database raises CorruptDatabase with a way out, and stays as it was."""
    home.mkdir()
    (home / "hub.db").write_bytes(junk)

    with pytest.raises(CorruptDatabase) as caught:
        Hub.open(home)
    assert "db restore" in caught.value.hint
    assert (home / "hub.db").read_bytes() == junk


def test_somebody_elses_database_is_refused(home: Path) -> None:
    """An SQLite file of another program is not taken over."""
    home.mkdir()
    with closing(sqlite3.connect(home / "hub.db")) as db, db:
        db.execute("CREATE TABLE theirs (x)")

    with pytest.raises(CorruptDatabase, match="not a calhub database"):
        Hub.open(home)


def test_an_unfinished_creation_is_finished(home: Path) -> None:
    """An empty file, as a crash during creation leaves it, becomes a hub."""
    home.mkdir()
    (home / "hub.db").touch()
    with Hub.open(home) as hub:
        add(hub, "Work")

        assert names(hub) == ["Work"]


def test_home_that_cannot_be_made(tmp_path: Path) -> None:
    """A home below a file is a HubError with a sentence, not a traceback of the file system."""
    (tmp_path / "file").touch()

    with pytest.raises(HubError) as caught:
        Hub.open(tmp_path / "file" / "home")
    assert caught.value.message
    assert caught.value.hint


def test_full_disk_is_one_sentence(hub: Hub) -> None:
    """When SQLite has no room left, the transaction is undone and the error says so."""
    add(hub, "Work")
    with hub.transaction() as conn:
        pages = sql.value(conn, "PRAGMA page_count")
        conn.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(HubError, match="is full"), hub.transaction() as conn:
        conn.execute("INSERT INTO calendar (name, created) VALUES ('Big', ?)", ("x" * 10_000_000,))
    assert names(hub) == ["Work"]


@pytest.mark.parametrize("statement", ["BEGIN", "COMMIT"])
def test_next_transaction_begins_afresh(hub: Hub, statement: str) -> None:
    """After SQLite failed at either end of a transaction, the next one is not stuck in what is left of it."""

    def refuse(action: int, name: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION and name == statement else sqlite3.SQLITE_OK

    with hub.transaction() as conn:
        pass
    conn.set_authorizer(refuse)

    with pytest.raises(HubError), hub.transaction() as conn:
        accounts.add_calendar(conn, "Lost", hub.now())

    with hub.transaction() as conn:
        accounts.add_calendar(conn, "Kept", hub.now())
        assert [each.name for each in accounts.calendars(conn)] == ["Kept"]


def test_damage_is_found_before_it_is_trusted(home: Path) -> None:
    """`ensure_sound` raises for a page that is not what it was; a good answer holds for an hour of the hub's clock."""
    now = datetime(2026, 11, 21, tzinfo=UTC)
    with Hub.open(home, clock=lambda: now) as hub:
        hub.ensure_sound()
        with closing(migrate.open_plain(hub.path)) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = 'event_rev'")
            db.execute("PRAGMA schema_version = 99")  # open connections read the schema again
        hub.ensure_sound()
        now += timedelta(hours=2)
        with pytest.raises(CorruptDatabase, match="damaged"):
            hub.ensure_sound()


def test_empty_file_where_there_has_been_a_hub(home: Path) -> None:
    """A hub that has synced and is now empty is damage; an interrupted first start is not."""
    Hub.open(home).close()
    (home / "hub.db").write_bytes(b"")
    Hub.open(home).close()
    with replica_lock(home, 1):
        pass
    (home / "hub.db").write_bytes(b"")

    with pytest.raises(CorruptDatabase, match="empty"):
        Hub.open(home)


def test_an_exception_rolls_back(hub: Hub) -> None:
    """Any exception undoes the whole transaction and reaches the caller; the next one works."""
    with pytest.raises(KeyError):
        add_and_fail(hub, "Work")
    assert names(hub) == []
    add(hub, "Home")

    assert names(hub) == ["Home"]


def test_inner_transaction_is_a_savepoint(hub: Hub) -> None:
    """An exception in an inner transaction undoes the inner part only."""
    with hub.transaction() as conn:
        accounts.add_calendar(conn, "Outer", hub.now())
        with pytest.raises(KeyError):
            add_and_fail(hub, "Inner")
        add(hub, "Kept")

    assert names(hub) == ["Outer", "Kept"]


def test_undone_savepoints_leave_nothing(hub: Hub) -> None:
    """What an outer savepoint undoes includes what came after the failure of an inner one."""

    def inner() -> None:
        with hub.transaction() as conn:
            with pytest.raises(KeyError):
                add_and_fail(hub, "Innermost")
            accounts.add_calendar(conn, "Inner", hub.now())
            raise KeyError

    with hub.transaction():
        with pytest.raises(KeyError):
            inner()
        add(hub, "Kept")

    assert names(hub) == ["Kept"]


def test_many_readers_at_once(hub: Hub) -> None:
    """Each has a connection of its own and its own state; few connections stay open afterwards."""
    readers: list[sqlite3.Connection] = []
    with ExitStack() as stack:
        for number in range(8):
            reader = stack.enter_context(hub.read())
            assert len(accounts.calendars(reader)) == number
            add(hub, f"Calendar {number}")
            readers.append(reader)

    assert len(names(hub)) == 8
    assert sum(map(_is_open, readers)) == 5


def _is_open(conn: sqlite3.Connection) -> bool:
    try:
        conn.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return False
    return True


def test_readers_do_not_wait_for_the_writer(hub: Hub) -> None:
    """While a writer transaction is open, readers see the state before it, and cannot write."""
    add(hub, "Before")
    with hub.transaction() as conn:
        accounts.add_calendar(conn, "During", hub.now())
        with hub.read() as reader:
            assert [one.name for one in accounts.calendars(reader)] == ["Before"]

    assert names(hub) == ["Before", "During"]
    with pytest.raises(HubError), hub.read() as reader:
        accounts.add_calendar(reader, "Never", hub.now())


def test_a_reader_sees_one_state(hub: Hub) -> None:
    """What is committed after a reader's first query stays invisible to it."""
    add(hub, "Before")
    with hub.read() as reader:
        assert len(accounts.calendars(reader)) == 1
        add(hub, "After")

        assert len(accounts.calendars(reader)) == 1


def test_threads_take_turns(hub: Hub) -> None:
    """Transactions of several threads follow one another; none is lost."""
    threads = [threading.Thread(target=add, args=(hub, f"Calendar {number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(names(hub)) == 8


def test_commit_hook(hub: Hub) -> None:
    """The hook runs before and after each outermost commit; raising before it stores nothing, after it everything."""
    seen: list[list[str]] = []
    hub.on_commit = lambda: seen.append(names(hub))
    with hub.transaction() as conn:
        accounts.add_calendar(conn, "Work", hub.now())
        with hub.transaction():
            pass
    assert seen == [[], ["Work"]]

    def crash() -> None:
        raise KeyboardInterrupt

    hub.on_commit = crash
    with pytest.raises(KeyboardInterrupt):
        add(hub, "Lost")
    countdown = iter([None])
    hub.on_commit = lambda: _after_first(countdown)
    with pytest.raises(KeyboardInterrupt):
        add(hub, "Kept")
    hub.on_commit = None

    assert names(hub) == ["Work", "Kept"]


def _after_first(countdown: Iterator[None]) -> None:
    for _ in countdown:
        return
    raise KeyboardInterrupt


def test_broken_constraints_stay_integrity_errors(hub: Hub) -> None:
    """A constraint that bites is told apart from trouble with the database."""
    with pytest.raises(IntegrityError), hub.transaction() as conn:
        conn.execute("INSERT INTO calendar (name, created) VALUES ('', 'now')")


def test_locked_by_another_program(hub: Hub) -> None:
    """A database somebody else is writing to for too long is Busy."""
    with hub.transaction() as conn:
        conn.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(hub.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(Busy):
            add(hub, "Work")


def test_instants_sort_as_text() -> None:
    """Instants are UTC with milliseconds, so that text order is time order."""
    assert instant(datetime(2026, 11, 21, 10, 0, 0, 5_000, tzinfo=UTC)) == "2026-11-21T10:00:00.005Z"


# Migrations of an existing database, shown on a second version made up for the test


_NEXT_VERSION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "{next}", "{head}", None, None
def upgrade():
    op.add_column("calendar", sa.Column("note", sa.Text()))
    {fault}
"""
_HEAD = migrate.HEAD
_NEXT = f"{int(_HEAD) + 1:04d}"


def next_migration(fault: str = "pass") -> str:
    return _NEXT_VERSION.format(next=_NEXT, head=_HEAD, fault=fault)


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations with room for another version, which the code thinks is its own."""
    room = tmp_path / "code"
    shutil.copytree(Path(migrate.__file__).parent / "migrations", room / "migrations")
    monkeypatch.setattr(migrate, "__file__", str(room / "migrate.py"))
    monkeypatch.setattr(migrate, "HEAD", _NEXT)
    return room / "migrations" / "versions" / f"v{_NEXT}_note.py"


@pytest.fixture
def old_home(home: Path) -> Path:
    with Hub.open(home) as hub:
        add(hub, "Work")
    return home


def test_migration_backs_up_first(old_home: Path, next_version: Path) -> None:
    """An older database is copied to backups, then migrated with its data."""
    next_version.write_text(next_migration())
    with Hub.open(old_home) as hub:
        assert names(hub) == ["Work"]

    with closing(sqlite3.connect(old_home / "hub.db")) as db:
        assert db.execute("SELECT name, note FROM calendar").fetchall() == [("Work", None)]
    (copy,) = (old_home / "backups").iterdir()
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [(_HEAD,)]
        assert db.execute("SELECT name FROM calendar").fetchall() == [("Work",)]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("raise ZeroDivisionError", ZeroDivisionError),
        ("op.execute('INSERT INTO nowhere VALUES (1)')", HubError),
        ("op.execute('INSERT INTO secret VALUES (99, 1, 1)')", CorruptDatabase),  # points to no account
    ],
)
def test_failed_migration_leaves_the_old_database(
    old_home: Path, next_version: Path, fault: str, error: type[Exception]
) -> None:
    """If a migration fails, or its result is not sound, the database is as before and the error is raised."""
    next_version.write_text(next_migration(fault))

    with pytest.raises(error):
        Hub.open(old_home)
    with closing(sqlite3.connect(old_home / "hub.db")) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [(_HEAD,)]
        assert db.execute("SELECT * FROM secret").fetchall() == []
        assert "note" not in {row[1] for row in db.execute("PRAGMA table_info(calendar)")}


def test_no_migration_beside_a_pass(old_home: Path, next_version: Path) -> None:
    """While a pass is under way, the schema is not changed."""
    next_version.write_text(next_migration())

    with replica_lock(old_home, 1), pytest.raises(Busy):
        Hub.open(old_home)
    assert migrate.version(old_home / "hub.db") == _HEAD
