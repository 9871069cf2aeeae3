"""Feeds: one ``.ics`` address with all events of a calendar, only ever read.

A feed that did not change costs one conditional request (RFC 9110 section 13.1); one that did is read as a whole, and
only events whose content differs are reported: a new DTSTAMP, order or fold is no news. The version of an event is
a digest of its content, so that nothing about single events has to be remembered but what the hub has anyway.

Some feeds invent new UIDs each time they are fetched. An event is therefore the one known before if it has the UID of
that one or, failing that, its content. Where most UIDs of a fetch are strangers with well-known contents, the cursor
records that the feed is to be read by content from then on, and an event then also counts as known when its time, title
and recurrence are those of a known one. The item keeps the name and UID under which it was first seen.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NoReturn
from urllib.parse import unquote, urlsplit

from calhub.calendar.event import RECURRENCE_UNIT, TIME_UNIT, Content, InvalidEvent
from calhub.calendar.ical import read_calendar
from calhub.calendar.lines import decode, parse_line, unescape, unfold
from calhub.calendar.zones import canonical_zone
from calhub.providers.base import (
    Capabilities,
    Item,
    Known,
    OneByOne,
    Outcome,
    Page,
    ProviderError,
    Refused,
    RemoteCalendar,
    Trait,
)
from calhub.providers.http import Answer, Credentials, Web, retry_after
from calhub.providers.pinned import public_only
from calhub.providers.vault import Vault

#: The one remote calendar of a feed.
CALENDAR: Final = "feed"
#: Rows in a page.
PAGE: Final = 500

_ACCEPT: Final = {"Accept": "text/calendar, text/plain;q=0.5, */*;q=0.1"}
_SIGN_IN: Final = re.compile(rb"type=[\"']?password|sign[ -]?in|log[ -]?in", re.IGNORECASE)

#: GET with the headers given; the answer has its whole body, whatever the status. Raises `ProviderError`.
Fetch = Callable[[Mapping[str, str]], Answer]


def connect(settings: Mapping[str, str], vault: Vault) -> FeedProvider:  # noqa: ARG001 - needs none
    """The provider for ``{"url": address}``; ``webcal:`` means https, a user and password may be in the address.

    Raises `ProviderError` (FATAL) for anything but a web address.
    """
    url = re.sub(r"^webcals?://", "https://", settings.get("url", "").strip(), flags=re.IGNORECASE)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ProviderError("A feed account needs a web address.", "Give it with --url https://...", Trait.FATAL)
    credentials = None
    if parts.username is not None:
        credentials = Credentials(username=unquote(parts.username), password=unquote(parts.password or ""))
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    web = Web(url, credentials, public_only=public_only(settings))
    return FeedProvider(url, lambda headers: web.send("GET", url, headers=headers), web.close)


@dataclass(frozen=True, kw_only=True)
class State:
    """What the cursor says: validators of the last answer, a digest of its body, and how events are told apart."""

    etag: str | None = None
    modified: str | None = None
    body: str = ""
    by_content: bool = False

    def cursor(self) -> str:
        return json.dumps(
            {
                "etag": self.etag,
                "modified": self.modified,
                "body": self.body,
                "key": "content" if self.by_content else "uid",
            },
            sort_keys=True,
        )

    @staticmethod
    def read(cursor: str | None) -> State | None:
        """The state in a cursor of ours; None for anything else."""
        try:
            row = json.loads(cursor or "")
            return State(
                etag=row["etag"], modified=row["modified"], body=row["body"], by_content=row["key"] == "content"
            )
        except (ValueError, KeyError, TypeError):
            return None

    def condition(self) -> dict[str, str]:
        """Request headers that let the service answer 304."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in headers.items() if value}


