"""Calendar files of other projects: what is in the source archives of icalendar and recurring-ical-events on PyPI.

`make test` fetches the archives, in the versions of requirements-dev.txt, before it runs this.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.ical import NotAnEvent, patch_object, read_calendar, read_object, write_object
from calhub.calendar.recurrence import expand, validate
from calhub.hub import accounts, events, inbox
from calhub.hub.accounts import Account
from calhub.hub.database import Hub
from calhub.providers import folder
from calhub.providers.base import Provider
from calhub.providers.vault import MemoryVault
from calhub.sync import engine
from calhub.testing.world import VirtualClock

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 21, tzinfo=UTC)
PACKAGES = ("icalendar", "recurring_ical_events")


def calendar_files() -> dict[str, bytes]:
    """Every .ics file by a name that is flat and tells where it is from."""
    found = {}
    for package in PACKAGES:
        archives = list((ROOT / ".archives").glob(f"{package}-*.tar.gz"))
        assert archives, f"The source archive of {package} is not there; fetch it with: make archives"
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".ics"):
                    file = archive.extractfile(member)
                    assert file is not None
                    found[member.name.replace("/", "--")] = file.read()
    return found


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return calendar_files()


SENTENCE = re.compile(r"[A-Z].*\.")


def reason(read: Callable[[bytes], object], data: bytes) -> str | None:
    """Why it is refused."""
    try:
        read(data)
    except InvalidEvent as error:
        return str(error)
    return None


def test_the_archives_are_those_pinned(files: dict[str, bytes]) -> None:
    """The versions in requirements-dev.txt; and there is something in them."""
    pins = dict(re.findall(r"^([a-z-]+)==(.+)$", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE))

    for package in PACKAGES:
        wanted = f"{package}-{pins[package.replace('_', '-')]}--"
        assert sum(name.startswith(wanted) for name in files) > 90


def test_each_file_is_read_or_refused_with_a_reason(files: dict[str, bytes]) -> None:
    """As a resource, a sentence says why; as a file with many events, each that is read can be expanded and written."""
    read = 0
    for name, data in files.items():
        assert reason(read_object, data) is None or SENTENCE.fullmatch(reason(read_object, data) or ""), name
        refused = reason(read_calendar, data)
        assert refused is None or SENTENCE.fullmatch(refused), name
        for entry in [] if refused else read_calendar(data):
            if entry.content is None:
                assert entry.problem, name
                continue
            validate(entry.content)
            list(expand(entry.content, 0, 1 << 32, limit=100))
            assert read_object(write_object(entry.uid or "", entry.content, now=NOW)).content == entry.content, name
            text = entry.text
            assert patch_object(text, entry.uid or "", entry.content, now=NOW) is text, name
            read += 1
    assert read > 300


class Folders:
    """A hub with one calendar that several folders hold."""

    def __init__(self, home: Path, *folders: Path) -> None:
        self.hub = Hub.open(home, clock=VirtualClock())
        with self.hub.transaction() as conn:
            self.calendar = accounts.add_calendar(conn, "All", self.hub.now())
            for path in folders:
                settings = {"url": str(path)}
                account = accounts.add_account(conn, path.name, "folder", settings, self.hub.now())
                accounts.add_replica(
                    conn, self.calendar.id, account.id, folder.SINGLE, path.name, self.hub.now(), direction="both"
                )

    def connect(self, account: Account) -> Provider:
        return folder.connect(account.settings, MemoryVault())

    def sync(self) -> None:
        reports = engine.sync(self.hub, self.connect)
        assert [(report.status, report.errors) for report in reports] == [("ok", [])] * len(reports)

    @property
    def contents(self) -> dict[str, Content]:
        with self.hub.read() as conn:
            return {stored.uid: stored.content for stored in events.events(conn, self.calendar.id)}

    @property
    def reasons(self) -> dict[str, str]:
        """Remote id -> why it is quarantined."""
        with self.hub.read() as conn:
            return {row["remote_id"]: row["reason"] for row in inbox.quarantine(conn)}


@pytest.fixture
def opened() -> Iterator[list[Folders]]:
    made: list[Folders] = []
    yield made
    for each in made:
        each.hub.close()


@pytest.mark.parametrize("split", [False, True], ids=["whole files", "one file an event"])
def test_a_sync_that_edits_nothing_changes_no_file(
    files: dict[str, bytes], tmp_path: Path, opened: list[Folders], split: bool
) -> None:
    """From a folder to the hub, on to a second folder, into a second hub and back: the first has the bytes it had.

    Every file there is an event in the hub, no event at all (a task), or quarantined with a reason.
    """
    given, copy, third = (tmp_path / name for name in ("given", "copy", "third"))
    for path in (given, copy, third):
        path.mkdir()
    data = single_events(files) if split else files
    for name, content in data.items():
        (given / name).write_bytes(content)

    first = Folders(tmp_path / "hub", given, copy)
    second = Folders(tmp_path / "hub 2", copy, third)
    opened += [first, second]
    for each in (first, second, first, second):
        each.sync()

    assert {path.name: path.read_bytes() for path in given.iterdir()} == data
    assert second.contents == first.contents
    assert first.reasons.keys() <= data.keys()
    assert [why for why in first.reasons.values() if not re.search(r"[A-Z].*\.$", why)] == []
    assert len(first.contents) == sum(1 for name in data if name not in first.reasons and is_event(data[name]))
    assert len(list(copy.iterdir())) == len(list(third.iterdir())) == len(first.contents) > 50


def is_event(data: bytes) -> bool:
    try:
        read_object(data)
    except NotAnEvent:
        return False
    return True


def single_events(files: dict[str, bytes]) -> dict[str, bytes]:
    """The first events of each file in files of their own, each UID once; some files have thousands of a kind."""
    found: dict[str, bytes] = {}
    uids = set()
    for name, data in files.items():
        try:
            entries = list(read_calendar(data))
        except InvalidEvent:
            continue
        for number, entry in enumerate(entries[:3]):
            if entry.uid not in uids:
                uids.add(entry.uid)
                found[f"{name[:-4]}--{number}.ics"] = entry.text.encode()
    return found
