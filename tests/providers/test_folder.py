"""Folders of iCalendar files: the contract, and what only files can do to a program."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from calhub.providers import files
from calhub.providers.base import Done, NotSent, Page, ProviderError, Refused, RemoteCalendar, Stale, Trait
from calhub.providers.folder import LARGEST, FolderProvider
from calhub.providers.registry import connect
from calhub.providers.vault import MemoryVault
from calhub.testing.contract import ProviderContract, Remote, Versions, event, listing, vevent

#: The clock stands still where files written by a test are young for all its length, or old from the first moment.
YOUNG, OLD = timedelta(), timedelta(days=30)


def provider(root: Path, age: timedelta = YOUNG) -> FolderProvider:
    moment = datetime.now(UTC) + age
    return FolderProvider(root, clock=lambda: moment)


def planter(folder: Path) -> Callable[[str], object]:
    """Stores a text under a name of its own, as another program would."""
    return lambda text: (folder / f"{uuid4()}.ics").write_bytes(text.encode())


class TestSingle(ProviderContract):
    @pytest.fixture(params=[YOUNG, OLD], ids=["young", "old"])
    def remote(self, request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
        return Remote(provider(tmp_path, request.param), ".", planter(tmp_path))


class TestSet(ProviderContract):
    @pytest.fixture
    def remote(self, tmp_path: Path) -> Remote:
        (tmp_path / "home").mkdir()
        (tmp_path / "work").mkdir()
        return Remote(provider(tmp_path), "work", planter(tmp_path / "work"))


def put(folder: Path, uid: str, name: str | None = None, title: str = "Meeting") -> Path:
    """Write an item file as another program would: beside it, then renamed."""
    path = folder / (name or f"{uid}.ics")
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(vevent(uid, f"SUMMARY:{title}").encode())
    temporary.replace(path)
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read, in order."""
    names: list[str] = []
    real = files.read

    def read(path: Path) -> files.Snapshot | None:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(files, "read", read)
    return names


# Which calendars there are.


def test_single_vdir(tmp_path: Path) -> None:
    """A folder with items is one calendar, named by its own file or by the folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "archive").mkdir()
    put(folder, "a")
    assert provider(folder).discover() == [RemoteCalendar(id=".", name="work")]
    (folder / "displayname").write_text("Büro\n", "utf-8")
    (folder / "color").write_text("#FF8800\n")

    assert provider(folder).discover() == [RemoteCalendar(id=".", name="Büro", color="#FF8800")]
    assert provider(folder).capabilities.create_calendars is False


def test_empty_folder_is_a_calendar(tmp_path: Path) -> None:
    """A folder with nothing in it is a calendar to begin with."""
    (tmp_path / ".git").mkdir()

    assert [entry.id for entry in provider(tmp_path).discover()] == ["."]


def test_set_of_vdirs(tmp_path: Path) -> None:
    """A folder of folders is a set of calendars; hidden ones are none."""
    for name in ("work", "home", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "work" / "displayname").write_text("Office")

    assert provider(tmp_path).discover() == [
        RemoteCalendar(id="home", name="home"),
        RemoteCalendar(id="work", name="Office"),
    ]


def test_new_calendars_never_share_a_folder(tmp_path: Path) -> None:
    """Two calendars of one name, or of a name that is no file name, get folders of their own and keep the name."""
    (tmp_path / "home").mkdir()
    remote = provider(tmp_path)
    made = [remote.create_calendar(name, color="#123456") for name in ("home", "../a/b", "...", "日本")]

    assert len({entry.id for entry in made}) == 4
    assert [entry.name for entry in made] == ["home", "../a/b", "...", "日本"]
    assert {entry.color for entry in made} == {"#123456"}
    assert len(list(tmp_path.iterdir())) == 5
    assert not list(tmp_path.parent.glob("a*/b"))


def test_foreign_files_are_not_deleted(tmp_path: Path) -> None:
    """A calendar whose folder holds anything else is not deleted, and nothing in it is touched."""
    (tmp_path / "work").mkdir()
    put(tmp_path / "work", "a")
    (tmp_path / "work" / "thesis.txt").write_text("years")

    with pytest.raises(ProviderError):
        provider(tmp_path).delete_calendar("work")
    assert (tmp_path / "work" / "a.ics").exists()


@pytest.mark.parametrize("name", ["..", "../other", "/etc", ".hidden", "", "a/b"])
def test_calendars_stay_inside(tmp_path: Path, name: str) -> None:
    """A calendar id that leads out of the folder, or to a hidden one, is none."""
    (tmp_path / "set" / "a" / "b").mkdir(parents=True)
    (tmp_path / "set" / ".hidden").mkdir()
    (tmp_path / "other").mkdir()

    with pytest.raises(ProviderError) as caught:
        listing(Remote(provider(tmp_path / "set"), name))
    assert caught.value.trait is Trait.GONE


@pytest.mark.parametrize("name", ["../a.ics", ".a.ics", "b/a.ics", "displayname", "a.ics.tmp"])
def test_items_stay_inside(tmp_path: Path, name: str) -> None:
    """An item id that is not an item's file name is never read, written or deleted."""
    folder = tmp_path / "work"
    (folder / "b").mkdir(parents=True)
    (folder / name).write_text(vevent("a"))
    before = (folder / name).read_bytes()
    remote = provider(folder)

    assert remote.get(".", name) is None
    assert isinstance(remote.create(".", name, "x", event()), Refused)
    assert remote.update(".", name, "a", event(), expected=None, raw=None) == Stale()
    assert remote.delete(".", name, expected=None) == Done(None)
    assert (folder / name).read_bytes() == before


