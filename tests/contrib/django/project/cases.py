"""The management commands, as a site that has the app tests them. Run by Django's test runner; see test_django.py."""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import SimpleTestCase, override_settings
from tests.cli.conftest import Folder

from calhub.cli import main
from calhub.hub import accounts, events
from calhub.hub.database import Hub
from calhub.hub.locks import account_lock


class SyncCalendars(SimpleTestCase):  # type: ignore[misc]  # Django publishes no types
    """`sync_calendars` over a home with one folder account, ``disk``, whose calendar is ``work``."""

    def setUp(self) -> None:
        place = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.home = place / "home"
        self.folder = Folder(place / "vdirs")
        self.folder.calendar("work")
        self.enterContext(override_settings(CALHUB_HOME=str(self.home)))
        self.calhub("account", "add", "folder", "disk", "--url", str(self.folder.path))

    def calhub(self, *argv: str) -> None:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            assert main.run(["--home", str(self.home), *argv]) == 0

    def titles(self) -> list[str]:
        with Hub.open(self.home) as hub, hub.read() as conn:
            calendar = accounts.calendar(conn, "work")
            return [stored.content["title"] for stored in events.events(conn, calendar.id)]

    def sync(self, **options: Any) -> str:
        out = io.StringIO()
        call_command("sync_calendars", stdout=out, stderr=out, **options)
        return out.getvalue()

    def refused(self, code: int, **options: Any) -> str:
        """The output and the one sentence of a sync that ends with this code."""
        out = io.StringIO()
        with pytest.raises(CommandError) as caught:
            call_command("sync_calendars", stdout=out, stderr=out, **options)
        assert caught.value.returncode == code
        assert len(str(caught.value).splitlines()) == 1
        return f"{out.getvalue()}{caught.value}"

    def test_syncs(self) -> None:
        """What the folder has is in the hub, and the run is told in a line."""
        self.folder.put("work", "a", "Lunch")

        assert self.sync() == "work (disk): ok, pulled +1, pushed .\n"
        assert self.titles() == ["Lunch"]

    def test_dry_run(self) -> None:
        """The plan is told, nothing is done."""
        self.folder.put("work", "a", "Lunch")

        assert "would be done: hub create Lunch" in self.sync(dry_run=True)
        assert self.titles() == []

    def test_one_account_or_calendar(self) -> None:
        """By name or by id, also one whose interval is not over."""
        self.calhub("account", "set", "disk", "--interval", "1h")
        self.sync()
        assert "No account is due" in self.sync()
        assert "disk: left out" in self.sync(verbose=True)
        assert "work (disk): reading" in self.sync(verbose=True, force_full=True)
        for options in ({"account_id": "disk"}, {"account_id": "1"}, {"calendar_id": "work"}, {"force_full": True}):
            assert "work (disk): ok" in self.sync(**options)
        assert 'no account "other"' in self.refused(1, account_id="other")
        assert 'no calendar "other"' in self.refused(1, calendar_id="other")

    def test_failure_is_1(self) -> None:
        """An account that cannot be read: what is wrong with it, and code 1."""
        self.folder.path.rename(self.folder.path.with_name("unplugged"))

        assert "work (disk): failed" in self.refused(1)

    def test_bad_home_is_2(self) -> None:
        """A home that is none is an error of the site's settings."""
        (self.home / "file").touch()

        with override_settings(CALHUB_HOME=self.home / "file"):
            assert "is not a folder" in self.refused(2)

    def test_overlap_is_3(self) -> None:
        """Another sync is at the account."""
        with account_lock(self.home, 1, "disk"):
            assert "Another sync is working on" in self.refused(3)

    def test_waiting_is_4(self) -> None:
        """A hold waits for a person."""
        for number in range(20):
            self.folder.put("work", f"e{number}", f"Event {number}")
        self.sync()
        for file in (self.folder.path / "work").glob("e1*.ics"):
            file.unlink()

        assert "calhub hold list" in self.refused(4)
