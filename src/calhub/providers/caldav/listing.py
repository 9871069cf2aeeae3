"""What changed in a calendar, by the best means its server has.

- sync-collection (RFC 6578): the cursor holds the server's token. The REPORT asks for the bodies, too, which saves most
  of a first pull; a server that does not give them there is asked by multiget instead.
- getctag: the cursor holds the tag; while that is the same nothing is listed, else everything is (PROPFIND, Depth 1).
- neither: everything is listed each time.

A full listing compares ETags with what is known and fetches only what differs. It is made by PROPFIND, save for the
very first one, which sync-collection does in one go. An invalid token leads to a full listing, never to deletions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cached_property
from typing import Final

from calhub.providers.base import Item, Known, Page, Trait
from calhub.providers.caldav import wire
from calhub.providers.caldav.bodies import Bodies, Body, item_of
from calhub.providers.caldav.client import Dav, Garbled, Rejected, name_of, path_of, plain
from calhub.providers.http import host_of
from calhub.providers.texts import Text, read_batches

PAGE: Final = 250
REPORTS: Final = "d:supported-report-set"
CTAG: Final = "cs:getctag"
TOKEN: Final = "d:sync-token"
_GONE: Final = frozenset({404, 410})
_HIDDEN: Final = frozenset({403, 418})  # Nextcloud's rows for what lies in its trash bin
_TRUNCATED: Final = 507
_BAD_TOKEN: Final = frozenset({400, 403, 409, 412})


class SyncUnusable(Exception):
    """The server's sync-collection cannot be used (with this token); nothing is lost by a full listing."""


class Listing:
    """One run of `Provider.changes` over one calendar."""

    def __init__(self, dav: Dav, bodies: Bodies, url: str, known: Known, *, bodies_in_sync: bool) -> None:
        self._dav = dav
        self._bodies = bodies
        self._url = url
        self._known = known
        self._names = _Names(known)
        self.bodies_in_sync = bodies_in_sync  # learned on the way, worth keeping for the next run

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """See `calhub.providers.base.Provider.changes`."""
        saved = decode_cursor(cursor)
        if token := saved.get("token"):
            try:
                yield from self._by_token(token)
                return
            except SyncUnusable:
                pass
        first = next(self._known.ids(), None) is None
        # A ctag may cost the server as much as a listing, so it is not asked for where it may not be needed.
        state = self._dav.properties(self._url, "d:resourcetype", REPORTS, *([] if first else [CTAG]))
        syncs = state.has(wire.tag(REPORTS), wire.tag("d:sync-collection"))
        if syncs and first:
            try:
                yield from self._by_token("")
                return
            except SyncUnusable:
                syncs = False
        tag = (self._dav.properties(self._url, CTAG) if first else state).text(wire.tag(CTAG))
        if tag is not None and tag == saved.get("ctag"):
            yield Page(cursor=cursor)
            return
        # The token is read before the listing: what changes in between is then reported twice, not never.
        token = self._dav.properties(self._url, TOKEN).text(wire.tag(TOKEN)) if syncs else None
        yield from self._in_full(encode_cursor(token, tag))

    # sync-collection

    def _by_token(self, token: str) -> Iterator[Page]:
        """Rounds of sync-collection until the server has told everything. An empty token begins at the beginning."""
        first = token == ""
        while True:
            round_ = _Round(first=token == "")
            yield from self._round(token, round_)
            if round_.token is None or (round_.truncated and round_.token == token):
                raise SyncUnusable  # nothing to go on from
            token = round_.token
            cursor = encode_cursor(token, None)
            yield Page(removed=round_.removed, cursor=cursor, complete=first and not round_.truncated)
            if not round_.truncated:
                return

    def _round(self, token: str, round_: _Round) -> Iterator[Page]:
        try:
            yield from self._report(token, round_, bodies=self.bodies_in_sync)
            return
        except Rejected as error:
            # A full answer with bodies may be beyond a limit of the server (Radicale: 400) where one without is not.
            if not self.bodies_in_sync or not _worth_another_try(error):
                raise self._unusable(error, token) from error
        except Garbled:
            if not self.bodies_in_sync:
                raise
        self.bodies_in_sync = False
        round_.clear()
        try:
            yield from self._report(token, round_, bodies=False)
        except Rejected as error:
            raise self._unusable(error, token) from error

    def _report(self, token: str, round_: _Round, *, bodies: bool) -> Iterator[Page]:
        """One REPORT. Rows that came with their body are yielded while the answer is still arriving."""
        wanted: list[Body] = []
        body = wire.sync_collection(token, bodies=bodies)
        with (
            self._dav.multistatus("REPORT", self._url, body, depth="0") as answer,
            closing(read_batches(self._arriving(answer, round_, wanted))) as batches,
        ):
            for texts, items in batches:
                yield self._page(zip((text[0] for text in texts), items, strict=True), round_.removed)
        for chunk in self._bodies.fetch(self._url, wanted):
            yield self._page(self._items(chunk), round_.removed)

    def _arriving(self, answer: wire.Multistatus, round_: _Round, wanted: list[Body]) -> Iterator[list[Text]]:
        """The texts in the answer to a REPORT, as they come; what came without one is put into ``wanted``."""
        ready: list[Text] = []
        for row in answer:
            found = self._sync_row(row, round_)
            if found is None:
                continue
            if found.text is not None:
                ready.append((self._names.id_for(found.href), found.version, found.text))
            else:
                self.bodies_in_sync = self.bodies_in_sync and row.status >= 300
                wanted.append(found)
            if len(ready) >= PAGE:
                yield ready
                ready = []
        round_.token = answer.sync_token
        if ready:
            yield ready

    def _sync_row(self, row: wire.Row, round_: _Round) -> Body | None:
        """What is to be done about a row: None = nothing more."""
        path = path_of(self._url, row.href)
        if row.status == _TRUNCATED:
            round_.truncated = True
            return None
        if plain(path) == self._own_path or path.endswith("/") or row.status in _HIDDEN or not _may_be_event(row):
            return None
        if row.status in _GONE:
            if not round_.first:  # a first answer may bring tombstones of what we never saw
                round_.removed.append(self._names.id_for(path))
            return None
        version = row.text(wire.ETAG)
        if version is not None and same_version(version, self._known.version(self._names.id_for(path))):
            return None
        return Body(path, version, row.text(wire.DATA))

    def _unusable(self, error: Rejected, token: str) -> Exception:
        """After a refused REPORT: a full listing may help, or the calendar as a whole cannot be read."""
        invalid_token = token != "" and (error.status in _BAD_TOKEN or "valid-sync-token" in error.conditions)
        unsupported = error.status in (_TRUNCATED, 501) or (error.status < 500 and error.trait is Trait.FATAL)
        return SyncUnusable() if invalid_token or unsupported else error

    # Listing

    def _in_full(self, cursor: str | None) -> Iterator[Page]:
        present: list[str] = []
        wanted: list[Body] = []
        for path, version in self._list():
            remote_id = self._names.id_for(path)
            if remote_id in self._known and version and same_version(version, self._known.version(remote_id)):
                present.append(remote_id)
            else:
                wanted.append(Body(path, version))
        total = len(present) + len(wanted)
        if present:
            yield Page(present=present, total=total)
        removed: list[str] = []
        for chunk in self._bodies.fetch(self._url, wanted):
            yield self._page(self._items(chunk), removed, total=total)
        yield Page(removed=removed, cursor=cursor, complete=True, total=total)

    def _list(self) -> list[tuple[str, str | None]]:
        """Path and version of all items. Raises `Garbled` if the answer may not be the whole."""
        found = []
        whole = False
        body = wire.propfind("d:getetag", "d:getcontenttype", "d:resourcetype")
        with self._dav.multistatus("PROPFIND", self._url, body, depth="1") as answer:
            for row in answer:
                path = path_of(self._url, row.href)
                if plain(path) == self._own_path:
                    whole = row.status < 300
                elif row.status not in _GONE | _HIDDEN and not _is_collection(row, path) and _may_be_event(row):
                    found.append((path, row.text(wire.ETAG)))
        if not whole:
            raise Garbled(f"{host_of(self._url)} cut the list of events.", "Try again later.")
        return found

    def _items(self, bodies: list[Body]) -> Iterator[tuple[str, Item | None]]:
        """The item of each body under its id; None if it is gone or is no event (any more)."""
        for body in bodies:
            remote_id = self._names.id_for(body.href)
            gone = body.text is None and body.problem is None
            yield remote_id, None if gone else item_of(remote_id, body)

    def _page(self, found: Iterable[tuple[str, Item | None]], removed: list[str], total: int | None = None) -> Page:
        """The page with these items; known ones that are no event any more go to ``removed``."""
        items: list[Item] = []
        for remote_id, item in found:
            if item is not None:
                items.append(item)
            elif remote_id in self._known:
                removed.append(remote_id)
        return Page(items=items, total=total)

    @cached_property
    def _own_path(self) -> str:
        return plain(path_of(self._url, self._url))


