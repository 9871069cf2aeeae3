"""The stream of changes and passes: in order, complete after a break, and over when the server stops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests.api.conftest import Serve, add, problem
from tests.cli.conftest import Folder

from calhub.api.routes import stream
from calhub.api.surroundings import Surroundings
from calhub.hub.database import Hub

Message = dict[str, Any]


@contextmanager
def listening(api: httpx.Client, **headers: str) -> Iterator[Iterator[Message]]:
    """The messages as they come: ``{"id", "event", "data"}``."""
    with api.stream("GET", "/api/v1/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"
        assert next(lines) == ""
        yield _messages(lines)


def _messages(lines: Iterator[str]) -> Iterator[Message]:
    message: Message = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and message:
            yield message
            message = {}
        elif name in ("id", "event"):
            message[name] = value
        elif name == "data":
            message["data"] = json.loads(value)


def take(messages: Iterator[Message], number: int) -> list[Message]:
    return [next(messages) for _ in range(number)]


def test_changes_as_they_happen(work: httpx.Client) -> None:
    """From now on: what was before is not told. The id is the seq."""
    add(work, uid="before")
    with listening(work) as messages:
        rev = add(work, uid="u")["rev"]
        work.patch("/api/v1/events/u", json={"title": "Dinner"})
        work.delete("/api/v1/events/u")

        told = take(messages, 3)

    assert [message["id"] for message in told] == [str(rev), str(rev + 1), str(rev + 2)]
    assert [message["data"]["op"] for message in told] == ["create", "update", "delete"]
    assert {(message["data"]["uid"], message["data"]["calendar"]) for message in told} == {("u", "Work")}
    assert told[1]["data"]["fields"] == ["title"]
    assert "event" not in told[0]


def test_changes_of_another_process(work: httpx.Client, hub: Hub) -> None:
    """Whoever wrote it: the engine's process has its own connection."""
    from calhub.hub import events

    with listening(work) as messages, Hub.open(hub.home, clock=hub.clock) as other:
        with other.transaction() as conn:
            events.put_event(conn, 1, "theirs", {"title": "x", "start": "2026-11-23", "all_day": True}, now=hub.now())

        assert next(messages)["data"]["uid"] == "theirs"


@pytest.mark.parametrize("by_query", [False, True])
def test_nothing_is_missed_after_a_break(work: httpx.Client, by_query: bool) -> None:
    """More than one batch, in order, each once; then on with what is new."""
    number = stream.BATCH * 2 + 7
    body = "".join(
        f"BEGIN:VEVENT\r\nUID:e{each}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART:20261123T090000Z\r\nEND:VEVENT\r\n"
        for each in range(number)
    )
    text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n{body}END:VCALENDAR\r\n"
    work.post("/api/v1/import?calendar=Work", content=text.encode(), headers={"Content-Type": "text/calendar"})

    if by_query:
        work.params = work.params.set("after", "3")
    with listening(work, **({} if by_query else {"Last-Event-ID": "3"})) as messages:
        told = take(messages, number - 3)

    assert [int(message["id"]) for message in told] == list(range(4, number + 1))


def test_passes_are_told(api: httpx.Client, disk: Folder) -> None:
    """Beginning and end of each, beside the changes they brought."""
    disk.put("work", "u", "Lunch")
    with listening(api) as messages:
        api.post("/api/v1/sync")
        told: list[Message] = []
        while not told or told[-1]["data"].get("state") != "finished":
            told.append(next(messages))

    last = told[-1]
    assert (last["event"], last["data"]["op"], last["data"]["calendar"], last["data"]["uid"]) == (
        "sync",
        "sync",
        "work",
        None,
    )
    assert last["data"]["run"]["pulled"]["created"] == 1
    assert [message["data"]["uid"] for message in told if "id" in message] == ["u"]
    assert "id" not in last


def test_log_that_does_not_reach_back(work: httpx.Client, hub: Hub) -> None:
    """Old rows are gone, or the hub was put back from a backup: the client is told to read anew."""
    for number in range(3):
        add(work, uid=f"u{number}")
    with hub.transaction() as conn:
        conn.execute("DELETE FROM change WHERE seq < 3")

    for position in ("1", "99"):
        with listening(work, **{"Last-Event-ID": position}) as messages:
            first = next(messages)
            assert (first["event"], first["data"]["op"], first["data"]["seq"]) == ("reset", "reset", 3)
    with listening(work, **{"Last-Event-ID": "2"}) as messages:
        assert next(messages)["data"]["uid"] == "u2"


def test_signs_of_life(here: Surroundings, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment when there is nothing to tell, so that both sides know of a dead connection."""
    monkeypatch.setattr(stream, "HEARTBEAT", 0.0)
    with serve().client.stream("GET", "/api/v1/stream") as answer:
        lines = (line for line in answer.iter_lines() if line)

        assert [next(lines), next(lines)] == ["retry: 1000", ": still here"]
    assert not here.stopping.is_set()


def test_ends_when_the_server_stops(serve: Serve) -> None:
    """Cleanly: the client sees the end of the answer, no broken connection; and the server does not wait for it."""
    server = serve()
    with httpx.Client(base_url=server.url, timeout=30) as other, listening(other) as messages:
        server.close()

        assert list(messages) == []


def test_position_that_is_none(api: httpx.Client) -> None:
    problem(api.get("/api/v1/stream", headers={"Last-Event-ID": "yesterday"}), 422, "invalid-event-id")
