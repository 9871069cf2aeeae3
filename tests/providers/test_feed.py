"""Feeds: one request when nothing changed, exact differences when something did, whatever the feed does to its UIDs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from calhub.providers.base import Page, ProviderError, Refused, RemoteCalendar, Trait
from calhub.providers.feed import CALENDAR, FeedProvider
from calhub.providers.http import Answer
from calhub.providers.registry import connect
from calhub.providers.vault import MemoryVault
from calhub.testing.contract import Remote, Versions, event, listing

URL = "https://example.org/private-0123456789/basic.ics"


def vevent(uid: str, title: str, day: int = 23, *lines: str) -> str:
    stamped = ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20261101T120000Z", f"DTSTART:202611{day:02}T100000Z"]
    return "\r\n".join([*stamped, f"DTEND:202611{day:02}T110000Z", f"SUMMARY:{title}", *lines, "END:VEVENT", ""])


def feed(*events: str, head: str = "") -> bytes:
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{head}{''.join(events)}END:VCALENDAR\r\n".encode()


class Site:
    """Answers the provider's requests and keeps their headers."""

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[Mapping[str, str]] = []

    def __call__(self, headers: Mapping[str, str]) -> Answer:
        self.asked.append(headers)
        validators = (self.headers.get("ETag"), self.headers.get("Last-Modified"))
        if any(
            given and given in validators for given in (headers.get("If-None-Match"), headers.get("If-Modified-Since"))
        ):
            return Answer(304, httpx.Headers(), b"", URL)
        return Answer(self.status, httpx.Headers(self.headers), self.body, URL)

    def remote(self) -> Remote:
        """A new process's provider."""
        return Remote(FeedProvider(URL, self), CALENDAR)


ABC = (vevent("a", "Ann", 1), vevent("b", "Bob", 2), vevent("c", "Cho", 3))


def test_first_listing_is_complete() -> None:
    """All events come with their UIDs as names, and the cursor at the end."""
    result = listing(Site(feed(*ABC)).remote())

    assert result.complete
    assert {name: item.uid for name, item in result.items.items()} == {"a": "a", "b": "b", "c": "c"}
    assert result.items["a"].content == {
        "title": "Ann", "start": "2026-11-01T10:00:00", "end": "2026-11-01T11:00:00", "time_zone": "UTC"
    }  # fmt: skip


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
def test_unchanged_feed_costs_one_conditional_request(validator: str) -> None:
    """The validator of the last answer is sent, and a 304 ends the matter, more than once."""
    site = Site(feed(*ABC))
    site.headers = {validator: '"Sat, 21 Nov 2026 10:00:00 GMT"'}
    first = listing(site.remote())
    site.body = b"never looked at"
    remote = site.remote()
    second = list(remote.provider.changes(CALENDAR, first.cursor, first.versions()))
    third = list(site.remote().provider.changes(CALENDAR, second[0].cursor, first.versions()))

    assert second == third == [Page(cursor=first.cursor)]
    assert remote.provider.requests == 1


def test_same_bytes_without_validators_bring_nothing() -> None:
    """A site without validators is recognised by its bytes."""
    site = Site(feed(*ABC))
    first = listing(site.remote())

    assert list(site.remote().provider.changes(CALENDAR, first.cursor, Versions())) == [Page(cursor=first.cursor)]


def test_changes_are_exact() -> None:
    """Created, changed and deleted events are told apart; the others are present."""
    site = Site(feed(*ABC))
    first = listing(site.remote())
    site.body = feed(ABC[0], vevent("b", "Bobby", 2), vevent("d", "Dan", 4))
    second = listing(site.remote(), first.cursor, first.versions())

    assert set(second.items) == {"b", "d"}
    assert second.present == {"a"}
    assert second.gone(first.versions()) == {"c"}


def test_new_stamps_and_order_are_no_news() -> None:
    """A new DTSTAMP, another order and new folds change nothing."""
    site = Site(feed(*ABC))
    first = listing(site.remote())
    site.body = feed(*reversed(ABC)).replace(b"20261101T120000Z", b"20261102T080000Z").replace(b"Ann", b"A\r\n nn")
    second = listing(site.remote(), first.cursor, first.versions())

    assert not second.items
    assert second.present == {"a", "b", "c"}


def renamed(number: int, *events: str) -> bytes:
    """A fetch of a feed that makes up a UID for every event each time."""
    return feed(*(e.replace("UID:", f"UID:fetch-{number}-") for e in events))


def test_all_new_uids_change_nothing() -> None:
    """Fetches with new UIDs and equal contents bring no created and no removed items, however often."""
    site = Site(renamed(1, *ABC))
    first = listing(site.remote())
    known, cursor = first.versions(), first.cursor
    for number in (2, 3):
        site.body = renamed(number, *ABC)
        later = listing(site.remote(), cursor, known)
        cursor = later.cursor

        assert not later.items
        assert not later.gone(known)
    assert '"key": "content"' in (cursor or "")