class FeedProvider(OneByOne):
    """The events behind ``url``, pull only."""

    def __init__(self, url: str, fetch: Fetch, close: Callable[[], object] = lambda: None) -> None:
        self.requests = 0
        self.capabilities = Capabilities(
            conditional_writes=False, chosen_ids=False, deletion_feed=False, writable=False
        )
        self._url = url
        self._fetch = fetch
        self._close = close
        self._last: dict[str, Item] | None = None  # the items of the last listing in this process

    def discover(self) -> list[RemoteCalendar]:
        answer = self._ask({})
        self._items(answer.body)
        return [self._describe(answer.body)]

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        self._must_be(calendar)
        state = State.read(cursor)
        answer = self._ask(state.condition() if state else {})
        body = hashlib.sha256(answer.body).hexdigest()
        if state is not None and (answer.status == 304 or body == state.body):
            # A 304 need not repeat the validators (RFC 9110 section 15.4.5); those we have stay good.
            fresh = state if answer.status == 304 else _state(answer, body, state.by_content)
            yield Page(cursor=fresh.cursor())
            return
        items, by_content = identify(self._items(answer.body), known, state is not None and state.by_content)
        self._last = {item.remote_id: item for item in items}
        end = _state(answer, body, by_content).cursor()
        for at in range(0, max(len(items), 1), PAGE):
            part = items[at : at + PAGE]
            same = {item.remote_id for item in part if item.version == known.version(item.remote_id)}
            last = at + PAGE >= len(items)
            yield Page(
                items=[item for item in part if item.remote_id not in same],
                present=[item.remote_id for item in part if item.remote_id in same],
                cursor=end if last else None,
                complete=last,
                total=len(items),
            )

    def get(self, calendar: str, remote_id: str) -> Item | None:
        """The item as it was in this process's last listing.

        Without one, the feed is read; an event that is not in it under this name raises `ProviderError`, since it may
        be there under a new UID.
        """
        self._must_be(calendar)
        if self._last is not None:
            return self._last.get(remote_id)
        found = {item.remote_id: item for item in self._items(self._ask({}).body)}
        if remote_id not in found:
            raise ProviderError("The feed may have renamed this event.", "Run `calhub sync` again.", Trait.RETRY)
        return found[remote_id]

    def find(self, calendar: str, uid: str) -> Item | None:
        self._must_be(calendar)
        items = self._items(self._ask({}).body) if self._last is None else list(self._last.values())
        return next((item for item in items if item.uid == uid), None)

    def reserve(self, calendar: str, uid: str) -> str:
        self._must_be(calendar)
        return uid

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        del calendar, remote_id, uid, content
        return Refused("A feed can only be read.")

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        del calendar, remote_id, uid, content, expected, raw
        return Refused("A feed can only be read.")

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        del calendar, remote_id, expected
        return Refused("A feed can only be read.")

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        del name, color, time_zone
        return self._read_only()

    def delete_calendar(self, calendar: str) -> None:
        del calendar
        self._read_only()

    def close(self) -> None:
        self._close()

    def _must_be(self, calendar: str) -> None:
        if calendar != CALENDAR:
            raise ProviderError("A feed has only one calendar.", "Attach that one.", Trait.GONE)

    def _read_only(self) -> NoReturn:
        raise ProviderError("A feed can only be read.", "Use another account for new calendars.", Trait.FATAL)

    def _ask(self, condition: Mapping[str, str]) -> Answer:
        """An answer that is 304 or has a body worth reading. Raises `ProviderError`; never shows the secret address."""
        self.requests += 1
        host = urlsplit(self._url).hostname
        answer = self._fetch({**_ACCEPT, **condition})
        if answer.status == 304 and condition:
            return answer
        if answer.status in (401, 403, 407):
            raise ProviderError(f"{host} refuses to show the feed.", "Get a new address from the service.", Trait.LOGIN)
        if answer.status in (404, 410):
            raise ProviderError(f"{host} has no feed at this address.", "Get a new address from it.", Trait.GONE)
        if answer.status == 429 or answer.status >= 500:
            raise ProviderError(
                f"{host} is busy or out of order.", "Try again later.", Trait.RETRY, retry_after(answer.headers)
            )
        if answer.status != 200:
            raise ProviderError(f"{host} answers with status {answer.status}.", "Check the address.", Trait.FATAL)
        return answer

    def _items(self, body: bytes) -> list[Item]:
        """All events of the feed, named by their UIDs. Raises `ProviderError` if the feed is not whole."""
        host = urlsplit(self._url).hostname
        start = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:512].upper()
        if start.startswith(b"<") and b"HTML" in start:
            if _SIGN_IN.search(body):
                raise ProviderError(f"{host} asks to sign in.", "Get a new address from the service.", Trait.LOGIN)
            raise ProviderError(f"{host} sends a web page, no calendar.", "Check the address.", Trait.FATAL)
        if not start.startswith(b"BEGIN:VCALENDAR"):
            raise ProviderError(f"{host} sends something else than a calendar.", "Check the address.", Trait.FATAL)
        try:
            entries = list(read_calendar(body))
        except InvalidEvent as error:
            raise ProviderError(f"The feed of {host} is cut off.", "Try again later.", Trait.RETRY) from error
        names: dict[str, int] = defaultdict(int)
        items = []
        for entry in entries:
            uid = entry.uid or "nameless"
            names[uid] += 1
            name = uid if names[uid] == 1 else f"{uid}~{names[uid]}"
            if entry.content is None:
                problem = entry.problem or "The event cannot be read."
                version = f"{_digest(problem)}-problem"
                items.append(Item(remote_id=name, version=version, uid=entry.uid, problem=problem, raw=entry.text))
            else:
                version = f"{_digest(_likeness(entry.content))}-{_digest(entry.content)}"
                items.append(Item(remote_id=name, version=version, uid=name, content=entry.content))
        return items

    def _describe(self, body: bytes) -> RemoteCalendar:
        """Names as in RFC 7986, or as feeds had them before it."""
        head = unfold(decode(body.partition(b"BEGIN:VEVENT")[0]))
        said = {name: unescape(value).strip() for name, _, value in filter(None, map(parse_line, head))}
        tail = unquote(urlsplit(self._url).path).rstrip("/").rpartition("/")[2].removesuffix(".ics")
        host = urlsplit(self._url).hostname or "feed"
        return RemoteCalendar(
            id=CALENDAR,
            # A path without a speaking end may be the secret of the address.
            name=said.get("NAME")
            or said.get("X-WR-CALNAME")
            or (tail if re.fullmatch(r"[^\W\d]{1,30}", tail) else host),
            access="reader",
            color=said.get("COLOR") or said.get("X-APPLE-CALENDAR-COLOR") or None,
            time_zone=canonical_zone(said["X-WR-TIMEZONE"]) if said.get("X-WR-TIMEZONE") else None,
        )


