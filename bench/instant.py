"""``python -m bench.instant SIZE FIRST``: a CalDAV server that has its answers ready; prints its address.

What a client then waits for is its own work. Only the large answers are put together here, from a piece of XML for each
item; everything small (discovery, what changed since a token) comes from `calhub.testing.davserver`.
"""

from __future__ import annotations

import re
import sys
import time
from xml.sax.saxutils import escape

from bench.corpus import samples
from calhub.testing.davserver import CALENDAR, DavServer, Reply, Request

FIRST = 0
_HREF = re.compile(rb"href>(/[^<]+)<")
_START = b'<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">'
_END = b"</d:multistatus>"
_OWN = f"""<d:response><d:href>{CALENDAR}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/><c:calendar/>
</d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>""".encode()
_ROW = """<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:getetag>{etag}</d:getetag>
<d:getcontenttype>text/calendar;component=vevent</d:getcontenttype>{more}</d:prop>
<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>
"""


class Prepared:
    """An answerer for `DavServer`: large answers from pieces made beforehand."""

    def __init__(self, server: DavServer) -> None:
        self._server = server
        self._listed: dict[bytes, bytes] = {}  # by href: without the body
        self._whole: dict[bytes, bytes] = {}

    def store(self, name: str, text: str) -> str:
        """Put a text into the calendar; returns its ETag."""
        etag = self._server.store(name, text)
        href = CALENDAR + name
        data = f"<c:calendar-data>{escape(text, {chr(13): '&#13;'})}</c:calendar-data>"
        self._listed[href.encode()] = _ROW.format(href=href, etag=escape(etag), more="<d:resourcetype/>").encode()
        self._whole[href.encode()] = _ROW.format(href=href, etag=escape(etag), more=data).encode()
        return etag

    def __call__(self, request: Request) -> Reply | None:
        """The answer, or None where the server is to find its own."""
        body = request.body
        if request.method == "PUT":
            etag = self.store(request.path.removeprefix(CALENDAR), body.decode())
            return Reply(204, headers={"ETag": etag})
        if request.path != CALENDAR:
            return None
        if request.method == "PROPFIND" and request.headers.get("depth") == "1":
            return _multistatus(_OWN, *self._listed.values())
        if b"calendar-multiget" in body:
            return _multistatus(*(self._whole[href] for href in _HREF.findall(body)))
        if b"sync-collection" in body and (b"sync-token></" in body or b"sync-token/>" in body):
            rows = self._whole if b"calendar-data" in body else self._listed
            token = f"<d:sync-token>http://example.org/sync/{len(self._server.log)}</d:sync-token>"
            return _multistatus(*rows.values(), token.encode())
        return None


def _multistatus(*rows: bytes) -> Reply:
    return Reply(207, b"".join((_START, *rows, _END)))


def main() -> None:
    size, first = map(int, sys.argv[1:])
    with DavServer() as server:
        prepared = Prepared(server)
        for each in samples(size, first=first):
            prepared.store(each.file_name, each.text)
        server.answerers.append(prepared)
        print(server.url, flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
