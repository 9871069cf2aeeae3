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


class Site(SimpleTestCase):  # type: ignore[misc]  # Django publishes no types
    """A site whose home has one folder account, ``disk``, with a calendar ``work``."""

    command: str

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

    def run_command(self, **options: Any) -> str:
        """What the command prints."""
        out = io.StringIO()
        call_command(self.command, stdout=out, stderr=out, **options)
        return out.getvalue()

    def refused(self, code: int, **options: Any) -> str:
        """The output and the one sentence of a command that ends with this code."""
        out = io.StringIO()
        with pytest.raises(CommandError) as caught:
            call_command(self.command, stdout=out, stderr=out, **options)
        assert caught.value.returncode == code
        assert len(str(caught.value).splitlines()) == 1
        return f"{out.getvalue()}{caught.value}"

    def titles(self, calendar: str) -> list[str]:
        with Hub.open(self.home) as hub, hub.read() as conn:
            found = events.events(conn, accounts.calendar(conn, calendar).id)
            return sorted(stored.content["title"] for stored in found)


class SyncCalendars(Site):
    """`sync_calendars`: what `calhub sync` does."""

    command = "sync_calendars"

    def test_syncs(self) -> None:
        """What the folder has is in the hub, and the run is told in a line."""
        self.folder.put("work", "a", "Lunch")

        assert self.run_command() == "work (disk): ok, pulled +1, pushed .\n"
        assert self.titles("work") == ["Lunch"]

    def test_dry_run(self) -> None:
        """The plan is told, nothing is done."""
        self.folder.put("work", "a", "Lunch")

        assert "would be done: hub create Lunch" in self.run_command(dry_run=True)
        assert self.titles("work") == []

    def test_one_account_or_calendar(self) -> None:
        """By name or by id, also one whose interval is not over."""
        self.calhub("account", "set", "disk", "--interval", "1h")
        self.run_command()
        assert "No account is due" in self.run_command()
        assert "disk: left out" in self.run_command(verbose=True)
        assert "work (disk): reading" in self.run_command(verbose=True, force_full=True)
        for options in ({"account_id": "disk"}, {"account_id": "1"}, {"calendar_id": "work"}, {"force_full": True}):
            assert "work (disk): ok" in self.run_command(**options)
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
        self.run_command()
        for file in (self.folder.path / "work").glob("e1*.ics"):
            file.unlink()

        assert "calhub hold list" in self.refused(4)


class Mirrored(Site):
    """The event of ``work`` stands as a block in ``home``, beside one of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.folder.calendar("home")
        self.calhub("replica", "add", "home", "disk", "home")
        self.folder.put("work", "a", "Interview")
        self.folder.put("home", "own", "Dentist", "20261124T090000Z")
        self.calhub("rule", "add", "mirror", "work", "home")
        self.calhub("sync")
        assert self.titles("home") == ["Busy", "Dentist"]


class ResetCalendar(Mirrored):
    """`reset_calendar`: what `calhub reset` does."""

    command = "reset_calendar"

    def test_asks_first(self) -> None:
        """Without --confirm it explains, ends with 2 and does nothing."""
        assert "--confirm" in self.refused(2, calendar_id="home")
        assert self.titles("home") == ["Busy", "Dentist"]

    def test_dry_run(self) -> None:
        """It names what would go."""
        told = self.run_command(calendar_id="home", dry_run=True)

        assert told.startswith("home: Busy\nCopies that would be deleted: 1.\n")
        assert self.titles("home") == ["Busy", "Dentist"]

    def test_deletes_copies_only(self) -> None:
        """Here and at the remote; it says how to take that back."""
        assert "Copies deleted: 1. To bring them back: calhub undo" in self.run_command(
            calendar_id="home", confirm=True
        )
        assert self.titles("home") == ["Dentist"]
        assert self.folder.names("home") == ["own"]

    def test_unknown_calendar(self) -> None:
        """A calendar that is not there is one sentence and code 1."""
        assert 'no calendar "nowhere"' in self.refused(1, calendar_id="nowhere", confirm=True)


class CleanupOrphaned(Mirrored):
    """`cleanup_orphaned`: what `calhub cleanup` does."""

    command = "cleanup_orphaned"

    def test_nothing_to_do(self) -> None:
        """Copies that stand for an event stay."""
        assert self.run_command().startswith("Removed copies: 0, ")
        assert self.titles("home") == ["Busy", "Dentist"]

    def test_lost_copies(self) -> None:
        """Copies of a rule that the database lost are found at the remote by their mark; a dry run only names them."""
        with Hub.open(self.home) as hub, hub.transaction() as conn:
            conn.execute("DELETE FROM rule")

        assert self.run_command(dry_run=True, remote=True).startswith("home: Busy\nWould remove copies: 1, ")
        assert len(self.folder.names("home")) == 2
        assert self.run_command(remote=True).startswith("home: Busy\nRemoved copies: 1, ")
        assert self.folder.names("home") == ["own"]
