"""A small CalDAV server in a thread, for what real servers do not do on demand: failures, limits and quirks.

It speaks real HTTP on loopback and is strict about what the RFCs ask of a client (Depth, preconditions, element order):
a request that breaks a rule gets 400 and is noted in ``complaints``, which a test should find empty.

    with DavServer() as server:
        server.store("a.ics", text)
        server.answer("REPORT", 503, headers={"Retry-After": "7"})   # the next REPORT only
"""

from __future__ import annotations

import base64
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote
from xml.sax.saxutils import escape

from lxml import etree

USERNAME: Final = "user"
PASSWORD: Final = "secret"
HOME: Final = f"/dav/{USERNAME}/"
CALENDAR: Final = f"{HOME}cal/"
_NS: Final = {"d": "DAV:", "c": "urn:ietf:params:xml:ns:caldav", "cs": "http://calendarserver.org/ns/"}
_DECLARED: Final = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in _NS.items())


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """``drop``: the connection is closed instead of an answer; ``cut``: after so many bytes of the body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    cut: int | None = None


Answerer = Callable[[Request], Reply | None]


class DavServer:
    """One account ``user``/``secret`` with one calendar. Attributes may be changed at any time."""

    def __init__(self) -> None:
        self.password = PASSWORD
        self.items: dict[str, tuple[str, str]] = {}  # name: (etag, text)
        self.log: list[str] = []  # names in the order of their changes; the sync token is its length
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.answerers: list[Answerer] = []
        self.sync = True
        self.ctag = True
        self.sync_bodies = True
        self.sync_page: int | None = None  # rows in one answer to sync-collection, the rest by 507
        self.multiget_drops: set[str] = set()  # names it leaves out silently
        self.multiget_fails_on: set[str] = set()  # names on which the whole REPORT fails with 500
        self.dav = "1, 3, calendar-access"
        self.name = "Cal"
        self._serial = 0
        self._lock = threading.RLock()
        self._http = _QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> DavServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def store(self, name: str, text: str) -> str:
        """Put a text into the calendar behind everybody's back; returns its ETag."""
        with self._lock:
            self._serial += 1
            etag = f'"{self._serial}"'
            self.items[name] = (etag, text)
            self.log.append(name)
            return etag

    def drop(self, name: str) -> None:
        """Delete an item behind everybody's back."""
        with self._lock:
            del self.items[name]
            self.log.append(name)

    def answer(self, method: str, status: int, body: str | bytes = b"", *, times: int = 1, **reply: Any) -> None:
        """Give this answer to the next ``times`` requests with this method, instead of the right one."""
        left = [times]
        data = body.encode() if isinstance(body, str) else body

        def once(request: Request) -> Reply | None:
            if request.method != method or not left[0]:
                return None
            left[0] -= 1
            return Reply(status, data, **reply)

        self.answerers.append(once)

    def seen(self, method: str) -> list[Request]:
        """The requests so far with this method."""
        return [request for request in self.requests if request.method == method]

    # Answers

    def respond(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            for answerer in self.answerers:
                if (reply := answerer(request)) is not None:
                    return reply
            wanted = "Basic " + base64.b64encode(f"{USERNAME}:{self.password}".encode()).decode()
            if request.headers.get("authorization") != wanted:
                return Reply(401, headers={"WWW-Authenticate": 'X-Token realm="x", Basic realm="dav"'})
            try:
                return self._respond(request)
            except _Complaint as complaint:
                self.complaints.append(f"{request.method} {request.path}: {complaint}")
                return Reply(400)

    def _respond(self, request: Request) -> Reply:
        path = unquote(request.path)
        if request.method == "OPTIONS":
            return Reply(200, headers={"DAV": self.dav})
        if path == CALENDAR.rstrip("/") or (path.startswith(HOME) and not path.startswith(CALENDAR) and path != HOME):
            return Reply(404)
        if request.method == "PROPFIND":
            return self._propfind(path, request)
        if not path.startswith(CALENDAR):
            return Reply(404)
        name = path.removeprefix(CALENDAR)
        match request.method:
            case "REPORT" if not name:
                return self._report(request)
            case "GET" if name in self.items:
                etag, text = self.items[name]
                return Reply(200, text.encode(), {"ETag": etag, "Content-Type": "text/calendar; charset=utf-8"})
            case "PUT" if name:
                return self._put(name, request)
            case "DELETE" if name:
                return self._delete(name, request)
            case "GET":
                return Reply(404)
        return Reply(405)

    def _propfind(self, path: str, request: Request) -> Reply:
        _require(request.headers.get("depth") in ("0", "1"), "PROPFIND needs Depth 0 or 1")
        wanted = [str(each.tag) for each in _xml(request).findall("d:prop/*", _NS)]
        rows = [path]
        if request.headers["depth"] == "1":
            rows += {HOME: [CALENDAR], CALENDAR: [CALENDAR + name for name in self.items]}.get(path, [])
        known = {"/", "/dav/", HOME, CALENDAR} | {CALENDAR + name for name in self.items}
        if path not in known:
            return Reply(404)
        return _multistatus([_row(row, self._properties(row), wanted) for row in rows])

    def _properties(self, path: str) -> dict[str, str]:
        props = {"d:current-user-principal": f"<d:href>{HOME}</d:href>", "d:resourcetype": "<d:collection/>"}
        if path == HOME:
            props |= {"c:calendar-home-set": f"<d:href>{HOME}</d:href>"}
        elif path == CALENDAR:
            reports = "<d:supported-report><d:report><d:sync-collection/></d:report></d:supported-report>"
            props |= {"d:resourcetype": "<d:collection/><c:calendar/>", "d:displayname": escape(self.name)}
            props |= {"d:supported-report-set": reports, "d:sync-token": self._token()} if self.sync else {}
            props |= {"cs:getctag": f"ctag-{len(self.log)}"} if self.ctag else {}
        elif path.startswith(CALENDAR):
            props = {"d:resourcetype": "", "d:getetag": self.items[path.removeprefix(CALENDAR)][0]}
        return props

    def _token(self, position: int | None = None) -> str:
        return f"http://example.org/sync/{len(self.log) if position is None else position}"

    def _report(self, request: Request) -> Reply:
        root = _xml(request)
        kind = etree.QName(root).localname
        if kind == "sync-collection":
            return self._sync(root, request) if self.sync else Reply(415)
        _require(request.headers.get("depth") == "1", f"{kind} needs Depth 1")
        if kind == "calendar-multiget":
            return self._multiget(root)
        _require(kind == "calendar-query", f"unknown report {kind}")
        uid = root.findtext(".//c:text-match", namespaces=_NS) or ""
        return _multistatus([self._item_row(name) for name, (_, text) in self.items.items() if uid in text])

    def _sync(self, root: etree._Element, request: Request) -> Reply:
        _require(request.headers.get("depth") == "0", "sync-collection needs Depth 0 (RFC 6578 section 3.2)")
        order = [etree.QName(each).localname for each in root]
        _require(order == ["sync-token", "sync-level", "prop"], f"wrong elements in sync-collection: {order}")
        token = root.findtext("d:sync-token", namespaces=_NS) or ""
        match = re.fullmatch(r"http://example\.org/sync/(\d+)", token)
        if token and (match is None or int(match[1]) > len(self.log)):
            return Reply(403, _error("<d:valid-sync-token/>"))
        start = int(match[1]) if match else 0
        end = len(self.log) if self.sync_page is None else min(len(self.log), start + self.sync_page)
        names = list(dict.fromkeys(self.log[start:end]))
        bodies = self.sync_bodies and root.find("d:prop/c:calendar-data", _NS) is not None
        rows = [self._item_row(name, bodies=bodies) for name in names]
        if end < len(self.log):
            rows.append(f"<d:response><d:href>{CALENDAR}</d:href><d:status>HTTP/1.1 507 X</d:status></d:response>")
        return _multistatus(rows, self._token(end))

    def _multiget(self, root: etree._Element) -> Reply:
        names = [(each.text or "").removeprefix(CALENDAR) for each in root.findall("d:href", _NS)]
        if self.multiget_fails_on & set(names):
            return Reply(500)
        return _multistatus([self._item_row(name) for name in names if name not in self.multiget_drops])

    def _item_row(self, name: str, *, bodies: bool = True) -> str:
        href = escape(CALENDAR + name)
        if name not in self.items:
            return f"<d:response><d:href>{href}</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>"
        etag, text = self.items[name]
        props = {"d:getetag": escape(etag)}
        if bodies:
            props["c:calendar-data"] = escape(text, {"\r": "&#13;"})
        return _row(href, props, [_clark("d:getetag"), _clark("c:calendar-data")])

    def _put(self, name: str, request: Request) -> Reply:
        _require(request.headers.get("content-type", "").startswith("text/calendar"), "PUT needs text/calendar")
        if not self._allowed(name, request):
            return Reply(412)
        text = request.body.decode()
        uids = set(re.findall(r"^UID:(.*)\r$", text, re.MULTILINE))
        _require(len(uids) == 1, "an object has exactly one UID (RFC 4791 section 4.1)")
        for other, (_, stored) in self.items.items():
            if other != name and uids & set(re.findall(r"^UID:(.*)\r$", stored, re.MULTILINE)):
                return Reply(409, _error(f"<c:no-uid-conflict><d:href>{CALENDAR}{other}</d:href></c:no-uid-conflict>"))
        created = name not in self.items
        return Reply(201 if created else 204, headers={"ETag": self.store(name, text)})

    def _delete(self, name: str, request: Request) -> Reply:
        if name not in self.items:
            return Reply(404)
        if not self._allowed(name, request):
            return Reply(412)
        self.drop(name)
        return Reply(204)

    def _allowed(self, name: str, request: Request) -> bool:
        current = self.items.get(name)
        if request.headers.get("if-none-match") == "*":
            return current is None
        expected = request.headers.get("if-match")
        return expected is None or (current is not None and expected == current[0])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a small body waits 40 ms for the client's ACK of the headers

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self._send(server.respond(Request(self.command, self.path, headers, body)))

            def _send(self, reply: Reply) -> None:
                if reply.drop:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"Content-Type": "text/xml", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body[: reply.cut])
                self.close_connection = self.close_connection or reply.cut is not None

            def log_message(self, format: str, *args: object) -> None:
                """Tests need no log."""

        return Handler


