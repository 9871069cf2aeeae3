"""WebDAV requests on top of `calhub.providers.http`, with answers of the wrong kind turned into errors.

ProviderError
  Rejected   the server answered with a status that is no success; ``status`` and ``conditions`` tell why
  NotDav     a success, but no WebDAV answer: a login page, another kind of server (FATAL)
  Garbled    a WebDAV answer that is damaged or cut (RETRY)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from calhub.providers.base import ProviderError, Trait
from calhub.providers.caldav import wire
from calhub.providers.http import Answer, TooLarge, Web, host_of, read_body, retry_after

#: A server may have to read a whole calendar before it answers.
REPORT_SECONDS: Final = 300.0
ERROR_LIMIT: Final = 1024 * 1024
STREAM_LIMIT: Final = 2 * 1024**3
_XML: Final = "application/xml; charset=utf-8"


class Rejected(ProviderError):
    """An answer with a status of 300 and above."""

    status: int = 0
    conditions: frozenset[str] = frozenset()


class NotDav(ProviderError):
    """An answer that no WebDAV server gives."""


class Garbled(ProviderError):
    """An answer that cannot be read to its end."""


class Dav:
    """The requests CalDAV needs. Every method raises `ProviderError`."""

    def __init__(self, web: Web) -> None:
        self.web = web

    @contextmanager
    def multistatus(self, method: str, url: str, body: bytes, *, depth: str) -> Iterator[wire.Multistatus]:
        """The rows of a PROPFIND or REPORT, to be read inside the block. `Rejected`, `NotDav`, `Garbled`."""
        headers = {"Depth": depth, "Content-Type": _XML}
        with self.web.stream(method, url, headers=headers, content=body, read_seconds=REPORT_SECONDS) as response:
            if response.status_code >= 300:
                raise rejected(_whole(response))
            if response.status_code != 207:
                raise not_dav(url)
            try:
                yield wire.Multistatus(_limited(response))
            except wire.BadXml as error:
                if _is_html(response.headers):
                    raise not_dav(url) from error
                raise Garbled(f"{host_of(url)} sent a damaged answer: {error}.", "Try again later.") from error

    def properties(self, url: str, *names: str) -> wire.Row:
        """The properties of one resource (PROPFIND, Depth 0)."""
        with self.multistatus("PROPFIND", url, wire.propfind(*names), depth="0") as answer:
            rows = list(answer)
        if not rows:
            raise not_dav(url)
        if rows[0].status >= 300:  # Xandikos reports a missing resource inside of a 207
            raise rejected(Answer(rows[0].status, httpx.Headers(), b"", url))
        return rows[0]

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Answer:
        """One exchange, whatever the status (401 is raised)."""
        return self.web.send(method, url, headers=headers, content=content)

    def send_xml(self, method: str, url: str, body: bytes) -> Answer:
        """One exchange with an XML body, whatever the status (401 is raised)."""
        return self.web.send(method, url, headers={"Content-Type": _XML}, content=body)


def rejected(answer: Answer) -> Rejected:
    """The error for an answer that is no success."""
    host, status = host_of(answer.url), answer.status
    wait = retry_after(answer.headers)
    if status in (404, 410):
        error = Rejected(f"{host} has no such calendar.", "Look whether it was deleted or renamed there.", Trait.GONE)
    elif status == 403:
        error = Rejected(f"{host} does not allow this.", "Check the rights of the account there.", Trait.FATAL)
    elif status in (429, 503):
        error = Rejected(f"{host} is too busy.", "Try again later.", Trait.RETRY, wait)
    elif status >= 500 or status in (408, 423, 425):
        error = Rejected(f"{host} failed with HTTP {status}.", "Try again later.", Trait.RETRY, wait)
    else:
        error = Rejected(f"{host} answered with HTTP {status}.", "Check the address of the account.", Trait.FATAL)
    error.status, error.conditions = status, wire.conditions(answer.body)
    return error


def not_dav(url: str) -> NotDav:
    return NotDav(
        f"{host_of(url)} does not answer as a CalDAV server.",
        "Check the address; the service's help pages name the one for CalDAV.",
        Trait.FATAL,
    )


def _whole(response: httpx.Response) -> Answer:
    try:
        body = read_body(response, ERROR_LIMIT)
    except TooLarge:
        body = b""
    return Answer(response.status_code, response.headers, body, str(response.url))


def _limited(response: httpx.Response) -> Iterator[bytes]:
    total = 0
    for chunk in response.iter_bytes():
        total += len(chunk)
        if total > STREAM_LIMIT:
            raise TooLarge(f"{response.url.host} sent an answer of more than {STREAM_LIMIT // 1024**3} GB.")
        yield chunk


def _is_html(headers: Mapping[str, str]) -> bool:
    return "html" in headers.get("content-type", "").lower()


# Hrefs


#: Path-absolute and without anything that resolving would change (empty and dot segments, queries, blanks).
_WHOLE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~%@+=,-][A-Za-z0-9_~%@+=,.-]*)+/?")


def path_of(url: str, href: str) -> str:
    """The path of ``href``, as the server spelled it, seen from ``url``."""
    if _WHOLE_PATH.fullmatch(href) or href.startswith("//"):
        return href  # as nearly all are; or a path with an empty segment, never meant as a host
    parts = urlsplit(urljoin(url, href))
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def resolve(url: str, path: str) -> str:
    """The address of a path-absolute href on the host of ``url``."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{path}"


def plain(path: str) -> str:
    """One spelling for all percent-encodings of a path; for comparing, never for sending."""
    return unquote(path, errors="surrogateescape").rstrip("/")


def name_of(path: str) -> str:
    """The last segment in plain spelling: what names an item within its calendar."""
    return unquote(path.rstrip("/").rpartition("/")[2], errors="surrogateescape")
