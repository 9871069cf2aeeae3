"""Reading and writing events of the emulated Google Calendar: the handlers below ``/calendars/{calendar}/events``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Protocol

from calhub.testing.services.base import Clock, Request, Response, Route
from calhub.testing.services.google import recurring, rules
from calhub.testing.services.google.recurring import Body
from calhub.testing.services.google.rules import failed
from calhub.testing.services.google.store import CalendarData, Row, decode_token, encode_token, tombstone

ROOT: Final = "/calendar/v3"
EVENTS: Final = ROOT + "/calendars/{calendar}/events"
_STANDARD: Final = frozenset({"alt", "fields", "prettyPrint", "quotaUser", "key", "userIp"})
_WITH_TOKEN: Final = frozenset({"syncToken", "pageToken", "maxResults"})
#: google: Reading, "Never combine syncToken with".
_NEVER_WITH_TOKEN: Final = (
    "iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax", "updatedMin",
)  # fmt: skip
_LIST: Final = frozenset(
    {*_NEVER_WITH_TOKEN, *_WITH_TOKEN, "singleEvents", "showDeleted", "maxAttendees", "eventTypes", "timeZone",
     "showHiddenInvitations"}
)  # fmt: skip
_WRITE: Final = frozenset(
    {"sendUpdates", "sendNotifications", "conferenceDataVersion", "supportsAttachments", "maxAttendees",
     "eventLabelVersion"}
)  # fmt: skip


class Owner(Protocol):
    """What the handlers need of the service."""

    clock: Clock
    email: str
    seq: int
    outbox: list[tuple[str, str]]
    resets_exceptions: bool
    keeps_exceptions: bool
    follows_master: bool

    def open(self, request: Request, *, writes: bool = False) -> CalendarData: ...
    def changed(self, calendar: CalendarData) -> None: ...
    def next_seq(self) -> int: ...


class Events:
    def __init__(self, owner: Owner) -> None:
        self.owner = owner

    def routes(self) -> Sequence[Route]:
        return [
            Route("GET", EVENTS, self.listing),
            Route("POST", EVENTS, self.insert),
            Route("POST", EVENTS + "/import", self.import_),
            Route("GET", EVENTS + "/{event}", self.get),
            Route("PUT", EVENTS + "/{event}", self.update),
            Route("PATCH", EVENTS + "/{event}", self.patch),
            Route("DELETE", EVENTS + "/{event}", self.delete),
            Route("GET", EVENTS + "/{event}/instances", self.instances),
        ]

    # Reading

    def listing(self, request: Request) -> Response:
        """events.list, in full and by token (google: Reading)."""
        calendar = self.owner.open(request)
        _known(request, _LIST)
        start, query = self._position(request, calendar)
        size = _page_size(request, 250, 2500)
        if _flag(request, "singleEvents") or request.param("orderBy"):
            raise failed(400, "badRequest", "The emulator does not expand or order lists.")
        rows = calendar.after(start)
        wanted = self._filter(request, calendar, incremental=request.param("syncToken") is not None)
        page: list[Row] = []
        last: int | None = None
        for row in rows:
            if wanted(row):
                if len(page) == size:
                    break
                page.append(row)
            last = row.seq
        else:
            last = None
        ends: dict[str, Any] = {
            "nextSyncToken": encode_token(c=calendar.id, s=self.owner.seq, e=calendar.epoch, q=query)
        }
        if last is not None:
            ends = {"nextPageToken": encode_token(c=calendar.id, p=last, e=calendar.epoch, q=query)}
        return _rows({"kind": "calendar#events", "etag": f'"{self.owner.seq}"', "summary": calendar.summary,
                      "timeZone": calendar.time_zone, "accessRole": calendar.role, **ends}, page)  # fmt: skip

    def _position(self, request: Request, calendar: CalendarData) -> tuple[int, str]:
        """The seq to list from, and the query that must stay the same."""
        query = _query(request)
        token, page = request.param("syncToken"), request.param("pageToken")
        if token is not None:
            for name in _NEVER_WITH_TOKEN:
                if request.param(name) is not None:
                    raise failed(400, "badRequest", f"Sync token cannot be combined with {name}.")
            if request.param("showDeleted") == "false":
                raise failed(400, "badRequest", "Deletions are always delivered with a sync token.")
            found = decode_token(token)
            if found is None or found.get("c") != calendar.id or "s" not in found:
                raise failed(400, "invalid", "Invalid sync token value.")
            if found["e"] != calendar.epoch:
                message = "Sync token is no longer valid, a full sync is required."
                raise failed(410, "fullSyncRequired", message)
            if found["q"] != query:
                raise failed(400, "badRequest", "The query differs from that of the sync token.")
        start = decode_token(token)["s"] if token is not None else 0  # type: ignore[index]  # checked above
        if page is not None:
            found = decode_token(page)
            if found is None or found.get("c") != calendar.id or "p" not in found or found["q"] != query:
                raise failed(400, "invalid", "Invalid page token value.")
            start = found["p"]
        return start, query

    def _filter(self, request: Request, calendar: CalendarData, *, incremental: bool) -> Callable[[Row], bool]:
        deleted = _flag(request, "showDeleted") or incremental
        uid, marks = request.param("iCalUID"), request.query.get("privateExtendedProperty")
        low, high = _moment(request, "timeMin"), _moment(request, "timeMax")
        types = request.query.get("eventTypes")

        def wanted(row: Row) -> bool:
            if types is not None and not row.cancelled and row.body["eventType"] not in types:
                return False
            if row.cancelled and not deleted and row.master is None:
                return False
            if uid is not None and row.uid != uid:
                return False
            if marks is not None:
                own = row.body.get("extendedProperties", {}).get("private", {})
                if not any(own.get(name) == value for name, _, value in (mark.partition("=") for mark in marks)):
                    return False
            if (low or high) and not row.cancelled and not row.body.get("recurrence"):
                end = recurring.instant(row.body["end"], calendar.time_zone)
                start = recurring.instant(row.body["start"], calendar.time_zone)
                return (low is None or end > low) and (high is None or start < high)
            return True

        return wanted

    def get(self, request: Request) -> Response:
        calendar = self.owner.open(request)
        _known(request, frozenset({"maxAttendees", "timeZone"}))
        body = self._find(calendar, request)
        if request.header("if-none-match") == body["etag"]:
            return Response(status=304)
        return Response.of(body, headers={"ETag": body["etag"]})

    def instances(self, request: Request) -> Response:
        """events.instances (google: Recurrence and exceptions)."""
        calendar = self.owner.open(request)
        _known(request, frozenset({"originalStart", "showDeleted", "timeMin", "timeMax", "maxResults", "pageToken",
                                   "timeZone", "maxAttendees"}))  # fmt: skip
        row = calendar.rows.get(request.path_value("event"))
        if row is None or row.cancelled or not row.body.get("recurrence"):
            raise failed(404, "notFound", "Not Found")
        found = self._instances(request, calendar, row)
        start, size = int(request.param("pageToken") or 0), _page_size(request, 250, 2500)
        page = list(islice(found, start, start + size + 1))
        answer: Body = {"kind": "calendar#events", "timeZone": calendar.time_zone, "items": page[:size]}
        return Response.of(answer | ({"nextPageToken": str(start + size)} if len(page) > size else {}))

    def _instances(self, request: Request, calendar: CalendarData, row: Row) -> Iterator[Body]:
        zone = calendar.time_zone
        asked = request.param("originalStart")
        wanted = None
        if asked is not None:
            wanted = recurring.instant({"date" if len(asked) == 10 else "dateTime": asked.replace(" ", "+")}, zone)
        low, high = _moment(request, "timeMin"), _moment(request, "timeMax")
        for body in calendar.instances(row.body):
            slot = recurring.instant(body["originalStartTime"], zone)
            if wanted is not None and slot > wanted:
                return
            if wanted is not None and slot != wanted:
                continue
            if body["status"] == "cancelled":
                if _flag(request, "showDeleted"):
                    yield body
                continue
            if high is not None and recurring.instant(body["start"], zone) >= high:
                return
            if low is None or recurring.instant(body["end"], zone) >= low:
                yield body

    def _find(self, calendar: CalendarData, request: Request) -> Body:
        event_id = request.path_value("event")
        row = calendar.rows.get(event_id)
        body = row.body if row is not None else calendar.instance(event_id)
        if body is None:
            raise failed(404, "notFound", "Not Found")
        return body

    # Writing

    def insert(self, request: Request) -> Response:
        calendar = self._writable(request)
        body = _body(request)
        if "id" in body and "iCalUID" in body:
            raise failed(400, "invalid", "id and iCalUID must not both be given.")
        body = {name: value for name, value in body.items() if name not in rules.READ_ONLY}
        body.setdefault("id", f"g{self.owner.next_seq():08}")
        rules.check_id(body["id"])
        uid = body.setdefault("iCalUID", f"{body['id']}@google.com")
        # google: Writing, "A deleted id can never be inserted again", nor can its iCalUID.
        if body["id"] in calendar.rows or any(row.uid == uid and row.master is None for row in calendar.rows.values()):
            raise failed(409, "duplicate", "The requested identifier already exists.")
        if body.get("eventType", "default") not in rules.TYPES or body.get("eventType") == "fromGmail":
            raise failed(400, "invalid", "Invalid value for: eventType")
        me = {"email": self.owner.email, "self": True}
        body |= {"creator": me, "organizer": me}
        return self._stored(request, calendar, self._optional(request, body, {}))

    def import_(self, request: Request) -> Response:
        """events.import: a private copy of an event organised elsewhere (google: Writing)."""
        calendar = self._writable(request)
        body = _body(request)
        if not body.get("iCalUID"):
            raise failed(400, "required", "Missing iCalUID.")
        if any(row.uid == body["iCalUID"] for row in calendar.rows.values()):
            raise failed(409, "duplicate", "The requested identifier already exists.")
        body["id"] = f"_i{self.owner.next_seq():08}"
        body["organizer"] = {**body.get("organizer", {}), "self": False}
        return self._stored(request, calendar, self._optional(request, body, {}))

    def update(self, request: Request) -> Response:
        """PUT: a full replace; what is not sent goes back to its default."""
        calendar = self._writable(request)
        stored = self._expected(request, calendar)
        body = {name: value for name, value in _body(request).items() if name not in rules.READ_ONLY}
        kept = {name: stored[name] for name in (*rules.READ_ONLY, "id", "iCalUID") if name in stored}
        return self._replace(request, calendar, stored, self._optional(request, body | kept, stored))

    def patch(self, request: Request) -> Response:
        calendar = self._writable(request)
        stored = self._expected(request, calendar)
        sent = {name: value for name, value in _body(request).items() if name not in (*rules.READ_ONLY, "id")}
        if sent.get("attendeesOmitted"):  # google: Attendees, only the participant's own response is taken
            own = {person["email"]: person for person in sent["attendees"]}
            people = [person | own.get(person["email"], {}) for person in stored.get("attendees", ())]
            sent = {**sent, "attendees": people}
            del sent["attendeesOmitted"]
        return self._replace(request, calendar, stored, self._optional(request, rules.merged(stored, sent), stored))

    def delete(self, request: Request) -> Response:
        calendar = self._writable(request)
        stored = self._expected(request, calendar)
        if stored["status"] == "cancelled":
            raise failed(410, "deleted", "Resource has been deleted")
        self._mail(request, stored)
        self.remove(calendar, stored)
        return Response(status=204)

    def remove(self, calendar: CalendarData, stored: Body) -> None:
        """Leave a tombstone; the exceptions of a master go with it."""
        for row in calendar.exceptions(stored["id"]):
            calendar.drop(row.body["id"])
        uid = calendar.rows[stored["id"]].uid if stored["id"] in calendar.rows else stored["iCalUID"]
        self.save(calendar, tombstone(stored), uid=uid)

    def _replace(self, request: Request, calendar: CalendarData, stored: Body, body: Body) -> Response:
        mine = stored.get("organizer", {}).get("self")
        if not mine and any(stored.get(name) != body.get(name) for name in rules.SHARED if name in {*stored, *body}):
            raise failed(403, "forbiddenForNonOrganizer", "Shared properties can only be changed by the organizer.")
        if stored.get("eventType") != body.get("eventType"):
            raise failed(400, "eventTypeRestriction", "The event type cannot be changed.")
        if body.get("status") == "cancelled":
            self.remove(calendar, stored)
            return Response.of(calendar.rows[stored["id"]].body)
        return self._stored(request, calendar, body)

    def _stored(self, request: Request, calendar: CalendarData, body: Body) -> Response:
        body.setdefault("status", "confirmed")
        rules.check_event(body, calendar.time_zone)
        saved = self.save(calendar, body, uid=body.get("iCalUID", ""))
        self._mail(request, saved)
        return Response.of(saved, headers={"ETag": saved["etag"]})

    def save(self, calendar: CalendarData, body: Body, *, uid: str) -> Body:
        """Store a checked event under a new etag, and do to exceptions what a change of their master does."""
        seq = self.owner.next_seq()
        now = self.owner.clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {"kind": "calendar#event", **body, "etag": f'"{seq}"', "id": body["id"]}
        if body["status"] != "cancelled":
            body |= {"updated": now, "created": body.get("created", now)}
            body.setdefault("eventType", "default")
            body.setdefault("reminders", {"useDefault": True})
            body |= {name: rules.shown_moment(body[name], calendar.time_zone) for name in ("start", "end")}
        before = calendar.rows.get(body["id"])
        calendar.put(Row(body, seq, uid))
        if before is not None and body.get("recurrence") is not None:
            self._exceptions_follow(calendar, before.body, body)
        elif before is not None and before.body.get("recurrence") is not None and body["status"] != "cancelled":
            for row in calendar.exceptions(body["id"]):
                calendar.drop(row.body["id"])
        self.owner.changed(calendar)
        return body

    def _exceptions_follow(self, calendar: CalendarData, before: Body, after: Body) -> None:
        """google: Recurrence, a change of rule or start can reset exceptions; fields may follow their master."""
        moved = any(before.get(name) != after.get(name) for name in ("recurrence", "start", "end"))
        for row in calendar.exceptions(after["id"]):
            wall = recurring.wall_of_suffix(after, row.body["id"].rpartition("_")[2], calendar.time_zone)
            there = wall is not None and recurring.is_instance(after, wall, calendar.time_zone)
            if moved and (self.owner.resets_exceptions or not (there or self.owner.keeps_exceptions)):
                calendar.drop(row.body["id"])
            elif self.owner.follows_master and not row.cancelled:
                self._follow(calendar, row, before, after)

    def _follow(self, calendar: CalendarData, row: Row, before: Body, after: Body) -> None:
        names = {*before, *after} - {"id", "etag", "recurrence", "start", "end", "updated", "created", "status"}
        changed = {name for name in names if before.get(name) != after.get(name)}
        taken = {name: after.get(name) for name in changed if row.body.get(name) == before.get(name)}
        if taken:
            seq = self.owner.next_seq()
            body = {name: value for name, value in (row.body | taken).items() if value is not None}
            calendar.put(Row(deepcopy(body) | {"etag": f'"{seq}"'}, seq, row.uid))

    def _expected(self, request: Request, calendar: CalendarData) -> Body:
        """The event to be changed. Raises `Failed` where If-Match does not fit (google: Writing)."""
        stored = self._find(calendar, request)
        expected = request.header("if-match")
        if expected is not None and expected not in ("*", stored["etag"]):
            raise failed(412, "conditionNotMet", "Precondition Failed")
        if stored["status"] == "cancelled" and stored.get("recurringEventId") and request.method in ("PUT", "PATCH"):
            plain = calendar.instance(stored["id"])  # a cancelled instance comes back as its series has it
            stored = stored if plain is None else plain | {"etag": stored["etag"], "status": "cancelled"}
        return stored

    def _optional(self, request: Request, body: Body, stored: Body) -> Body:
        """Parts that are ignored unless the query speaks of them (google: Writing)."""
        for name, spoken in (
            ("conferenceData", request.param("conferenceDataVersion") == "1"),
            ("attachments", _flag(request, "supportsAttachments")),
        ):
            if not spoken:
                body = {key: value for key, value in body.items() if key != name}
                body |= {name: stored[name]} if name in stored else {}
        for person in body.get("attendees", ()):
            person["email"] = person.get("email", "").lower()
            person.setdefault("responseStatus", "needsAction")
        return body

    def _mail(self, request: Request, body: Body) -> None:
        if request.param("sendUpdates") in ("all", "externalOnly") or request.param("sendNotifications") == "true":
            self.owner.outbox += [(body["id"], person["email"]) for person in body.get("attendees", ())]

    def _writable(self, request: Request) -> CalendarData:
        _known(request, _WRITE)
        return self.owner.open(request, writes=True)


def _body(request: Request) -> Body:
    try:
        body = request.json()
    except ValueError as error:
        raise failed(400, "parseError", "This API does not support parsing form-encoded input.") from error
    if not isinstance(body, dict) or "json" not in (request.header("content-type") or ""):
        raise failed(400, "parseError", "Parse Error")
    return body


def _rows(answer: Body, rows: list[Row]) -> Response:
    """A list answer, put together from rows that are JSON already."""
    head = Response.of({name: value for name, value in answer.items() if value is not None})
    body = head.body[:-1] + b', "items": [' + b",".join(row.json() for row in rows) + b"]}"
    return Response(status=200, headers=head.headers, body=body)


def _known(request: Request, names: frozenset[str]) -> None:
    for name in request.query:
        if name not in names and name not in _STANDARD:
            raise failed(400, "invalid", f"Unknown name {name!r}: cannot bind query parameter.")


def _query(request: Request) -> str:
    """The parameters that must be the same in the whole life of a sync token (google: Reading)."""
    kept = {name: list(values) for name, values in request.query.items() if name not in _WITH_TOKEN | _STANDARD}
    kept.pop("showDeleted", None)
    return repr(sorted(kept.items()))


def _flag(request: Request, name: str) -> bool:
    return request.param(name) == "true"


def _page_size(request: Request, default: int, largest: int) -> int:
    text = request.param("maxResults")
    if text is not None and (not text.isdecimal() or int(text) < 1):
        raise failed(400, "invalid", "Invalid value for: maxResults")
    return min(largest, int(text)) if text else default


def _moment(request: Request, name: str) -> datetime | None:
    text = request.param(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise failed(400, "badRequest", f"Invalid value for: {name}") from error
    if found.tzinfo is None:
        raise failed(400, "badRequest", f"Invalid value for: {name}")
    return found