class _QuietServer(ThreadingHTTPServer):
    """A client that hangs up is part of the tests, and no news."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Complaint(Exception):
    """The client broke a rule."""


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise _Complaint(complaint)


def _xml(request: Request) -> etree._Element:
    try:
        return etree.fromstring(request.body)
    except etree.XMLSyntaxError as error:
        raise _Complaint(str(error)) from error


def _clark(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{_NS[prefix]}}}{local}"


def _row(href: str, props: Mapping[str, str], wanted: list[str]) -> str:
    """A response element; what is wanted and not there is listed with 404."""
    by_tag = {_clark(name): (name, value) for name, value in props.items()}
    found = "".join(f"<{name}>{value}</{name}>" for tag, (name, value) in by_tag.items() if tag in wanted)
    missing = "".join(
        f'<x:{etree.QName(tag).localname} xmlns:x="{etree.QName(tag).namespace}"/>'
        for tag in wanted
        if tag not in by_tag
    )
    text = f"<d:response><d:href>{href}</d:href>"
    text += f"<d:propstat><d:prop>{found}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>" if found else ""
    if missing:
        text += f"<d:propstat><d:prop>{missing}</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>"
    return text + "</d:response>"


def _multistatus(rows: list[str], token: str | None = None) -> Reply:
    inner = "".join(rows) + (f"<d:sync-token>{token}</d:sync-token>" if token else "")
    return Reply(207, f'<?xml version="1.0"?><d:multistatus {_DECLARED}>{inner}</d:multistatus>'.encode())


def _error(inner: str) -> bytes:
    return f'<?xml version="1.0"?><d:error {_DECLARED}>{inner}</d:error>'.encode()
