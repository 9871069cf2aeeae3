"""Somebody who is told of changes: a web server that takes nothing on trust."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from standardwebhooks import Webhook

#: Seconds between the time a message was signed and the receiver's own, either way.
TOLERANCE: Final = 300

Answer = tuple[int, dict[str, str]] | Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Received:
    """A message that is signed as it should be, each time it came. ``signatures`` counts those in its header."""

    id: str
    type: str
    data: dict[str, Any]
    signatures: int


class Receiver:
    """Listens on a port of this machine. ``clock`` is Unix time in seconds.

    ``secrets`` are those known to it: one of them must have signed. ``answers`` are given in turn, then 204.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.secrets: list[str] = []
        self.answers: deque[Answer] = deque()
        self.received: list[Received] = []
        self.refused: list[str] = []
        self._clock = clock
        self._port = 0
        self.open()

    def open(self) -> None:
        """Listen, on the same port each time."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver._take({name.lower(): value for name, value in self.headers.items()}, body.decode())
                answer = receiver.answers.popleft() if receiver.answers else (204, {})
                if callable(answer):
                    answer(self)
                    return
                status, headers = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - which would be the wrong method, and fail for want of a body

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Be down: connections are refused."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/told"

    @property
    def items(self) -> list[dict[str, Any]]:
        """The changes told of, in the order of their messages; a message that came twice counts once."""
        messages = {each.id: each for each in self.received if each.type == "changes"}
        return [item for message in messages.values() for item in message.data["items"]]

    @property
    def told(self) -> list[str]:
        """Their UIDs."""
        return [item["uid"] for item in self.items]

    @property
    def types(self) -> list[str]:
        return [each.type for each in self.received]

    def _take(self, headers: dict[str, str], body: str) -> None:
        signatures = headers["webhook-signature"].split(" ")
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        expected = [Webhook(each).sign(headers["webhook-id"], at, body) for each in self.secrets]
        if not set(expected) & set(signatures):
            self.refused.append("the signature is wrong")
        elif abs(at.timestamp() - self._clock()) > TOLERANCE:
            self.refused.append("the time is wrong")
        elif headers["content-type"] != "application/json":
            self.refused.append("the type is wrong")
        else:
            message = json.loads(body)
            assert sorted(message) == ["data", "timestamp", "type"]
            found = Received(headers["webhook-id"], message["type"], message["data"], len(signatures))
            self.received.append(found)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """An answer whose head comes byte by byte, and is a success if somebody waits for its end."""
    tick = threading.Event()
    try:
        for byte in b"HTTP/1.1 204 No Content\r\n" + b"x-slow: 1\r\n" * 30 + b"\r\n":
            handler.wfile.write(bytes([byte]))
            tick.wait(0.02)
    except OSError:
        pass  # nobody waits


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A success with a body that never ends."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass  # nobody reads


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """No answer at all."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def fail(times: int, status: int = 500) -> Sequence[Answer]:
    return [(status, {})] * times
