"""The provider: one Google account.

An item is an event with its exceptions; its remote_id is the event's id. Events that we make get an id derived from
calendar and UID, so that a repeated create meets itself; since an id cannot be used again once its event was deleted,
the next of a row of such ids is then taken.
"""

from __future__ import annotations

import time
from base64 import b32hexencode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final

from calhub.calendar.event import FIELDS, Content
from calhub.calendar.zones import canonical_zone
from calhub.providers.base import (
    Capabilities,
    Done,
    Item,
    Known,
    NotSent,
    Outcome,
    Page,
    ProviderError,
    Refused,
    RemoteCalendar,
    Stale,
    Unknown,
    WriteRequest,
    write_one,
)
from calhub.providers.google import more
from calhub.providers.google.channels import Channels, Push
from calhub.providers.google.client import BATCH, Call, Client, calendar_path, events_path
from calhub.providers.google.errors import problem, refusal
from calhub.providers.google.inward import uid_of
from calhub.providers.google.listing import Listing
from calhub.providers.google.series import Bundle, Reader, answered, by_uid, from_raw, is_gone, main_etag, zone_of
from calhub.providers.google.tables import ACCESS
from calhub.providers.google.times import Unholdable
from calhub.providers.google.writing import Failed, Writer, lost, tried
from calhub.providers.rest import Reply

#: What is known of a calendar is asked for again after so long.
CALENDAR_SECONDS: Final = 3600.0
#: How often an event may be deleted and made again.
MAX_GENERATIONS: Final = 20
MAX_UID: Final = more.VALUE_LIMIT
_WRITES: Final[dict[str, str | int]] = {"conferenceDataVersion": 1, "supportsAttachments": "true"}


@dataclass(frozen=True)
class _Planned:
    """A write of a batch that takes one call, and what its answer means."""

    call: Call
    conclude: Callable[[Reply | None], Outcome]


