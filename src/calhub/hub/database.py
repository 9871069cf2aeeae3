"""The hub's database: opening it, the one writer, the readers.

SQLite in WAL mode: readers never wait for the writer and see the state of when they began. ``synchronous=FULL``,
because an intent must be on the disk before the write it announces is sent.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from calhub.hub.errors import CorruptDatabase, NotFound
from calhub.hub.migrate import as_hub_errors, ensure_current, hub_error, open_plain
from calhub.hub.sql import Connection, IntegrityError, Row, value

#: How long a look at the whole file is trusted by a process that keeps the hub open.
_SOUND_FOR: Final = timedelta(hours=1)

#: Readers kept open for the next question; each may have 64 MiB of cache.
_IDLE: Final = 5


def utc_now() -> datetime:
    """The clock of production; tests hand in their own."""
    return datetime.now(UTC)


def instant(moment: datetime) -> str:
    """The one spelling of an instant in the database: ``2026-11-21T10:00:00.000Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


class Hub:
    """The open database of one home. May be shared by threads; one of them writes at a time.

    ``on_commit`` is called right before and right after each outermost commit; raising there stands for a crash
    (before: nothing of the transaction is stored; after: all of it is).
    """

    def __init__(self, home: Path, clock: Callable[[], datetime]) -> None:
        self.home = home
        self.path = home / "hub.db"
        self.clock = clock
        self.on_commit: Callable[[], None] | None = None
        self._lock = threading.RLock()
        self._writer: Connection | None = None
        self._idle: list[Connection] = []  # readers that nobody uses just now
        self._checked: datetime | None = None

    @classmethod
    def open(cls, home: Path, *, clock: Callable[[], datetime] = utc_now, create: bool = True) -> Hub:
        """Open the hub in ``home``, making it (private to its owner) or migrating its schema where needed.

        Raises `NotFound` where there is none and ``create`` is off, `NewerDatabase`, `CorruptDatabase`, and `HubError`
        when the home cannot be written to. After any of these the database is as before.
        """
        path = home / "hub.db"
        if not create and not path.exists():
            raise NotFound(f"There is no hub in {home}.", "Add an account or a calendar first, or give another --home.")
        with as_hub_errors(path):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        ensure_current(path, clock())
        return cls(home, clock)

    def now(self) -> str:
        """The clock's time as stored in the database."""
        return instant(self.clock())

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Write: committed at the end, rolled back on any exception, which then goes on to the caller.

        Inside another transaction of the same thread it is a savepoint: an exception undoes the inner part only.
        Other threads wait; so no network call belongs in here. Failures of SQLite arrive as `HubError`, broken
        constraints as ``IntegrityError``.
        """
        with self._lock:
            if self._writer is not None and self._writer.in_transaction:
                with _savepoint(self._writer):
                    yield self._writer
                return
            try:
                if self._writer is None:
                    self._writer = _connect(self.path, writes=True)
                    self._writer.create_function("hub_now", 0, self.now)  # for the audit log
                with self._writer:  # commits, or rolls back
                    # The lock is taken at once: nobody finds out half-way that somebody else was faster.
                    self._writer.execute("BEGIN IMMEDIATE")
                    yield self._writer
                    self._hook()
            except IntegrityError:
                raise
            except sqlite3.Error as error:
                self._drop_writer()
                raise hub_error(error, self.path) from error
            self._hook()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one consistent state, as of the first query; never waits for a writer, cannot write."""
        try:
            conn = self._reader()
            try:
                conn.execute("BEGIN")
                yield conn
            finally:
                if len(self._idle) < _IDLE and _rolled_back(conn):
                    self._idle.append(conn)
                else:
                    conn.close()
        except sqlite3.Error as error:
            raise hub_error(error, self.path) from error

    def ensure_sound(self) -> None:
        """Raise `CorruptDatabase` if SQLite finds damage: called before anything is written to a remote.

        Reads the whole file (10,000 events: 0.1 s), so a good answer holds for an hour.
        """
        now = self.clock()
        if self._checked is not None and now - self._checked < _SOUND_FOR:
            return
        with as_hub_errors(self.path), self.read() as conn:
            found = value(conn, "PRAGMA integrity_check(1)")
        if found != "ok":
            raise CorruptDatabase(f"{self.path} is damaged: {found.splitlines()[-1]}.")
        self._checked = now

    def close(self) -> None:
        """Close all connections. Idempotent; the hub cannot be used afterwards."""
        with self._lock:
            self._drop_writer()
            while self._idle:
                self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reader(self) -> Connection:
        try:
            return self._idle.pop()
        except IndexError:  # asking first would be a race between threads
            return _connect(self.path, writes=False)

    def _drop_writer(self) -> None:
        """After a failure of SQLite nobody knows what state the connection is in; the next write has a new one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _hook(self) -> None:
        if self.on_commit is not None:
            self.on_commit()


def _rolled_back(conn: Connection) -> bool:
    """Whether the connection is fit to be used again."""
    try:
        conn.rollback()
    except sqlite3.Error:
        return False
    return True


@contextmanager
def _savepoint(conn: Connection) -> Iterator[None]:
    conn.execute("SAVEPOINT inner")
    try:
        yield
    except BaseException:
        if conn.in_transaction:  # after some failures, a full disk for one, SQLite has undone everything itself
            conn.execute("ROLLBACK TO inner")
            conn.execute("RELEASE inner")
        raise
    conn.execute("RELEASE inner")


def _connect(path: Path, *, writes: bool) -> sqlite3.Connection:
    db = open_plain(path)
    try:
        db.row_factory = Row
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cell_size_check = ON")  # finds damaged pages when they are read, at little cost
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA journal_mode = WAL" if writes else "PRAGMA query_only = ON")
    except BaseException:
        db.close()
        raise
    return db
