"""The shared HTTP layer: who gets credentials, Digest, waiting times, sizes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from calhub.providers.base import ProviderError
from calhub.providers.http import Credentials, TooLarge, Web, check_url, retry_after, same_owner
from calhub.testing.davserver import DavServer, Reply, Request


@pytest.fixture
def server() -> Iterator[DavServer]:
    with DavServer() as server:
        yield server


@pytest.mark.parametrize(
    ("home", "url", "trusted"),
    [
        ("https://caldav.icloud.com/", "https://p42-caldav.icloud.com:443/1/", True),
        ("https://example.com/", "https://dav.example.com/", True),
        ("https://dav.example.com/", "https://example.com/", True),
        ("https://dav.example.com:8443/", "https://dav.example.com/", True),
        ("https://dav.example.com/", "https://dav.example.net/", False),
        ("https://a.co.uk/", "https://b.co.uk/", False),
        ("https://x.a.co.uk/", "https://a.co.uk/", True),
        ("https://dav.example.com/", "http://dav.example.com/", False),
        ("https://dav.example.com/", "https://dav.example.com.evil.net/", False),
        ("https://10.0.0.1/", "https://11.0.0.1/", False),
        ("http://127.0.0.1:80/", "http://127.0.0.1/x", True),
        ("http://127.0.0.1:80/", "http://127.0.0.1:81/x", False),
        ("http://nas/", "https://nas/", True),
        ("https://com/", "https://com.com/", False),
    ],
)
def test_who_gets_credentials(home: str, url: str, trusted: bool) -> None:
    """The same origin, or one registrable domain over https, and nobody else."""
    assert same_owner(home, url) is trusted


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("dav.example.org", "https://dav.example.org"),
        (" https://dav.example.org/x ", "https://dav.example.org/x"),
        ("https://user:pw@dav.example.org/x", "https://dav.example.org/x"),
        ("http://localhost:5232/", "http://localhost:5232/"),
        ("http://192.168.1.5/dav", "http://192.168.1.5/dav"),
        ("http://nas.local/", "http://nas.local/"),
    ],
)
def test_addresses_that_work(url: str, checked: str) -> None:
    """https is the default; credentials in an address are not kept; local networks may do without https."""
    assert check_url(url) == checked


@pytest.mark.parametrize("url", ["", "http://", "file:///etc/passwd", "http://dav.example.org/", "https://x:99999/"])
def test_addresses_that_do_not(url: str) -> None:
    """Plain http across the internet is refused, as is what is no web address."""
    with pytest.raises(ProviderError):
        check_url(url)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0), ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0), ("soon", None),
     ("", None), ("-5", None)],
)  # fmt: skip
def test_waiting_time(value: str, seconds: float | None) -> None:
    """Retry-After is a number of seconds or a date."""
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    assert retry_after({"retry-after": value}, now) == seconds


def _digest_guard(request: Request) -> Reply | None:
    """RFC 7616 with MD5 and without a quality of protection."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', request.headers.get("authorization", "")))
    secret = hashlib.md5(b"user:dav:secret").hexdigest()
    asked = hashlib.md5(f"{request.method}:{request.path}".encode()).hexdigest()
    expected = hashlib.md5(f"{secret}:abc:{asked}".encode()).hexdigest()
    if request.headers.get("authorization", "").startswith("Digest") and fields.get("response") == expected:
        return Reply(200, request.body)
    return Reply(401, headers={"WWW-Authenticate": 'Digest realm="dav", nonce="abc"'})


def test_digest_where_it_is_asked_for(server: DavServer) -> None:
    """A server that wants Digest gets it, with the body sent again; later requests begin with it."""
    server.answerers.append(_digest_guard)
    web = Web(server.url, Credentials(username="user", password="secret"))

    first = web.send("PUT", server.url + "/x", content=b"body")
    before = len(server.requests)
    second = web.send("PUT", server.url + "/y", content=b"body")

    assert (first.status, first.body, second.body) == (200, b"body", b"body")
    assert len(server.requests) == before + 1
    assert web.requests == len(server.requests)
    web.close()


def test_digest_with_a_wrong_password(server: DavServer) -> None:
    """A password that Digest refuses, too, is wrong."""
    server.answerers.append(_digest_guard)
    web = Web(server.url, Credentials(username="user", password="wrong"))

    with pytest.raises(ProviderError) as caught:
        web.send("GET", server.url + "/x")

    assert caught.value.trait.value == "login"
    web.close()


def test_body_beyond_the_limit(server: DavServer) -> None:
    """A body is not read further than the limit, also one that is small while compressed."""
    server.answer("GET", 200, b"x" * 2000)
    web = Web(server.url)

    with pytest.raises(TooLarge):
        web.send("GET", server.url + "/x", limit=1000)

    web.close()


def test_no_cookies_are_kept(server: DavServer) -> None:
    """A session never stands in for the credentials."""
    server.answer("GET", 200, headers={"Set-Cookie": "session=1; Path=/"})
    web = Web(server.url)

    web.send("GET", server.url + "/x")
    with pytest.raises(ProviderError):
        web.send("GET", server.url + "/x")

    assert [request.headers.get("cookie") for request in server.requests] == [None, None]
    web.close()


def test_credentials_are_not_shown() -> None:
    """Printing the credentials shows no secret."""
    assert "secret" not in repr(Credentials(username="user", password="secret", token="secret"))
