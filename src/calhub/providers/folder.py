"""Folders of iCalendar files: a vdir as khal and vdirsyncer use it, one item a file.

A path that holds folders and no ``.ics`` file is a set of vdirs, each a remote calendar named by its folder; otherwise
the path is one vdir, the remote calendar ``"."``. Files ``displayname`` and ``color`` describe a calendar; hidden
files, ``*.tmp`` and everything that is not ``*.ics`` are left alone.

Every listing looks at the whole folder (one stat a file) and opens only files that changed; what is not there is gone.
A folder that is missing, or empty on another disk than before, is an error and never an empty calendar. Writes are
atomic and durable, and conditional up to the moment of the rename; between the comparison and the rename there remain
a few microseconds that no file system call can close.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.ical import NotAnEvent, patch_object, read_object, write_object
from calhub.providers import files, vdir
from calhub.providers.base import (
    Access,
    Capabilities,
    Done,
    Item,
    Known,
    NotSent,
    OneByOne,
    Outcome,
    Page,
    ProviderError,
    Refused,
    RemoteCalendar,
    Stale,
    Trait,
    Unknown,
)
from calhub.providers.vault import Vault

#: The remote calendar of a path that is itself a vdir.
SINGLE: Final = "."
#: Rows in a page.
PAGE: Final = 500
#: Larger files hold something else than one event.
LARGEST: Final = 16 * 1024 * 1024

_TWIN: Final = ":twin="  # ends the version of a quarantined duplicate; the name of the file it duplicates follows
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LOCKED: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG}


def connect(settings: Mapping[str, str], vault: Vault) -> FolderProvider:  # noqa: ARG001 - needs none
    """The provider for ``{"url": path}``; ``~`` and ``file:`` URLs are understood. Raises `ProviderError` (FATAL)."""
    return FolderProvider(_root(settings))


def place(settings: Mapping[str, str], calendar: str) -> Path:
    """The folder of a remote calendar, there or not. Raises `ProviderError` (FATAL)."""
    root = _root(settings)
    return root if calendar == SINGLE else root / calendar


def _root(settings: Mapping[str, str]) -> Path:
    url = settings.get("url", "").strip()
    parts = urlsplit(url)
    path = Path(unquote(parts.path) if parts.scheme == "file" else url).expanduser()
    if not url or not path.is_absolute():
        raise ProviderError(
            "A folder account needs the full path of a folder.", "Give it with --url /path/to/folder.", Trait.FATAL
        )
    return path


def _utc_now() -> datetime:
    return datetime.now(UTC)


class FolderProvider(OneByOne):
    """A vdir or a set of vdirs under ``root``.

    The cursor is the folder's identity and a digest of the listing: unchanged folder, unchanged cursor, no rows.
    Item names are file names; a new item is named after its UID where that makes a good file name.
    """

    def __init__(self, root: Path, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self.root = root
        self.requests = 0
        self._clock = clock
        self._owners: dict[tuple[str, str], str] = {}  # (calendar, uid): the file last read with it; a hint, verified
        self._others: dict[tuple[str, str], str | None] = {}  # (calendar, file): version at which it held no event
        self._taken: dict[str, set[str]] = {}  # calendar: names in use or reserved, lower case
        self._set_capabilities()

    # The account.

    def discover(self) -> list[RemoteCalendar]:
        self.requests += 1
        self._set_capabilities()
        with vdir.whole_call(self.root):
            if self._is_single():
                return [self._describe(SINGLE)]
            return [self._describe(path.name) for path in self._vdirs()]

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        """Make a folder with its name and colour; a vdir has no place for a time zone."""
        del time_zone
        self.requests += 1
        stem = re.sub(r"[^\w.+-]+", "-", name).strip("-._") or "calendar"
        with vdir.whole_call(self.root):
            taken = {path.name.lower() for path in self.root.iterdir()}
            folder = self.root / (stem if stem.lower() not in taken else f"{stem}-{secrets.token_hex(4)}")
            folder.mkdir()
            files.create(folder / "displayname", name.encode())
            if color is not None:
                files.create(folder / "color", color.encode())
            return self._describe(folder.name)

    def delete_calendar(self, calendar: str) -> None:
        """Delete the folder. Raises `ProviderError` (FATAL) if it holds anything that is no part of a vdir."""
        folder = self._folder(calendar)
        self.requests += 1
        with vdir.whole_call(folder):
            ours = [p for p in folder.iterdir() if p.suffix in (".ics", ".tmp") or p.name in ("displayname", "color")]
            if len(ours) != len(list(folder.iterdir())) or calendar == SINGLE:
                raise ProviderError(
                    f"The folder {folder} holds other things than a calendar.", "Delete it by hand.", Trait.FATAL
                )
            for path in ours:
                path.unlink()
            folder.rmdir()

    def close(self) -> None:
        """Nothing is kept open."""

    # Reading.

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        """One stat a file; one page with only the cursor if nothing changed, otherwise a complete listing."""
        folder = self._folder(calendar)
        self.requests += 1
        with vdir.whole_call(folder):
            entries = vdir.scan(folder)
            place = vdir.identity(folder)
        self._taken[calendar] = {name.lower() for name in entries}
        self._not_unmounted(folder, entries, cursor, place, known)
        versions = self._versions(folder, entries)
        now = f"{place} {vdir.listing_digest(entries, versions)}"
        if now == cursor:
            yield Page(cursor=cursor)
            return
        yield from self._complete(calendar, versions, known, now)

    def get(self, calendar: str, remote_id: str) -> Item | None:
        folder = self._folder(calendar)
        self.requests += 1
        if not vdir.is_item_name(remote_id):
            return None
        try:
            return self._item(calendar, folder, remote_id, hint=None)
        except (FileNotFoundError, NotAnEvent):
            return None
        except vdir.Unsettled as error:
            raise ProviderError(str(error), "Try again when nothing writes to it.", Trait.RETRY) from error

    def find(self, calendar: str, uid: str) -> Item | None:
        """Looks at the file named after the UID first, then reads the folder."""
        folder = self._folder(calendar)
        self.requests += 1
        name = self._owner(calendar, folder, uid)
        if name is None:
            with vdir.whole_call(folder):
                name = next((n for n in vdir.scan(folder) if self._uid_of(folder / n) == uid), None)
        return None if name is None else self.get(calendar, name)

    # Writing.

    def reserve(self, calendar: str, uid: str) -> str:
        """A file name made from the UID, so that every process arrives at the same; else a random one."""
        taken = self._taken.setdefault(calendar, set())
        name = vdir.natural_name(uid)
        if name.lower() in taken:
            name = f"{secrets.token_hex(16)}.ics"
        taken.add(name.lower())
        return name

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        folder = self._folder(calendar)
        self.requests += 1
        if not vdir.is_item_name(remote_id):
            return Refused("The item has a name that cannot be one of a file.")
        if self._owner(calendar, folder, uid) is not None:
            return Stale()

        def write() -> Outcome:
            data = write_object(uid, content, now=self._clock()).encode()
            return self._done(calendar, remote_id, files.Snapshot(data, files.create(folder / remote_id, data)))

        return self._attempt(folder, write)

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        """Patches the file as it is; ``raw`` is not needed."""
        del raw
        path = self._folder(calendar) / remote_id
        self.requests += 1
        if not vdir.is_item_name(remote_id):
            return Stale()

        def write() -> Outcome:
            seen = self._expected(path, expected)
            if not isinstance(seen, files.Snapshot):
                return seen
            data = patch_object(vdir.text(seen.data), uid, content, now=self._clock()).encode()
            return self._done(calendar, remote_id, files.Snapshot(data, files.replace(path, data, seen)))

        return self._attempt(path.parent, write)

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        path = self._folder(calendar) / remote_id
        self.requests += 1

        def write() -> Outcome:
            if not vdir.is_item_name(remote_id) or not path.exists():
                return Done(None)
            seen = self._expected(path, expected)
            if not isinstance(seen, files.Snapshot):
                return seen
            files.remove(path, seen)
            self._taken.get(calendar, set()).discard(remote_id.lower())
            return Done(None)

        return self._attempt(path.parent, write)

    # The folders.

    def _set_capabilities(self) -> None:
        try:
            creates = not self._is_single()
        except OSError:
            creates = False
        self.capabilities = Capabilities(deletion_feed=False, create_calendars=creates, parallel_writes=4)

    def _vdirs(self) -> list[Path]:
        return sorted(path for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))

    def _is_single(self) -> bool:
        return any(path.suffix == ".ics" for path in self.root.iterdir()) or not self._vdirs()

    def _folder(self, calendar: str) -> Path:
        """The folder of a calendar, or a `ProviderError` with trait GONE."""
        folder = self.root if calendar == SINGLE else self.root / calendar
        strange = calendar != SINGLE and (not calendar or Path(calendar).name != calendar or calendar.startswith("."))
        if strange or not folder.is_dir():
            raise vdir.missing(folder)
        return folder

    def _describe(self, calendar: str) -> RemoteCalendar:
        folder = self._folder(calendar)
        access: Access = "owner" if os.access(folder, os.W_OK | os.X_OK) else "reader"
        name = vdir.one_line(folder / "displayname") or folder.resolve().name
        return RemoteCalendar(id=calendar, name=name, access=access, color=vdir.one_line(folder / "color"))

    def _not_unmounted(
        self, folder: Path, entries: Mapping[str, object], cursor: str | None, place: str, known: Known
    ) -> None:
        """Raise if an empty folder is not the one that held items: what is left when a disk is not mounted."""
        if entries or not cursor or cursor.partition(" ")[0] == place or next(known.ids(), None) is None:
            return
        if re.fullmatch(r"\d+/\d+ [0-9a-f]{64}!?", cursor):
            raise ProviderError(
                f"The folder {folder} is empty and not the one seen before.",
                "Mount the disk it is on; if it was emptied on purpose, run `calhub sync --full`.",
                Trait.GONE,
            )

    def _versions(self, folder: Path, entries: Mapping[str, os.stat_result]) -> dict[str, str | None]:
        """The version of every file; only young ones are read. None: could not be read just now."""
        now_ns = self._now_ns()
        versions: dict[str, str | None] = {}
        for name, stat in entries.items():
            versions[name] = files.stamp(stat)
            if files.is_young(stat, now_ns):
                try:
                    snapshot = files.read(folder / name)
                except OSError:
                    snapshot = None  # the listing proper comes to it again and says why
                versions[name] = None if snapshot is None else snapshot.version(now_ns)
        return versions

    def _complete(self, calendar: str, versions: dict[str, str | None], known: Known, cursor: str) -> Iterator[Page]:
        folder = self._folder(calendar)
        names = list(versions)
        unsettled = False
        for at in range(0, max(len(names), 1), PAGE):
            items: list[Item] = []
            present: list[str] = []
            for name in names[at : at + PAGE]:
                if self._unchanged(name, versions, known):
                    present.append(name)
                    continue
                if versions[name] is not None and versions[name] == self._others.get((calendar, name)):
                    continue
                try:
                    item = self._item(calendar, folder, name, hint=known.version(name))
                except FileNotFoundError:
                    continue  # deleted since the scan
                except NotAnEvent:
                    self._others[calendar, name] = versions[name]  # a task, say: not ours to list
                    continue
                except vdir.Unsettled:
                    unsettled = True
                    present.extend([name] if name in known else [])  # it is there; the next pass reads it
                    continue
                unsettled = unsettled or item.version is None
                items.append(item)
            last = at + PAGE >= len(names)
            # A cursor with "!" equals no listing, so that the next pass looks again at what could not be read.
            end = f"{cursor}!" if unsettled else cursor
            yield Page(items=items, present=present, cursor=end if last else None, complete=last, total=len(names))

    def _unchanged(self, name: str, versions: Mapping[str, str | None], known: Known) -> bool:
        seen, now = known.version(name), versions[name]
        if seen is None or now is None:
            return False
        own, duplicate, twin = seen.partition(_TWIN)
        if own != now:
            return False
        # A quarantined duplicate stays one just as long as the file it duplicates is as it was.
        return not duplicate or (twin in versions and known.version(twin) == versions[twin])

    # The files.

    def _item(self, calendar: str, folder: Path, name: str, *, hint: str | None) -> Item:
        """Read one file. Raises FileNotFoundError, NotAnEvent, `vdir.Unsettled` if it keeps changing."""
        path = folder / name
        try:
            if path.stat().st_size > LARGEST:
                return Item(
                    remote_id=name,
                    version=files.stamp(path.stat()),
                    uid=None,
                    problem=f"The file {name} is too large for one event.",
                )
            snapshot = files.read(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            problem = f"The file {name} cannot be read: {error.strerror}."
            return Item(remote_id=name, version=None, uid=None, problem=problem)
        if snapshot is None:
            raise vdir.Unsettled(f"The file {name} changes faster than it can be read.")
        item = self._parsed(name, snapshot)
        if item.uid is None or item.problem is not None:
            return item
        twin = self._owner(calendar, folder, item.uid, besides=name, hint=hint)
        if twin is None:
            self._owners[calendar, item.uid] = name
            return item
        problem = f"The files {twin} and {name} have the same UID; only the first counts."
        return Item(remote_id=name, version=f"{item.version}{_TWIN}{twin}", uid=item.uid, problem=problem, raw=item.raw)

    def _parsed(self, name: str, snapshot: files.Snapshot) -> Item:
        version = snapshot.version(self._now_ns())
        try:
            text = vdir.text(snapshot.data)
            reading = read_object(text)
        except NotAnEvent:
            raise
        except InvalidEvent as error:
            return Item(remote_id=name, version=version, uid=None, problem=f"{name}: {error}")
        return Item(
            remote_id=name,
            version=version,
            uid=reading.uid,
            content=reading.content,
            raw=text,
            modified=reading.modified,
            written=datetime.fromtimestamp(snapshot.stat.st_mtime, UTC).isoformat(),
        )

    def _owner(
        self, calendar: str, folder: Path, uid: str, *, besides: str | None = None, hint: str | None = None
    ) -> str | None:
        """Another file that has this UID and came first: the one named after it, or one known from before.

        Only candidates are opened. Where neither name nor memory gives one away, the engine still finds that two items
        share a UID.
        """
        natural = vdir.natural_name(uid)
        if besides == natural:
            return None
        twin = (hint or "").partition(_TWIN)[2]
        for name in dict.fromkeys((natural, self._owners.get((calendar, uid)), twin)):
            if name and name != besides and self._uid_of(folder / name) == uid:
                return name
        return None

    def _uid_of(self, path: Path) -> str | None:
        try:
            snapshot = files.read(path)
            return None if snapshot is None else read_object(vdir.text(snapshot.data)).uid
        except (OSError, InvalidEvent):
            return None

    def _expected(self, path: Path, expected: str | None) -> files.Snapshot | Outcome:
        """The file, if it is at the version expected."""
        try:
            seen = files.read(path)
        except FileNotFoundError:
            return Stale()
        if seen is None:
            return NotSent("The file is being written by another program.", of_item=True)
        if expected is not None and not files.matches(seen, expected.partition(_TWIN)[0]):
            return Stale()
        return seen

    def _done(self, calendar: str, name: str, written: files.Snapshot) -> Outcome:
        item = self._parsed(name, written)
        if item.uid is not None:
            self._owners[calendar, item.uid] = name
        return Done(item)

    def _attempt(self, folder: Path, write: Callable[[], Outcome]) -> Outcome:
        """Run a write and turn what the file system says into an outcome."""
        try:
            return write()
        except (files.Moved, FileExistsError):
            return Stale()
        except InvalidEvent as error:
            return Refused(str(error))
        except files.NotDurable:
            return Unknown("The file was written, but the disk did not confirm it.")
        except OSError as error:
            if error.errno in _FULL:
                return NotSent("The disk is full.")
            if error.errno in _LOCKED:
                return Refused(f"The folder {folder} cannot be written to: {error.strerror}.")
            if not folder.is_dir():
                raise vdir.missing(folder) from error
            return NotSent(f"The file could not be written: {error.strerror}.")

    def _now_ns(self) -> int:
        return int(self._clock().timestamp() * 1_000_000_000)
