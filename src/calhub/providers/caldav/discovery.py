"""From the address a user typed to the calendars of the account (RFC 6764 section 6, RFC 5397, RFC 4791 section 6.2).

The address may be a calendar, a home, a principal, the root of the server or just its host name.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin

from calhub.calendar.zones import canonical_zone
from calhub.providers.base import Access, ProviderError, RemoteCalendar, Trait
from calhub.providers.caldav import wire
from calhub.providers.caldav.client import Dav, Garbled, NotDav, Rejected, name_of, not_dav, path_of, plain, resolve
from calhub.providers.http import host_of, origin

PRINCIPAL: Final = "d:current-user-principal"
HOME_SET: Final = "c:calendar-home-set"
TYPE: Final = "d:resourcetype"
COMPONENTS: Final = "c:supported-calendar-component-set"
PRIVILEGES: Final = "d:current-user-privilege-set"

_CALENDAR_PROPERTIES: Final = (
    TYPE,
    "d:displayname",
    COMPONENTS,
    PRIVILEGES,
    "a:calendar-color",
    "c:calendar-timezone",
    "c:calendar-timezone-id",
)
_CALENDAR: Final = wire.tag("c:calendar")
_NOT_FOR_USERS: Final = tuple(
    wire.tag(name)
    for name in ("c:schedule-inbox", "c:schedule-outbox", "cs:subscribed", "nc:deleted-calendar", "nc:trash-bin")
)


class Discovery:
    """Finds the calendars of one account. Methods raise `ProviderError`."""

    def __init__(self, dav: Dav, url: str) -> None:
        self._dav = dav
        self._url = url

    def calendars(self) -> list[RemoteCalendar]:
        """All calendars that hold events; only the one when the address is that of a calendar."""
        start = self._start()
        if start is not None and _is_calendar(start):
            only = self._calendar(self._url, start)
            return [only] if only else []
        found: dict[str, RemoteCalendar] = {}
        for home in self.homes(start):
            for calendar in self._in_home(home):
                found.setdefault(plain(calendar.id), calendar)
        return list(found.values())

    def calendar(self, url: str) -> RemoteCalendar:
        """One calendar by its address."""
        found = self._calendar(url, self._dav.properties(url, *_CALENDAR_PROPERTIES))
        if found is None:
            raise ProviderError(f"{host_of(url)} has no calendar there.", "", Trait.GONE)
        return found

    def homes(self, start: wire.Row | None = None) -> list[str]:
        """The addresses of the collections that hold the account's calendars, the main one first."""
        start = start or self._start()
        first = [(self._url, start)] if start is not None else []
        for url, row in [*first, *self._elsewhere()]:
            if homes := self._homes_from(url, row):
                return homes
        if start is None:
            raise not_dav(self._url)
        return [self._url]  # no principal anywhere: the address itself must be the home

    def id_of(self, url: str) -> str:
        """How a calendar is called: by its path on the account's own host, so that the host can be renamed."""
        return path_of(url, url) if origin(url) == origin(self._url) else url

    def url_of(self, calendar_id: str) -> str:
        """The address of the calendar of this id, with its closing slash."""
        url = calendar_id if "://" in calendar_id else resolve(self._url, calendar_id)
        return url if url.endswith("/") else url + "/"

    def _start(self) -> wire.Row | None:
        return self._look(self._url, *_CALENDAR_PROPERTIES, PRINCIPAL, HOME_SET)

    def _elsewhere(self) -> list[tuple[str, wire.Row]]:
        """Where else to ask who we are: the well-known address (it redirects) and the root."""
        tries = (urljoin(self._url, path) for path in ("/.well-known/caldav", "/"))
        return [(url, row) for url in tries if (row := self._look(url, TYPE, PRINCIPAL, HOME_SET)) is not None]

    def _look(self, url: str, *names: str) -> wire.Row | None:
        """The properties, or None where nothing of the kind answers. A dead host or a wrong password is raised."""
        try:
            return self._dav.properties(url, *names)
        except (NotDav, Garbled):
            return None
        except Rejected as error:
            if error.trait is Trait.RETRY and error.status != 501:
                raise
            return None

    def _homes_from(self, url: str, row: wire.Row) -> list[str]:
        homes = row.hrefs(wire.tag(HOME_SET))
        if not homes and (principals := row.hrefs(wire.tag(PRINCIPAL))):
            url = urljoin(url, principals[0])
            principal = self._look(url, HOME_SET)
            homes = principal.hrefs(wire.tag(HOME_SET)) if principal else []
            homes = homes or [url]  # GMX names no home: the calendars lie below the principal
        return list(dict.fromkeys(urljoin(url, home) for home in homes))

    def _in_home(self, home: str) -> list[RemoteCalendar]:
        home = home if home.endswith("/") else home + "/"
        with self._dav.multistatus("PROPFIND", home, wire.propfind(*_CALENDAR_PROPERTIES), depth="1") as answer:
            found = [self._calendar(urljoin(home, row.href), row) for row in answer if row.status < 300]
        return [calendar for calendar in found if calendar is not None]

    def _calendar(self, url: str, row: wire.Row) -> RemoteCalendar | None:
        if not _is_calendar(row):
            return None
        components = row.found.get(wire.tag(COMPONENTS))
        if components is not None:
            names = {each.get("name", "").upper() for each in components.iter(wire.tag("c:comp"))}
            if names and "VEVENT" not in names:
                return None
        calendar_id = self.id_of(url)
        return RemoteCalendar(
            id=calendar_id,
            name=(row.text(wire.tag("d:displayname")) or "").strip() or name_of(calendar_id),
            access=_access(row),
            color=_color(row.text(wire.tag("a:calendar-color"))),
            time_zone=_time_zone(row),
        )


def _is_calendar(row: wire.Row) -> bool:
    kind = wire.tag(TYPE)
    return row.has(kind, _CALENDAR) and not any(row.has(kind, other) for other in _NOT_FOR_USERS)


def _access(row: wire.Row) -> Access:
    """From the privileges (RFC 3744 section 5.4); a server that tells none lets its user do everything."""
    element = row.found.get(wire.tag(PRIVILEGES))
    if element is None:
        return "owner"
    held = {
        str(each.tag) for privilege in element.iter(wire.tag("d:privilege")) for each in privilege.iterchildren("*")
    }
    if held & {wire.tag("d:all"), wire.tag("d:write-acl")}:
        return "owner"
    if held & {wire.tag("d:write"), wire.tag("d:write-content")}:
        return "writer"
    if wire.tag("d:read") in held or wire.tag("c:read-free-busy") not in held:
        return "reader"
    return "freebusy"


def _color(value: str | None) -> str | None:
    """``#RRGGBB`` from that or ``#RRGGBBAA``."""
    match = re.fullmatch(r"\s*(#[0-9A-Fa-f]{6})(?:[0-9A-Fa-f]{2})?\s*", value or "")
    return match[1].upper() if match else None


def _time_zone(row: wire.Row) -> str | None:
    name = row.text(wire.tag("c:calendar-timezone-id"))
    if not name:
        match = re.search(r"^TZID[^:\r\n]*:([^\r\n]+)", row.text(wire.tag("c:calendar-timezone")) or "", re.MULTILINE)
        name = match[1] if match else None
    return canonical_zone(name.strip()) if name else None
