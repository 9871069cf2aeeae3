"""The vdir format: which files are items, what they are called, and what a listing of them amounts to.

A vdir is a folder with one iCalendar file an item, as khal and vdirsyncer use it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from calhub.calendar.event import InvalidEvent
from calhub.providers.base import ProviderError, Trait

_SAFE: Final = re.compile(r"[A-Za-z0-9_+@][A-Za-z0-9_.+@-]{0,199}")


class Unsettled(Exception):
    """The file kept changing while it was read."""


def missing(folder: Path) -> ProviderError:
    return ProviderError(
        f"The folder {folder} is not there.",
        "Mount the disk it is on, or create the folder. Nothing was deleted on either side.",
        Trait.GONE,
    )


@contextmanager
def whole_call(folder: Path) -> Iterator[None]:
    """Turn failures of a call that has no outcome into a `ProviderError`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing(folder) from error
    except PermissionError as error:
        raise ProviderError(
            f"The folder {folder} may not be read or changed.", "Give this user access to it.", Trait.FATAL
        ) from error
    except OSError as error:
        raise ProviderError(f"The folder {folder} failed: {error.strerror}.", "Check the disk.", Trait.RETRY) from error


def is_item_name(name: str) -> bool:
    return name.endswith(".ics") and not name.startswith(".") and "/" not in name and "\0" not in name


def natural_name(uid: str) -> str:
    return f"{uid if _SAFE.fullmatch(uid) else hashlib.sha256(uid.encode()).hexdigest()}.ics"


def scan(folder: Path) -> dict[str, os.stat_result]:
    """Stat results of all item files. The shortest names come first: a file manager's copy has a longer one."""
    with os.scandir(folder) as entries:
        stats = [(entry.name, _stat(entry)) for entry in entries if is_item_name(entry.name)]
    rows = sorted(((name, stat) for name, stat in stats if stat is not None), key=lambda row: (len(row[0]), row[0]))
    return dict(rows)


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat() if entry.is_file() else None
    except FileNotFoundError:  # deleted while the folder was read
        return None


def identity(folder: Path) -> str:
    stat = folder.stat()
    return f"{stat.st_dev}/{stat.st_ino}"


def listing_digest(entries: Mapping[str, os.stat_result], versions: Mapping[str, str | None]) -> str:
    """Equal for two listings only if no file changed; the mode is in it since it may be why a file was unreadable."""
    digest = hashlib.sha256()
    for name, stat in entries.items():
        digest.update(f"{name}\0{versions[name]}\0{stat.st_mode}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidEvent("The file is not UTF-8 text.") from error


def one_line(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip() or None
    except (FileNotFoundError, UnicodeDecodeError):
        return None
