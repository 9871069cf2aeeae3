"""The change log and the passes, as they happen: server-sent events (WHATWG HTML, section 9.2).

Changes are plain messages: ``id`` is the ``seq``, ``data`` ``{"uid", "calendar", "op", "fields", "at"}``. Passes are
events named ``sync``, a log that is not whole any more is one named ``reset``; these have no id, ``uid`` null and an
``op`` of that name. A client that comes back with ``Last-Event-ID`` gets what it missed: it is read from the log when
the client is ready for it, so that a slow one costs a position and no memory.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from calhub.api.depends import Here, needs
from calhub.api.problems import Problem
from calhub.api.surroundings import Surroundings
from calhub.hub import changes, runs
from calhub.hub.migrate import open_plain
from calhub.hub.sql import Connection

router = APIRouter(tags=["stream"])

#: Seconds between two looks at whether anything was committed, and between two signs of life.
LOOK: Final = 0.05
HEARTBEAT: Final = 15.0
#: ... and between two looks at whether the server stops.
STOP: Final = 0.25
#: Changes read, and sent, at once.
BATCH: Final = 100

_DESCRIPTION: Final = "`text/event-stream`; ends when the server stops."


class Pulse:
    """Wakes whoever waits when any process has committed to the database. Looks only while somebody waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def listener(self) -> Iterator[asyncio.Event]:
        """Set after each commit; the listener clears it."""
        woken = asyncio.Event()
        self._waiting.add(woken)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            yield woken
        finally:
            self._waiting.discard(woken)

    async def _look(self) -> None:
        with closing(open_plain(self._path, read_only=True)) as db:
            seen = _version(db)
            while self._waiting:
                await asyncio.sleep(LOOK)
                now = _version(db)
                if now != seen:
                    seen = now
                    for woken in self._waiting:
                        woken.set()


def _version(db: sqlite3.Connection) -> int:
    """Changes with each commit of another connection (https://sqlite.org/pragma.html#pragma_data_version)."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])


class Reader:
    """What one client has not been told yet."""

    def __init__(self, here: Surroundings, after: int | None) -> None:
        self._here = here
        with here.hub.read() as conn:
            self._seq = changes.last_seq(conn) if after is None else after
            self._gap = after is not None and not changes.is_whole_after(conn, after)
            self._run = runs.last_id(conn)
        self._under_way: set[int] = set()

    def read(self) -> list[str]:
        """The next messages, none when there is nothing new."""
        with self._here.hub.read() as conn:
            messages = [self._reset(conn)] if self._gap else []
            messages += [self._change(change) for change in changes.log_after(conn, self._seq, BATCH)]
            return messages + list(self._passes(conn))

    def _reset(self, conn: Connection) -> str:
        """The log does not reach back that far, or is an older one: what the client has is to be read anew."""
        self._gap, self._seq = False, changes.last_seq(conn)
        return _message({"uid": None, "calendar": None, "op": "reset", "seq": self._seq}, event="reset")

    def _change(self, change: dict[str, Any]) -> str:
        self._seq = change.pop("seq")
        return _message(change, number=self._seq)

    def _passes(self, conn: Connection) -> Iterator[str]:
        for run in runs.since(conn, self._run, self._under_way):
            self._run = max(self._run, run["id"])
            ended = run["finished"] is not None
            if ended or run["id"] not in self._under_way:
                (self._under_way.discard if ended else self._under_way.add)(run["id"])
                state = {"state": "finished", "run": runs.run_shape(run)} if ended else {"state": "started"}
                about = {"replica": run["replica_id"], "account": run["account"]}
                yield _message({"uid": None, "calendar": run["calendar"], "op": "sync", **about, **state}, event="sync")


def _message(data: dict[str, Any], *, event: str | None = None, number: int | None = None) -> str:
    lines = [] if number is None else [f"id: {number}"]
    lines += [] if event is None else [f"event: {event}"]
    return "\n".join([*lines, f"data: {json.dumps(data)}", "", ""])


@router.get(
    "/stream", dependencies=[needs("read")], response_class=StreamingResponse,
    responses={200: {"description": _DESCRIPTION, "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def stream(
    request: Request,
    here: Here,
    last_event_id: Annotated[
        str | None, Header(max_length=30, description="Go on after this `seq`; 0: from the beginning of the log.")
    ] = None,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="The same, where no header can be sent.")] = None,
) -> Response:
    """Changes and passes as they happen. Without `Last-Event-ID`: from now on."""
    if last_event_id is not None:
        if not last_event_id.isascii() or not last_event_id.isdecimal() or len(last_event_id) > 18:
            raise Problem(422, "Last-Event-ID is no number.", code="invalid-event-id")
        after = int(last_event_id)
    reader = await to_thread.run_sync(Reader, here, after)
    return StreamingResponse(_told(reader, here, request.app.state.pulse), media_type="text/event-stream")


async def _told(reader: Reader, here: Surroundings, pulse: Pulse) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"  # milliseconds until a client that was cut off comes back
    loop = asyncio.get_running_loop()
    beat = loop.time()
    with pulse.listener() as woken:
        woken.set()  # there may be news since the reader was made
        while not here.stopping.is_set():
            if woken.is_set():
                woken.clear()
                while messages := await to_thread.run_sync(reader.read):
                    yield "".join(messages).encode()
                    beat = loop.time()
            if loop.time() - beat >= HEARTBEAT:
                beat = loop.time()
                woken.set()  # should the pulse have stopped, this is its replacement
                yield b": still here\n\n"
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), STOP)
