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

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool, QueuePool

from calhub.hub.errors import CorruptDatabase, NotFound
from calhub.hub.migrate import as_hub_errors, ensure_current, hub_error, open_plain

#: How long a look at the whole file is trusted by a process that keeps the hub open.
_SOUND_FOR: Final = timedelta(hours=1)


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
        self._engine = _engine(self.path, writes=True)
        self._readers = _engine(self.path, writes=False)
        self._writer: Connection | None = None
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
        constraints as SQLAlchemy's ``IntegrityError``.
        """
        with self._lock:
            if self._writer is not None and self._writer.in_transaction():
                with self._writer.begin_nested():
                    yield self._writer
                return
            try:
                if self._writer is None:
                    self._writer = self._engine.connect()
                with self._writer.begin() as outermost:
                    yield self._writer
                    self._hook()
                    outermost.commit()
            except IntegrityError:
                raise
            except (DBAPIError, sqlite3.Error) as error:
                self._drop_writer()
                raise hub_error(getattr(error, "orig", None) or error, self.path) from error
            self._hook()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one consistent state, as of the first query; never waits for a writer, cannot write."""
        try:
            with self._readers.connect() as connection:
                yield connection
        except (DBAPIError, sqlite3.Error) as error:
            raise hub_error(getattr(error, "orig", None) or error, self.path) from error

    def ensure_sound(self) -> None:
        """Raise `CorruptDatabase` if SQLite finds damage: called before anything is written to a remote.

        Reads the whole file (10,000 events: 0.1 s), so a good answer holds for an hour.
        """
        now = self.clock()
        if self._checked is not None and now - self._checked < _SOUND_FOR:
            return
        with as_hub_errors(self.path), self.read() as conn:
            found = conn.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
        if found != "ok":
            raise CorruptDatabase(f"{self.path} is damaged: {found.splitlines()[-1]}.")
        self._checked = now

    def close(self) -> None:
        """Close all connections. Idempotent; the hub cannot be used afterwards."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._engine.dispose()
            self._readers.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drop_writer(self) -> None:
        """After a failure of SQLite nobody knows what state the connection is in; the next write has a new one."""
        if self._writer is not None:
            self._writer.invalidate()
            self._writer.close()
            self._writer = None

    def _hook(self) -> None:
        if self.on_commit is not None:
            self.on_commit()


def _engine(path: Path, *, writes: bool) -> Engine:
    # The driver's own transactions are off (`open_plain`), ours begin here: a writer takes its lock at once, so that it
    # never finds out half-way that somebody else was faster.
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: _connect(path, writes=writes),
        # the hub itself keeps the one writer; of readers there are as many as threads that read at once
        **({"poolclass": NullPool} if writes else {"poolclass": QueuePool, "max_overflow": -1}),
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.connection.cursor().execute(begin)  # not through SQLAlchemy: every transaction pays for this

    return engine


def _connect(path: Path, *, writes: bool) -> sqlite3.Connection:
    db = open_plain(path)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA cell_size_check = ON")  # finds damaged pages when they are read, at little cost
    db.execute("PRAGMA temp_store = MEMORY")
    if writes:
        db.execute("PRAGMA journal_mode = WAL")
    else:
        db.execute("PRAGMA query_only = ON")
    return db
