"""An event with its exceptions: Google has each exception of a series as an event of its own, calhub has one item.

The version of an item is the event's etag; that of a series also tells those of its exceptions, since a change of an
exception does not touch the series' own etag.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.zones import canonical_zone
from calhub.providers.base import Item, ProviderError
from calhub.providers.google import more
from calhub.providers.google.client import Call, Client, events_path
from calhub.providers.google.errors import problem, refusal
from calhub.providers.google.inward import Row, read_series, uid_of
from calhub.providers.google.tables import EVENT_TYPES
from calhub.providers.rest import Reply

PAGE: int = 2500


@dataclass(frozen=True)
class Bundle:
    """An event, its exceptions (in any order), and the zone of its calendar."""

    event: Row
    exceptions: Sequence[Row]
    zone: str

    @property
    def is_series(self) -> bool:
        return bool(self.event.get("recurrence"))

    @property
    def version(self) -> str:
        etag: str = self.event.get("etag", "")
        if not self.is_series:
            return etag
        if not self.exceptions:
            return f"{etag} -"
        told = sorted(f"{row['id']} {row.get('etag', '')}" for row in self.exceptions)
        return f"{etag} {sha256(chr(10).join(told).encode()).hexdigest()[:16]}"

    @property
    def uid(self) -> str | None:
        """An instance without its series (the user is invited to just that one) shares Google's UID with others."""
        uid = uid_of(self.event)
        return f"{uid}/{self.event['id']}" if uid and self.event.get("recurringEventId") else uid

    @property
    def pending(self) -> bool:
        """Whether it is a series of ours that was made, but whose exceptions may not have been written yet."""
        return more.PENDING in more.private(self.event)

    @property
    def raw(self) -> str:
        rows = {"event": self.event, "exceptions": list(self.exceptions), "zone": self.zone}
        return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))

    def content(self) -> Content:
        """Raises `InvalidEvent`."""
        try:
            return read_series(self.event, self.exceptions, self.zone)
        except (AttributeError, KeyError, TypeError) as error:  # not the JSON of an event
            raise InvalidEvent("The event cannot be read.") from error

    def item(self) -> Item:
        modified = max(row.get("updated", "") for row in (self.event, *self.exceptions))
        content, trouble = None, None
        try:
            content = self.content()
        except ValueError as error:  # InvalidEvent, or a date that is none
            trouble = str(error) if isinstance(error, InvalidEvent) else "The event has a date that cannot be read."
        return Item(
            remote_id=self.event["id"], version=self.version, uid=self.uid, content=content, raw=self.raw,
            problem=trouble, modified=modified or None,
        )  # fmt: skip


def from_raw(raw: str) -> Bundle:
    """The bundle an item was made of."""
    rows = json.loads(raw)
    return Bundle(rows["event"], rows["exceptions"], rows["zone"])


def main_etag(version: str) -> str:
    """The etag of the event itself, for a conditional write."""
    return version.partition(" ")[0]


def zone_of(page: Row) -> str:
    """The time zone of the calendar, as an answer of events.list tells it."""
    return canonical_zone(page.get("timeZone") or "UTC") or "UTC"


def is_gone(row: Row) -> bool:
    """Whether an event stands for something that calhub does not show: a deleted one, a note about a person."""
    return row.get("status") == "cancelled" or row.get("eventType", "default") not in EVENT_TYPES


class Reader:
    """Brings events with all their exceptions."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def one(self, calendar: str, event_id: str) -> Bundle | None:
        """None for what is not there. Raises `ProviderError`, GONE when the calendar is not there either."""
        reply = self._client.send(Call("GET", events_path(calendar, event_id)))
        found = problem(reply)
        if found is not None and found.is_gone:
            self.zone_of(calendar)  # is it the calendar that is gone?
            return None
        if found is not None:
            raise refusal(found, about="The event")
        row: Row = reply.json
        if is_gone(row):
            return None
        if row.get("recurrence"):
            return self.complete(calendar, [row])[0]
        return Bundle(row, (), self.zone_of(calendar) if _needs_zone(row) else "UTC")

    def zone_of(self, calendar: str) -> str:
        """The time zone of a calendar. Raises `ProviderError`, GONE when it is not there."""
        reply = self._client.send(Call("GET", events_path(calendar), {"maxResults": 1, "fields": "kind,timeZone"}))
        found = problem(reply)
        if found is not None:
            raise refusal(found, about="The calendar")
        return zone_of(reply.json)

    def complete(self, calendar: str, masters: Sequence[Row]) -> list[Bundle | None]:
        """Each series with its exceptions, None where it has gone. Raises `ProviderError`."""
        calls = [by_uid(calendar, row["iCalUID"]) for row in masters]
        found = []
        for row, call, reply in zip(masters, calls, self._client.send_all(calls), strict=True):
            rows, zone = self._rows(call, reply)
            event = rows.pop(row["id"], None)
            exceptions = [each for each in rows.values() if each.get("recurringEventId") == row["id"]]
            found.append(None if event is None or is_gone(event) else Bundle(event, exceptions, zone))
        return found

    def events(self, calendar: str, ids: Sequence[str]) -> list[Row | None]:
        """Events by their ids, None where there is none. Raises `ProviderError`."""
        rows: list[Row | None] = []
        for reply in self._client.send_all([Call("GET", events_path(calendar, event_id)) for event_id in ids]):
            found = problem(answered(reply))
            if found is not None and not found.is_gone:
                raise refusal(found, about="The event")
            rows.append(None if found is not None else answered(reply).json)
        return rows

    def _rows(self, call: Call, reply: Reply | None) -> tuple[dict[str, Row], str]:
        """All pages of a listing, by id."""
        rows: dict[str, Row] = {}
        while True:
            found = problem(answered(reply))
            if found is not None:
                raise refusal(found, about="The calendar")
            page: dict[str, Any] = answered(reply).json
            rows |= {row["id"]: row for row in page.get("items", ())}
            if not (token := page.get("nextPageToken")):
                return rows, zone_of(page)
            reply = self._client.send(Call("GET", call.path, {**call.params, "pageToken": token}))


def by_uid(calendar: str, uid: str) -> Call:
    """A series and its exceptions share their UID; cancelled instances are among them, and a deleted event."""
    return Call("GET", events_path(calendar), {"iCalUID": uid, "showDeleted": "true", "maxResults": PAGE})


def answered(reply: Reply | None) -> Reply:
    """For reads. Raises `ProviderError` RETRY where a part of a batch was not answered."""
    if reply is None:
        raise ProviderError("Google answered only a part of a batch.", "Try again later.")
    return reply


def _needs_zone(row: Row) -> bool:
    """Whether a time of the event names no zone of its own."""
    times = (row.get("start", {}), row.get("end", {}))
    return any("dateTime" in each and not each.get("timeZone") for each in times)
