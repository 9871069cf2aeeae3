"""An HTTP relay in front of a real server: it counts what passes, and tells when a chosen moment has come."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal
from urllib.parse import urlsplit

#: "arrives": the n-th request has been read, and is not passed on. "answered": the server has done it, nobody hears of
#: it. "bytes": so many bytes of answers have passed. "log": the hub's write-ahead log has changed so often (not the
#: relay's business).
Kind = Literal["arrives", "answered", "bytes", "log"]

_PIECE: Final = 4096
_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"})


@dataclass(frozen=True)
class Moment:
    kind: Kind
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


@dataclass(frozen=True)
class Passed:
    """One request and what the server made of it."""

    method: str
    path: str
    creates: bool
    status: int


class Relay:
    """Listens on ``url`` from the start; `close` ends it. One moment at a time is waited for."""

    def __init__(self, upstream: str) -> None:
        self.upstream: Final = urlsplit(upstream).netloc
        self.passed: list[Passed] = []
        self.requests = 0
        self.bytes = 0
        self._moment: Moment | None = None
        self._reached: Callable[[], None] = lambda: None
        self._under_way = 0
        self._quiet = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url: Final = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, name="relay")
        self._thread.start()

    def arm(self, moment: Moment | None, reached: Callable[[], None] = lambda: None) -> None:
        """Count from zero; call ``reached`` once, when the moment has come. What it cuts off gets no answer."""
        with self._quiet:
            self.passed, self.requests, self.bytes = [], 0, 0
            self._moment, self._reached = moment, reached

    def wait_until_quiet(self) -> None:
        """Wait until the server has answered whatever it was given."""
        with self._quiet:
            self._quiet.wait_for(lambda: self._under_way == 0)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # Called by the handlers.

    def enter(self) -> bool:
        """A request is there; whether it may pass."""
        with self._quiet:
            self._under_way += 1
            self.requests += 1
            return not self._is("arrives", self.requests)

    def answered(self, passed: Passed) -> bool:
        with self._quiet:
            self.passed.append(passed)
            return not self._is("answered", len(self.passed))

    def sent(self, size: int) -> bool:
        with self._quiet:
            self.bytes += size
            return not self._is("bytes", self.bytes)

    def leave(self) -> None:
        with self._quiet:
            self._under_way -= 1
            self._quiet.notify_all()

    def _is(self, kind: Kind, count: int) -> bool:
        if self._moment is None or self._moment.kind != kind or count < self._moment.number:
            return False
        self._moment = None
        self._reached()
        return True


def _handler(relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client has been killed
                super().handle()

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                if not relay.enter() or not self._exchange(body):
                    self.close_connection = True
            finally:
                relay.leave()

        def _exchange(self, body: bytes) -> bool:
            connection = http.client.HTTPConnection(relay.upstream)
            try:
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                content = answer.read()
            finally:
                connection.close()
            creates = self.headers.get("If-None-Match") == "*"
            if not relay.answered(Passed(self.command, self.path, creates, answer.status)):
                return False
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            for start in range(0, len(content), _PIECE):
                piece = content[start : start + _PIECE]
                self.wfile.write(piece)
                if not relay.sent(len(piece)):
                    return False
            return True

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    for method in ("OPTIONS", "GET", "PUT", "DELETE", "PROPFIND", "REPORT"):
        setattr(Handler, f"do_{method}", Handler.pass_on)
    return Handler
