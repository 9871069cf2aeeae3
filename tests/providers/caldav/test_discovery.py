"""Discovery: from what a user types to the calendars, and one clear error for everything that is no CalDAV server."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from calhub.providers.base import ProviderError, RemoteCalendar, Trait
from calhub.providers.caldav import connect
from calhub.providers.vault import MemoryVault
from calhub.testing.davserver import CALENDAR, HOME, DavServer, Reply, Request


def discover(url: str, secrets: Mapping[str, str] | None = None) -> list[RemoteCalendar]:
    provider = connect({"url": url, "username": "user"}, MemoryVault(secrets or {"password": "secret"}))
    try:
        return provider.discover()
    finally:
        provider.close()


def failure(url: str, secrets: Mapping[str, str] | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        discover(url, secrets)
    return caught.value


@pytest.mark.parametrize("path", ["", "/", "/dav/", HOME, HOME.rstrip("/"), CALENDAR])
def test_any_address_leads_to_the_calendar(server: DavServer, path: str) -> None:
    """Host, root, principal, home and the calendar itself are all good addresses."""

    def slashes(request: Request) -> Reply | None:
        if request.path == HOME.rstrip("/"):
            return Reply(301, headers={"Location": HOME})
        return None

    server.answerers.append(slashes)

    assert [calendar.id for calendar in discover(server.url + path)] == [CALENDAR]


def well_known(server: DavServer, status: int, location: str) -> None:
    """A server that is only found by its well-known address."""

    def answer(request: Request) -> Reply | None:
        if request.path == "/.well-known/caldav":
            return Reply(status, headers={"Location": location})
        return Reply(404) if request.path == "/" else None

    server.answerers.append(answer)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_well_known_address_is_followed(server: DavServer, status: int) -> None:
    """Each kind of redirect keeps the method and the body."""
    well_known(server, status, HOME)

    assert [calendar.id for calendar in discover(server.url)] == [CALENDAR]


def test_redirect_to_a_stranger_gets_no_password(server: DavServer) -> None:
    """Credentials never follow a redirect to another host; the error says where it led."""
    with DavServer() as stranger:
        well_known(server, 301, stranger.url.replace("127.0.0.1", "localhost") + HOME)

        error = failure(server.url)

        assert stranger.requests == []
    assert error.trait is Trait.FATAL
    assert "localhost" in error.message


def test_endless_redirect(server: DavServer) -> None:
    """A loop of redirects ends."""
    well_known(server, 302, "/.well-known/caldav")

    assert failure(server.url).trait is Trait.FATAL
    assert len(server.requests) < 20


PROPERTIES = """
<d:response><d:href>{href}</d:href><d:propstat><d:prop>
<d:resourcetype><d:collection/>{type}</d:resourcetype>{more}
</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>
"""
NAMESPACES = (
    'xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:cs="http://calendarserver.org/ns/" '
    'xmlns:a="http://apple.com/ns/ical/" xmlns:nc="http://nextcloud.com/ns"'
)


def home_with(server: DavServer, *rows: tuple[str, str, str]) -> None:
    """The home lists these collections: name, further resource types, further properties."""
    inner = "".join(
        PROPERTIES.format(href=HOME + name + "/", type="<c:calendar/>" + kind, more=more) for name, kind, more in rows
    )

    def answer(request: Request) -> Reply | None:
        if request.path == HOME and request.headers.get("depth") == "1":
            return Reply(207, f"<d:multistatus {NAMESPACES}>{inner}</d:multistatus>".encode())
        return None

    server.answerers.append(answer)


def privileges(*names: str) -> str:
    inner = "".join(f"<d:privilege><{name}/></d:privilege>" for name in names)
    return f"<d:current-user-privilege-set>{inner}</d:current-user-privilege-set>"


def test_what_a_calendar_is(server: DavServer) -> None:
    """Name, colour, zone and access come from the properties."""
    zone = "<c:calendar-timezone>BEGIN:VTIMEZONE&#13;\nTZID:Europe/Vienna&#13;\nEND:VTIMEZONE</c:calendar-timezone>"
    home_with(
        server,
        (
            "a",
            "",
            f"<d:displayname>Work &amp; more</d:displayname><a:calendar-color>#ff8800FF</a:calendar-color>{zone}",
        ),
        ("b%20c", "", privileges("d:read", "d:write-content", "d:bind")),
        ("d", "", privileges("d:read")),
        ("e", "", privileges("c:read-free-busy")),
        ("f", "", privileges("d:read", "d:write", "d:all")),
    )

    found = {calendar.name: calendar for calendar in discover(server.url)}

    assert found["Work & more"] == RemoteCalendar(
        id=HOME + "a/", name="Work & more", color="#FF8800", time_zone="Europe/Vienna"
    )
    assert {name: each.access for name, each in found.items()} == {
        "Work & more": "owner", "b c": "writer", "d": "reader", "e": "freebusy", "f": "owner",
    }  # fmt: skip


def test_what_is_no_calendar_of_events(server: DavServer) -> None:
    """Inbox, outbox, subscriptions, the trash and lists of tasks are left out."""
    tasks = "<c:supported-calendar-component-set><c:comp name='VTODO'/></c:supported-calendar-component-set>"
    both = tasks.replace("/></", "/><c:comp name='VEVENT'/></")
    home_with(
        server,
        ("inbox", "<c:schedule-inbox/>", ""),
        ("outbox", "<c:schedule-outbox/>", ""),
        ("sub", "<cs:subscribed/>", ""),
        ("trash", "<nc:deleted-calendar/>", ""),
        ("tasks", "", tasks),
        ("both", "", both),
    )

    assert [calendar.id for calendar in discover(server.url)] == [HOME + "both/"]


def test_several_homes(server: DavServer) -> None:
    """Calendars of all homes are listed, each once."""
    homes = f"<c:calendar-home-set><d:href>{HOME}</d:href><d:href>/dav/shared/</d:href></c:calendar-home-set>"
    start = PROPERTIES.format(href="/", type="", more=homes)
    shared = "".join(PROPERTIES.format(href=h, type="<c:calendar/>", more="") for h in ("/dav/shared/x/", CALENDAR))

    def answer(request: Request) -> Reply | None:
        rows = {"/": start, "/dav/shared/": shared}.get(request.path)
        return Reply(207, f"<d:multistatus {NAMESPACES}>{rows}</d:multistatus>".encode()) if rows else None

    server.answerers.append(answer)

    assert sorted(calendar.id for calendar in discover(server.url)) == ["/dav/shared/x/", CALENDAR]


def test_login_page_is_no_caldav_server(server: DavServer) -> None:
    """A web server that answers everything with a page is told apart from a broken one."""
    page = Reply(200, b"<!DOCTYPE html><html><body>Sign in</body></html>", {"Content-Type": "text/html"})
    server.answerers.append(lambda _: page)

    error = failure(server.url)

    assert error.trait is Trait.FATAL
    assert "CalDAV" in error.message
    assert error.hint


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_other_servers_are_no_caldav_server(server: DavServer, status: int) -> None:
    """What refuses PROPFIND everywhere is no CalDAV server."""
    server.answerers.append(lambda _: Reply(status))

    assert failure(server.url).trait is Trait.FATAL


def test_failing_server_is_a_passing_error(server: DavServer) -> None:
    """A 500 or 503 says nothing about address or password."""
    server.answerers.append(lambda _: Reply(503, headers={"Retry-After": "3"}))

    error = failure(server.url)

    assert error.trait is Trait.RETRY
    assert error.retry_after == 3.0


def test_wrong_password_needs_the_user(server: DavServer) -> None:
    """A 401 is a matter of signing in, and the password is in no message."""
    error = failure(server.url, {"password": "not-this"})

    assert error.trait is Trait.LOGIN
    assert "not-this" not in error.message + error.hint + repr(error)


def test_dead_host_is_a_passing_error() -> None:
    """A host that does not answer may come back."""
    with DavServer() as server:
        url = server.url

    assert failure(url).trait is Trait.RETRY


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<multistatus xmlns='DAV:'><response>",
        b"<html/>",
        b"<!DOCTYPE x [<!ENTITY e 'boom'>]><multistatus xmlns='DAV:'>&e;</multistatus>",
    ],
)
def test_damaged_answers_are_no_caldav_server(server: DavServer, body: bytes) -> None:
    """Cut XML, other XML and entities never get further than discovery."""
    server.answerers.append(lambda _: Reply(207, body))

    assert failure(server.url).trait is Trait.FATAL


def test_token_is_sent_as_bearer(server: DavServer) -> None:
    """With a token there is no user name; a refused one needs a new sign-in."""
    error = failure(server.url, {"token": "abc"})

    assert server.requests[0].headers["authorization"] == "Bearer abc"
    assert error.trait is Trait.LOGIN


@pytest.mark.parametrize(
    "settings",
    [{}, {"url": ""}, {"url": "ftp://x/", "username": "u"}, {"url": "https://", "username": "u"},
     {"url": "http://[::1", "username": "u"}, {"url": "https://dav.example.org/"},
     {"url": "http://dav.example.org/", "username": "u"}],
)  # fmt: skip
def test_settings_that_cannot_work(settings: dict[str, str]) -> None:
    """Bad settings are told at once, without asking any server."""
    with pytest.raises(ProviderError) as caught:
        connect(settings, MemoryVault({"password": "x"}))

    assert caught.value.trait is Trait.FATAL