def identify(items: Sequence[Item], known: Known, by_content: bool) -> tuple[list[Item], bool]:
    """Give each item the name under which the hub knows it, and tell whether the feed is to be read by content.

    An item goes, in this order, to the known one with its UID; to one with its version (so its content) that has
    disappeared; and, by content, to one that has disappeared and is alike in time, title and recurrence.
    """
    names = {item.remote_id for item in items}
    strangers = [item for item in items if item.remote_id not in known]
    if not strangers:
        return list(items), by_content
    missing = [name for name in known.ids() if name not in names]
    renamed = _match(strangers, missing, known, lambda version: version)
    if len(strangers) * 2 > len(items) and len(renamed) * 2 >= len(strangers):
        by_content = True
    if by_content:
        rest = [item for item in strangers if item.remote_id not in renamed]
        left = [name for name in missing if name not in renamed.values()]
        renamed |= _match(rest, left, known, lambda version: version.partition("-")[0])
    return [_named(item, renamed.get(item.remote_id)) for item in items], by_content


def _match(items: Sequence[Item], names: Sequence[str], known: Known, key: Callable[[str], str]) -> dict[str, str]:
    """Pair items with known names whose versions have the same key, each at most once, in order."""
    free: dict[str, list[str]] = defaultdict(list)
    for name in reversed(names):
        free[key(known.version(name) or "")].append(name)
    pairs = {}
    for item in items:
        if item.version is not None and free.get(key(item.version)):
            pairs[item.remote_id] = free[key(item.version)].pop()
    return pairs


def _named(item: Item, name: str | None) -> Item:
    if name is None:
        return item
    return replace(item, remote_id=name, uid=name if item.content is not None else item.uid)


def _likeness(content: Content) -> Content:
    """The part of an event that people tell events apart by."""
    return {name: content[name] for name in ("title", *TIME_UNIT, *RECURRENCE_UNIT) if name in content}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]


def _state(answer: Answer, body: str, by_content: bool) -> State:
    return State(
        etag=answer.headers.get("etag"),
        modified=answer.headers.get("last-modified"),
        body=body,
        by_content=by_content,
    )
