"""One calendar, "Team", at five services at once: who holds it there, and who uses it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from calhub.testing.davserver import CALENDAR, PASSWORD, USERNAME, DavServer
from calhub.testing.people import PROPERTIES, GooglePerson, NotionPerson, OutlookPerson, Person, ProgramPerson
from calhub.testing.remotes import DavCalendar, VdirCalendar
from calhub.testing.services.base import Service
from calhub.testing.services.google import GoogleService
from calhub.testing.services.graph import Graph
from calhub.testing.services.notion import NotionService

#: The kinds of providers, which are also the names of ``people`` and ``calendars``.
NAMES: Final = ("google", "microsoft", "notion", "caldav", "folder")
_READS: Final = ("PROPFIND", "REPORT", "GET", "OPTIONS")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Everywhere:
    """The emulated Google, Microsoft 365, Notion and CalDAV server, and a folder below ``path``; a context manager.

    ``people`` use the calendar, each in their own way; ``calendars`` has its remote id at each. ``clock`` is the
    services' own.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = _utc_now) -> None:
        self.path = path
        self.google = GoogleService(clock=clock)
        self.graph = Graph(clock=clock)
        self.notion = NotionService(clock=clock)
        self.dav = DavServer()
        self.dav.name = "Team"
        self.vdir = VdirCalendar(path / "team")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for service in self.emulators.values():
            self._stack.enter_context(service)
        self._stack.enter_context(self.dav)
        self.vdir.make("Team")
        program = DavCalendar(self.dav.url + CALENDAR, USERNAME, PASSWORD)
        self._stack.callback(program.close)
        at_google, source = self.google.user_add_calendar("Team"), self.notion.add_database("Team", PROPERTIES)
        at_microsoft = self.graph.user_calendar("Team")
        self.people: dict[str, Person] = {
            "google": GooglePerson(self.google, at_google),
            "microsoft": OutlookPerson(self.graph, at_microsoft),
            "notion": NotionPerson(self.notion, source),
            "caldav": ProgramPerson(program),
            "folder": ProgramPerson(self.vdir),
        }
        self.calendars = dict(zip(NAMES, (at_google, at_microsoft, source.id, CALENDAR, "team"), strict=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def emulators(self) -> dict[str, Service]:
        return {"google": self.google, "microsoft": self.graph, "notion": self.notion}

    def credentials(self) -> dict[str, dict[str, str]]:
        """What ``account add --credentials`` is given for those that want it, by name."""
        notion = {"token": self.notion.token, "api_root": self.notion.api_root}
        return {"google": self.google.credentials(), "microsoft": self.graph.credentials(), "notion": notion}

    def writes(self) -> dict[str, Any]:
        """Everything so far that could have changed something, by service; of the folder the state of its files."""
        graph = [each.name for each in self.graph.requests() if each.method != "GET"]
        notion = [*self.notion.requests("PATCH *"), *self.notion.requests("POST */pages")]
        files = sorted((each.name, each.stat().st_mtime_ns, each.stat().st_ino) for each in self.vdir.path.iterdir())
        return {
            "google": [each.name for each in self.google.requests("* /calendar/*") if each.method != "GET"],
            "microsoft": [name for name in graph if "$batch" not in name and "/token" not in name],
            "notion": [each.name for each in notion],
            "caldav": [f"{each.method} {each.path}" for each in self.dav.requests if each.method not in _READS],
            "folder": files,
        }