class GoogleProvider:
    """`calhub.providers.base.Provider` for Google Calendar."""

    def __init__(self, client: Client, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.capabilities = Capabilities(
            create_calendars=True, batch_writes=BATCH, keeps=FIELDS - {"zones", "following"}
        )
        self._client = client
        self._reader = Reader(client)
        self._clock = clock
        self._zones: dict[str, tuple[str, float]] = {}
        self._mails: dict[str, bool] = {}

    @property
    def requests(self) -> int:
        return self._client.requests

    def close(self) -> None:
        self._client.close()

    def prepare(self, calendar: str, settings: Mapping[str, Any]) -> Capabilities:
        """Of the settings only ``invitations`` matters: whether writes may mail participants."""
        self._mails[calendar] = bool(settings.get("invitations"))
        return self.capabilities

    def channels(self, *, clock: Callable[[], datetime] | None = None) -> Channels:
        """The push channels of this account."""
        return Channels(self._client, clock=clock) if clock else Channels(self._client)

    def push(self, clock: Callable[[], datetime]) -> Push:
        """`calhub.providers.push.Push` for this account."""
        return Push(self.channels(clock=clock))

    # Calendars

    def discover(self) -> list[RemoteCalendar]:
        found: list[RemoteCalendar] = []
        params: dict[str, str | int] = {"maxResults": 250}
        while True:
            document = self._read(Call("GET", "/users/me/calendarList", params), "The account").json or {}
            for entry in document.get("items", ()):
                if entry.get("timeZone"):
                    self._learn(entry["id"], zone_of(entry))
                found.append(_calendar(entry))
            if not document.get("nextPageToken"):
                return found
            params = {**params, "pageToken": document["nextPageToken"]}

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        """``color`` is left to Google: it belongs to the user's list, which calhub has no right to change."""
        del color
        body = {"summary": name} | ({"timeZone": time_zone} if time_zone else {})
        made = self._read(Call("POST", "/calendars", json=body), "The account").json
        return RemoteCalendar(id=made["id"], name=made.get("summary") or name, time_zone=zone_of(made))

    def delete_calendar(self, calendar: str) -> None:
        found = problem(self._client.send(Call("DELETE", calendar_path(calendar))))
        if found is not None and not found.is_gone:
            raise refusal(found, about="The calendar")

    # Reading

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        listing = Listing(self._client, calendar, known, lambda zone: self._learn(calendar, zone))
        return listing.pages(cursor)

    def get(self, calendar: str, remote_id: str) -> Item | None:
        """A series that is half made is not there yet; see `calhub.providers.google.writing`."""
        bundle = self._reader.one(calendar, remote_id)
        return None if bundle is None or bundle.pending else bundle.item()

    def find(self, calendar: str, uid: str) -> Item | None:
        """By Google's UID of the event, or by ours, which it keeps beside."""
        path = events_path(calendar)
        marked = Call("GET", path, {"privateExtendedProperty": f"{more.UID}={uid}", "maxResults": 50})
        for reply in self._client.send_all([by_uid(calendar, uid), marked]):
            found = problem(answered(reply))
            if found is not None:
                raise refusal(found, about="The calendar")
            zone = zone_of(answered(reply).json)
            for row in answered(reply).json.get("items", ()):
                if (
                    is_gone(row)
                    or row.get("recurringEventId")
                    or uid_of(row) != uid
                    or more.PENDING in more.private(row)
                ):
                    continue
                if not row.get("recurrence"):
                    return Bundle(row, (), zone).item()
                (bundle,) = self._reader.complete(calendar, [row])
                if bundle is not None:
                    return bundle.item()
        return None

    # Writing

    def reserve(self, calendar: str, uid: str) -> str:
        return _event_id(calendar, uid, 0)

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        return tried(lambda: self._create(calendar, remote_id, uid, content))

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        return tried(lambda: self._update(calendar, remote_id, uid, content, expected, raw))

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        return tried(lambda: self._delete(calendar, remote_id, expected))

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        """Single events, and series without exceptions, in one HTTP request; the others one by one after it."""
        outcomes: dict[int, Outcome | ProviderError] = {}
        planned: dict[int, _Planned] = {}
        for at, request in enumerate(requests):
            plan = self._plan(calendar, request)
            if isinstance(plan, _Planned):
                planned[at] = plan
            elif plan is not None:
                outcomes[at] = plan
        replies = self._client.send_all([plan.call for plan in planned.values()]) if planned else []
        for (at, plan), reply in zip(planned.items(), replies, strict=True):
            outcomes[at] = _caught(partial(tried, partial(plan.conclude, reply)))
        for at, request in enumerate(requests):
            if at not in outcomes:
                outcomes[at] = _caught(partial(write_one, self, calendar, request))
        return _settled([outcomes[at] for at in range(len(requests))])

    def _plan(self, calendar: str, request: WriteRequest) -> _Planned | Outcome | None:
        """The one call the write takes, or its outcome where it takes none; None if it takes several."""
        writer, uid, content = self._writer(calendar), request.uid, request.content
        try:
            if request.op == "delete":
                if request.expected is None or " " in request.expected:
                    return None
                call = writer.deletion(request.remote_id, request.expected)
                return _Planned(call, lambda reply: self._deleted(calendar, request.remote_id, writer, reply))
            assert content is not None
            if "overrides" in content or len(uid) > MAX_UID:
                return None
            if request.op == "create":
                call = writer.insertion(request.remote_id, uid, content)
                return _Planned(call, lambda reply: self._created(calendar, request, writer, reply))
            bundle = from_raw(request.raw) if request.raw and request.expected else None
            if bundle is None or bundle.exceptions or bundle.version != request.expected:
                return None
            change = writer.change(bundle, uid, content, conditional=True)
            if change is None:
                return Done(bundle.item())
            return _Planned(change, lambda reply: Done(Bundle(writer.stored(reply), (), bundle.zone).item()))
        except Unholdable as error:
            return Refused(str(error))
        except Failed as failed:
            return failed.result

    def _created(self, calendar: str, request: WriteRequest, writer: Writer, reply: Reply | None) -> Outcome:
        if reply is not None and reply.status == 409:
            return write_one(self, calendar, request)
        return Done(Bundle(writer.stored(reply, creates=True), (), self._zone(calendar)).item())

    def _create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        if len(uid) > MAX_UID:
            return Refused(f"Google Calendar can keep no UID of more than {MAX_UID} characters.")
        writer = self._writer(calendar)
        event_id = remote_id
        for generation in range(1, MAX_GENERATIONS + 1):
            try:
                row = writer.send(writer.insertion(event_id, uid, content))
            except Failed as failed:
                if not isinstance(failed.result, Stale):
                    raise
                (taken,) = self._events(calendar, event_id)
                if taken is None or is_gone(taken):
                    event_id = _event_id(calendar, uid, generation)
                    continue
                return self._go_on(calendar, Bundle(taken, (), self._zone(calendar)), uid, content)
            bundle = Bundle(row, (), self._zone(calendar))
            return writer.finish(bundle, uid, content) if "overrides" in content else Done(bundle.item())
        return Refused("The event was deleted and made again too often.")

    def _go_on(self, calendar: str, taken: Bundle, uid: str, content: Content) -> Outcome:
        """The id is taken: by a series of ours that was left half made, or by an event that is to stay."""
        if not taken.pending or taken.uid != uid or "overrides" not in content:
            return Stale()
        (bundle,) = self._reader.complete(calendar, [taken.event])
        if bundle is None:
            return Unknown("The series is not where it was a moment ago.", of_item=True)
        writer = self._writer(calendar)
        result = writer.reconcile(bundle, uid, content)
        if not isinstance(result, Done):
            return Unknown("The series was written in part only.") if isinstance(result, Stale | NotSent) else result
        (bundle,) = self._reader.complete(calendar, [taken.event])
        return writer.finish(bundle, uid, content) if bundle is not None else Stale()

    def _update(
        self, calendar: str, remote_id: str, uid: str, content: Content, expected: str | None, raw: str | None
    ) -> Outcome:
        bundle = from_raw(raw) if raw is not None else None
        if bundle is None or bundle.exceptions or "overrides" in content or bundle.version != expected:
            try:
                bundle = self._reader.one(calendar, remote_id)
            except ProviderError as error:
                return lost(error)
            if bundle is None or (expected is not None and bundle.version != expected):
                return Stale()
        writer = self._writer(calendar)
        if bundle.exceptions or "overrides" in content:
            return writer.reconcile(bundle, uid, content)
        call = writer.change(bundle, uid, content, conditional=expected is not None)
        row = bundle.event if call is None else writer.send(call)
        return Done(Bundle(row, (), bundle.zone).item())

    def _delete(self, calendar: str, remote_id: str, expected: str | None) -> Outcome:
        writer = self._writer(calendar)
        if expected is not None and " " in expected:  # a change of an exception does not touch the series' etag
            try:
                bundle = self._reader.one(calendar, remote_id)
            except ProviderError as error:
                return lost(error)
            if bundle is None:
                return Done(None)
            if bundle.version != expected:
                return Stale()
        etag = None if expected is None else main_etag(expected)
        try:
            writer.send(writer.deletion(remote_id, etag))
        except Failed as failed:
            return self._not_deleted(calendar, remote_id, failed)
        return Done(None)

    def _deleted(self, calendar: str, remote_id: str, writer: Writer, reply: Reply | None) -> Outcome:
        try:
            writer.stored(reply)
        except Failed as failed:
            return self._not_deleted(calendar, remote_id, failed)
        return Done(None)

    def _not_deleted(self, calendar: str, remote_id: str, failed: Failed) -> Outcome:
        """An event that is gone already fails in several ways."""
        if not isinstance(failed.result, Stale):
            return failed.result
        try:
            (row,) = self._events(calendar, remote_id)
        except ProviderError as error:
            return lost(error)
        return Done(None) if row is None or is_gone(row) else Stale()

    def _events(self, calendar: str, *ids: str) -> list[Mapping[str, Any] | None]:
        return self._reader.events(calendar, ids)

    def _writer(self, calendar: str) -> Writer:
        params: dict[str, str | int] = {"sendUpdates": "all" if self._mails.get(calendar) else "none", **_WRITES}
        return Writer(self._client, calendar, params, lambda: self._zone(calendar))

    def _zone(self, calendar: str) -> str:
        """The calendar's time zone. Raises `ProviderError`."""
        zone, since = self._zones.get(calendar, ("", 0.0))
        if not zone or self._clock() - since > CALENDAR_SECONDS:
            zone = self._learn(calendar, self._reader.zone_of(calendar))
        return zone

    def _learn(self, calendar: str, zone: str) -> str:
        self._zones[calendar] = zone, self._clock()
        return zone

    def _read(self, call: Call, about: str) -> Reply:
        reply = self._client.send(call)
        found = problem(reply)
        if found is not None:
            raise refusal(found, about=about)
        return reply


def _calendar(entry: Mapping[str, Any]) -> RemoteCalendar:
    return RemoteCalendar(
        id=entry["id"],
        name=entry.get("summaryOverride") or entry.get("summary") or entry["id"],
        access=ACCESS.get(entry.get("accessRole", ""), "reader"),  # type: ignore[arg-type]  # the table's values
        color=entry.get("backgroundColor"),
        time_zone=canonical_zone(entry["timeZone"]) if entry.get("timeZone") else None,
    )


def _event_id(calendar: str, uid: str, generation: int) -> str:
    """32 characters of base32hex, which is what Google takes as an id."""
    text = "\n".join((calendar, uid, str(generation)))
    return b32hexencode(sha256(text.encode(errors="surrogatepass")).digest()[:20]).decode().lower()


def _caught(write: Callable[[], Outcome]) -> Outcome | ProviderError:
    try:
        return write()
    except ProviderError as error:
        return error


def _settled(results: list[Outcome | ProviderError]) -> list[Outcome]:
    """The error of all is raised; that of some is theirs: such a write was refused at the door."""
    errors = [result for result in results if isinstance(result, ProviderError)]
    if errors and len(errors) == len(results):
        raise errors[0]
    return [
        NotSent(result.message, result.retry_after) if isinstance(result, ProviderError) else result
        for result in results
    ]
