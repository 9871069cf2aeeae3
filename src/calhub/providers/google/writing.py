"""Writing events: conditional patches, and series with their exceptions, which take several requests.

A new series with overrides is first written with a mark; until its exceptions are there too and the mark is taken off,
it is not shown, or its missing exceptions would pass for undone ones. After a crash in between, the create is repeated,
meets its own id, and goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from calhub.calendar.event import Content
from calhub.calendar.ical_time import Frame, instance
from calhub.providers.base import Done, NotSent, Outcome, ProviderError, Refused, Stale, Trait, Unknown
from calhub.providers.google import more
from calhub.providers.google.client import Call, Client, events_path
from calhub.providers.google.errors import outcome, problem
from calhub.providers.google.inward import Row, outside, read_event, rid_of
from calhub.providers.google.outward import Target, changed, whole
from calhub.providers.google.series import Bundle, Reader
from calhub.providers.google.times import Unholdable, bound
from calhub.providers.http import Unreached
from calhub.providers.rest import Reply

_IDENTITY: Final = ("id", "recurringEventId", "originalStartTime")


class Failed(Exception):
    """A write came to nothing, or nobody knows what it came to."""

    def __init__(self, result: Outcome) -> None:
        super().__init__(result)
        self.result = result


class Writer:
    """Writes to one calendar. ``params`` go with every write; ``zone`` tells the calendar's time zone."""

    def __init__(self, client: Client, calendar: str, params: Mapping[str, str | int], zone: Callable[[], str]) -> None:
        self._client = client
        self._reader = Reader(client)
        self._calendar = calendar
        self._params = dict(params)
        self._ask_zone = zone

    # Calls

    def insertion(self, event_id: str, uid: str, content: Content) -> Call:
        """Raises `Unholdable`."""
        body = whole(Target(content, {}, self._zone()), event_id, uid)
        if "overrides" in content:
            body["extendedProperties"]["private"][more.PENDING] = "1"
        return Call("POST", events_path(self._calendar), self._params, body)

    def change(self, bundle: Bundle, uid: str, content: Content, *, conditional: bool) -> Call | None:
        """The patch of the event itself, None where nothing differs. Raises `Unholdable`."""
        if bundle.event.get("recurringEventId"):  # without its series; its UID is made up, see `Bundle.uid`
            uid = ""
        body = changed(Target(content, bundle.event, self._zone()), bundle.content(), bundle.event["id"], uid)
        return self._patch(bundle.event, body, conditional=conditional) if body else None

    def _zone(self) -> str:
        try:
            return self._ask_zone()
        except ProviderError as error:
            raise Failed(lost(error)) from error

    def deletion(self, event_id: str, etag: str | None) -> Call:
        params = {"sendUpdates": self._params["sendUpdates"]}
        return Call("DELETE", events_path(self._calendar, event_id), params, etag=etag)

    def _patch(self, row: Row, body: Mapping[str, Any], *, conditional: bool = True) -> Call:
        path = events_path(self._calendar, row["id"])
        return Call("PATCH", path, self._params, body, row.get("etag") if conditional else None)

    def send(self, call: Call) -> Row:
        """The event as it is after the write. Raises `Failed`, or `ProviderError` where no write can succeed."""
        try:
            reply = self._client.send(call)
        except Unreached as error:
            if error.trait is not Trait.RETRY:
                raise
            raise Failed(NotSent(error.message, error.retry_after)) from error
        except ProviderError as error:
            if error.trait is not Trait.RETRY:
                raise
            raise Failed(Unknown(error.message)) from error
        return self.stored(reply, creates=call.method == "POST")

    def stored(self, reply: Reply | None, *, creates: bool = False) -> Row:
        """What an answer says was stored; nothing for a deletion. Raises `Failed` as `send` does."""
        if reply is None:
            raise Failed(Unknown("Google did not answer."))
        found = problem(reply)
        if found is not None:
            raise Failed(outcome(found, creates=creates))
        row: Row = reply.json or {}
        return row

    # Series

    def finish(self, bundle: Bundle, uid: str, content: Content) -> Outcome:
        """Go on with a series that was made without its exceptions, and take the mark off."""
        rows = self._write_instances(bundle, uid, content)
        unmarked = self.send(self._patch(bundle.event, {"extendedProperties": {"private": {more.PENDING: None}}}))
        return Done(Bundle(unmarked, rows, bundle.zone).item())

    def reconcile(self, bundle: Bundle, uid: str, content: Content) -> Outcome:
        """Make a series with exceptions equal to ``content``: the event first, then each instance that differs.

        Every write is conditional on what ``bundle`` shows. After the first one, failures are `Unknown`: the item is
        to be looked at again. The echo is put together from the answers, so that it holds nothing that somebody else
        has written meanwhile.
        """
        known = {row["id"] for row in bundle.exceptions}
        call = self.change(bundle, uid, content, conditional=True)
        if call is not None:
            fresh = self._changed_event(call)
            # A change of the event may have changed its exceptions, or undone them; new ones are somebody else's.
            if fresh is None or any(row["id"] not in known for row in fresh.exceptions):
                return Unknown("Somebody changed the series while it was being written.", of_item=True)
            bundle = fresh
        return Done(Bundle(bundle.event, self._write_instances(bundle, uid, content), bundle.zone).item())

    def _changed_event(self, call: Call) -> Bundle | None:
        row = self.send(call)
        if not row.get("recurrence"):
            return Bundle(row, (), self._zone())
        return self._reader.complete(self._calendar, [row])[0]

    def _write_instances(self, bundle: Bundle, uid: str, content: Content) -> list[Row]:
        """Write the instances that differ; all exceptions as they are then. Raises `Failed`."""
        if not bundle.is_series:
            return []
        found, calls = self._instances(bundle, content)
        rows = {row["id"]: row for row in (*bundle.exceptions, *found.values())}
        for rid, row in found.items():
            target = Target(instance(content, rid), row, bundle.zone)
            body = changed(target, read_event(row, bundle.zone), bundle.event["id"], uid)
            if body:
                calls.append(self._patch(row, body))
        failures = []
        for call, reply in zip(calls, self._client.send_all(calls) if calls else [], strict=True):
            try:
                row = self.stored(reply)
            except Failed as failed:
                failures.append(failed.result)
                continue
            # Of a cancelled instance Google need not tell all of this.
            before = rows[call.path.rpartition("/")[2]]
            rows[before["id"]] = {**{name: before[name] for name in _IDENTITY}, **row}
        if failures:
            refused = next((result for result in failures if isinstance(result, Refused)), None)
            moved = all(isinstance(result, Stale) for result in failures)
            raise Failed(refused or Unknown("Not all instances of the series were written.", of_item=moved))
        # What was looked up and needed no change is no exception.
        exceptional = {row["id"] for row in bundle.exceptions} | {call.path.rpartition("/")[2] for call in calls}
        return [row for row in rows.values() if row["id"] in exceptional]

    def _instances(self, bundle: Bundle, content: Content) -> tuple[dict[str, Row], list[Call]]:
        """By recurrence id the instances that must be looked at, as they are now, and the cancellations to be made.

        Those that were cancelled and are not to be any more are brought back on the way. Raises `Failed`.
        """
        overrides: Mapping[str, Content] = content.get("overrides", {})
        fields = bound(content, bundle.zone)
        slots = {rid_of(row, fields, bundle.zone): row for row in bundle.exceptions}
        if fields is not content:
            slots = {rid[:19]: row for rid, row in slots.items()}
        unwanted = {*content.get("exdates", ()), *outside(content, slots)} - overrides.keys()
        rows, calls, asked = {}, [], []
        for rid, row in slots.items():
            cancelled = row.get("status") == "cancelled"
            if rid in unwanted:
                calls += [] if cancelled else [self._patch(row, {"status": "cancelled"})]
            elif cancelled:
                asked.append((rid, self._patch(row, {"status": "confirmed"})))
            else:
                rows[rid] = row
        frame = Frame(fields)
        asked += [(rid, self._lookup(bundle.event["id"], frame, rid)) for rid in overrides if rid not in slots]
        replies = self._client.send_all([call for _, call in asked]) if asked else []
        for (rid, call), reply in zip(asked, replies, strict=True):
            answer = self.stored(reply)
            rows[rid] = answer if call.method == "PATCH" else _first(answer)
        return rows, calls

    def _lookup(self, master: str, frame: Frame, rid: str) -> Call:
        """The instance that lies at a recurrence id."""
        slot = frame.slot(rid)
        start = slot.wall if slot.is_date else f"{frame.instant(slot):%Y-%m-%dT%H:%M:%SZ}"
        path = events_path(self._calendar, master) + "/instances"
        return Call("GET", path, {"originalStart": start, "showDeleted": "true", "maxResults": 1})


def _first(page: Row) -> Row:
    if not page.get("items"):
        raise Failed(Refused("Google Calendar does not have an instance of the series that was changed."))
    row: Row = page["items"][0]
    return row


def tried(write: Callable[[], Outcome]) -> Outcome:
    """The outcome of a write, however it is told. Raises `ProviderError` where no write of the account can succeed."""
    try:
        return write()
    except Failed as failed:
        return failed.result
    except Unholdable as error:
        return Refused(str(error))
    except ProviderError as error:  # while looking at what was written
        if error.trait is not Trait.RETRY:
            raise
        return Unknown(error.message)


def lost(error: ProviderError) -> Outcome:
    """For a read before the write of an event."""
    if error.trait is not Trait.RETRY:
        raise error
    return NotSent(error.message, error.retry_after)
