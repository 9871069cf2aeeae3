"""What the emulators share: a real HTTP server with routes, planned faults, a request log, a clock and webhooks.

    class Notes(Service):
        def routes(self):
            return [Route("GET", "/notes/{note}", self.read)]

        def read(self, request: Request) -> Response:
            return Response.of({"text": self.notes[request.path_value("note")]})

    with Notes() as notes:
        httpx.get(notes.url + "/notes/1")

Requests are answered one at a time, under `Service.lock`; ``user_*`` methods of an emulator (what the users of the
service do in its own app) take the same lock and are neither logged nor subject to faults.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import Message
from fnmatch import fnmatchcase
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

Clock: TypeAlias = Callable[[], datetime]
How = Literal[
    "status",  # not applied; answered with the fault's status
    "status-after",  # applied, but answered with the fault's status
    "cut-before",  # the connection is closed, nothing was applied
    "cut-after",  # applied, then the connection is closed without an answer
    "truncated",  # applied; the answer ends in the middle of its body
    "expired",  # every access token given out so far is dead from this request on
]
WEBHOOK_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. ``path`` is as sent (percent-encoded, without the query); ``order`` counts from 1."""

    order: int
    method: str
    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    values: Mapping[str, str] = field(default_factory=dict)  # what the route's {names} stand for, decoded
    part_of: int | None = None  # the order of the batch request that this one came in

    @property
    def name(self) -> str:
        """``"PATCH /calendars/1"``: what faults are matched against."""
        return f"{self.method} {self.path}"

    def param(self, name: str) -> str | None:
        """The last value of a query parameter, or None."""
        values = self.query.get(name)
        return values[-1] if values else None

    def path_value(self, name: str) -> str:
        return self.values[name]

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def json(self) -> Any:
        """The body as JSON; an empty body is None. Raises ValueError."""
        return json.loads(self.body) if self.body else None

    def form(self) -> dict[str, str]:
        """The body as an urlencoded form. Raises ValueError when it is not text."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}


@dataclass(frozen=True, kw_only=True)
class Response:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """A JSON document."""
        body = json.dumps(document, ensure_ascii=False).encode()
        return cls(
            status=status, headers={"Content-Type": "application/json; charset=utf-8"} | dict(headers or {}), body=body
        )


class Failed(Exception):
    """Raised by a handler to answer with an error; the emulators make these in their service's own format."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class Cut(Exception):
    """The connection ends here; ``sent`` is what still gets out."""

    def __init__(self, sent: Response | None = None) -> None:
        super().__init__("cut")
        self.sent = sent


Handler: TypeAlias = Callable[[Request], Response]


