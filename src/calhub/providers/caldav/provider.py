"""The provider: one account at a CalDAV server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urljoin
from uuid import uuid4

from calhub.calendar.event import Content
from calhub.providers.base import (
    Capabilities,
    Done,
    Item,
    Known,
    NotSent,
    OneByOne,
    Outcome,
    Page,
    ProviderError,
    Refused,
    RemoteCalendar,
    Stale,
    Trait,
    Unknown,
)
from calhub.providers.caldav import wire
from calhub.providers.caldav.bodies import Bodies, Body, item_of
from calhub.providers.caldav.client import Dav, NotDav, Rejected, path_of, plain, rejected, resolve
from calhub.providers.caldav.discovery import Discovery
from calhub.providers.caldav.listing import Listing, same_version
from calhub.providers.caldav.outcome import SENTENCES, duplicate_href, is_duplicate, outcome
from calhub.providers.caldav.scheduling import silent
from calhub.providers.http import Answer, Unreached, Web

_TEXT: Final = "text/calendar; charset=utf-8"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CalDAVProvider(OneByOne):
    """`calhub.providers.base.Provider` for CalDAV. A remote_id is the path of the item, as its server spells it."""

    def __init__(self, web: Web, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self.capabilities = Capabilities(create_calendars=True, parallel_writes=4)
        self._web = web
        self._clock = clock
        self._dav = Dav(web)
        self._bodies = Bodies(self._dav)
        self._discovery = Discovery(self._dav, web.home)
        self._bodies_in_sync = True
        self._schedules: dict[str, bool] = {}
        self._duplicates: dict[tuple[str, str], str] = {}

    @property
    def requests(self) -> int:
        return self._web.requests

    @requests.setter
    def requests(self, value: int) -> None:
        self._web.requests = value

    def close(self) -> None:
        self._web.close()

    # Calendars

    def discover(self) -> list[RemoteCalendar]:
        return self._discovery.calendars()

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        """MKCALENDAR, or MKCOL (RFC 5689) where that is not known. ``time_zone`` is left to the server."""
        del time_zone  # events carry their own; the property would need a VTIMEZONE and only serves floating times
        home = self._discovery.homes()[0]
        url = f"{home.rstrip('/')}/{uuid4()}/"
        answer = self._dav.send_xml("MKCALENDAR", url, wire.make_calendar("c:mkcalendar", name, color))
        if answer.status in (405, 501):
            answer = self._dav.send_xml("MKCOL", url, wire.make_calendar("d:mkcol", name, color))
        if answer.status >= 300 or answer.status == 207:
            raise _no_calendar(answer)
        return self._discovery.calendar(url)

    def delete_calendar(self, calendar: str) -> None:
        answer = self._dav.send("DELETE", self._discovery.url_of(calendar), headers={"Schedule-Reply": "F"})
        if answer.status >= 300 and answer.status not in (404, 410):
            raise rejected(answer)

    # Reading

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        url = self._discovery.url_of(calendar)
        listing = Listing(self._dav, self._bodies, url, known, bodies_in_sync=self._bodies_in_sync)
        try:
            yield from listing.pages(cursor)
        finally:
            self._bodies_in_sync = listing.bodies_in_sync

    def get(self, calendar: str, remote_id: str) -> Item | None:
        body = self._bodies.one(self._discovery.url_of(calendar), remote_id)
        return self._item(remote_id, body)

    def find(self, calendar: str, uid: str) -> Item | None:
        """First where the server said the UID is, else by a calendar-query, which not all servers can answer."""
        href = self._duplicates.get((calendar, uid))
        if href is not None:
            item = self.get(calendar, href)
            if item is not None and item.uid == uid:
                return item
        url = self._discovery.url_of(calendar)
        try:
            with self._dav.multistatus("REPORT", url, wire.query_uid(uid), depth="1") as answer:
                bodies = [
                    Body(path_of(url, row.href), row.text(wire.ETAG), text)
                    for row in answer if row.status < 300 and (text := row.text(wire.DATA))
                ]  # fmt: skip
        except (Rejected, NotDav) as error:
            if error.trait in (Trait.RETRY, Trait.LOGIN):
                raise
            return None
        items = (item_of(body.href, body) for body in bodies)
        return next((item for item in items if item is not None and item.uid == uid), None)

    # Writing

    def reserve(self, calendar: str, uid: str) -> str:  # noqa: ARG002 (a name must not depend on the UID's characters)
        url = self._discovery.url_of(calendar)
        return path_of(url, urljoin(url, f"{uuid4()}.ics"))

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        from calhub.calendar import ical  # most passes write nothing

        text = ical.write_object(uid, content, now=self._clock())
        if (content.get("attendees") or content.get("organizer")) and self._has_scheduling(calendar):
            text = silent(text)
        return self._put(calendar, remote_id, uid, text, {"If-None-Match": "*"}, creates=True)

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        if raw is None:
            try:
                body = self._bodies.one(self._discovery.url_of(calendar), remote_id)
            except ProviderError as error:
                return _not_sent(error)
            if body.text is None or (expected is not None and not same_version(expected, body.version)):
                return Refused(body.problem) if body.problem else Stale()
            raw = body.text
        from calhub.calendar import ical

        text = ical.patch_object(raw, uid, content, now=self._clock())
        return self._put(calendar, remote_id, uid, text, _if_match(expected), creates=False)

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        """Looks first, since there are servers (SOGo) that delete whatever the condition says."""
        url = self._item_url(calendar, remote_id)
        try:
            if expected is not None:
                version = self._dav.properties(url, "d:getetag").text(wire.ETAG)
                if version is not None and not same_version(version, expected):
                    return Stale()
        except Rejected as error:
            if error.trait is Trait.GONE:
                return Done(None)
            return _not_sent(error)
        except ProviderError as error:
            return _not_sent(error)
        answer = self._write("DELETE", url, _if_match(expected), None)
        return outcome(answer, "delete") if isinstance(answer, Answer) else answer

    def _put(
        self, calendar: str, remote_id: str, uid: str, text: str, condition: dict[str, str], *, creates: bool
    ) -> Outcome:
        """PUT, then read back: an ETag in the answer does not prove that what is stored is what was sent."""
        url = self._item_url(calendar, remote_id)
        answer = self._write("PUT", url, {"Content-Type": _TEXT, **condition}, text.encode())
        if not isinstance(answer, Answer):
            return answer
        if creates and is_duplicate(answer) and (href := duplicate_href(answer)):
            path = path_of(url, href)
            if not plain(path).startswith(plain(path_of(url, self._discovery.url_of(calendar))) + "/"):
                return Refused(SENTENCES["no-uid-conflict"])
            self._duplicates[calendar, uid] = path
        result = outcome(answer, "create" if creates else "update")
        return self._read_back(calendar, remote_id, uid, answer) if isinstance(result, Done) else result

    def _read_back(self, calendar: str, remote_id: str, uid: str, answer: Answer) -> Outcome:
        try:
            echo = self.get(calendar, remote_id)
            if echo is None and (location := answer.headers.get("location")):
                echo = self.get(calendar, path_of(answer.url, location))  # the server chose another name
            echo = echo or self.find(calendar, uid)
        except ProviderError as error:
            return Unknown(f"Written, but not read back: {error.message}")
        if echo is None:
            return Unknown("Written, but not found afterwards.", of_item=True)
        written = answer.headers.get("etag")
        if written is not None and echo.version is not None and written != echo.version:
            # Somebody wrote between our PUT and our GET: what we read must not pass for what we wrote.
            return Unknown("The item was changed while it was being read back.", of_item=True)
        return Done(echo)

    def _write(self, method: str, url: str, headers: dict[str, str], content: bytes | None) -> Answer | Outcome:
        """The answer, whatever its status, or the outcome when there was none. A 401 is raised."""
        try:
            # Schedule-Reply (RFC 6638 section 8.1): the organizer gets no message about our copy.
            return self._dav.send(method, url, headers={**headers, "Schedule-Reply": "F"}, content=content)
        except Unreached as error:
            return _not_sent(error)
        except ProviderError as error:
            if error.trait is Trait.RETRY:
                return Unknown(error.message)
            raise

    def _item_url(self, calendar: str, remote_id: str) -> str:
        """Never the calendar's own address: there are servers that replace a whole calendar by what is PUT there."""
        url = self._discovery.url_of(calendar)
        path = path_of(url, remote_id)
        if path.endswith("/") or plain(path) == plain(path_of(url, url)):
            raise ProviderError("An item has the address of its calendar.", "Sync the calendar in full.", Trait.FATAL)
        return resolve(url, path)

    def _item(self, remote_id: str, body: Body) -> Item | None:
        if body.text is None and body.problem is None:
            return None
        item = item_of(remote_id, body)
        return item or item_of(remote_id, replace(body, text=None, problem="The item is not an event."))

    def _has_scheduling(self, calendar: str) -> bool:
        """Whether the server sends invitations by itself (RFC 6638 section 2)."""
        if calendar not in self._schedules:
            answer = self._dav.send("OPTIONS", self._discovery.url_of(calendar))
            self._schedules[calendar] = "calendar-auto-schedule" in answer.headers.get("dav", "")
        return self._schedules[calendar]


def _if_match(expected: str | None) -> dict[str, str]:
    return {} if expected is None else {"If-Match": expected}


def _not_sent(error: ProviderError) -> NotSent:
    """For a failure before the write; raised again where only the user can help."""
    if error.trait is not Trait.RETRY:
        raise error
    return NotSent(error.message, error.retry_after)


def _no_calendar(answer: Answer) -> ProviderError:
    error = rejected(answer)
    error.message = "The server does not let this account make calendars."
    error.hint = "Make the calendar at the service, then attach it."
    return error
