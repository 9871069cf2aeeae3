"""The XML of CalDAV: request bodies, and multistatus answers read as a stream.

Answers are parsed without entities, DTD or network, and with libxml2's own limits. Characters that XML forbids are
taken out first, since events that were imported from elsewhere bring them into calendar-data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

DAV: Final = "DAV:"
CALDAV: Final = "urn:ietf:params:xml:ns:caldav"
CALSERVER: Final = "http://calendarserver.org/ns/"
APPLE: Final = "http://apple.com/ns/ical/"
NEXTCLOUD: Final = "http://nextcloud.com/ns"

_PREFIXES: Final = {"d": DAV, "c": CALDAV, "cs": CALSERVER, "a": APPLE, "nc": NEXTCLOUD}
_NAMESPACES: Final = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in _PREFIXES.items())


@cache
def tag(name: str) -> str:
    """``d:href`` -> ``{DAV:}href``."""
    prefix, _, local = name.partition(":")
    return f"{{{_PREFIXES[prefix]}}}{local}"


HREF: Final = tag("d:href")
ETAG: Final = tag("d:getetag")
DATA: Final = tag("c:calendar-data")


class BadXml(ValueError):
    """What came is not a whole multistatus answer."""


# Requests


def propfind(*names: str) -> bytes:
    return _document("d:propfind", _props(names))


def sync_collection(token: str, *, bodies: bool) -> bytes:
    """RFC 6578 section 3.2. Without a limit: a server may cut the answer at it and not say so."""
    wanted = ("d:getetag", "d:getcontenttype", "c:calendar-data") if bodies else ("d:getetag", "d:getcontenttype")
    inner = f"<d:sync-token>{escape(token)}</d:sync-token><d:sync-level>1</d:sync-level>{_props(wanted)}"
    return _document("d:sync-collection", inner)


def multiget(hrefs: Iterable[str]) -> bytes:
    """RFC 4791 section 7.9."""
    inner = _props(("d:getetag", "c:calendar-data")) + "".join(f"<d:href>{escape(href)}</d:href>" for href in hrefs)
    return _document("c:calendar-multiget", inner)


def query_uid(uid: str) -> bytes:
    """RFC 4791 section 7.8. The match is one of substrings, so the answer has to be compared."""
    match = f'<c:prop-filter name="UID"><c:text-match collation="i;octet">{escape(uid)}</c:text-match></c:prop-filter>'
    inner = f'<c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT">{match}</c:comp-filter></c:comp-filter>'
    return _document("c:calendar-query", f"{_props(('d:getetag', 'c:calendar-data'))}<c:filter>{inner}</c:filter>")


def make_calendar(root: str, name: str, color: str | None) -> bytes:
    """``root``: ``c:mkcalendar`` (RFC 4791 section 5.3.1) or ``d:mkcol`` (RFC 5689)."""
    props = f"<d:displayname>{escape(name)}</d:displayname>"
    if root == "d:mkcol":
        props += "<d:resourcetype><d:collection/><c:calendar/></d:resourcetype>"
    props += '<c:supported-calendar-component-set><c:comp name="VEVENT"/></c:supported-calendar-component-set>'
    if color:
        props += f"<a:calendar-color>{escape(color)}</a:calendar-color>"
    return _document(root, f"<d:set><d:prop>{props}</d:prop></d:set>")


def _props(names: Iterable[str]) -> str:
    return "<d:prop>" + "".join(f"<{name}/>" for name in names) + "</d:prop>"


def _document(root: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="utf-8"?>\n<{root} {_NAMESPACES}>{inner}</{root}>'.encode()


# Answers


@dataclass(frozen=True)
class Row:
    """One response element: ``status`` is its own, else 200 with the properties ``found``.

    ``statuses`` tells for each property that was not found why. ``href`` is exactly what the server sent.
    """

    href: str
    status: int
    found: Mapping[str, etree._Element]
    statuses: Mapping[str, int]

    def text(self, name: str) -> str | None:
        """The text of a property, None where it is absent or empty."""
        element = self.found.get(name)
        return (element.text or None) if element is not None else None

    def hrefs(self, name: str) -> list[str]:
        """The hrefs inside a property."""
        element = self.found.get(name)
        return [] if element is None else [each.text.strip() for each in element.iter(HREF) if each.text]

    def has(self, name: str, child: str) -> bool:
        """Whether a property has an element of this kind anywhere inside."""
        element = self.found.get(name)
        return element is not None and next(element.iter(child), None) is not None


class Multistatus:
    """The rows of an answer, read once and as they arrive; ``sync_token`` is set after the last.

    Iterating raises `BadXml` if the answer is something else, or breaks off.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.sync_token: str | None = None
        self._chunks = chunks

    def __iter__(self) -> Iterator[Row]:
        parser = etree.XMLPullParser(
            events=("start", "end"),
            tag=(tag("d:multistatus"), tag("d:response"), tag("d:sync-token")),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            for chunk in clean(self._chunks):
                parser.feed(chunk)
                yield from self._read(parser)
            root = parser.close()
        except etree.XMLSyntaxError as error:
            raise BadXml("the answer is not well-formed XML") from error
        yield from self._read(parser)
        if root.tag != tag("d:multistatus"):
            raise BadXml("the answer is XML, but no WebDAV multistatus")

    def _read(self, parser: etree.XMLPullParser) -> Iterator[Row]:
        for event, element in parser.read_events():
            if not isinstance(element, etree._Element):
                continue  # namespaces, by the type of the generator; not asked for
            if event == "start":
                if element.getparent() is None and element.getroottree().docinfo.internalDTD is not None:
                    raise BadXml("the answer has a document type, which WebDAV has no use for")
            elif element.tag == tag("d:response"):
                if (row := _row(element)) is not None:
                    yield row
                _forget(element)
            elif element.tag == tag("d:sync-token") and _is_top(element):
                self.sync_token = (element.text or "").strip() or None


def _is_top(element: etree._Element) -> bool:
    parent = element.getparent()
    return parent is not None and parent.tag == tag("d:multistatus")


def _forget(element: etree._Element) -> None:
    """Free what has been read, so that a large answer takes little memory."""
    parent = element.getparent()
    while parent is not None and (before := element.getprevious()) is not None:
        parent.remove(before)


def _row(response: etree._Element) -> Row | None:
    href = response.findtext(HREF)
    if not href or not href.strip():
        return None  # seen in the wild; there is nothing it could be about
    found: dict[str, etree._Element] = {}
    statuses: dict[str, int] = {}
    for propstat in response.iterchildren(tag("d:propstat")):
        status = _status(propstat.findtext(tag("d:status")), 200)
        for prop in propstat.iterchildren(tag("d:prop")):
            for each in prop.iterchildren(etree.Element):
                if 200 <= status < 300:
                    found[str(each.tag)] = each
                else:
                    statuses[str(each.tag)] = status
    return Row(href.strip(), _status(response.findtext(tag("d:status")), 200), found, statuses)


@lru_cache(maxsize=64)  # an answer has few different ones, ten thousand times
def _status(line: str | None, default: int) -> int:
    """``HTTP/1.1 404 Not Found`` -> 404."""
    match = re.match(r"\s*HTTP/[\d.]+\s+(\d{3})", line or "")
    return int(match[1]) if match else default


def conditions(body: bytes) -> frozenset[str]:
    """The preconditions named in an error body, as local names (RFC 4918 section 16); empty for any other body."""
    root = error_body(body)
    return frozenset() if root is None else frozenset(etree.QName(each).localname for each in root.iterchildren("*"))


def error_body(body: bytes) -> etree._Element | None:
    """The ``{DAV:}error`` element, or None if the body is anything else."""
    if not body.lstrip().startswith(b"<") or b"<!DOCTYPE" in body[:2000]:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(b"".join(clean([body])), parser)
    except etree.XMLSyntaxError:
        return None
    return root if root.tag == tag("d:error") else None


_FORBIDDEN: Final = bytes(set(range(32)) - {9, 10, 13})
_FORBIDDEN_REFERENCES: Final = re.compile(
    rb"&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01])|[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]));"
)
_LONGEST_REFERENCE: Final = 12


def clean(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes without control characters that XML 1.0 forbids, written plainly or as character references."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk.translate(None, _FORBIDDEN)
        # A reference may be cut in two by the end of the chunk.
        cut = text.rfind(b"&", max(0, len(text) - _LONGEST_REFERENCE))
        text, rest = (text, b"") if cut < 0 else (text[:cut], text[cut:])
        if text:
            yield _FORBIDDEN_REFERENCES.sub(b"", text)
    if rest:
        yield _FORBIDDEN_REFERENCES.sub(b"", rest)
