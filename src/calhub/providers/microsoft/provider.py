"""The provider: one mailbox at Microsoft 365 or Outlook.com."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from calhub.calendar.event import Content
from calhub.calendar.zones import canonical_zone
from calhub.providers.base import (
    Access,
    Capabilities,
    Item,
    Known,
    Outcome,
    Page,
    ProviderError,
    RemoteCalendar,
    Trait,
    WriteRequest,
)
from calhub.providers.microsoft.client import BATCH, Graph, Part, error_of, path
from calhub.providers.microsoft.inward import item_of
from calhub.providers.microsoft.listing import Listing, Window
from calhub.providers.microsoft.places import Place
from calhub.providers.microsoft.scripts import Script, run_many, run_one, run_read
from calhub.providers.microsoft.subscriptions import Push, Subscriptions
from calhub.providers.microsoft.writing import Writer

#: What survives a round trip. Where Graph's own form is narrower, the hub's is kept beside it (`kept`).
KEEPS: Final = frozenset(
    {
        "title", "description", "location", "url", "start", "end", "all_day", "time_zone", "end_time_zone", "rrule",
        "rdates", "exdates", "overrides", "status", "privacy", "busy", "categories", "alarms", "priority",
    }
)  # fmt: skip
#: ``rdates`` are not held by Graph at all. They are here so that such a series is refused, not cut down in silence.

_PAST_DAYS: Final = 365
_FUTURE_DAYS: Final = 1095
_COLORS: Final = {
    "lightBlue": "#a6d1f5", "lightGreen": "#87d28e", "lightOrange": "#fcab73", "lightGray": "#c0c0c0",
    "lightYellow": "#f5e37a", "lightTeal": "#4ebec8", "lightPink": "#ec8fb2", "lightBrown": "#bba38f",
    "lightRed": "#f88c9b",
}  # fmt: skip


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MicrosoftProvider:
    """`calhub.providers.base.Provider` for Graph. A remote_id is an immutable event id."""

    def __init__(self, graph: Graph, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self.capabilities = Capabilities(chosen_ids=False, create_calendars=True, batch_writes=BATCH, keeps=KEEPS)
        self._graph = graph
        self._clock = clock
        self._settings: dict[str, Mapping[str, Any]] = {}

    @property
    def requests(self) -> int:
        return self._graph.rest.requests

    def close(self) -> None:
        self._graph.rest.close()

    def push(self, clock: Callable[[], datetime]) -> Push:
        """`calhub.providers.push.Push` for this account."""
        return Push(Subscriptions(self._graph, clock))

    # Calendars

    def prepare(self, calendar: str, settings: Mapping[str, Any]) -> Capabilities:
        """``past`` and ``future`` (days), ``invitations``. Asks nothing.

        Attendees are always taken over from Microsoft 365, so they belong to what is compared. Whether they are also
        written is another matter: without invitations the hub's own changes of them stay in the hub.
        """
        self._settings[calendar] = dict(settings)
        return replace(self.capabilities, keeps=KEEPS | {"attendees"})

    def discover(self) -> list[RemoteCalendar]:
        pages = self._graph.pages(path("me", "calendars"), params={"$top": 100})
        rows = [row for page in pages for row in page["value"]]
        zone = self._time_zone()
        return [_calendar(row, zone) for row in rows]

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        """The colour is Graph's own choice among its nine; the zone is the mailbox's."""
        del color, time_zone
        reply = self._graph.send(Part("POST", path("me", "calendars"), {"name": name}))
        if reply.status >= 300:
            raise error_of(reply)
        return _calendar(reply.json, None)

    def delete_calendar(self, calendar: str) -> None:
        reply = self._graph.send(Part("DELETE", path("me", "calendars", calendar)))
        if reply.status >= 300 and reply.status != 404:
            raise error_of(reply)

    # Reading

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        listing = Listing(self._graph, Place(calendar), self._window(calendar), known)
        return listing.pages(cursor)

    def get(self, calendar: str, remote_id: str) -> Item | None:
        row = run_read(self._graph, self._writer(calendar).current(remote_id))
        return None if row is None else item_of(row)

    def find(self, calendar: str, uid: str) -> Item | None:
        name = run_read(self._graph, self._writer(calendar).find(uid))
        return None if name is None else self.get(calendar, name)

    # Writing

    def reserve(self, calendar: str, uid: str) -> str:  # noqa: ARG002 - Graph names events itself
        """The transactionId of the create; the event gets another name."""
        return str(uuid4())

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        return run_one(self._graph, self._writer(calendar).create(remote_id, uid, content))

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        del uid, raw  # the event is read before it is written
        return run_one(self._graph, self._writer(calendar).update(remote_id, content, expected))

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        return run_one(self._graph, self._writer(calendar).delete(remote_id, expected))

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        writer = self._writer(calendar)
        return run_many(self._graph, [_script(writer, request) for request in requests])

    # Inside

    def _writer(self, calendar: str) -> Writer:
        return Writer(Place(calendar), self._invites(calendar))

    def _invites(self, calendar: str) -> bool:
        return bool(self._settings.get(calendar, {}).get("invitations"))

    def _window(self, calendar: str) -> Window:
        settings = self._settings.get(calendar, {})
        past, future = (_days(settings.get(name), default) for name, default in
                        (("past", _PAST_DAYS), ("future", _FUTURE_DAYS)))  # fmt: skip
        return Window.around(self._clock(), past, future)

    def _time_zone(self) -> str | None:
        """The mailbox's, where the account may see its settings."""
        try:
            value = self._graph.get(path("me", "mailboxSettings", "timeZone")).get("value")
        except ProviderError as error:
            if error.trait is Trait.LOGIN:
                raise
            return None  # a nicety; it is not worth failing for
        return canonical_zone(value) if isinstance(value, str) else None


def _script(writer: Writer, request: WriteRequest) -> Script:
    if request.op == "delete":
        return writer.delete(request.remote_id, request.expected)
    assert request.content is not None
    if request.op == "create":
        return writer.create(request.remote_id, request.uid, request.content)
    return writer.update(request.remote_id, request.content, request.expected)


def _calendar(row: Mapping[str, Any], zone: str | None) -> RemoteCalendar:
    if not row.get("canEdit", True):
        access: Access = "reader"
    else:
        access = "owner" if row.get("canShare", True) else "writer"
    color = row.get("hexColor") or _COLORS.get(row.get("color") or "")
    return RemoteCalendar(id=row["id"], name=row.get("name") or "Calendar", access=access, color=color, time_zone=zone)


def _days(value: Any, default: int) -> timedelta:
    """A window's setting: a number of days, also written ``365d``."""
    found = re.fullmatch(r"(\d{1,6})d?", str(value)) if value is not None else None
    return timedelta(days=int(found[1]) if found else default)
