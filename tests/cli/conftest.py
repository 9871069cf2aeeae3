"""A command line in a home of its own, with a folder as the service; no network, no keychain."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from calhub.cli import main


@dataclass(frozen=True)
class Result:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output; anything else there fails the test."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error document, which has a message and a hint and nothing else."""
        document = self.json
        assert list(document) == ["error"]
        assert sorted(document["error"]) == ["hint", "message"]
        error: dict[str, str] = document["error"]
        assert error["message"]
        return error


Calhub = Callable[..., Result]


class _Stdin(io.TextIOWrapper):
    """Standard input that is no terminal."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def calhub(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Calhub:
    """Run a command line: ``calhub("account", "list", "--json")``."""
    monkeypatch.setenv("CALHUB_HOME", str(home))
    monkeypatch.setenv("TZ", "Europe/Paris")
    settings = ("TIME_ZONE", "SYNC_TIMEOUT", "SYNC_WORKERS", "KEEP_RUNS", "KEEP_DAYS")
    for name in (f"CALHUB_{each}" for each in settings):
        monkeypatch.delenv(name, raising=False)

    def run(*argv: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr("sys.stdin", _Stdin(stdin))
        code = main.run(argv)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Result(code, out, err)

    return run


class Folder:
    """A set of vdirs, as another program would keep them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def calendar(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir()
        return folder

    def put(
        self, calendar: str, uid: str, title: str, start: str = "20261123T090000Z", modified: str | None = None
    ) -> None:
        """Write an event of an hour, replacing it."""
        end = start[:9] + f"{int(start[9:11]) + 1:02d}" + start[11:]
        lines = [
            "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", f"UID:{uid}",
            "DTSTAMP:20261101T000000Z", f"DTSTART:{start}", f"DTEND:{end}", f"SUMMARY:{title}",
            *([f"LAST-MODIFIED:{modified}"] if modified else []), "END:VEVENT", "END:VCALENDAR", "",
        ]  # fmt: skip
        (self.path / calendar / f"{uid}.ics").write_text("\r\n".join(lines), encoding="utf-8")

    def text(self, calendar: str, uid: str) -> str:
        return (self.path / calendar / f"{uid}.ics").read_text(encoding="utf-8")

    def names(self, calendar: str) -> list[str]:
        return sorted(path.stem for path in (self.path / calendar).glob("*.ics"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "service")


@pytest.fixture
def work(calhub: Calhub, folder: Folder) -> Folder:
    """An account ``disk`` whose one remote calendar ``work`` is attached, empty and synced."""
    folder.calendar("work")
    assert calhub("account", "add", "folder", "disk", "--url", str(folder.path), "--json").code == 0
    assert calhub("sync", "--json").code == 0
    return folder
