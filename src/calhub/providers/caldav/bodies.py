"""Fetching items: many by calendar-multiget (RFC 4791 section 7.9), one by GET.

Chunks are fetched ahead by a few threads while the caller works on earlier ones. What a server does badly is made
good here: hrefs it leaves out of an answer are fetched singly, a chunk it fails on is halved until the item at fault
is alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from calhub.ops import trace
from calhub.providers.base import Item
from calhub.providers.caldav import wire
from calhub.providers.caldav.client import Dav, Garbled, NotDav, Rejected, name_of, not_dav, path_of, rejected, resolve
from calhub.providers.http import Answer, TooLarge, read_body
from calhub.providers.texts import read_item

CHUNK: Final = 250  # some servers silently leave out what goes beyond a thousand
IN_FLIGHT: Final = 2
AHEAD: Final = 3
ITEM_LIMIT: Final = 20 * 1024 * 1024
_UNSUPPORTED: Final = frozenset({403, 405, 415, 501})
_TOO_BUSY: Final = frozenset({429, 503})


@dataclass(frozen=True)
class Body:
    """What the server has at ``href``: a text, a problem, or (both None) nothing any more."""

    href: str
    version: str | None
    text: str | None = None
    problem: str | None = None


class Bodies:
    """Fetches bodies from the calendars of one account."""

    def __init__(self, dav: Dav) -> None:
        self._dav = dav
        self._multiget = True

    def fetch(self, calendar_url: str, wanted: Sequence[Body]) -> Iterator[list[Body]]:
        """The bodies of all ``wanted`` hrefs, in chunks, in order.

        ``wanted`` have no text yet; their version stands in where the answer has none. Raises `ProviderError`.
        """
        chunks = deque(wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK))
        running: deque[Future[list[Body]]] = deque()
        pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="caldav")
        fetch = trace.carried(partial(self._chunk, calendar_url))
        try:
            while chunks or running:
                while chunks and len(running) < AHEAD:
                    running.append(pool.submit(fetch, chunks.popleft()))
                yield running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def one(self, url: str, href: str, version: str | None = None) -> Body:
        """The body by GET; a `Body` with neither text nor problem if it is not there."""
        # A compressing proxy would put its own mark on the ETag.
        headers = {"Accept": "text/calendar", "Accept-Encoding": "identity"}
        address = resolve(url, path_of(url, href))
        try:
            with self._dav.web.stream("GET", address, headers=headers) as response:
                answer = Answer(response.status_code, response.headers, b"", str(response.url))
                if answer.status in (404, 410):
                    return Body(href, None)
                if answer.status >= 300:
                    raise rejected(answer)
                if "html" in answer.headers.get("content-type", ""):
                    raise not_dav(address)
                text = _decode(read_body(response, ITEM_LIMIT))
        except TooLarge:
            return Body(href, version, problem=f"The item is larger than {ITEM_LIMIT // 1024**2} MB.")
        return Body(href, answer.headers.get("etag") or version or self._version(address), text)

    def _version(self, address: str) -> str | None:
        try:
            return self._dav.properties(address, "d:getetag").text(wire.ETAG)
        except (Rejected, NotDav):
            return None  # a server without versions; every listing will bring the item again

    def _chunk(self, url: str, wanted: Sequence[Body]) -> list[Body]:
        if not self._multiget:
            return [self._single(url, each) for each in wanted]
        try:
            return self._many(url, wanted)
        except (Rejected, Garbled, NotDav) as error:
            status = error.status if isinstance(error, Rejected) else 0
            if status in _TOO_BUSY or status in (404, 410):
                raise
            if status in _UNSUPPORTED or isinstance(error, NotDav):
                self._multiget = False
                return self._chunk(url, wanted)
            if len(wanted) == 1:
                return [self._single(url, wanted[0])]
        half = len(wanted) // 2
        return self._chunk(url, wanted[:half]) + self._chunk(url, wanted[half:])

    def _many(self, url: str, wanted: Sequence[Body]) -> list[Body]:
        got: dict[str, wire.Row] = {}
        with self._dav.multistatus("REPORT", url, wire.multiget(each.href for each in wanted), depth="1") as answer:
            for row in answer:
                got[name_of(path_of(url, row.href))] = row
        return [self._taken(url, each, got.get(name_of(path_of(url, each.href)))) for each in wanted]

    def _taken(self, url: str, wanted: Body, row: wire.Row | None) -> Body:
        if row is not None and row.status in (404, 410):
            return replace(wanted, version=None)
        text = None if row is None or row.status >= 300 else row.text(wire.DATA)
        if row is None or text is None:
            return self._single(url, wanted)
        return replace(wanted, version=row.text(wire.ETAG) or wanted.version, text=text)

    def _single(self, url: str, wanted: Body) -> Body:
        """By GET; what the server cannot show is a problem of this item, not of the listing."""
        try:
            return self.one(url, wanted.href, wanted.version)
        except Rejected as error:
            if error.status in _TOO_BUSY:
                raise
            return replace(wanted, problem=f"The server cannot show this item (HTTP {error.status}).")


def item_of(remote_id: str, body: Body) -> Item | None:
    """The item in a body that has a text or a problem; None if it is something else than an event."""
    if body.text is None:
        return Item(remote_id=remote_id, version=body.version, uid=None, problem=body.problem or "The item is empty.")
    return read_item((remote_id, body.version, body.text))


def _decode(body: bytes) -> str:
    """UTF-8, which iCalendar is by rule; Latin-1, which some servers have stored, else."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("latin-1")