# Listings.


def test_only_items_are_listed(tmp_path: Path) -> None:
    """Hidden and temporary files, folders and other kinds of files are left out, and so are tasks."""
    put(tmp_path, "a")
    for name in (".b.ics", "c.ics.tmp", "d.txt", "displayname"):
        (tmp_path / name).write_text(vevent("x"))
    (tmp_path / "e.ics").mkdir()
    (tmp_path / "task.ics").write_text(vevent("t").replace("VEVENT", "VTODO"))
    remote = Remote(provider(tmp_path), ".")

    assert set(listing(remote).items) == {"a.ics"}
    assert remote.provider.get(".", "task.ics") is None


def test_unchanged_files_are_not_read(tmp_path: Path, opened: list[str]) -> None:
    """Once old, a file is read when it changed and never else."""
    for uid in "abc":
        put(tmp_path, uid)
    remote = Remote(provider(tmp_path, OLD), ".")
    first = listing(remote)
    assert sorted(opened) == ["a.ics", "b.ics", "c.ics"]
    opened.clear()
    second = listing(remote, first.cursor, first.versions())
    assert not opened
    put(tmp_path, "b", title="Changed")
    third = listing(remote, second.cursor, first.versions())

    assert opened == ["b.ics"]
    assert set(third.items) == {"b.ics"}
    assert third.present == {"a.ics", "c.ics"}


def test_nothing_changed_is_one_empty_page(tmp_path: Path) -> None:
    """An unchanged folder gives one page with the cursor and no rows, however many items there are."""
    for uid in "abc":
        put(tmp_path, uid)
    remote = provider(tmp_path, OLD)
    first = listing(Remote(remote, "."))

    assert list(remote.changes(".", first.cursor, first.versions())) == [Page(cursor=first.cursor)]


def test_change_within_the_clocks_grain(tmp_path: Path) -> None:
    """A young file that changed without a new time or size is still seen to have changed."""
    path = put(tmp_path, "a", title="Aaaa")
    stat = path.stat()
    remote = Remote(provider(tmp_path), ".")
    first = listing(remote)
    path.write_bytes(vevent("a", "SUMMARY:Bbbb").encode())
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert files.stamp(stat) == files.stamp(path.stat())
    (item,) = listing(remote, first.cursor, first.versions()).items.values()

    assert item.content is not None
    assert item.content["title"] == "Bbbb"


def test_grown_old_is_read_once(tmp_path: Path, opened: list[str]) -> None:
    """A version taken when the file was young serves for a conditional write when it is old, and is replaced once."""
    put(tmp_path, "a")
    young = listing(Remote(provider(tmp_path), "."))
    remote = Remote(provider(tmp_path, OLD), ".")
    old = listing(remote, young.cursor, young.versions())
    assert old.items["a.ics"].content == young.items["a.ics"].content
    opened.clear()
    assert not listing(remote, old.cursor, old.versions()).items
    assert not opened
    outcome = remote.provider.delete(".", "a.ics", expected=young.items["a.ics"].version)

    assert outcome == Done(None)


