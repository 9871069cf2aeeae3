"""Copies of the hub: making one, putting one back, and telling whether a database is sound."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from calhub.hub import restored
from calhub.hub.errors import CorruptDatabase, InvalidValue, NotFound
from calhub.hub.locks import hub_lock
from calhub.hub.migrate import (
    as_hub_errors,
    copy_into,
    database_path,
    ensure_current,
    free_backup_name,
    open_plain,
    problems_of,
    put_back,
    sync_file,
    version,
)

if TYPE_CHECKING:
    from calhub.hub.database import Hub


def backup(source: Hub | Path, file: Path) -> None:
    """Write a consistent copy of the hub to ``file``, replacing it; also while a pass is writing.

    ``source`` is an open hub, a home or a database file. The copy is complete when it gets its name: after a failure
    (`HubError`: disk full, folder not writable) ``file`` is as before. Secrets in the copy are sealed as in the hub.
    """
    path = database_path(source) if isinstance(source, Path) else source.path
    if not path.exists():
        raise NotFound(f"There is no hub in {path.parent}.", "Give the --home that has one.")
    if file.exists() and path.samefile(file):
        raise InvalidValue("A backup cannot replace the database itself.", "Choose another file.")
    temporary = file.with_name(f".{file.name}.{os.getpid()}.partial")
    with as_hub_errors(file):
        try:
            copy_into(path, temporary)
            temporary.replace(file)
            sync_file(file)
        finally:
            temporary.unlink(missing_ok=True)


def restore(home: Path, file: Path, *, now: datetime | None = None) -> Path | None:
    """Make ``file``, a backup, the hub of ``home``; returns where the replaced database went (None if there was none).

    The backup is checked first and migrated where it is older. Afterwards every replica reads its remote anew, and
    until it has done so deletes nothing there (`calhub.hub.restored`): the hub is older than the remotes now, and what
    it does not know of was not deleted. Raises `NotFound`, `CorruptDatabase`, `NewerDatabase` or `Busy` (a pass is
    under way), with the hub as it was.
    """
    if not file.exists():
        raise NotFound(f"There is no file {file}.", "Look into the backups folder of the home.")
    moment = now or datetime.now(UTC)
    path = home / "hub.db"
    with as_hub_errors(path):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = home / "backups"
    staged = free_backup_name(folder, ".restoring", moment)
    with hub_lock(home), as_hub_errors(path):
        try:
            _stage(file, staged, moment)
            replaced = _keep(path, folder, moment) if path.exists() else None
            _put_in_place(staged, path)
        finally:
            for left in (staged, *_companions(staged)):
                left.unlink(missing_ok=True)
    return replaced


def check(path: Path) -> list[str]:
    """What is wrong with the database of a home, or with a database file: one sentence each, none when it is sound.

    Damaged pages and indexes, rows that point nowhere, a search index that differs from the events, links and
    occurrences that cannot be. Raises `CorruptDatabase` or `NewerDatabase` when it cannot even be opened.
    """
    path = database_path(path)
    if not path.exists():
        raise NotFound(f"There is no database {path}.", "Give the --home that has one.")
    if version(path) is None:
        return [f"{path} is empty."]
    with as_hub_errors(path), closing(open_plain(path)) as db:
        try:
            found = problems_of(db)
            found += [sentence.format(*row) for query, sentence in _CHECKS for row in db.execute(query)]
        except sqlite3.DatabaseError as error:
            return [f"The database cannot be read to its end: {error}."]
        try:
            db.execute("INSERT INTO event_search (event_search) VALUES ('integrity-check')")
        except sqlite3.DatabaseError:
            found.append("The search index is damaged.")
    return found


#: What constraints cannot say, each with the sentence for a row that is found.
_CHECKS: Final = (
    (
        "SELECT l.id FROM link l JOIN replica r ON r.id = l.replica_id JOIN event e ON e.id = l.event_id "
        "WHERE e.calendar_id <> r.calendar_id",
        "Link {0} ties an event to a replica of another calendar.",
    ),
    (
        "SELECT l.id FROM link l JOIN event e ON e.id = l.event_id WHERE l.hub_rev > e.rev",
        "Link {0} knows a later revision than its event has.",
    ),
    (
        "SELECT o.event_id FROM occurrence o JOIN event e ON e.id = o.event_id "
        "WHERE e.deleted = 1 OR o.calendar_id <> e.calendar_id GROUP BY o.event_id",
        "Event {0} has occurrences it should not have.",
    ),
    (
        "SELECT e.id FROM event e WHERE (e.deleted = 0) <> EXISTS (SELECT 1 FROM event_search s WHERE s.rowid = e.id)",
        "The search index and event {0} disagree.",
    ),
    (
        "SELECT s.rowid FROM event_search s WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.id = s.rowid)",
        "The search index knows event {0}, which does not exist.",
    ),
    (
        "SELECT e.id FROM event e WHERE e.rev > (SELECT coalesce(max(seq), 0) FROM change)",
        "Event {0} has a revision that is not in the change log.",
    ),
    ("SELECT id FROM event WHERE NOT json_valid(content)", "The content of event {0} is not JSON."),
)


def _stage(file: Path, staged: Path, now: datetime) -> None:
    """A checked, migrated copy of the backup, ready to be put in place; the backup itself is not touched."""
    shutil.copyfile(file, staged)
    staged.chmod(0o600)
    for companion, target in zip(_companions(file), _companions(staged), strict=True):
        if companion.exists():  # the copy of a live database made with cp
            shutil.copyfile(companion, target)
    if version(staged) is None:
        raise CorruptDatabase(f"{file} is empty.", "Choose another backup.")
    with closing(open_plain(staged)) as db:
        problems = problems_of(db)
    if problems:
        raise CorruptDatabase(f"The backup {file} is damaged: {problems[0]}", "Choose another backup.")
    ensure_current(staged, now)
    with closing(open_plain(staged)) as db:
        db.execute("BEGIN IMMEDIATE")
        restored.mark_all(db)
        db.execute("COMMIT")


def _keep(path: Path, folder: Path, now: datetime) -> Path:
    """Put the present database aside: as a backup where it can be read, else its files as they are."""
    name = free_backup_name(folder, "replaced", now)
    try:
        copy_into(path, name)
    except sqlite3.DatabaseError:
        name.unlink(missing_ok=True)
        for source, target in zip((path, *_companions(path)), (name, *_companions(name)), strict=True):
            with suppress(FileNotFoundError):
                shutil.copyfile(source, target)
                target.chmod(0o600)
    return name


def _put_in_place(staged: Path, path: Path) -> None:
    """Through SQLite where that works: processes that have the hub open then see the restored one."""
    if path.exists():
        try:
            put_back(staged, path)
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise
        else:
            return
    for companion in _companions(path):  # they belong to the damaged file, and would be read as if to ours
        companion.unlink(missing_ok=True)
    with closing(open_plain(staged)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    staged.replace(path)
    sync_file(path)


def _companions(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
