"""Writing events: conditional patches, and series with their exceptions, which take several requests.

A new series with overrides is first written with a mark; until its exceptions are there too and the mark is taken off,
`GoogleProvider.get` does not show it. So after a crash in between, the create is repeated, meets its own id, and goes
on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from calhub.calendar.event import Content
from calhub.calendar.ical_time import Frame, instance
from calhub.providers.base import Done, NotSent, Outcome, ProviderError, Refused, Trait, Unknown
from calhub.providers.google import more
from calhub.providers.google.client import Call, Client, events_path
from calhub.providers.google.errors import outcome, problem
from calhub.providers.google.inward import Row, outside, read_event, rid_of
from calhub.providers.google.outward import Target, changed, whole
from calhub.providers.google.series import Bundle, Series
from calhub.providers.google.times import Unholdable, bound
from calhub.providers.http import Unreached
from calhub.providers.rest import Reply

_CHANGED = "Somebody changed the series while it was being written."


class Failed(Exception):
    """A write came to nothing, or nobody knows what it came to."""

    def __init__(self, result: Outcome) -> None:
        super().__init__(result)
        self.result = result


class Writer:
    """Writes to one calendar. ``params`` go with every write; ``zone`` tells the calendar's time zone."""

    def __init__(self, client: Client, calendar: str, params: Mapping[str, str | int], zone: Callable[[], str]) -> None:
        self._client = client
        self._series = Series(client)
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

    def finish(self, event: Row, uid: str, content: Content) -> Outcome:
        """Go on with a series that was made without its exceptions, and take the mark off."""
        (bundle,) = self._series.complete(self._calendar, [event])
        if bundle is None:
            return Unknown("The series vanished while it was being written.")
        result = self.reconcile(bundle, uid, content)
        if not isinstance(result, Done):
            return result if isinstance(result, Refused) else Unknown("The series was written in part only.")
        (bundle,) = self._series.complete(self._calendar, [event])
        if bundle is None:
            return Unknown(_CHANGED)
        unmarked = self.send(self._patch(bundle.event, {"extendedProperties": {"private": {more.PENDING: None}}}))
        (bundle,) = self._series.complete(self._calendar, [unmarked])
        return Done(bundle.item()) if bundle is not None else Unknown(_CHANGED)

    def reconcile(self, bundle: Bundle, uid: str, content: Content) -> Outcome:
        """Make a series with exceptions equal to ``content``: the event first, then each instance that differs.

        Every write is conditional on what ``bundle`` shows. After the first one, failures are `Unknown`: the item is
        to be looked at again.
        """
        known = {row["id"] for row in bundle.exceptions}
        call = self.change(bundle, uid, content, conditional=True)
        if call is not None:
            fresh = self._changed_master(call)
            # A change of the event may have changed its exceptions, or undone them; new ones are somebody else's.
            if fresh is None or any(row["id"] not in known for row in fresh.exceptions):
                return Unknown(_CHANGED)
            bundle = fresh
        etags = self._write_instances(bundle, uid, content)
        if not etags:
            return Done(bundle.item())
        (after,) = self._series.complete(self._calendar, [bundle.event])
        if after is None:
            return Unknown(_CHANGED)
        expected = {row["id"]: row.get("etag") for row in bundle.exceptions} | etags
        for row in after.exceptions:
            if row["id"] not in expected or expected[row["id"]] not in (None, row.get("etag")):
                return Unknown(_CHANGED)
        return Done(after.item())

    def _changed_master(self, call: Call) -> Bundle | None:
        row = self.send(call)
        if not row.get("recurrence"):
            return Bundle(row, (), self._zone())
        return self._series.complete(self._calendar, [row])[0]

    def _write_instances(self, bundle: Bundle, uid: str, content: Content) -> dict[str, str | None]:
        """Write what differs; the new etags by id (None: not known). Raises `Failed`."""
        rows, calls, revived = self._instances(bundle, content)
        master = bundle.event["id"]
        for rid, row in rows.items():
            target = Target(instance(content, rid), row, bundle.zone)
            body = changed(target, read_event(row, bundle.zone), master, uid)
            if body:
                calls.append(self._patch(row, body))
        etags: dict[str, str | None] = {row["id"]: row.get("etag") for row in revived}
        failures = []
        for call, reply in zip(calls, self._client.send_all(calls) if calls else [], strict=True):
            try:
                etags[call.path.rpartition("/")[2]] = self.stored(reply).get("etag")
            except Failed as failed:
                failures.append(failed.result)
        refused = next((result for result in failures if isinstance(result, Refused)), None)
        if failures:
            raise Failed(refused or Unknown("Not all instances of the series were written."))
        return etags

    def _instances(self, bundle: Bundle, content: Content) -> tuple[dict[str, Row], list[Call], list[Row]]:
        """By recurrence id the instances that must be looked at, as they are now; the deletions to be made; what was
        cancelled and has been brought back."""
        overrides: Mapping[str, Content] = content.get("overrides", {})
        if not bundle.is_series:
            return {}, [], []
        frame = bound(content, bundle.zone)
        floating = frame is not content
        slots = {rid_of(row, frame, bundle.zone): row for row in bundle.exceptions}
        slots = {rid[:19] if floating else rid: row for rid, row in slots.items()}
        unwanted = {*content.get("exdates", ()), *outside(content, slots)} - overrides.keys()
        calls, rows, asked = [], {}, []
        for rid, row in slots.items():
            cancelled = row.get("status") == "cancelled"
            if rid in unwanted:
                calls += [] if cancelled else [self.deletion(row["id"], row.get("etag"))]
            elif cancelled:
                asked.append((rid, self._patch(row, {"status": "confirmed"})))
            else:
                rows[rid] = row
        zoned = Frame(frame)
        missing = [rid for rid in overrides if rid not in slots]
        asked += [(rid, self._lookup(bundle.event["id"], zoned, rid)) for rid in missing]
        found = self._client.send_all([call for _, call in asked]) if asked else []
        revived = []
        for (rid, call), reply in zip(asked, found, strict=True):
            row = self.stored(reply)
            if call.method == "GET":
                rows[rid] = self._first(row)
            else:
                rows[rid] = row
                revived.append(row)
        return rows, calls, revived

    def _lookup(self, master: str, frame: Frame, rid: str) -> Call:
        """The instance that lies at a recurrence id."""
        slot = frame.slot(rid)
        start = slot.wall if slot.is_date else f"{frame.instant(slot):%Y-%m-%dT%H:%M:%SZ}"
        path = events_path(self._calendar, master) + "/instances"
        return Call("GET", path, {"originalStart": start, "showDeleted": "true", "maxResults": 1})

    def _first(self, page: Row) -> Row:
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