def test_long_listings_come_in_pages(tmp_path: Path) -> None:
    """Pages are bounded; the cursor comes with the last, which alone is complete."""
    for number in range(501):
        put(tmp_path, f"e{number}")
    pages = list(provider(tmp_path, OLD).changes(".", None, Versions()))

    assert [len(page.items) for page in pages] == [500, 1]
    assert [page.complete for page in pages] == [False, True]
    assert [page.cursor is None for page in pages] == [True, False]
    assert {page.total for page in pages} == {501}


def test_missing_folder_is_not_empty(tmp_path: Path) -> None:
    """A folder that is not there, as on a disk that is not mounted, is an error with advice."""
    folder = tmp_path / "disk" / "work"
    folder.mkdir(parents=True)
    put(folder, "a")
    remote = Remote(provider(folder), ".")
    first = listing(remote)
    folder.rename(tmp_path / "unmounted")

    for call in (
        lambda: listing(remote, first.cursor, first.versions()),
        lambda: provider(folder).discover(),
        lambda: remote.provider.get(".", "a.ics"),
        lambda: remote.provider.create(".", "b.ics", "b", event()),
    ):
        with pytest.raises(ProviderError) as caught:
            call()
        assert caught.value.trait is Trait.GONE
        assert caught.value.hint


def test_empty_mount_point_is_not_empty(tmp_path: Path) -> None:
    """An empty folder in the place of the one that held items is an error, until a full listing is asked for."""
    folder = tmp_path / "work"
    folder.mkdir()
    put(folder, "a")
    remote = Remote(provider(folder), ".")
    first = listing(remote)
    folder.rename(tmp_path / "unmounted")
    folder.mkdir()

    with pytest.raises(ProviderError) as caught:
        listing(remote, first.cursor, first.versions())
    assert caught.value.trait is Trait.GONE
    assert listing(remote, None, first.versions()).gone(first.versions()) == {"a.ics"}


def test_emptied_folder_is_empty(tmp_path: Path) -> None:
    """The very folder emptied by its user is a complete, empty listing."""
    path = put(tmp_path, "a")
    remote = Remote(provider(tmp_path), ".")
    first = listing(remote)
    path.unlink()

    assert listing(remote, first.cursor, first.versions()).gone(first.versions()) == {"a.ics"}


# Broken files.

BROKEN = {
    "empty": b"",
    "cut": vevent("a", "SUMMARY:Half").encode()[:-30],
    "not text": b"\xff\xfe\x00BEGIN:VCALENDAR",
    "latin-1": vevent("a", "SUMMARY:Caf\u00e9").encode("latin-1"),
    "two uids": vevent("a").replace("END:VCALENDAR\r\n", "").encode()
    + vevent("b").partition("PRODID:-//calhub//contract//EN\r\n")[2].encode(),
    "no uid": vevent("a").replace("UID:a\r\n", "").encode(),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=list(BROKEN))
def test_broken_file_is_quarantined_and_heals(tmp_path: Path, data: bytes) -> None:
    """A file that cannot be kept is a problem naming it, stands in nobody's way, and is an item when repaired."""
    put(tmp_path, "good")
    path = tmp_path / "bad.ics"
    path.write_bytes(data)
    remote = Remote(provider(tmp_path), ".")
    first = listing(remote)
    assert first.items["good.ics"].content is not None
    assert first.items["bad.ics"].content is None
    assert "bad.ics" in (first.items["bad.ics"].problem or "")
    put(tmp_path, "a", "bad.ics")
    second = listing(remote, first.cursor, first.versions())

    assert set(second.items) == {"bad.ics"}
    assert second.items["bad.ics"].uid == "a"


def test_broken_file_is_not_overwritten(tmp_path: Path) -> None:
    """An update of a file that cannot be read is refused with the reason, and the file stays."""
    path = tmp_path / "a.ics"
    path.write_bytes(BROKEN["cut"])
    outcome = provider(tmp_path).update(".", "a.ics", "a", event(), expected=None, raw=None)

    assert isinstance(outcome, Refused)
    assert path.read_bytes() == BROKEN["cut"]


def test_too_large_file_is_not_read(tmp_path: Path, opened: list[str]) -> None:
    """A file of a size no event has is a problem without being read."""
    with (tmp_path / "a.ics").open("wb") as file:
        file.truncate(LARGEST + 1)
    result = listing(Remote(provider(tmp_path, OLD), "."))

    assert "too large" in (result.items["a.ics"].problem or "")
    assert not opened


