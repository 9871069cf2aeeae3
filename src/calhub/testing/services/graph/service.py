"""Microsoft Graph v1.0 calendars as a real HTTP server (facts: the sheet "microsoft", by its headings).

with Graph() as graph:
    calendar = graph.user_calendar("Work")
    ...                                       # an account with api_root = graph.root
    graph.user_patch(event_id, subject="Moved by hand")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from calhub.testing.services.base import Clock, Request, Response, Route, Service
from calhub.testing.services.graph.checks import Bad, check_event, check_names, stored_body
from calhub.testing.services.graph.delta import DEFAULT_PAGE, LARGEST_PAGE, Rounds
from calhub.testing.services.graph.filters import chosen
from calhub.testing.services.graph.meetings import Outbox, keep_online
from calhub.testing.services.graph.shape import Row, View
from calhub.testing.services.graph.store import Calendar, Changed, Event, Mailbox, occurrence_id, pattern_of
from calhub.testing.services.graph.subscriptions import Subscriptions
from calhub.testing.services.oauth import OAuth, Paths

BATCH: Final = 20
_TENANT: Final = "/{tenant}/oauth2/v2.0"
#: Changing these drops every exception of a series (microsoft: Recurrence and exceptions).
_RESETS: Final = frozenset({"start", "end", "isAllDay", "recurrence"})
_NO_QUERY: Final = ("$select", "$expand", "$filter", "$orderby", "$search")


class Graph(Service):
    """One tenant with one user, whose mailbox has a default calendar "Calendar"."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        paths = Paths(
            authorize=f"{_TENANT}/authorize", token=f"{_TENANT}/token", device=f"{_TENANT}/devicecode", revoke=None
        )
        self.oauth = OAuth(clock=self.clock, client_secret=None, rotates=True, paths=paths)
        self.mailbox = Mailbox()
        self.rounds = Rounds(self.mailbox)
        self.outbox = Outbox()
        self.subscriptions = Subscriptions(self)
        self.codes = dict(_CODES)  # what planned faults are called, by status
        self.duplicate_status = 409  # 400 has been seen as well (microsoft: Writing)
        self._events = 0
        self.default = self.user_calendar("Calendar", is_default=True)

    @property
    def root(self) -> str:
        """The ``api_root`` of an account."""
        return f"{self.url}/v1.0"

    def credentials(self) -> dict[str, str]:
        """What goes into ``--credentials`` for an account that has signed in."""
        token = self.oauth.issue("Calendars.ReadWrite offline_access")
        given = {"client_id": self.oauth.client_id, "tenant": "common", "refresh_token": token}
        return {**given, "authority": self.url, "api_root": self.root}

    # What users do in Outlook.

    def user_calendar(self, name: str, *, is_default: bool = False, can_edit: bool = True) -> str:
        with self.lock:
            calendar_id = f"AQMkADAwATM0MDAAMS1iCal{len(self.mailbox.calendars) + 1:08d}AAAA="
            self.mailbox.calendars[calendar_id] = Calendar(calendar_id, name, is_default, can_edit)
            return calendar_id

    def user_event(self, calendar: str, *, organizer: bool = True, **props: Any) -> str:
        """A user makes an event, or accepts an invitation to one; returns its immutable id. No mail is noted."""
        with self.lock:
            event = self._make(self.mailbox.calendars[calendar], props)
            event.organizer = organizer
            return event.id(immutable=True)

    def user_patch(self, name: str, **props: Any) -> None:
        """A user changes an event, or one instance."""
        with self.lock:
            self._change(*self._found(name), props)

    def user_delete(self, name: str) -> None:
        """A user deletes an event, or one instance."""
        with self.lock:
            self._remove(*self._found(name))

    def user_move(self, name: str, calendar: str) -> None:
        """A user drags an event into another calendar: its immutable id stays."""
        with self.lock:
            event, _ = self._found(name)
            left, event.calendar, event.moves = event.calendar, calendar, event.moves + 1
            self.mailbox.index(event)
            self.mailbox.touch(event, self.clock(), left)

    def user_delete_calendar(self, calendar: str) -> None:
        with self.lock:
            del self.mailbox.calendars[calendar]

    def user_instance(self, name: str, day: str) -> str:
        """The id of the instance that a series would have on a day."""
        with self.lock:
            return occurrence_id(self._found(name)[0].id(immutable=True), date.fromisoformat(day))

    def event(self, name: str) -> Event:
        """What is stored."""
        return self._found(name)[0]

    # The service.

    def expire_tokens(self) -> None:
        self.oauth.expire()

    def error(self, status: int, request: Request) -> Response:
        return failure(status, self.codes.get(status, "UnknownError"), "The emulator was told so.", request)

    def routes(self) -> Sequence[Route]:
        routes = [
            ("GET", "/me/calendars", self._calendars),
            ("POST", "/me/calendars", self._make_calendar),
            ("GET", "/me/calendars/{calendar}", lambda request: self._json(_calendar_row(self._calendar(request)))),
            ("DELETE", "/me/calendars/{calendar}", self._delete_calendar),
            ("GET", "/me/calendars/{calendar}/events", self._list),
            ("POST", "/me/calendars/{calendar}/events", self._create),
            ("GET", "/me/calendars/{calendar}/events/{event}", self._get),
            ("GET", "/me/calendars/{calendar}/calendarView", self._view),
            ("GET", "/me/calendars/{calendar}/calendarView/delta", self._delta),
            ("GET", "/me/calendars/{calendar}/calendarView/delta()", self._delta),  # as the SDK writes it
            ("GET", "/me/events/{event}", self._get),
            ("PATCH", "/me/events/{event}", self._patch),
            ("DELETE", "/me/events/{event}", self._delete),
            ("GET", "/me/events/{event}/instances", self._instances),
            ("POST", "/me/events/{event}/decline", self._decline),
            ("GET", "/me/mailboxSettings/timeZone", lambda _: self._json({"value": "W. Europe Standard Time"})),
            ("POST", "/$batch", self._batch),
            *self.subscriptions.routes(),
        ]
        guarded = [Route(method, f"/v1.0{path}", self._guarded(handler)) for method, path, handler in routes]
        return [*self.oauth.routes(), *guarded]

    def _guarded(self, handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            if self.oauth.scope_of(request) is None:
                return failure(401, "InvalidAuthenticationToken", "Access token has expired.", request)
            try:
                return handler(request)
            except Bad as bad:
                return failure(bad.status, bad.code, str(bad), request)

        return answer

    # Calendars

    def _calendars(self, request: Request) -> Response:
        rows = [_calendar_row(calendar) for calendar in self.mailbox.calendars.values()]
        return self._json(self._paged(request, rows))

    def _make_calendar(self, request: Request) -> Response:
        name = (request.json() or {}).get("name")
        if not name or name in [calendar.name for calendar in self.mailbox.calendars.values()]:
            raise Bad("ErrorFolderExists", "A calendar of this name exists.", 409)
        return self._json(_calendar_row(self.mailbox.calendars[self.user_calendar(name)]), 201)

    def _delete_calendar(self, request: Request) -> Response:
        calendar = self._calendar(request)
        if calendar.is_default:
            raise Bad("ErrorDeleteDistinguishedFolder", "The default calendar cannot be deleted.")
        del self.mailbox.calendars[calendar.id]
        return Response(status=204)

    def _calendar(self, request: Request) -> Calendar:
        calendar = self.mailbox.calendars.get(request.path_value("calendar"))
        if calendar is None:
            raise Bad("ErrorItemNotFound", "The specified object was not found in the store.", 404)
        return calendar

    # Reading

    def _list(self, request: Request) -> Response:
        view, events = View.of(request), self.mailbox.listed(self._calendar(request).id)
        events = chosen(events, request.param("$filter"))
        return self._json(self._paged(request, events, view.row))

    def _get(self, request: Request) -> Response:
        event, day = self._found(request.path_value("event"))
        if "calendar" in request.values and event.calendar != self._calendar(request).id:
            raise _not_found()
        return self._json(View.of(request).row(event, day, is_get=True))

    def _view(self, request: Request) -> Response:
        window, view = _window(request), View.of(request)
        rows: list[Row] = []
        for event in self.mailbox.listed(self._calendar(request).id):
            if event.pattern is not None:
                rows += [view.row(event, day) for day in event.dates(*window)]
            elif event.overlaps(*window):
                rows.append(view.row(event))
        return self._json(self._paged(request, rows))

    def _instances(self, request: Request) -> Response:
        event, day = self._found(request.path_value("event"))
        window, view = _window(request), View.of(request)
        if day is not None or event.pattern is None:
            raise Bad("ErrorInvalidRequest", "This is no series.")
        return self._json(self._paged(request, event.dates(*window), lambda each: view.row(event, each)))

    def _delta(self, request: Request) -> Response:
        calendar = self._calendar(request)
        if any(request.param(name) for name in _NO_QUERY):
            raise Bad("ErrorInvalidUrlQuery", "A delta takes no such query option.")
        view = View.of(request)
        if token := request.param("$skiptoken"):
            page = self.rounds.next(token, view)
        elif token := request.param("$deltatoken"):
            page = self.rounds.again(token, view)
        else:
            page = self.rounds.first(calendar.id, _window(request), view)
        here = f"http://{request.header('host')}{request.path}"
        if page is None:
            gone = failure(410, "SyncStateNotFound", "The sync state generation is not found.", request)
            return replace(gone, headers={**gone.headers, "Location": here})
        rows, query = page
        link = {"@odata.nextLink" if "skiptoken" in query else "@odata.deltaLink": f"{here}?{query}"}
        head = json.dumps({"@odata.context": f"{here}#Collection(event)", **link})
        body = f'{head[:-1]},"value":{rows}}}'.encode()
        return Response(headers={"Content-Type": "application/json; charset=utf-8"}, body=body)

    def _paged(self, request: Request, found: Sequence[Any], row: Callable[[Any], Row] = lambda each: each) -> Row:
        """By ``$skip``, so rows shift when something is deleted in between."""
        size = min(int(request.param("$top") or DEFAULT_PAGE), LARGEST_PAGE)
        skip = int(request.param("$skip") or 0)
        document: Row = {"value": [row(each) for each in found[skip : skip + size]]}
        if skip + size < len(found):
            query = {name: values[-1] for name, values in request.query.items()} | {"$skip": str(skip + size)}
            document["@odata.nextLink"] = f"http://{request.header('host')}{request.path}?{urlencode(query)}"
        return document

    # Writing

    def _create(self, request: Request) -> Response:
        calendar, body = self._calendar(request), _body(request)
        transaction = body.get("transactionId") if isinstance(body, dict) else None
        if transaction is not None and transaction in self.mailbox.transactions:
            # The memory outlives the event (microsoft: Writing).
            raise Bad("ErrorDuplicateTransactionId", "The id was used to create another event.", self.duplicate_status)
        event = self._make(calendar, body)
        self.outbox.created(event)
        if transaction is not None:
            self.mailbox.transactions[transaction] = event.number
        # The answer lacks what was not asked for, extended properties among it.
        return self._json(View.of(request).row(event), 201)

    def _patch(self, request: Request) -> Response:
        event, day = self._found(request.path_value("event"))
        self._writable(event)
        self._condition(request, event, day)
        body = _body(request)
        before = dict(event.props)
        self._change(event, day, body)
        self.outbox.changed(event, body, before)
        return self._json(View.of(request).row(event, day))

    def _delete(self, request: Request) -> Response:
        event, day = self._found(request.path_value("event"))
        self._writable(event)
        self._condition(request, event, day)
        self.outbox.deleted(event)
        self._remove(event, day)
        return Response(status=204)

    def _decline(self, request: Request) -> Response:
        event, day = self._found(request.path_value("event"))
        if event.organizer:
            raise Bad("ErrorInvalidRequest", "The organizer cannot respond to a meeting.")
        self.outbox.answered(bool((_body(request) or {}).get("sendResponse", True)))
        event.declined = True
        self._remove(event, day)  # into Deleted Items
        return Response(status=202)

    def _writable(self, event: Event) -> None:
        if not self.mailbox.calendars[event.calendar].can_edit:
            raise Bad("ErrorAccessDenied", "Access is denied.", 403)

    def _condition(self, request: Request, event: Event, day: date | None) -> None:
        wanted = request.header("if-match")
        if wanted is not None and wanted not in ("*", View.of(request).row(event, day)["@odata.etag"]):
            raise Bad("ErrorIrresolvableConflict", "The change key does not match the current one.", 412)

    def _make(self, calendar: Calendar, body: Any) -> Event:
        check_names(body, creating=True, instance=False)
        props = {name: value for name, value in body.items() if name in body and name not in _ASIDE}
        check_event(props)
        self._events += 1
        now = self.clock()
        event = Event(
            number=self._events, calendar=calendar.id, uid=f"040000008200E00074C5B7101A82E008{self._events:032X}",
            props={}, key=0, created=now, modified=now, transaction=body.get("transactionId"),
        )  # fmt: skip
        self._set(event, props)
        self._extend(event, body)
        self.mailbox.add(event)
        self._touched(event, "created")
        return event

    def _change(self, event: Event, day: date | None, body: Any) -> None:
        check_names(body, creating=False, instance=day is not None)
        changes = {name: value for name, value in body.items() if name not in _ASIDE}
        if day is not None:
            self._change_instance(event, day, changes)
            return
        props = {**event.props, **changes}
        check_event(props)
        if event.pattern is not None and changes.keys() & _RESETS:
            event.past.append((self.mailbox.seq + 1, event.pattern))
            event.exceptions.clear()
            event.cancelled.clear()
        self._set(event, changes)
        self._extend(event, body)
        self._touched(event, "updated")

    def _change_instance(self, event: Event, day: date, changes: dict[str, Any]) -> None:
        """It becomes an exception. The master keeps its change key: nothing says that it does not."""
        there = event.exceptions.get(day)
        if "body" in changes:
            changes = {**changes, "body": stored_body(changes["body"])}
        changed = {**(there.changed if there else {}), **changes}
        check_event({**event.instance(day), **changed})
        if "start" in changes:
            now = date.fromisoformat(changed["start"]["dateTime"][:10])
            before, after = event.neighbours(day)
            if (before is not None and now <= before) or (after is not None and now >= after):
                raise Bad("ErrorOccurrenceCrossingBoundary", "An occurrence cannot skip over its neighbour.")
        key = event.key
        self._touched(event, "updated")
        event.exceptions[day] = Changed(changed, event.key)
        event.key = key

    def _set(self, event: Event, changes: Mapping[str, Any]) -> None:
        changes = dict(changes)
        if "body" in changes:
            changes["body"] = stored_body(changes["body"])
        event.props = keep_online({**event.props, **changes}, event.number)
        event.pattern = pattern_of(event.props)

    def _extend(self, event: Event, body: Mapping[str, Any]) -> None:
        for each in body.get("singleValueExtendedProperties", ()):
            event.extended[each["id"].lower()] = each["value"]

    def _remove(self, event: Event, day: date | None) -> None:
        if day is None:
            event.deleted = True
            self._touched(event, "deleted")
            return
        event.exceptions.pop(day, None)
        event.cancelled[day] = self.mailbox.seq
        self._touched(event, "updated")

    def _touched(self, event: Event, change: str) -> None:
        left = [name for name, calendar in self.mailbox.calendars.items() if event.number in calendar.feed]
        self.mailbox.touch(event, self.clock(), *left)
        self.subscriptions.tell(event, change)

    def _found(self, name: str) -> tuple[Event, date | None]:
        found = self.mailbox.find(name)
        if found is None:
            if not name.startswith("A"):
                raise Bad("ErrorInvalidIdMalformed", "Id is malformed.")
            raise _not_found()
        return found

    # Batches

    def _batch(self, request: Request) -> Response:
        """microsoft: Batch. The answers come in another order than the requests."""
        requests = (_body(request) or {}).get("requests")
        if not isinstance(requests, list) or not 1 <= len(requests) <= BATCH:
            raise Bad("BadRequest", f"A batch has between 1 and {BATCH} requests.")
        if len({str(each.get("id")) for each in requests}) != len(requests):
            raise Bad("BadRequest", "Request ids in a batch must be unique.")
        responses: dict[str, Row] = {}
        for each in requests:
            needed = [responses.get(str(name), {"status": 424})["status"] for name in each.get("dependsOn", ())]
            responses[str(each["id"])] = (
                {"id": each["id"], "status": 424, "headers": {}, "body": {"error": {"code": "FailedDependency"}}}
                if any(status >= 400 for status in needed)
                else self._one(request, each)
            )
        return self._json({"responses": list(reversed(responses.values()))})

    def _one(self, outer: Request, each: Mapping[str, Any]) -> Row:
        headers = {str(name).lower(): str(value) for name, value in (each.get("headers") or {}).items()}
        url = str(each.get("url"))
        if not url.startswith("/") or ("body" in each and "content-type" not in headers):
            bad = {"error": {"code": "BadRequest", "message": "Write request lacks a relative url or a Content-Type."}}
            return {"id": each.get("id"), "status": 400, "headers": {}, "body": bad}
        headers |= {"authorization": outer.header("authorization") or "", "host": outer.header("host") or ""}
        body = json.dumps(each["body"]).encode() if "body" in each else b""
        reply = self.part(outer, str(each.get("method")).upper(), f"/v1.0{url}", headers, body)
        answer: Row = {"id": each.get("id"), "status": reply.status, "headers": dict(reply.headers)}
        return {**answer, "body": json.loads(reply.body)} if reply.body else answer

    def _json(self, document: Any, status: int = 200) -> Response:
        return Response.of(document, status)


_ASIDE: Final = ("transactionId", "singleValueExtendedProperties")
_CODES: Final = {
    401: "InvalidAuthenticationToken",
    403: "ErrorAccessDenied",
    404: "ResourceNotFound",
    410: "SyncStateNotFound",
    412: "ErrorIrresolvableConflict",
    429: "TooManyRequests",
    503: "ErrorInternalServerTransientError",
}


def failure(status: int, code: str, message: str, request: Request) -> Response:
    """microsoft: Limits and errors, the error body."""
    inner = {"date": "2026-11-21T00:00:00", "request-id": f"r{request.order}", "client-request-id": f"r{request.order}"}
    return Response.of({"error": {"code": code, "message": message, "innerError": inner}}, status)


def _not_found() -> Bad:
    return Bad("ErrorItemNotFound", "The specified object was not found in the store.", 404)


def _body(request: Request) -> Any:
    try:
        return request.json()
    except ValueError as error:
        raise Bad("RequestBodyRead", "The body is no JSON.") from error


def _window(request: Request) -> tuple[datetime, datetime]:
    """Read with their own offset; without one as UTC."""
    bounds = []
    for name in ("startDateTime", "endDateTime"):
        try:
            moment = datetime.fromisoformat(request.param(name) or "")
        except ValueError as error:
            raise Bad("ErrorInvalidParameter", f"This request requires a time window: {name}.") from error
        bounds.append(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    if bounds[1] - bounds[0] > timedelta(days=1825):
        raise Bad("ErrorInvalidParameter", "The window is longer than 1825 days.")
    return bounds[0], bounds[1]


def _calendar_row(calendar: Calendar) -> Row:
    return {
        "id": calendar.id,
        "name": calendar.name,
        "color": calendar.color,
        "hexColor": "",
        "isDefaultCalendar": calendar.is_default,
        "changeKey": "key",
        "canShare": calendar.can_edit,
        "canViewPrivateItems": True,
        "canEdit": calendar.can_edit,
        "isRemovable": not calendar.is_default,
        "isTallyingResponses": False,
        "owner": {"name": "Owner", "address": "owner@example.com"},
    }
