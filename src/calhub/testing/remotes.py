"""Somebody else's calendar program: it reads and writes a calendar by plain HTTP or plain files, without calhub.

The demo, the benchmarks and slow tests use it to fill a remote calendar, to edit it behind calhub's back, and to look
at what is really there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol
from xml.sax.saxutils import escape

import httpx
from lxml import etree

from calhub.testing.corpus import Sample

_ICS: Final = {"Content-Type": "text/calendar; charset=utf-8"}
_CONNECTIONS: Final = 4
_MAKE: Final = """<?xml version="1.0"?>
<c:mkcalendar xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:set><d:prop>
<d:displayname>{name}</d:displayname>
<c:supported-calendar-component-set><c:comp name="VEVENT"/></c:supported-calendar-component-set>
</d:prop></d:set></c:mkcalendar>"""
_QUERY: Final = """<?xml version="1.0"?>
<c:calendar-query xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">
<d:prop><d:getetag/><c:calendar-data/></d:prop>
<c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"/></c:comp-filter></c:filter>
</c:calendar-query>"""
_UID: Final = re.compile(r"^UID:(.+?)\r?$", re.MULTILINE)


class OtherProgram(Protocol):
    """What both kinds of remote calendar can do. Any failure is an exception of the library underneath."""

    def fill(self, samples: Iterable[Sample], *, done: Callable[[], object] = ...) -> None:
        """Write each sample as a new item; ``done`` is called after each."""

    def read(self) -> dict[str, str]:
        """The text of every item, by UID."""

    def edit(self, uid: str, change: Callable[[str], str]) -> None:
        """Replace the text of one item by what ``change`` makes of it."""

    def delete(self, uid: str) -> None:
        """Delete one item."""


class DavCalendar:
    """A calendar on a CalDAV server, by its own URL (with a slash at the end)."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self._client = httpx.Client(auth=(username, password), timeout=60, trust_env=False)

    def make(self, name: str) -> None:
        """Create the calendar on the server (RFC 4791 5.3.1)."""
        self._send("MKCALENDAR", self.url, _MAKE.format(name=escape(name)), {"Content-Type": "application/xml"})

    def fill(self, samples: Iterable[Sample], *, done: Callable[[], object] = lambda: None) -> None:
        def put(sample: Sample) -> None:
            self._send("PUT", self.url + sample.file_name, sample.text, {**_ICS, "If-None-Match": "*"})
            done()

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(put, samples))

    def read(self) -> dict[str, str]:
        return {uid: text for uid, (_href, _etag, text) in self._rows().items()}

    def edit(self, uid: str, change: Callable[[str], str]) -> None:
        href, etag, text = self._rows()[uid]
        self._send("PUT", href, change(text), {**_ICS, "If-Match": etag})

    def delete(self, uid: str) -> None:
        href, etag, _text = self._rows()[uid]
        self._send("DELETE", href, "", {"If-Match": etag})

    def close(self) -> None:
        self._client.close()

    def _rows(self) -> dict[str, tuple[str, str, str]]:
        answer = self._send("REPORT", self.url, _QUERY, {"Depth": "1", "Content-Type": "application/xml"})
        rows = {}
        for response in etree.fromstring(answer.content).iter("{DAV:}response"):
            text = response.findtext(".//{urn:ietf:params:xml:ns:caldav}calendar-data")
            if text:
                href, etag = response.findtext("{DAV:}href"), response.findtext(".//{DAV:}getetag")
                rows[_uid(text)] = (str(httpx.URL(self.url).join(href or "")), etag or "*", text)
        return rows

    def _send(self, method: str, url: str, body: str, headers: dict[str, str]) -> httpx.Response:
        return self._client.request(method, url, content=body.encode(), headers=headers).raise_for_status()


class VdirCalendar:
    """A folder with one ``.ics`` file an item, as khal keeps it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self, name: str) -> None:
        """Create the folder, with its display name."""
        self.path.mkdir(parents=True)
        (self.path / "displayname").write_text(name)

    def fill(self, samples: Iterable[Sample], *, done: Callable[[], object] = lambda: None) -> None:
        for sample in samples:
            (self.path / sample.file_name).write_bytes(sample.text.encode())
            done()

    def read(self) -> dict[str, str]:
        return {uid: _text(path) for uid, path in self._files().items()}

    def edit(self, uid: str, change: Callable[[str], str]) -> None:
        path = self._files()[uid]
        # As editors do it: a new file takes the place of the old one, so that nobody reads half of it.
        fresh = path.with_suffix(".tmp")
        fresh.write_bytes(change(_text(path)).encode())
        fresh.replace(path)

    def delete(self, uid: str) -> None:
        self._files()[uid].unlink()

    def _files(self) -> dict[str, Path]:
        return {_uid(_text(path)): path for path in self.path.glob("*.ics")}


def _text(path: Path) -> str:
    return path.read_bytes().decode()


def _uid(text: str) -> str:
    found = _UID.search(text)
    if found is None:
        raise ValueError("an item without UID")
    return found[1]
