"""The contract between the engine and a service.

Glossary: *remote calendar*: a calendar as the provider has it. *item*: one calendar object there (a single event or a
series with its overrides). *remote_id*: the provider's name of an item in its calendar (CalDAV: the href). *version*:
changes with every change of the item (etag). *cursor*: the provider's opaque token for "all changes up to here".

The compulsory part is small; what differs between services is stated in :class:`Capabilities`, and the engine asks
those, never the provider's name. Methods are synchronous and may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol, TypeAlias

from calhub.calendar.event import FIELDS, Content

Access = Literal["owner", "writer", "reader", "freebusy"]


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """Facts about one provider."""

    conditional_writes: bool = True  # an update or delete can be refused if the item moved on
    chosen_ids: bool = True  # a create is tied to the remote_id we chose, so a retry is harmless
    deletion_feed: bool = True  # incremental pages carry tombstones; False: only complete listings show deletions
    create_calendars: bool = False
    writable: bool = True
    parallel_writes: int = 1  # writes the service bears at once in one calendar
    batch_writes: int = 1  # writes one call of `write_batch` takes
    keeps: frozenset[str] = FIELDS  # what survives a round trip; decides when two events are equal


@dataclass(frozen=True, kw_only=True)
class RemoteCalendar:
    id: str
    name: str
    access: Access = "owner"
    color: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True, kw_only=True)
class Item:
    """One calendar object as the remote shows it. Exactly one of ``content`` and ``problem`` is set."""

    remote_id: str
    version: str | None
    uid: str | None
    content: Content | None = None
    raw: str | None = None  # the remote's own text, handed back to `update` so that it can be patched
    problem: str | None = None  # why it cannot be read: one sentence; the item is quarantined
    modified: str | None = None  # RFC 3339 UTC, a hint
    written: str | None = None  # RFC 3339 UTC: when it got there, where that is known more exactly than ``modified``


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of a listing. Rows and ``cursor`` are committed together.

    ``present`` names items that were listed and are known to be unchanged (nothing was fetched for them).
    ``complete`` is set on the last page of a *full* listing, and only there: whatever was in no page is gone.
    ``cursor`` is None while it must not be saved yet. ``outdated`` names items that the provider would write otherwise
    today although they say what they should (a window moved on): the engine updates them as they are.
    """

    items: Sequence[Item] = ()
    removed: Sequence[str] = ()
    present: Sequence[str] = ()
    cursor: str | None = None
    complete: bool = False
    outdated: Sequence[str] = ()
    total: int | None = None  # how many items the whole listing will bring, where known (for progress)


@dataclass(frozen=True, kw_only=True)
class WriteRequest:
    """One write of a batch; the fields are the arguments of `Provider.create`, `update` and `delete`."""

    op: Literal["create", "update", "delete"]
    remote_id: str
    uid: str
    content: Content | None = None  # None for a delete
    expected: str | None = None
    raw: str | None = None


# Outcomes of a write. Anything the engine does not get as a value is an exception below.


@dataclass(frozen=True)
class Done:
    """Written. ``echo`` is the item as read back (None after a delete)."""

    echo: Item | None


@dataclass(frozen=True)
class Stale:
    """Not written: the item is no longer at the expected version (or exists already, for a create)."""


@dataclass(frozen=True)
class Refused:
    """Not written, and the same write will be refused again. ``reason`` is one sentence for the user."""

    reason: str


@dataclass(frozen=True)
class NotSent:
    """Certainly not applied; worth trying later. ``retry_after`` in seconds, where the service said so.

    ``of_item``: the service is well, only this item could not be written.
    """

    reason: str
    retry_after: float | None = None
    of_item: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Unknown:
    """It may or may not have been applied: sent, but no answer was understood.

    ``of_item``: the service is well and has answered, only what became of this item has to be looked at.
    """

    reason: str
    of_item: bool = field(default=False, compare=False)


Outcome: TypeAlias = Done | Stale | Refused | NotSent | Unknown


