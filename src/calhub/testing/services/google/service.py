"""The emulated Google Calendar: one user with calendars, sign-in, batches and push channels."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote

from calhub.testing.services.base import Clock, Failed, Request, Response, Route, Service
from calhub.testing.services.google import rules
from calhub.testing.services.google.events import EVENTS, ROOT, Events
from calhub.testing.services.google.recurring import Body
from calhub.testing.services.google.rules import error_response, failed
from calhub.testing.services.google.store import CalendarData
from calhub.testing.services.oauth import OAuth, Paths

BATCH: Final = "/batch/calendar/v3"
SCOPE: Final = "https://www.googleapis.com/auth/calendar"
ROLES: Final = ("freeBusyReader", "reader", "writerWithoutPrivateAccess", "writer", "owner")
CHANNEL_SECONDS: Final = 604800
MAX_PARTS: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Channel:
    id: str
    resource_id: str
    calendar: str
    address: str
    token: str | None
    expires: datetime


class GoogleService(Service):
    """``user_*`` methods are what the user does in Google's own app.

    What a change of a master does to its exceptions is not documented, so it can be chosen: ``resets_exceptions`` (a
    change of rule or times drops them all), ``keeps_exceptions`` (not even those at which the new rule has no instance
    go), ``follows_master`` (fields of an exception equal to its master's change with it).
    """

    def __init__(self, *, clock: Clock | None = None, email: str = "user@example.com") -> None:
        super().__init__(clock=clock)
        self.email = email
        self.oauth = OAuth(clock=self.clock, paths=Paths(revoke="/revoke"))
        self.calendars: dict[str, CalendarData] = {}
        self.channels: dict[str, Channel] = {}
        self.outbox: list[tuple[str, str]] = []
        self.resets_exceptions = False
        self.keeps_exceptions = False
        self.follows_master = True
        self.events = Events(self)
        self.seq = 0
        self._messages = 0

    @property
    def root(self) -> str:
        """What ``api_root`` of the credentials is to be."""
        return self.url + ROOT

    def credentials(self) -> dict[str, str]:
        """Credentials for an account, as `calhub account add --credentials` reads them; the user has consented."""
        return {
            "client_id": self.oauth.client_id,
            "client_secret": self.oauth.client_secret or "",
            "refresh_token": self.oauth.issue(SCOPE),
            "token_uri": self.url + self.oauth.paths.token,
            "auth_uri": self.url + self.oauth.paths.authorize,
            "api_root": self.root,
        }

    def routes(self) -> Sequence[Route]:
        return [
            *self.oauth.routes(),
            Route("GET", ROOT + "/users/me/calendarList", self._calendar_list),
            Route("POST", ROOT + "/calendars", self._insert_calendar),
            Route("GET", ROOT + "/calendars/{calendar}", lambda request: Response.of(_calendar(self.open(request)))),
            Route("DELETE", ROOT + "/calendars/{calendar}", self._delete_calendar),
            Route("POST", EVENTS + "/watch", self._watch),
            Route("POST", ROOT + "/channels/stop", self._stop),
            Route("POST", BATCH, self._batch),
            *self.events.routes(),
        ]

    def error(self, status: int, request: Request) -> Response:  # noqa: ARG002 (the format asks for no more)
        return error_response(status, rules.REASONS.get(status, "backendError"), "Emulated error")

    def expire_tokens(self) -> None:
        self.oauth.expire()

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    # What users do

    def user_add_calendar(self, name: str | None, *, time_zone: str = "Europe/Berlin", role: str = "owner") -> str:
        with self.lock:
            calendar_id = f"c_{self.next_seq():06}@group.calendar.google.com"
            self.calendars[calendar_id] = CalendarData(calendar_id, name, time_zone, role)
            return calendar_id

    def user_insert(self, calendar: str, **body: Any) -> Body:
        """An event made by the user; ``start`` and ``end`` as the API has them."""
        with self.lock:
            body.setdefault("id", f"u{self.next_seq():08}")
            body.setdefault("iCalUID", f"{body['id']}@google.com")
            body.setdefault("status", "confirmed")
            me = {"email": self.email, "self": True}
            body.setdefault("creator", me)
            body.setdefault("organizer", me)
            rules.check_event(body, self.calendars[calendar].time_zone)
            return self.events.save(self.calendars[calendar], body, uid=body["iCalUID"])

    def user_patch(self, calendar: str, event_id: str, **fields: Any) -> Body:
        """Edit an event, or by its id an instance of a series; None clears a field. Raises KeyError."""
        with self.lock:
            place = self.calendars[calendar]
            row = place.rows.get(event_id)
            stored = row.body if row is not None and not row.cancelled else place.instance(event_id)
            if stored is None:
                raise KeyError(event_id)
            body = rules.merged(stored, fields)
            rules.check_event(body, place.time_zone)
            return self.events.save(place, body, uid=body["iCalUID"])

    def user_delete(self, calendar: str, event_id: str) -> None:
        """Delete an event, or by its id cancel an instance of a series. Raises KeyError."""
        with self.lock:
            place = self.calendars[calendar]
            stored = place.rows[event_id].body if event_id in place.rows else place.instance(event_id)
            if stored is None:
                raise KeyError(event_id)
            self.events.remove(place, stored)

    def user_remove_calendar(self, calendar: str) -> None:
        with self.lock:
            del self.calendars[calendar]

    def expire_sync_tokens(self, calendar: str) -> None:
        with self.lock:
            self.calendars[calendar].epoch += 1

    def live(self, calendar: str) -> dict[str, Body]:
        """What is in the calendar now, by event id, exceptions included."""
        return {name: row.body for name, row in self.calendars[calendar].rows.items() if not row.cancelled}

    # For the handlers

    def open(self, request: Request, *, writes: bool = False) -> CalendarData:
        """The calendar of the request, for a token that may. Raises `Failed`."""
        self._signed_in(request)
        name = request.path_value("calendar")
        found = self.calendars.get(name)
        if name == "primary":
            found = next((calendar for calendar in self.calendars.values() if calendar.primary), None)
        if found is None:
            raise failed(404, "notFound", "Not Found")
        if writes and found.role not in ("owner", "writer", "writerWithoutPrivateAccess"):
            raise failed(403, "requiredAccessLevel", "You need to have writer access to this calendar.")
        return found

    def changed(self, calendar: CalendarData) -> None:
        """Tell the channels of a calendar (google: Push)."""
        for channel in self.channels.values():
            if channel.calendar == calendar.id and channel.expires > self.clock():
                self._message(channel, "exists")

    def _signed_in(self, request: Request) -> None:
        scope = self.oauth.scope_of(request)
        if scope is None:
            headers = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}
            raise Failed(error_response(401, "authError", "Invalid Credentials", headers))
        enough = {"", ".events"} if request.method != "GET" else {"", ".events", ".readonly"}
        if "calendarList" in request.path:
            enough = {"", ".readonly", ".calendarlist", ".calendarlist.readonly"}
        elif "/events" not in request.path and "/channels" not in request.path and request.method != "GET":
            enough = {"", ".calendars", ".app.created"}
        if not {SCOPE + name for name in enough} & set(scope.split()):
            raise failed(403, "insufficientPermissions", "Request had insufficient authentication scopes.")

    # Calendars

    def _calendar_list(self, request: Request) -> Response:
        self._signed_in(request)
        size = min(250, int(request.param("maxResults") or 100))
        start = int(request.param("pageToken") or 0)
        found = [self._entry(calendar) for calendar in self.calendars.values()]
        answer: Body = {"kind": "calendar#calendarList", "items": found[start : start + size]}
        return Response.of(answer | ({"nextPageToken": str(start + size)} if start + size < len(found) else {}))

    def _entry(self, calendar: CalendarData) -> Body:
        entry = {
            "kind": "calendar#calendarListEntry",
            "id": calendar.id,
            "summary": calendar.summary,
            "timeZone": calendar.time_zone,
            "accessRole": calendar.role,
            "colorId": calendar.color_id,
            "backgroundColor": calendar.background,
            "primary": calendar.primary or None,
        }
        return {name: value for name, value in entry.items() if value is not None}

    def _insert_calendar(self, request: Request) -> Response:
        self._signed_in(request)
        body = request.json() or {}
        if not body.get("summary"):
            raise failed(400, "required", "Missing title.")
        with self.lock:
            made = self.user_add_calendar(body["summary"], time_zone=body.get("timeZone", "UTC"))
            return Response.of(_calendar(self.calendars[made]))

    def _delete_calendar(self, request: Request) -> Response:
        del self.calendars[self.open(request, writes=True).id]
        return Response(status=204)

    # Batches

    def _batch(self, request: Request) -> Response:
        """multipart/mixed in and out; the parts come back in another order (google: Batch)."""
        text = b"Content-Type: " + (request.header("content-type") or "").encode() + b"\r\n\r\n" + request.body
        message = email.message_from_bytes(text, policy=email.policy.HTTP)
        if message.get_content_type() != "multipart/mixed" or not message.is_multipart():
            raise failed(400, "badRequest", "A batch must be multipart/mixed.")
        parts = list(message.iter_parts())
        if len(parts) > MAX_PARTS:
            raise failed(400, "badRequest", f"The batch request must have at most {MAX_PARTS} calls.")
        answers = [self._answer_part(request, part) for part in parts]
        boundary = f"batch_{request.order}"
        body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), answer) for answer in reversed(answers))
        body += b"--%s--\r\n" % boundary.encode()
        return Response(headers={"Content-Type": f"multipart/mixed; boundary={boundary}"}, body=body)

    def _answer_part(self, outer: Request, part: Any) -> bytes:
        if part.get_content_type() != "application/http":
            raise failed(400, "badRequest", "A part must be application/http.")
        head, _, body = re.split(rb"(\r?\n){2}", part.get_payload(decode=True), maxsplit=1)  # Google's client sends \n
        first, *lines = head.decode().splitlines()
        method, target, *_ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines if line)
        headers = {name.lower(): value for name, value in headers.items()}
        headers.setdefault("authorization", outer.header("authorization") or "")
        if not target.startswith("/"):
            raise failed(400, "badRequest", "A part names its path only.")
        answer = self.part(outer, method, target, headers, body.rstrip(b"\r\n"))
        rows = [f"HTTP/1.1 {answer.status} Emulated", *(f"{name}: {value}" for name, value in answer.headers.items())]
        content_id = (part.get("Content-ID") or "").strip("<>")
        rows = ["Content-Type: application/http", f"Content-ID: <response-{content_id}>", "", *rows]
        return "\r\n".join([*rows, "", ""]).encode() + answer.body

    # Push channels

    def _watch(self, request: Request) -> Response:
        """events.watch (google: Push)."""
        calendar = self.open(request)
        body = request.json() or {}
        if body.get("type") != "web_hook" or not body.get("address"):
            raise failed(400, "required", "Missing channel type or address.")
        if not 0 < len(body.get("id", "")) <= 64 or len(body.get("token") or "") > 256:
            raise failed(400, "channelIdInvalid", "Channel id or token is too long or missing.")
        if not body["address"].startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise failed(400, "webhookUrlNotHttps", "WebHook callback must be HTTPS.")
        if body["id"] in self.channels:
            raise failed(400, "channelIdNotUnique", "Channel id not unique.")
        channel = self._channel(calendar, body)
        self.channels[channel.id] = channel
        self._message(channel, "sync")
        return Response.of(
            {
                "kind": "api#channel",
                "id": channel.id,
                "resourceId": channel.resource_id,
                "resourceUri": self._resource(channel),
                "expiration": str(int(channel.expires.timestamp() * 1000)),
                **({"token": channel.token} if channel.token else {}),
            }
        )

    def _channel(self, calendar: CalendarData, body: Mapping[str, Any]) -> Channel:
        latest = self.clock() + timedelta(seconds=CHANNEL_SECONDS)
        expires = latest
        if ttl := (body.get("params") or {}).get("ttl"):
            expires = self.clock() + timedelta(seconds=int(ttl))
        if body.get("expiration"):
            expires = datetime.fromtimestamp(int(body["expiration"]) / 1000, UTC)
        return Channel(id=body["id"], resource_id=f"resource-{calendar.id}", calendar=calendar.id,
                       address=body["address"], token=body.get("token"), expires=min(expires, latest))  # fmt: skip

    def _stop(self, request: Request) -> Response:
        self._signed_in(request)
        body = request.json() or {}
        channel = self.channels.get(body.get("id", ""))
        if channel is None or channel.resource_id != body.get("resourceId"):
            raise failed(404, "notFound", "Channel not found.")
        del self.channels[channel.id]
        return Response(status=204)

    def _message(self, channel: Channel, state: str) -> None:
        self._messages += 1
        headers = {
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Message-Number": "1" if state == "sync" else str(self._messages + 1),
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-State": state,
            "X-Goog-Resource-URI": self._resource(channel),
            "X-Goog-Channel-Expiration": format_datetime(channel.expires.astimezone(UTC), usegmt=True),
            **({"X-Goog-Channel-Token": channel.token} if channel.token else {}),
        }
        self.notify(channel.address, headers)

    def _resource(self, channel: Channel) -> str:
        return f"{self.root}/calendars/{quote(channel.calendar)}/events?alt=json"


def _calendar(calendar: CalendarData) -> Body:
    return {
        "kind": "calendar#calendar",
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
    }
