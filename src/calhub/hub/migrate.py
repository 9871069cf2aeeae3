"""Bring the database to the schema of this version, and refuse what we do not understand.

Looking is cheap (plain sqlite3, one row); SQLAlchemy and Alembic are imported only when there is something to do,
since every cold command comes through here.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from calhub.hub.errors import Busy, CorruptDatabase, DiskFull, HubError, NewerDatabase
from calhub.hub.locks import has_synced, hub_lock, migration_lock

#: The newest version under ``migrations/versions``; a test compares the two.
HEAD: Final = "0007"

BUSY_SECONDS: Final = 30.0

#: How SQLite words damage. The schema is checked on opening, so a table or column that is missing later was there.
_DAMAGE: Final = (
    "not a database", "malformed", "disk image", "unsupported file format", "no such table", "no such column",
    "could not decode", "vtable constructor failed",
)  # fmt: skip


def database_path(source: Path) -> Path:
    """The database of a home, or the path itself where it is a file."""
    return source / "hub.db" if source.is_dir() else source


def ensure_current(path: Path, now: datetime | None = None) -> None:
    """Create or migrate the database at ``path`` where needed; afterwards its schema is that of this version.

    An existing database is copied to ``backups/`` first and checked afterwards; if the migration or the check fails,
    it is as before and the error is raised. Raises `NewerDatabase`, `CorruptDatabase`, `Busy` (a pass is under way)
    and `HubError` (home not writable, disk full), all without having changed anything.
    """
    if version(path) == HEAD:
        return
    with as_hub_errors(path), migration_lock(path.parent):
        found = version(path)  # somebody else may have done it while we waited
        if found is None:
            _create_file(path)
            _upgrade(path)
        elif found != HEAD:
            with hub_lock(path.parent):
                _migrate_existing(path, found, now or datetime.now(UTC))


def version(path: Path) -> str | None:
    """The schema version of the database; None where there is no file or an empty one.

    Raises `NewerDatabase` for versions this code does not know, `CorruptDatabase` for files that are no hub, and for an
    empty one where there has been a hub.
    """
    if not path.exists():
        return None
    if path.stat().st_size == 0:
        # Taking it for a new hub would hide that all accounts are gone; an interrupted first start is fine.
        if has_synced(path.parent):
            raise CorruptDatabase(f"{path} is empty.")
        return None
    with as_hub_errors(path), closing(open_plain(path)) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None
        if "alembic_version" not in tables:
            raise CorruptDatabase(f"{path} is an SQLite file, but not a calhub database.", "Choose another home.")
        row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None:
        raise CorruptDatabase(f"{path} does not say its schema version.")
    found = str(row[0])
    if not found.isdecimal() or int(found) > int(HEAD):
        raise NewerDatabase(
            f"The database was written by a newer calhub (schema {found}, this version knows {HEAD}).",
            "Update calhub, or restore a backup made by this version.",
        )
    return found


def open_plain(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A plain connection in autocommit mode; the caller closes it. The file is never created."""
    uri = path.absolute().as_uri() + ("?mode=ro" if read_only else "?mode=rw")
    db = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA cache_size = -65536")  # 64 MiB at most: a big hub is read and written in random order
    except BaseException:
        db.close()  # an open file would keep a disk from being taken away
        raise
    return db


def problems_of(db: sqlite3.Connection) -> list[str]:
    """What SQLite itself finds wrong: damaged pages and indexes, rows that point nowhere."""
    # Some of SQLite's sentences come under a heading.
    found = [row[0].splitlines()[-1] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
    for table, rowid, parent, _ in db.execute("PRAGMA foreign_key_check"):
        found.append(f"Row {rowid} of {table} points to a row of {parent} that does not exist.")
    return found


def free_backup_name(folder: Path, label: str, now: datetime) -> Path:
    """A name in ``folder`` (made where missing) that no file has yet; sorts by time within one label."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stem = f"{label}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    names = (folder / f"{stem}{f'-{number}' if number else ''}.db" for number in range(1_000_000))
    return next(name for name in names if not name.exists())


def copy_into(source: Path, target: Path) -> None:
    """Write a consistent, compact copy of a database, also while others write to it. ``target`` must not exist."""
    with closing(open_plain(source)) as db:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # VACUUM INTO accepts an empty file
        db.execute("VACUUM INTO ?", (str(target),))
    sync_file(target)


def sync_file(path: Path) -> None:
    """Make a finished file and its name durable."""
    for place in (path, path.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def as_hub_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say about ``path`` into `HubError` with a way out."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # SQLite's message may quote damaged text
        raise hub_error(error, path) from error


def hub_error(error: BaseException, path: Path) -> HubError:
    """The `HubError` that says what an error of SQLite or the file system means for the user."""
    text = str(error).lower()
    if isinstance(error, UnicodeDecodeError) or any(sign in text for sign in _DAMAGE):
        return CorruptDatabase(f"{path} is damaged or not a database.")
    if "is locked" in text:
        return Busy("Another process is writing to the hub.", "Try again in a moment.")
    failing = "disk i/o error" in text
    if "disk is full" in text or "no space" in text or (failing and _is_full(path)):
        return DiskFull(f"The disk that holds {path.parent} is full.", "Free some space; nothing was changed.")
    if failing:
        return HubError(f"The disk that holds {path.parent} reports an error.", "Check the disk, then: calhub db check")
    if "readonly" in text or "read-only" in text or "permission denied" in text:
        return HubError(f"{path.parent} cannot be written to.", "Check its permissions, or choose another --home.")
    if "unable to open" in text or isinstance(error, OSError):
        return HubError(f"{path} cannot be opened.", "Check that its folder exists and belongs to you.")
    return HubError(f"The database refused: {error}.", "Run `calhub db check`.")


def _is_full(path: Path) -> bool:
    """SQLite cannot always tell: its shared memory file, which a full disk does not take, is an I/O error to it."""
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < 1024**2
    return False


def _create_file(path: Path) -> None:
    # SQLite gives its -wal and -shm files the mode of the database, so this one call keeps all three private.
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    with closing(open_plain(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")


def _migrate_existing(path: Path, found: str, now: datetime) -> None:
    backup = free_backup_name(path.parent / "backups", f"schema-{found}", now)
    copy_into(path, backup)
    try:
        _upgrade(path)
        with closing(open_plain(path)) as db:
            problems = problems_of(db)
        if problems:
            raise CorruptDatabase(f"After the migration the database was not sound: {problems[0]}")
    except BaseException:
        put_back(backup, path)
        raise


def put_back(backup: Path, path: Path) -> None:
    """Replace the contents of the database at ``path``, in one transaction that open connections see."""
    with closing(open_plain(backup, read_only=True)) as source, closing(open_plain(path)) as target:
        source.backup(target)


def _upgrade(path: Path) -> None:
    """Run the missing migrations in one transaction: all of them, or none."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    # Foreign keys stay off here (SQLite's default): a migration may rebuild a table that others point to.
    engine = create_engine("sqlite://", creator=lambda: open_plain(path), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except DBAPIError as error:
        raise hub_error(error.orig or error, path) from error
    finally:
        engine.dispose()
