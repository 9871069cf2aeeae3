"""A hub whose one calendar is held by Google, Microsoft 365, Notion, a CalDAV server and a folder at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from calhub.calendar.ical import write_object
from calhub.hub import accounts
from calhub.hub.accounts import Account
from calhub.providers import caldav, folder, google
from calhub.providers.base import Provider
from calhub.providers.layers import Retry
from calhub.providers.microsoft import MicrosoftProvider
from calhub.providers.microsoft.client import Graph as GraphClient
from calhub.providers.notion.client import Notion
from calhub.providers.notion.provider import NotionProvider
from calhub.providers.oauth import FixedToken
from calhub.providers.oauth_services import tokens
from calhub.providers.rest import Rest
from calhub.providers.vault import MemoryVault
from calhub.sync.report import RunReport
from calhub.testing.davserver import CALENDAR, PASSWORD, USERNAME
from calhub.testing.everywhere import NAMES, Everywhere
from calhub.testing.people import Entry, entries_of
from calhub.testing.services.notion import NEW
from calhub.testing.world import VirtualClock, World

_SECRETS: Final = ("client_secret", "refresh_token")


class Services(Everywhere):
    """All five, with what calhub keeps of each account. ``clock`` is theirs: the hub's may be another one."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.notion_token = self.notion.token
        given = self.credentials()
        self.vaults = {name: MemoryVault({key: given[name][key] for key in _SECRETS if key in given[name]})
                       for name in ("google", "microsoft")}  # fmt: skip
        return self

    def connect(self, name: str, clock: Callable[[], datetime]) -> Provider:
        """As a process does it; ``clock`` is the hub's. Nobody really waits."""
        if name == "google":
            given = {key: value for key, value in self.google.credentials().items() if key not in _SECRETS}
            return google.connect(given, self.vaults[name])
        if name == "microsoft":
            given = {key: value for key, value in self.graph.credentials().items() if key not in _SECRETS}
            rest = Rest(self.graph.root, tokens(name, given, self.vaults[name]))
            return MicrosoftProvider(GraphClient(rest, sleep=_no_sleep), clock=clock)
        if name == "notion":
            return NotionProvider(Notion(Rest(self.notion.api_root, FixedToken(self.notion_token)), NEW), clock=clock)
        if name == "caldav":
            settings = {"url": self.dav.url + CALENDAR, "username": USERNAME}
            return caldav.connect(settings, MemoryVault({"password": PASSWORD}))
        return folder.connect({"url": str(self.path)}, MemoryVault())


class MixedWorld(World):
    """``services`` is to be set before anything else."""

    services: Services

    def tie(self, *, notion_series: str = "master", names: tuple[str, ...] = NAMES, **settings: Any) -> None:
        """Attach the calendar to all of them."""
        for name in names:
            more = {"series": notion_series, "past": 7, "future": 60} if name == "notion" else {}
            with self.hub.transaction() as conn:
                account = accounts.add_account(conn, name, name, {}, self.hub.now())
                accounts.add_replica(
                    conn, self.calendar.id, account.id, self.services.calendars[name], "Team", self.hub.now(),
                    settings={**settings, **more},
                )  # fmt: skip

    def connect(self, account: Account) -> Provider:
        return Retry(self.services.connect(account.name, self.clock), sleep=_no_sleep)

    def run(self, **options: Any) -> dict[str, RunReport]:
        """One pass, and time for every retry to be due."""
        reports = {report.account: report for report in self.sync(**options)}
        self.clock.advance(hours=6)
        return reports

    def converge(self, passes: int = 3) -> list[Entry]:
        """Sync a few times; then all are equal, and a further pass writes nothing anywhere. Returns what all show."""
        for _ in range(passes):
            self.run()
        self.check_quiet()
        return self.check_equal()

    def check_quiet(self) -> None:
        before = self.services.writes(), self.seq
        reports = self.run()
        assert {name: report.errors for name, report in reports.items() if report.status != "ok"} == {}
        assert (self.services.writes(), self.seq) == before
        assert self.services.dav.complaints == []
        assert not self.open_work()

    def check_equal(self) -> list[Entry]:
        """Everybody sees the same. Google shows no categories."""
        now = self.clock()
        hub = entries_of(write_object(uid, content, now=now) for uid, content in self.contents.items())
        for name, person in self.services.people.items():
            expected = [replace(each, categories=()) for each in hub] if name == "google" else hub
            assert person.entries() == expected, name
        return hub


def _no_sleep(_: float) -> None:
    """What is waited for is told by the tests of those who wait."""


def day(number: int) -> str:
    """The n-th Monday from 23 November 2026 on."""
    return (datetime(2026, 11, 23) + timedelta(weeks=number)).date().isoformat()


def at(hour: int, on: str | None = None) -> dict[str, Any]:
    """``start`` and ``end`` of an hour."""
    on = on or day(0)
    return {"start": f"{on}T{hour:02}:00:00", "end": f"{on}T{hour + 1:02}:00:00"}


__all__ = ["NAMES", "MixedWorld", "Services", "VirtualClock", "at", "day"]
