"""Create, update and delete as scripts (microsoft: Writing, Recurrence and exceptions, Attendees and invitations).

Every write looks first: Graph does not promise that If-Match holds for events, so the version is compared as well.
Nobody is mailed unless the replica has invitations on. Where a write could not but mail (a meeting of ours that has
attendees), it is refused with a sentence.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.ical_time import instance
from calhub.calendar.recurrence import Series
from calhub.providers.base import Done, NotSent, Refused, Stale, Unknown
from calhub.providers.microsoft import inward, kept
from calhub.providers.microsoft.client import Part, code_of, is_absent
from calhub.providers.microsoft.inward import Row, etag, is_series, item_of, version
from calhub.providers.microsoft.outward import SILENT, changes, new_event
from calhub.providers.microsoft.places import Place
from calhub.providers.microsoft.recurrence import Unholdable, check_exceptions, to_graph
from calhub.providers.microsoft.scripts import Script, Stopped, read, refused
from calhub.providers.microsoft.times import original
from calhub.providers.microsoft.trail import Trail
from calhub.providers.rest import Reply


class Disturbed(Stopped):
    """Somebody else has changed the event meanwhile: what is there now has to be looked at and merged."""

    def __init__(self) -> None:
        super().__init__(Unknown("Somebody else changed the event while it was being written.", of_item=True))


_MAILS: Final = (
    "Microsoft 365 would mail the attendees of this meeting; turn invitations on for this replica to write it."
)


@dataclass(frozen=True)
class Writer:
    """Writes to one calendar. ``invitations``: attendees are written, and Microsoft 365 mails them."""

    place: Place
    invitations: bool

    def create(self, transaction: str, uid: str, content: Content) -> Script:
        """``transaction`` makes the create harmless to repeat: Graph takes it once."""
        try:
            body = new_event(uid, content, transaction, attendees=self.invitations)
            check_exceptions(content)
        except (Unholdable, InvalidEvent) as error:
            return Refused(str(error))
        if (yield from self.find(uid)) is not None:
            return Stale()
        reply = yield Part("POST", self.place.events, body)
        if is_absent(reply):
            return NotSent("The calendar is not at Microsoft 365 any more.", of_item=True)
        if code_of(reply) == "errorduplicatetransactionid":
            return Stale()
        if reply.status >= 300:
            return refused(reply)
        made, trail = str(reply.json["id"]), Trail(reply.json)
        if _has_exceptions(content):
            try:
                yield from self._complete(made, content, trail)
            except Disturbed:
                raise  # somebody has taken an interest in it already
            except Stopped:
                yield Part("DELETE", self.place.event(made), undoes=True)
                raise
        return Done(item_of((yield from self._again(made, trail))))

    def update(self, event: str, content: Content, expected: str | None) -> Script:
        try:
            check_exceptions(content)
            row = yield from self.current(event)
            if row is None or (expected is not None and version(row) != expected):
                return Stale()
            now = self._content(row)
            # Without invitations nothing is said about attendees, in the event or in its instances.
            wanted = content if self.invitations else _without_people(content)
            properties = changes(now, wanted, row, attendees=self.invitations)
        except (Unholdable, InvalidEvent) as error:
            return Refused(str(error))
        if not self.invitations and _is_ours_with_guests(row) and _would_mail(properties, now, wanted):
            return Refused(_MAILS)
        trail = Trail(row)
        if properties:
            yield from self._patch(row, properties, trail)
        if _has_exceptions(wanted) or (_has_exceptions(now) and "rrule" in wanted):
            yield from self._complete(event, wanted, trail)
        return Done(item_of((yield from self._again(event, trail))))

    def delete(self, event: str, expected: str | None) -> Script:
        row = yield from self.current(event)
        if row is None:
            return Done(None)
        if expected is not None and version(row) != expected:
            return Stale()
        if not self.invitations and row.get("attendees"):
            if row.get("isOrganizer", True):
                return Refused(_MAILS)
            # A copy of somebody else's meeting: without an answer of ours, deleting it might send one.
            answered = yield Part("POST", f"{self.place.event(event)}/decline", {"sendResponse": False})
            if answered.status == 429 or answered.status >= 500:
                return refused(answered)
            if answered.status < 300:
                row = yield from self.current(event)
                if row is None:
                    return Done(None)
        reply = yield Part("DELETE", self.place.event(event), headers={"If-Match": etag(row)})
        return Done(None) if reply.status < 300 or is_absent(reply) else refused(reply)

    # Reading inside scripts

    def current(self, event: str) -> Generator[Part, Reply, dict[str, Any] | None]:
        """The event as it is, a series with its exceptions; None if it is not there."""
        row = _row((yield from read(self.place.read(event))))
        if row is not None and is_series(row):
            row = _row((yield from read(self.place.read_series(event))))
        return row

    def find(self, uid: str) -> Generator[Part, Reply, str | None]:
        """The id of the event with this UID, ours first."""
        for url in (self.place.find(uid), self.place.find_foreign(uid)):
            reply = yield from read(url)
            for row in (reply.json or {}).get("value") or ():
                if (kept.read(row).uid or row.get("iCalUId") or row.get("id")) == uid:
                    return str(row["id"])
        return None

    def _again(self, event: str, trail: Trail) -> Generator[Part, Reply, dict[str, Any]]:
        """Read back: what was answered to the write may have been saved again since, and lacks our properties."""
        row = yield from self.current(event)
        if row is None:
            raise Stopped(NotSent("The event was deleted while it was being written.", of_item=True))
        if trail.is_left(row):
            raise Disturbed
        trail.read(row)
        return row

    # Series

    def _complete(self, event: str, wanted: Content, trail: Trail) -> Generator[Part, Reply, None]:
        """Bring exceptions and deleted instances of a series to what is wanted; the master is right already.

        What is there decides, since a change of the rule may have dropped exceptions or not (microsoft: Recurrence).
        """
        row = yield from self._again(event, trail)
        now = self._content(row)
        if set(now.get("exdates", ())) - set(wanted.get("exdates", ())):
            row = yield from self._revive(row, wanted, trail)
            now = self._content(row)
        cancelled = {rid for rid, patch in wanted.get("overrides", {}).items() if patch.get("status") == "cancelled"}
        cancelled |= {*wanted.get("exdates", ())}
        missing = cancelled - {*now.get("exdates", ())}
        changed = (wanted.get("overrides", {}).keys() | now.get("overrides", {}).keys()) - cancelled
        changed = {rid for rid in changed if instance(wanted, rid) != instance(now, rid)}
        ids = yield from self._instances(row, Series(wanted), missing | changed)
        for rid in sorted(missing & ids.keys()):
            _check((yield Part("DELETE", self.place.event(ids[rid]["id"]))))
            trail.cancelled(rid)
        for rid in sorted(changed & ids.keys()):
            yield from self._change(ids[rid], instance(now, rid), instance(wanted, rid), trail)

    def _change(self, row: Row, now: Content, wanted: Content, trail: Trail) -> Generator[Part, Reply, None]:
        try:
            properties = changes(now, wanted, row, attendees=self.invitations, instance=True)
        except (Unholdable, InvalidEvent) as error:
            raise Stopped(Refused(str(error))) from error
        if properties:
            yield from self._send(Part("PATCH", self.place.event(row["id"]), properties), trail)

    def _revive(self, row: Row, wanted: Content, trail: Trail) -> Generator[Part, Reply, dict[str, Any]]:
        """Deleted instances come back only with a new rule: another one, and then the old one again."""
        rule = to_graph(wanted)
        assert rule is not None
        first = rule["range"]["startDate"]
        short = {**rule, "range": {"type": "endDate", "startDate": first, "endDate": first}}
        for recurrence in (short, rule):
            yield from self._send(Part("PATCH", self.place.event(row["id"]), {"recurrence": recurrence}), trail)
        return (yield from self._again(row["id"], trail))

    def _instances(
        self, row: Row, series: Series, wanted: set[str]
    ) -> Generator[Part, Reply, dict[str, Mapping[str, Any]]]:
        """Rows of instances by recurrence id: exceptions are known, others are looked up where they lie in time."""
        frame = series.frame
        found: dict[str, Mapping[str, Any]] = {
            frame.spell(original(each)): each for each in row.get("exceptionOccurrences") or ()
        }
        missing = sorted(frame.read(rid) for rid in wanted - found.keys())
        if missing:
            start, end = (
                f"{datetime.fromtimestamp(ts, UTC) + timedelta(days=by):%Y-%m-%dT%H:%M:%SZ}"
                for ts, by in ((missing[0], -2), (missing[-1], 2))
            )
            url: str | None = self.place.instances(row["id"], start, end)
            while url:
                reply = yield from read(url)
                for each in (reply.json or {}).get("value") or ():
                    found.setdefault(frame.spell(original(each)), each)
                url = (reply.json or {}).get("@odata.nextLink")
        return found

    # Small things

    def _patch(self, row: Row, properties: Mapping[str, Any], trail: Trail) -> Generator[Part, Reply, None]:
        part = Part("PATCH", self.place.event(row["id"]), dict(properties), {"If-Match": etag(row)})
        yield from self._send(part, trail)

    def _send(self, part: Part, trail: Trail) -> Generator[Part, Reply, None]:
        reply = yield part
        _check(reply)
        trail.wrote(reply.json, part.json)

    def _content(self, row: Row) -> Content:
        return inward.content_of(row, kept.read(row), attendees=self.invitations)


def _would_mail(properties: Mapping[str, Any], now: Content, wanted: Content) -> bool:
    exceptions = [{name: side.get(name) for name in ("exdates", "overrides")} for side in (now, wanted)]
    return bool(properties.keys() - SILENT) or exceptions[0] != exceptions[1]


def _without_people(content: Content) -> Content:
    people = ("attendees", "organizer")
    result = {name: value for name, value in content.items() if name not in people}
    if "overrides" in result:
        result["overrides"] = {
            rid: {name: value for name, value in patch.items() if name not in people}
            for rid, patch in result["overrides"].items()
        }
    return result


def _is_ours_with_guests(row: Row) -> bool:
    return bool(row.get("attendees")) and bool(row.get("isOrganizer", True))


def _has_exceptions(content: Content) -> bool:
    return bool(content.get("exdates") or content.get("overrides"))


def _row(reply: Reply) -> dict[str, Any] | None:
    return reply.json if reply.status < 300 and isinstance(reply.json, dict) else None


def _check(reply: Reply) -> None:
    """Raise `Stopped` unless the write succeeded."""
    if reply.status >= 300:
        raise Stopped(refused(reply))
