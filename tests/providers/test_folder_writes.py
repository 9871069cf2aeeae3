"""Writing into folders: whole or not at all, never over somebody else's edit, and honest about failing disks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calhub.providers import files
from calhub.providers.base import Done, NotSent, Refused, Stale, Unknown
from calhub.providers.folder import FolderProvider
from calhub.testing.contract import Remote, event, listing, vevent


def provider(root: Path) -> FolderProvider:
    """A provider whose clock stands still: files written by a test stay young."""
    moment = datetime.now(UTC)
    return FolderProvider(root, clock=lambda: moment)


def put(folder: Path, uid: str, name: str | None = None, title: str = "Meeting") -> Path:
    """Write an item file as another program would: beside it, then renamed."""
    path = folder / (name or f"{uid}.ics")
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(vevent(uid, f"SUMMARY:{title}").encode())
    temporary.replace(path)
    return path


def test_written_file_is_whole_or_absent(tmp_path: Path) -> None:
    """A write leaves the item and nothing beside it, in iCalendar form, with ordinary permissions."""
    remote = provider(tmp_path)
    name = remote.reserve(".", "a@example.org")
    assert isinstance(remote.create(".", name, "a@example.org", event()), Done)

    assert [path.name for path in tmp_path.iterdir()] == ["a@example.org.ics"]
    assert (tmp_path / name).read_bytes().startswith(b"BEGIN:VCALENDAR\r\n")
    assert (tmp_path / name).stat().st_mode & 0o600 == 0o600


def test_update_keeps_mode_and_link(tmp_path: Path) -> None:
    """An update keeps the file's permissions, and a symbolic link stays one."""
    real = tmp_path / "real"
    folder = tmp_path / "work"
    real.mkdir()
    folder.mkdir()
    path = put(real, "a")
    path.chmod(0o640)
    (folder / "a.ics").symlink_to(path)
    outcome = provider(folder).update(".", "a.ics", "a", event(title="New"), expected=None, raw=None)

    assert isinstance(outcome, Done)
    assert (folder / "a.ics").is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert "SUMMARY:New" in path.read_text()


@pytest.mark.parametrize("op", ["update", "delete"])
def test_edit_between_comparison_and_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, op: str) -> None:
    """An edit that comes after we looked, but before we write, is not overwritten."""
    path = put(tmp_path, "a")
    remote = provider(tmp_path)
    item = remote.get(".", "a.ics")
    assert item is not None
    real = getattr(files, {"update": "replace", "delete": "remove"}[op])

    def late(*arguments: object) -> object:
        put(tmp_path, "a", title="Theirs")
        return real(*arguments)

    monkeypatch.setattr(files, {"update": "replace", "delete": "remove"}[op], late)
    if op == "update":
        outcome = remote.update(".", "a.ics", "a", event(title="Ours"), expected=item.version, raw=item.raw)
    else:
        outcome = remote.delete(".", "a.ics", expected=item.version)

    assert outcome == Stale()
    assert "SUMMARY:Theirs" in path.read_text()
    assert [found.name for found in tmp_path.iterdir()] == ["a.ics"]


def test_create_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk has no hard links a create is still exclusive."""

    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    remote = provider(tmp_path)

    assert isinstance(remote.create(".", "a.ics", "a", event()), Done)
    assert remote.create(".", "a.ics", "b", event(title="No")) == Stale()
    assert [path.name for path in tmp_path.iterdir()] == ["a.ics"]
    assert set(listing(Remote(remote, ".")).items) == {"a.ics"}


@pytest.mark.parametrize(
    ("number", "answer"),
    [(errno.ENOSPC, NotSent), (errno.EDQUOT, NotSent), (errno.EIO, NotSent), (errno.EROFS, Refused)],
)
def test_failing_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, answer: type[NotSent | Refused]
) -> None:
    """A full disk is worth trying later, a read-only one is not; in both cases nothing is left or changed."""
    path = put(tmp_path, "a")
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", failing(number))
    remote = provider(tmp_path)

    for outcome in (
        remote.create(".", "b.ics", "b", event()),
        remote.update(".", "a.ics", "a", event(title="New"), expected=None, raw=None),
    ):
        assert isinstance(outcome, answer)
        assert outcome.reason
    assert [found.name for found in tmp_path.iterdir()] == ["a.ics"]
    assert path.read_bytes() == before


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_unconfirmed_rename_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the folder cannot be synced the write is there but not certain: the outcome is unknown."""
    calls = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the first is for the file, the second for the folder
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr("os.fsync", fsync)

    assert isinstance(provider(tmp_path).create(".", "a.ics", "a", event()), Unknown)
    assert (tmp_path / "a.ics").exists()


def test_unwritable_folder_is_listed_as_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without write permission can be read, says so, and refuses writes with a sentence."""
    put(tmp_path, "a")
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("os.open", failing(errno.EACCES))
    remote = provider(tmp_path)
    outcome = remote.create(".", "b.ics", "b", event())

    assert [entry.access for entry in remote.discover()] == ["reader"]
    assert isinstance(outcome, Refused)
    assert str(tmp_path) in outcome.reason


def test_taken_name_leads_to_another(tmp_path: Path) -> None:
    """Where the file named after a UID holds another event, the next reservation is free."""
    put(tmp_path, "other", "a.ics")
    remote = Remote(provider(tmp_path), ".")
    listing(remote)
    name = remote.provider.reserve(".", "a")

    assert name != "a.ics"
    assert isinstance(remote.provider.create(".", name, "a", event()), Done)
    assert len(listing(remote).items) == 2