class Route:
    """A method, a path template (``{name}`` is one segment, ``{name:path}`` any number) and what answers it."""

    def __init__(self, method: str, template: str, handler: Handler) -> None:
        self.method = method
        self.handler = handler
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template).replace(r":path\}", ":path}"))
        self._pattern = re.compile(re.sub(r"\\\{(\w+):path\}", r"(?P<\1>.+)", pattern))

    def match(self, path: str) -> dict[str, str] | None:
        """The decoded values of the template's names, or None."""
        found = self._pattern.fullmatch(path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


@dataclass
class _Fault:
    match: str
    how: How
    times: int
    skip: int
    status: int
    retry_after: float | None
    part_only: bool


@dataclass(frozen=True, kw_only=True)
class Notification:
    """A webhook message that waits to be sent, or was sent; ``status`` is what the receiver answered."""

    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    status: int | None = None  # None: not sent, or no answer


class Service:
    """One emulated service. A context manager: the server runs inside the block, at ``url``, on a free port."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or (lambda: datetime.now(UTC))
        self.lock = threading.RLock()
        self.log: list[Request] = []  # requests of the HTTP server, in order
        self.parts: list[Request] = []  # requests that came inside batches
        self.pending: list[Notification] = []  # webhook messages not sent yet
        self.delivered: list[Notification] = []
        self.hook: Callable[[Request], None] | None = None  # called before each request is answered (edits in between)
        self._faults: list[_Fault] = []
        self._server: _Server | None = None
        self._count = 0

    # For emulators.

    def routes(self) -> Sequence[Route]:
        raise NotImplementedError

    def error(self, status: int, request: Request) -> Response:  # noqa: ARG002 (others look at it)
        """An error of this status in the service's own format: for faults, unknown paths and methods."""
        return Response.of({"error": {"code": status}}, status)

    def expire_tokens(self) -> None:
        """No access token given out so far is accepted any more."""
        raise NotImplementedError

    def part(self, outer: Request, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request of a batch, with its own faults and its own line in `parts`."""
        request = replace(_request(self._next(), method, target, headers, body), part_of=outer.order)
        self.parts.append(request)
        return self.answer(request)

    def notify(self, url: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Queue a webhook message; it leaves with the next `deliver`."""
        self.pending.append(Notification(url=url, headers=headers, body=body))

    # For tests.

    def fail(
        self,
        match: str,
        how: How,
        *,
        times: int = 1,
        skip: int = 0,
        status: int = 503,
        retry_after: float | None = None,
        part: bool = False,
    ) -> None:
        """Plan a fault for ``times`` requests, after ``skip`` good ones.

        ``match`` is a shell pattern for ``"METHOD /path"``, such as ``"PATCH *"`` or ``"* /token"``. With ``part`` only
        requests inside batches count, without it only those of the HTTP server itself.
        """
        self._faults.append(_Fault(match, how, times, skip, status, retry_after, part))

    def heal(self) -> int:
        """No planned fault strikes any more; how many have never struck."""
        left = len(self._faults)
        self._faults.clear()
        return left

    def deliver(self) -> list[Notification]:
        """POST the queued webhook messages for real, in order; returns them with what was answered."""
        with self.lock:
            waiting, self.pending = self.pending, []
        sent = [replace(message, status=post(message)) for message in waiting]
        self.delivered += sent
        return sent

    def requests(self, match: str = "*") -> list[Request]:
        """The requests whose name fits the pattern, those inside batches included, in order."""
        found = [request for request in [*self.log, *self.parts] if fnmatchcase(request.name, match)]
        return sorted(found, key=lambda request: request.order)

    # The server.

    @property
    def running(self) -> bool:
        return self._server is not None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``; only inside the block."""
        if self._server is None:
            raise RuntimeError("the server does not run")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="emulator", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def receive(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a request of the HTTP server. Raises `Cut` where the connection is to end."""
        if self.hook is not None:
            self.hook(_request(0, method, target, headers, body))
        with self.lock:
            request = _request(self._next(), method, target, headers, body)
            self.log.append(request)
            return self.answer(request)

    def peek(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """The answer for somebody who leaves no trace: no planned fault strikes, nothing is logged."""
        with self.lock:
            faults, parts = self._faults, len(self.parts)
            self._faults = []
            try:
                return self._route(_request(self._next(), method, target, headers, body))
            finally:
                self._faults = faults
                del self.parts[parts:]

    def answer(self, request: Request) -> Response:
        """Route the request, unless a fault is planned for it."""
        fault = self._fault(request)
        if fault is None:
            return self._route(request)
        match fault.how:
            case "status":
                return self._faulty(fault, request)
            case "status-after":
                self._route(request)
                return self._faulty(fault, request)
            case "cut-before":
                raise Cut
            case "cut-after":
                self._route(request)
                raise Cut
            case "truncated":
                raise Cut(self._route(request))
            case "expired":
                self.expire_tokens()
                return self._route(request)

    @cached_property
    def _routes(self) -> list[Route]:
        return list(self.routes())

    def _route(self, request: Request) -> Response:
        known = False
        for route in self._routes:
            values = route.match(request.path)
            if values is not None:
                known = True
                if route.method == request.method:
                    try:
                        return route.handler(replace(request, values=values))
                    except Failed as failed:
                        return failed.response
        return self.error(405 if known else 404, request)

    def _fault(self, request: Request) -> _Fault | None:
        for fault in self._faults:
            if fault.part_only == (request.part_of is not None) and fnmatchcase(request.name, fault.match):
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return fault
        return None

    def _faulty(self, fault: _Fault, request: Request) -> Response:
        response = self.error(fault.status, request)
        if fault.retry_after is None:
            return response
        return replace(response, headers={**response.headers, "Retry-After": f"{fault.retry_after:g}"})

    def _next(self) -> int:
        self._count += 1
        return self._count


def post(message: Notification) -> int | None:
    """POST a webhook message; the status of the answer, or None if there was none."""
    try:
        answer = httpx.post(message.url, headers=dict(message.headers), content=message.body, timeout=WEBHOOK_SECONDS,
                            trust_env=False)  # fmt: skip
    except httpx.HTTPError:
        return None
    return answer.status_code


def _request(order: int, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
    parts = urlsplit(target)
    return Request(
        order=order,
        method=method,
        path=parts.path,
        query=parse_qs(parts.query, keep_blank_values=True),
        headers={name.lower(): value for name, value in headers.items()},
        body=body,
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # clients keep connections open; their threads end with them

    def __init__(self, service: Service) -> None:
        self.service = service
        super().__init__(("127.0.0.1", 0), _Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of our business; a bug of the emulator is shown by the 500 it gives."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write for head and body
    server: _Server

    _METHODS: ClassVar = ("GET", "POST", "PUT", "PATCH", "DELETE")

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.removeprefix("do_") in self._METHODS:
            return self._exchange
        raise AttributeError(name)

    def _exchange(self) -> None:
        if not self.server.service.running:  # a connection that was kept outlives the server's own end
            self.close_connection = True
            return
        if self.headers.get("Transfer-Encoding"):
            self.send_error(411)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            response = self.server.service.receive(self.command, self.path, _plain(self.headers), body)
        except Cut as cut:
            self.close_connection = True
            if cut.sent is not None:
                self._send(cut.sent, len(cut.sent.body) // 2)
            return
        except Exception as error:
            self._send(Response(status=500, body=f"the emulator failed: {error!r}".encode()))
            raise
        self._send(response)

    def _send(self, response: Response, limit: int | None = None) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body[:limit])
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Nothing on standard error; the log is `Service.log`."""


def _plain(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class Receiver(Service):
    """The other end of webhooks: it keeps what is POSTed to it, and answers with ``status`` and ``reply``."""

    def __init__(self, *, status: int = 200, reply: Callable[[Request], Response] | None = None) -> None:
        self.status = status
        self.reply = reply
        super().__init__()

    def routes(self) -> Sequence[Route]:
        return [Route("POST", "/{rest:path}", self._take)]

    def _take(self, request: Request) -> Response:
        return self.reply(request) if self.reply is not None else Response(status=self.status)


def tokens(prefix: str) -> Iterator[str]:
    """Names that never repeat: ``prefix-1``, ``prefix-2``, ..."""
    number = 0
    while True:
        number += 1
        yield f"{prefix}-{number}"