class _Round:
    """What one REPORT has told beside the items."""

    def __init__(self, *, first: bool) -> None:
        self.first = first
        self.clear()

    def clear(self) -> None:
        self.removed: list[str] = []
        self.token: str | None = None
        self.truncated = False


class _Names:
    """Which known item a path stands for: servers spell one path in several ways, an item keeps its first one."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._by_name: dict[str, str] | None = None

    def id_for(self, path: str) -> str:
        if path in self._known:
            return path
        if self._by_name is None:
            self._by_name = {name_of(remote_id): remote_id for remote_id in self._known.ids()}
        return self._by_name.get(name_of(path), path)


def encode_cursor(token: str | None, ctag: str | None) -> str:
    """The cursor for a sync token or, without one, for a ctag."""
    if token is not None:
        return json.dumps({"token": token})
    return json.dumps({} if ctag is None else {"ctag": ctag})


def decode_cursor(cursor: str | None) -> dict[str, str]:
    """``{"token"}``, ``{"ctag"}`` or nothing; a cursor that is not ours counts as nothing."""
    try:
        value = json.loads(cursor or "{}")
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if name in ("token", "ctag") and isinstance(text, str)}


def same_version(one: str, other: str | None) -> bool:
    """Whether two ETags are equal in the weak sense (RFC 9110 section 8.8.3.2)."""
    return other is not None and one.removeprefix("W/") == other.removeprefix("W/")


def _may_be_event(row: wire.Row) -> bool:
    """False for what the server declares to be a task or a journal entry; saves fetching it."""
    kind = (row.text(wire.tag("d:getcontenttype")) or "").lower()
    return "component=" not in kind or "component=vevent" in kind


def _is_collection(row: wire.Row, path: str) -> bool:
    return path.endswith("/") or row.has(wire.tag("d:resourcetype"), wire.tag("d:collection"))


def _worth_another_try(error: Rejected) -> bool:
    """Whether the same REPORT without bodies may succeed."""
    if "valid-sync-token" in error.conditions:
        return False
    return error.status in (400, 403, 413, 415, 422, _TRUNCATED) or (error.status >= 500 and error.status != 503)