class Trait(Enum):
    RETRY = "retry"  # passing: the same call may succeed later
    LOGIN = "login"  # the account needs its user to sign in again
    GONE = "gone"  # the remote calendar is not there (any more)
    FATAL = "fatal"  # neither retry nor login helps


@dataclass
class ProviderError(Exception):
    """A call failed as a whole.

    ProviderError
      trait RETRY   dead host, time-out, 429, 5xx
      trait LOGIN   401, invalid_grant
      trait GONE    the calendar answers 404
      trait FATAL   not a server of this kind, malformed settings

    ``message`` is one sentence without secrets; ``hint`` says what to do.
    """

    message: str
    hint: str = ""
    trait: Trait = Trait.RETRY
    retry_after: float | None = field(default=None)

    def __str__(self) -> str:
        return self.message


class Provider(Protocol):
    """One account's connection to its service."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def requests(self) -> int:
        """Calls made to the service so far."""

    def prepare(self, calendar: str, settings: Mapping[str, Any]) -> Capabilities:
        """Take the settings of a calendar's replica, before anything else in a pass; they hold until the next call.

        Returns what can be done with this calendar under them. May ask the service; raises `ProviderError`.
        """

    def discover(self) -> list[RemoteCalendar]:
        """All remote calendars of the account. Also the sign-in test: raises `ProviderError`."""

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        """What changed since ``cursor``; a full listing when it is None or has expired.

        A full listing fetches only items whose version is not the one in ``known``; others are ``present``.
        Raises `ProviderError`; the pages already yielded stay valid.
        """

    def get(self, calendar: str, remote_id: str) -> Item | None:
        """The item as it is now, or None if it is certainly not there. Raises `ProviderError` in doubt."""

    def find(self, calendar: str, uid: str) -> Item | None:
        """The item with this UID, where the service can look it up; used when a create was refused as a duplicate."""

    def reserve(self, calendar: str, uid: str) -> str:
        """A fresh remote_id for an item to be created; no I/O."""

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        """Write a new item under the reserved id, refused (`Stale`) if that id or UID exists."""

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        """Make the item's modelled fields equal ``content``; all else in ``raw`` stays. Conditional on ``expected``."""

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        """Delete, conditional on ``expected``; an item that is already gone is `Done`. Nobody is mailed."""

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        """Make up to ``capabilities.batch_writes`` writes to different items in one call; one outcome each, in order.

        What was sent and not certainly answered is `Unknown`. Raises `ProviderError` only if nothing was applied.
        """

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        """Only with ``capabilities.create_calendars``."""

    def delete_calendar(self, calendar: str) -> None:
        """Only with ``capabilities.create_calendars``; never called by a pass."""

    def close(self) -> None:
        """Release connections. Idempotent."""


class Known(Protocol):
    """What the hub last saw of a remote calendar."""

    def version(self, remote_id: str) -> str | None: ...

    def __contains__(self, remote_id: object) -> bool: ...

    def ids(self) -> Iterator[str]: ...


class OneByOne:
    """What a provider inherits that knows neither settings of a replica nor batches."""

    def prepare(self: Provider, calendar: str, settings: Mapping[str, Any]) -> Capabilities:  # noqa: ARG002 - the contract's
        return self.capabilities

    def write_batch(self: Provider, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for request in requests:
            try:
                outcomes.append(write_one(self, calendar, request))
            except ProviderError as error:
                if not outcomes:
                    raise
                rest = len(requests) - len(outcomes) - 1
                return [*outcomes, Unknown(error.message), *[NotSent(error.message, error.retry_after)] * rest]
        return outcomes


def write_one(provider: Provider, calendar: str, request: WriteRequest) -> Outcome:
    """Make one write by the method that is its own."""
    if request.op == "delete":
        return provider.delete(calendar, request.remote_id, expected=request.expected)
    assert request.content is not None
    if request.op == "create":
        return provider.create(calendar, request.remote_id, request.uid, request.content)
    return provider.update(
        calendar, request.remote_id, request.uid, request.content, expected=request.expected, raw=request.raw
    )