def test_changes_of_a_feed_with_new_uids() -> None:
    """Under new UIDs an edit is an update under the old name and UID, and only real news is created or gone."""
    site = Site(renamed(1, *ABC))
    first = listing(site.remote())
    known = first.versions()
    site.body = renamed(2, vevent("a", "Ann", 1, "LOCATION:Room 4"), ABC[1], vevent("d", "Dan", 4))
    second = listing(site.remote(), listing_cursor_after_churn(site, first.cursor, known), known)

    assert {name: item.uid for name, item in second.items.items()} == {
        "fetch-1-a": "fetch-1-a",
        "fetch-2-d": "fetch-2-d",
    }
    content = second.items["fetch-1-a"].content
    assert content is not None
    assert content["location"] == "Room 4"
    assert second.gone(known) == {"fetch-1-c"}


def listing_cursor_after_churn(site: Site, cursor: str | None, known: Versions) -> str | None:
    """The cursor after one more fetch in which nothing but the UIDs changed."""
    body, site.body = site.body, renamed(9, *ABC)
    after = listing(site.remote(), cursor, known).cursor
    site.body = body
    return after


def test_equal_events_keep_their_number() -> None:
    """Events equal in all but the UID are as many as the feed says, also under new UIDs."""
    twins = (vevent("x", "Twin"), vevent("y", "Twin"))
    site = Site(renamed(1, *twins))
    first = listing(site.remote())
    assert len(first.items) == 2
    site.body = renamed(2, *twins, vevent("z", "Twin"))
    second = listing(site.remote(), first.cursor, first.versions())

    assert set(second.items) == {"fetch-2-z"}
    assert not second.gone(first.versions())


def test_stable_feed_is_read_by_uid() -> None:
    """Where UIDs are stable a moved event is an update and a like event under a new UID is a new one."""
    site = Site(feed(*ABC))
    first = listing(site.remote())
    site.body = feed(ABC[0], ABC[1], vevent("d", "Cho", 3, "LOCATION:Elsewhere"))
    second = listing(site.remote(), first.cursor, first.versions())

    assert set(second.items) == {"d"}
    assert second.gone(first.versions()) == {"c"}
    assert '"key": "uid"' in (second.cursor or "")


def test_events_without_uid_are_stable() -> None:
    """Events without a UID get names that the next fetch gives them again."""
    bare = [e.replace(f"UID:{uid}\r\n", "") for e, uid in zip(ABC, "abc", strict=True)]
    site = Site(feed(*bare))
    first = listing(site.remote())
    site.body = feed(*reversed(bare))
    second = listing(site.remote(), first.cursor, first.versions())

    assert len(first.items) == 3
    assert not second.items
    assert second.present == set(first.items)


def test_broken_events_stand_alone() -> None:
    """A bad event, or a second one under a UID, is a problem of its own and stays the same one."""
    broken = (vevent("bad", "Bad").replace("DTSTART:2026", "DTSTART:x"), vevent("a", "Other", 9))
    site = Site(feed(*ABC, *broken))
    first = listing(site.remote())
    assert {name for name, item in first.items.items() if item.problem} == {"bad", "a~2"}
    assert first.items["a"].content is not None
    site.body = feed(*reversed(broken), *ABC).replace(b"20261101T120000Z", b"20261102T080000Z")
    second = listing(site.remote(), first.cursor, first.versions())

    assert len(second.items | dict.fromkeys(second.present)) == 5
    assert not second.gone(first.versions())


@pytest.mark.parametrize("cursor", ["", "garbage", "[]", "{}", "null", '{"etag": 1}'])
def test_strange_cursor_is_a_full_listing(cursor: str) -> None:
    """A cursor that is none of ours is not sent to the site and leads to a complete listing."""
    site = Site(feed(*ABC))
    known = Versions(a=listing(site.remote()).items["a"].version, z="1")
    site.asked.clear()
    result = listing(site.remote(), cursor, known)

    assert set(result.items) == {"b", "c"}
    assert result.present == {"a"}
    assert result.gone(known) == {"z"}
    assert "If-None-Match" not in site.asked[0]


def test_long_feed_comes_in_pages() -> None:
    """Pages are bounded; only the last is complete and has the cursor."""
    site = Site(feed(*(vevent(f"e{number}", str(number)) for number in range(501))))
    pages = list(site.remote().provider.changes(CALENDAR, None, Versions()))

    assert [(len(page.items), page.complete, page.cursor is not None) for page in pages] == [
        (500, False, False),
        (1, True, True),
    ]


