"""Google, Microsoft 365 and Notion, each emulated for a simulation: service, user and the real provider."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from calhub.providers.base import Provider
from calhub.providers.google import GoogleProvider
from calhub.providers.google.client import Client
from calhub.providers.microsoft import MicrosoftProvider
from calhub.providers.microsoft.client import Graph as GraphClient
from calhub.providers.notion.client import Notion
from calhub.providers.notion.provider import NotionProvider
from calhub.providers.oauth import Tokens
from calhub.providers.rest import Rest
from calhub.testing.people import PROPERTIES, GooglePerson, NotionPerson, OutlookPerson, Person
from calhub.testing.services.base import Clock, Service
from calhub.testing.services.direct import ORIGIN
from calhub.testing.services.google import GoogleService
from calhub.testing.services.google.events import ROOT
from calhub.testing.services.google.service import SCOPE
from calhub.testing.services.graph import Graph
from calhub.testing.services.notion import NEW, OLD, NotionService
from calhub.testing.services.oauth import OAuth

#: A connection by the transport and with the tokens given.
Connect = Callable[[httpx.BaseTransport, Tokens], Provider]
_TEXTS: Final = frozenset({"title", "location", "description"})
_WRITE: Final = "[PD]*"  # POST, PATCH, DELETE


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A service with one calendar. ``changes`` counts what changed there, of whatever kind.

    ``calls``: by kind the requests that can fail (`Service.fail`), and whether those inside batches are meant.
    """

    service: Service
    person: Person
    calendar: str
    oauth: OAuth
    scope: str = ""
    connect: Connect
    changes: Callable[[], int]
    outbox: Callable[[], Sequence[object]] = tuple
    typed: frozenset[str] = _TEXTS | {"categories"}
    calls: Mapping[str, tuple[str, bool]]
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the replica
    own: frozenset[str] = frozenset()  # fields that are the service's own affair, whatever is written
    shows_instances: bool = False  # also those that do not differ from their series


def google(clock: Clock, habits: Collection[str]) -> Emulator:
    """``habits``: what a change of a series does to its exceptions (`GoogleService`)."""
    service = GoogleService(clock=clock)
    service.resets_exceptions = "resets_exceptions" in habits
    service.keeps_exceptions = "keeps_exceptions" in habits
    service.follows_master = "leaves_exceptions" not in habits
    calendar = service.user_add_calendar("Home")

    def connect(transport: httpx.BaseTransport, tokens: Tokens) -> Provider:
        return GoogleProvider(Client(Rest(ORIGIN + ROOT, tokens, transport=transport), tokens))

    return Emulator(
        service=service,
        person=GooglePerson(service, calendar),
        calendar=calendar,
        oauth=service.oauth,
        scope=SCOPE,
        connect=connect,
        changes=lambda: service.seq,
        outbox=lambda: service.outbox,
        typed=_TEXTS,  # there are no categories
        own=frozenset({"organizer"}),
        calls={"read": ("GET *", False), "write": (_WRITE, False), "part": (_WRITE, True), "any": ("*", False)},
    )


def microsoft(clock: Clock, habits: Collection[str]) -> Emulator:
    """``habits``: by which status a create is refused that was made already."""
    service = Graph(clock=clock)
    service.duplicate_status = 400 if "duplicate_is_400" in habits else 409
    calendar = service.user_calendar("Home")

    def connect(transport: httpx.BaseTransport, tokens: Tokens) -> Provider:
        rest = Rest(f"{ORIGIN}/v1.0", tokens, transport=transport)
        return MicrosoftProvider(GraphClient(rest, sleep=nobody_waits), clock=clock)

    return Emulator(
        service=service,
        person=OutlookPerson(service, calendar),
        calendar=calendar,
        oauth=service.oauth,
        connect=connect,
        changes=lambda: service.mailbox.seq,
        outbox=lambda: service.outbox.mails,
        calls={"read": ("GET *", False), "write": (_WRITE, False), "part": (_WRITE, True), "any": ("*", False)},
        own=frozenset({"attendees"}),  # the replica does not invite
    )


def notion(clock: Clock, habits: Collection[str]) -> Emulator:
    """``habits``: whether occurrences have rows, which model is used, whether a failed create says what it made."""
    service = NotionService(clock=clock)
    service.tells_committed = "keeps_silent" not in habits
    source = service.add_database("Home", PROPERTIES)
    version = OLD if "databases" in habits else NEW

    def connect(transport: httpx.BaseTransport, tokens: Tokens) -> Provider:
        return NotionProvider(Notion(Rest(f"{ORIGIN}/v1", tokens, transport=transport), version), clock=clock)

    return Emulator(
        service=service,
        person=NotionPerson(service, source),
        calendar=source.database if version == OLD else source.id,
        oauth=service.oauth,
        connect=connect,
        changes=lambda: service.store.changes,
        calls={
            "query": ("POST */query", False),
            "read": ("GET *", False),
            "create": ("POST */pages", False),
            "update": ("PATCH *", False),
            "any": ("*", False),
        },
        settings={"series": "occurrences"} if "occurrences" in habits else {},
        shows_instances="occurrences" in habits,
    )


def nobody_waits(_: float) -> None:
    """Whoever would wait goes on at once."""


MAKERS: Final[dict[str, Callable[[Clock, Collection[str]], Emulator]]] = {
    "google": google,
    "microsoft": microsoft,
    "notion": notion,
}
#: What a service may be like.
HABITS: Final[dict[str, tuple[str, ...]]] = {
    "google": ("resets_exceptions", "keeps_exceptions", "leaves_exceptions"),
    "microsoft": ("duplicate_is_400",),
    "notion": ("occurrences", "databases", "keeps_silent"),
}
