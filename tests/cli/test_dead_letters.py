"""Writes that were given up, listed and tried again: a real CalDAV server that refuses for a while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Calhub

from calhub.hub.locks import account_lock
from calhub.testing.davserver import CALENDAR, PASSWORD, USERNAME, DavServer, Reply, Request


@pytest.fixture
def dav(calhub: Calhub) -> Iterator[DavServer]:
    """A server that refuses every write, tied to the calendar Work; two events were refused by it."""
    with DavServer() as server:
        who = ("--url", server.url, "--username", USERNAME, "--password-stdin", "--calendars", "none")
        assert calhub("account", "add", "caldav", "dav", *who, stdin=PASSWORD.encode()).code == 0
        assert calhub("replica", "add", "Work", "dav", CALENDAR).code == 0
        server.answerers.append(refuse)
        for uid in ("a", "b"):
            times = ("--title", uid, "--start", "2026-11-23T10:00")
            assert calhub("event", "add", "--calendar", "Work", "--uid", uid, *times).code == 0
        assert calhub("sync").code == 1
        yield server


def refuse(request: Request) -> Reply | None:
    return Reply(403) if request.method == "PUT" else None


def test_listed_with_the_reason(calhub: Calhub, dav: DavServer) -> None:
    """Until they are written; passes in between ask the server nothing about them."""
    found = calhub("dead-letter", "list", "--json").json
    event = calhub("event", "show", "a", "--json").json

    assert [each["uid"] for each in found] == ["a", "b"]
    assert found[0] == {
        "uid": "a", "calendar": "Work", "account": "dav", "replica": 1, "op": "create", "attempts": 1,
        "error": "The server does not allow writing here.", "since": event["updated"],
    }  # fmt: skip
    assert calhub("status", "--json").json["dead_letters"] == 2
    assert "calhub dead-letter list" in calhub("doctor").out
    assert "does not allow writing" in calhub("dead-letter", "list").out
    asked = len(dav.seen("PUT"))
    assert calhub("sync").code == 0
    assert len(dav.seen("PUT")) == asked


def test_retried_on_demand(calhub: Calhub, dav: DavServer) -> None:
    """One, then all; in vain it stays what it is, with one try more."""
    failed = calhub("dead-letter", "retry", "a", "--json")
    assert failed.code == 1
    assert [each["message"] for each in failed.json["runs"][0]["errors"]] == ["The server does not allow writing here."]
    assert {each["uid"]: each["attempts"] for each in calhub("dead-letter", "list", "--json").json} == {"a": 2, "b": 1}
    dav.answerers.clear()

    again = calhub("dead-letter", "retry", "a", "--json")

    assert (again.code, [each["attempts"] for each in again.json["retried"]]) == (0, [2])
    assert again.json["runs"][0]["pushed"]["created"] == 1
    assert [each["uid"] for each in calhub("dead-letter", "list", "--json").json] == ["b"]
    rest = calhub("dead-letter", "retry", "--all", "--json")
    assert [each["uid"] for each in rest.json["retried"]] == ["b"]
    assert len(dav.items) == 2
    assert calhub("dead-letter", "retry", "--all", "--json").json == {"retried": [], "runs": []}
    assert "No write was given up." in calhub("dead-letter", "list").err


def test_a_refused_deletion_is_one_too(calhub: Calhub, dav: DavServer) -> None:
    dav.answerers.clear()
    assert calhub("dead-letter", "retry", "--calendar", "Work").code == 0
    dav.answerers.append(lambda request: Reply(403) if request.method == "DELETE" else None)
    assert calhub("event", "delete", "a").code == 0
    assert calhub("sync").code == 1

    assert [(each["uid"], each["op"]) for each in calhub("dead-letter", "list", "--json").json] == [("a", "delete")]
    dav.answerers.clear()
    assert calhub("dead-letter", "retry", "a").code == 0
    assert len(dav.items) == 1


@pytest.mark.usefixtures("dav")
def test_beside_another_pass(calhub: Calhub, home: Path) -> None:
    """Who is at it is not disturbed; the retry is left to the next pass."""
    with account_lock(home, 1, "dav"):
        assert calhub("dead-letter", "retry", "--all").code == 3
    assert calhub("sync").code == 1


@pytest.mark.usefixtures("dav")
@pytest.mark.parametrize(
    ("argv", "code"), [((), 2), (("a", "--all"), 2), (("none",), 1), (("--calendar", "none"), 1), (("a", "b"), 2)]
)
def test_what_is_not_there(calhub: Calhub, argv: tuple[str, ...], code: int) -> None:
    assert calhub("dead-letter", "retry", *argv).code == code
    assert len(calhub("dead-letter", "list", "--json").json) == 2
