"""Reading and writing single files so that no writer, ours or another's, is ever half seen or overwritten unseen.

A *stamp* is ``mtime:size:inode``: it changes with every change of a file, except for one that comes within the clock's
grain of the last. So the *version* of a file changed in the last two seconds has a digest of its bytes in addition
(the "racily clean" rule of git's index); an older file is recognised without being opened.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Changed less than this long ago, a file may change again without a new stamp.
YOUNG_NS: Final = 2_000_000_000
#: Stamps further in the future than this come from a clock gone wrong, not from a change under way.
SKEW_NS: Final = 86_400_000_000_000

#: How often a file that changes while it is read is tried again.
ATTEMPTS: Final = 3

_NO_DIRECTORY_SYNC: Final = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
_NO_HARD_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Moved(Exception):
    """The file is no longer as it was read; nothing was written."""


class NotDurable(Exception):
    """The file was written and others see it, but it could not be made certain that it outlives a power cut."""


@dataclass(frozen=True)
class Snapshot:
    """The bytes of a file, and the stat result they belong to."""

    data: bytes
    stat: os.stat_result

    def version(self, now_ns: int) -> str:
        return version(self.stat, self.data, now_ns)


def stamp(stat: os.stat_result) -> str:
    """What tells one state of a file from another, without opening it."""
    return f"{stat.st_mtime_ns}:{stat.st_size}:{stat.st_ino}"


def is_young(stat: os.stat_result, now_ns: int) -> bool:
    """Whether the file could still change without a new stamp."""
    return now_ns - YOUNG_NS < stat.st_mtime_ns < now_ns + SKEW_NS


def version(stat: os.stat_result, data: bytes, now_ns: int) -> str:
    """The version of a file with these bytes: its stamp, with a digest while it is young."""
    return f"{stamp(stat)}:{_digest(data)}" if is_young(stat, now_ns) else stamp(stat)


def matches(snapshot: Snapshot, expected: str) -> bool:
    """Whether the file is at the expected version, which may have been taken when it was younger."""
    current = stamp(snapshot.stat)
    return expected in (current, f"{current}:{_digest(snapshot.data)}")


def read(path: Path) -> Snapshot | None:
    """The file as it is at one moment; None if it kept changing while it was read. Raises OSError."""
    for _ in range(ATTEMPTS):
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
        if stamp(before) == stamp(after) and len(data) == after.st_size:
            return Snapshot(data, after)
    return None


def create(path: Path, data: bytes) -> os.stat_result:
    """Write a new file, whole or not at all; returns its stat result.

    Raises FileExistsError if there is one already (it is not touched), `NotDurable`, or OSError (nothing was written).
    """
    with _temporary(path, data, None) as (temporary, stat):
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            # No hard links here (FAT, some network disks): an empty placeholder takes the name, then gives it up.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            temporary.replace(path)
        _sync_directory(path.parent)
        return stat


def replace(path: Path, data: bytes, seen: Snapshot) -> os.stat_result:
    """Replace the file seen, whole or not at all; returns the new stat result.

    Raises `Moved` if it is not the one seen any more (compared right before the replacement), `NotDurable`, or OSError
    (nothing was written).
    """
    target = path.resolve()  # a symbolic link stays one
    with _temporary(target, data, seen.stat.st_mode) as (temporary, stat):
        _same_or_moved(target, seen)
        temporary.replace(target)
        _sync_directory(target.parent)
        return stat


def remove(path: Path, seen: Snapshot) -> None:
    """Delete the file seen. Raises `Moved`, `NotDurable`, or OSError (nothing was deleted)."""
    _same_or_moved(path, seen)
    path.unlink()
    _sync_directory(path.parent)


def _same_or_moved(path: Path, seen: Snapshot) -> None:
    try:
        now = read(path)
    except FileNotFoundError as error:
        raise Moved from error
    if now is None or stamp(now.stat) != stamp(seen.stat) or now.data != seen.data:
        raise Moved


@contextmanager
def _temporary(path: Path, data: bytes, mode: int | None) -> Iterator[tuple[Path, os.stat_result]]:
    """A synced file with the data beside ``path``, hidden from every reader of the folder; gone afterwards."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - pathlib cannot open a descriptor
            if mode is not None:
                os.fchmod(descriptor, mode & 0o7777)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
            stat = os.fstat(descriptor)
        yield temporary, stat
    finally:
        with suppress(FileNotFoundError):  # it was moved into place, or never made
            temporary.unlink()


def _sync_directory(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise NotDurable from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