@pytest.mark.parametrize(
    ("status", "body", "trait"),
    [
        (200, b"<!DOCTYPE html><html><form><input type='password'></form>", Trait.LOGIN),
        (200, b"\n <html><body>Closed on Sundays</body></html>", Trait.FATAL),
        (200, b"", Trait.FATAL),
        (200, b'{"error": "no"}', Trait.FATAL),
        (200, feed(*ABC)[:-60], Trait.RETRY),
        (401, b"", Trait.LOGIN),
        (403, b"", Trait.LOGIN),
        (404, b"", Trait.GONE),
        (410, b"", Trait.GONE),
        (418, b"", Trait.FATAL),
        (429, b"", Trait.RETRY),
        (503, b"", Trait.RETRY),
        (304, b"", Trait.FATAL),
    ],
)
def test_failures_are_never_empty_calendars(status: int, body: bytes, trait: Trait) -> None:
    """Whatever is no whole calendar is an error of the right kind, before any page, and keeps the address secret."""
    site = Site(body)
    site.status, site.headers = status, {"Retry-After": "120"}
    for call in (lambda: listing(site.remote()), lambda: site.remote().provider.discover()):
        with pytest.raises(ProviderError) as caught:
            call()

        assert caught.value.trait is trait
        assert "private" not in f"{caught.value.message} {caught.value.hint}"
        assert caught.value.retry_after == (120 if status in (429, 503) else None)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("", RemoteCalendar(id=CALENDAR, name="basic", access="reader")),
        (
            "X-WR-CALNAME:Bin days\\, all\r\nX-WR-TIMEZONE:Europe/Berlin\r\nX-APPLE-CALENDAR-COLOR:#112233\r\n",
            RemoteCalendar(
                id=CALENDAR, name="Bin days, all", access="reader", color="#112233", time_zone="Europe/Berlin"
            ),
        ),
        ("NAME:New\r\nX-WR-CALNAME:Old\r\n", RemoteCalendar(id=CALENDAR, name="New", access="reader")),
    ],
)
def test_discover(head: str, expected: RemoteCalendar) -> None:
    """The one calendar is a reader's, described as the feed describes itself."""
    assert Site(feed(*ABC, head=head)).remote().provider.discover() == [expected]


def test_secret_path_is_no_name() -> None:
    """An address that ends in a token does not give the calendar its name."""
    provider = FeedProvider("https://example.org/feeds/9f86d081884c7d65", Site(feed(*ABC)))

    assert [entry.name for entry in provider.discover()] == ["example.org"]


def test_get_and_find() -> None:
    """After a listing both answer from it; before one, `get` is sure only of what it finds."""
    site = Site(feed(*ABC))
    remote = site.remote()
    listed = listing(remote).items
    assert remote.provider.get(CALENDAR, "a") == remote.provider.find(CALENDAR, "a") == listed["a"]
    assert remote.provider.get(CALENDAR, "z") is None
    assert remote.provider.requests == 1
    fresh = site.remote()

    assert fresh.provider.get(CALENDAR, "a") == listed["a"]
    assert fresh.provider.find(CALENDAR, "z") is None
    with pytest.raises(ProviderError):
        fresh.provider.get(CALENDAR, "z")


def test_writes_are_refused() -> None:
    """Nothing can be written, and the capabilities say so."""
    site = Site(feed(*ABC))
    provider = site.remote().provider

    assert not provider.capabilities.writable
    assert isinstance(provider.create(CALENDAR, "z", "z", event()), Refused)
    assert isinstance(provider.update(CALENDAR, "a", "a", event(), expected=None, raw=None), Refused)
    assert isinstance(provider.delete(CALENDAR, "a", expected=None), Refused)
    with pytest.raises(ProviderError):
        provider.create_calendar("New")
    with pytest.raises(ProviderError):
        provider.delete_calendar(CALENDAR)
    assert not site.asked


def test_other_calendars_do_not_exist() -> None:
    """Any other calendar is GONE, not empty."""
    with pytest.raises(ProviderError) as caught:
        list(Site(feed()).remote().provider.changes("other", None, Versions()))
    assert caught.value.trait is Trait.GONE


@pytest.mark.parametrize(
    "url", ["", "ftp://example.org/a.ics", "/etc/passwd", "https://", "file:///etc/passwd", "http://a:x/"]
)
def test_bad_settings(url: str) -> None:
    """Anything but a web address is refused at once."""
    with pytest.raises(ProviderError) as caught:
        connect("feed", {"url": url}, MemoryVault())
    assert caught.value.trait is Trait.FATAL


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A site on a free loopback port that wants a user and password and knows ETags."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Authorization") == "Basic YW5uOnAgdw=="  # ann, "p w"
            fresh = self.headers.get("If-None-Match") == '"1"'
            self.send_response(401 if not wanted else 304 if fresh else 200)
            self.send_header("ETag", '"1"')
            body = feed(*ABC) if wanted and not fresh else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def test_over_http(server: ThreadingHTTPServer) -> None:
    """The real way: credentials from the address, one request for each listing, 304 the second time."""
    provider = connect("feed", {"url": f"http://ann:p%20w@127.0.0.1:{server.server_port}/a.ics"}, MemoryVault())
    first = listing(Remote(provider, CALENDAR))
    second = listing(Remote(provider, CALENDAR), first.cursor, first.versions())
    provider.close()
    provider.close()

    assert set(first.items) == {"a", "b", "c"}
    assert not second.items
    assert provider.requests == 2


def test_wrong_password_over_http(server: ThreadingHTTPServer) -> None:
    """A refused sign-in is LOGIN."""
    provider = connect("feed", {"url": f"http://127.0.0.1:{server.server_port}/a.ics"}, MemoryVault())
    with pytest.raises(ProviderError) as caught:
        provider.discover()
    provider.close()

    assert caught.value.trait is Trait.LOGIN