@pytest.mark.parametrize(
    ("first", "second"), [("a.ics", "a copy.ics"), ("x.ics", "x (1).ics")], ids=["named after uid", "any name"]
)
def test_one_uid_in_two_files(tmp_path: Path, first: str, second: str) -> None:
    """Of two files with one UID the copy is quarantined, naming both; it counts once the first is gone."""
    put(tmp_path, "a", first)
    put(tmp_path, "a", second, title="Copy")
    path = tmp_path / first
    start = listing(Remote(provider(tmp_path), "."))
    assert start.items[first].content is not None
    problem = start.items[second].problem or ""
    assert first in problem
    assert second in problem
    known = start.versions()
    put(tmp_path, "b")
    later = listing(Remote(provider(tmp_path), "."), start.cursor, known)
    assert set(later.items) == {"b.ics"}, "the duplicate is still one, also for a new process"
    put(tmp_path, "a", first, title="Edited")
    later = listing(Remote(provider(tmp_path), "."), later.cursor, known)
    assert later.items[first].content is not None
    assert later.items[second].problem is not None
    path.unlink()
    end = listing(Remote(provider(tmp_path), "."), later.cursor, known)

    assert end.gone(known) == {first}
    assert end.items[second].content is not None


def test_copy_of_a_known_file_is_quarantined(tmp_path: Path) -> None:
    """A copy that appears later is the one that is quarantined, not the item known for long."""
    put(tmp_path, "a")
    first = listing(Remote(provider(tmp_path), "."))
    put(tmp_path, "a", "a copy.ics")
    second = listing(Remote(provider(tmp_path), "."), first.cursor, first.versions())

    assert set(second.items) == {"a copy.ics"}
    assert second.items["a copy.ics"].problem is not None


def test_file_that_never_settles_is_left_for_the_next_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file being written all the time is neither news nor gone, and the next pass looks again."""
    put(tmp_path, "a")
    put(tmp_path, "b")
    remote = Remote(provider(tmp_path, OLD), ".")
    first = listing(remote)
    put(tmp_path, "a", title="Half")
    real = files.read
    monkeypatch.setattr(files, "read", lambda path: None if path.name == "a.ics" else real(path))
    during = listing(remote, first.cursor, first.versions())
    assert not during.items
    assert not during.gone(first.versions())
    assert remote.provider.update(".", "a.ics", "a", event(), expected=None, raw=None) == NotSent(
        "The file is being written by another program."
    )
    monkeypatch.undo()

    assert set(listing(remote, during.cursor, first.versions()).items) == {"a.ics"}


def test_read_retries_a_file_that_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes while it is read is read again; what comes out is one of its states."""
    path = put(tmp_path, "a")
    real, seen = os.fstat, 0

    def fstat(descriptor: int) -> os.stat_result:
        nonlocal seen
        seen += 1
        if seen == 2:
            path.write_bytes(vevent("a", "SUMMARY:A longer title").encode())
        return real(descriptor)

    monkeypatch.setattr("os.fstat", fstat)
    snapshot = files.read(path)

    assert snapshot is not None
    assert snapshot.data == path.read_bytes()
    assert seen == 4


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_unreadable_file_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is a problem now; once it may, it comes without having changed."""
    put(tmp_path, "a")
    remote = Remote(provider(tmp_path, OLD), ".")
    monkeypatch.setattr(files, "read", failing(errno.EACCES))
    first = listing(remote)
    assert "cannot be read" in (first.items["a.ics"].problem or "")
    monkeypatch.undo()

    assert listing(remote, first.cursor, first.versions()).items["a.ics"].content is not None


@pytest.mark.parametrize("url", ["", "relative/path", "https://example.org/x"])
def test_bad_settings(url: str) -> None:
    """Anything but a full path is refused at once."""
    with pytest.raises(ProviderError) as caught:
        connect("folder", {"url": url}, MemoryVault())
    assert caught.value.trait is Trait.FATAL


@pytest.mark.parametrize("spelling", ["{}", "file://{}", " {} "])
def test_settings(tmp_path: Path, spelling: str) -> None:
    """A path or a file URL leads to the folder."""
    folder = tmp_path / "my work"
    folder.mkdir()
    put(folder, "a")
    url = spelling.format(str(folder).replace(" ", "%20") if "file" in spelling else folder)

    assert [entry.name for entry in connect("folder", {"url": url}, MemoryVault()).discover()] == ["my work"]
