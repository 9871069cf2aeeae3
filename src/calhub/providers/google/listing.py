"""What changed in a calendar: events.list, in full or by sync token (guide "Synchronize resources efficiently").

A full listing is the only one in which absence means deletion. Singles go out page by page; series wait until the end,
since their exceptions may come on any page. An increment may bring an exception without its series: what is missing of
it is fetched. A token that is no longer valid (410) leads to a full listing.

The replica's window (``past``, ``future``) is not asked for: increments would not be bounded by it, and an event that
leaves the window must not look deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from calhub.providers.base import Item, Known, Page, ProviderError
from calhub.providers.google.client import Call, Client, events_path
from calhub.providers.google.errors import Problem, problem, refusal
from calhub.providers.google.inward import Row
from calhub.providers.google.series import PAGE, Bundle, Reader, is_gone, zone_of
from calhub.providers.google.tables import EVENT_TYPES

#: The same for a token's whole life, or Google refuses it.
QUERY: Final[dict[str, str | int | list[str]]] = {
    "maxResults": PAGE,
    "singleEvents": "false",
    "eventTypes": list(EVENT_TYPES),
}
#: In front of the token in a cursor; to be changed with `QUERY`.
_MARK: Final = "google-1 "
_CHUNK: Final = 500


class _DeadToken(Exception):
    """The sync token is not accepted (any more)."""


class Listing:
    """One run of `Provider.changes` over one calendar. ``learn`` gets the calendar's time zone."""

    def __init__(self, client: Client, calendar: str, known: Known, learn: Callable[[str], object]) -> None:
        self._client = client
        self._reader = Reader(client)
        self._calendar = calendar
        self._known = known
        self._learn = learn
        self._zone = "UTC"
        self._masters: dict[str, Row] = {}
        self._exceptions: dict[str, dict[str, Row]] = {}  # by master and id
        self._sync_token = ""

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """See `calhub.providers.base.Provider.changes`."""
        if cursor is not None and cursor.startswith(_MARK) and cursor.isascii() and cursor.isprintable():
            try:
                yield from self._increment(cursor.removeprefix(_MARK))
                return
            except _DeadToken:
                self._masters, self._exceptions = {}, {}
        yield from self._in_full()

    @property
    def _cursor(self) -> str:
        return _MARK + self._sync_token

    def _increment(self, token: str) -> Iterator[Page]:
        for rows in self._rows({"syncToken": token}):
            page = self._singles(rows)
            if page.items or page.removed:
                yield Page(items=page.items, removed=page.removed)
        bundles, gone = self._touched()
        yield Page(items=self._news(bundles), removed=gone, cursor=self._cursor)

    def _in_full(self) -> Iterator[Page]:
        for rows in self._rows({}):
            yield self._singles(rows)
        bundles = [
            Bundle(row, list(self._exceptions.pop(master, {}).values()), self._zone)
            for master, row in self._masters.items()
        ]
        bundles += self._orphans()
        for start in range(0, len(bundles), _CHUNK):
            yield self._page(bundles[start : start + _CHUNK], [])
        yield Page(cursor=self._cursor, complete=True)

    def _rows(self, params: dict[str, Any]) -> Iterator[list[Row]]:
        """The rows of each page; after the last one the token is known."""
        page_token: dict[str, str] = {}
        while True:
            reply = self._client.send(Call("GET", events_path(self._calendar), {**QUERY, **params, **page_token}))
            found = problem(reply)
            if found is not None:
                if params and _is_dead(found):
                    raise _DeadToken
                raise refusal(found, about="The calendar")
            document = reply.json or {}
            self._zone = zone_of(document)
            self._learn(self._zone)
            yield document.get("items", [])
            if document.get("nextPageToken"):
                page_token = {"pageToken": document["nextPageToken"]}
                continue
            if not document.get("nextSyncToken"):
                raise ProviderError("Google ended a listing without a token.", "Try again later.")
            self._sync_token = document["nextSyncToken"]
            return

    def _singles(self, rows: list[Row]) -> Page:
        """The single events of a page of rows; what belongs to series is laid aside."""
        bundles, gone = [], []
        for row in rows:
            if master := row.get("recurringEventId"):
                self._exceptions.setdefault(master, {})[row["id"]] = row
                continue
            self._masters.pop(row["id"], None)
            if is_gone(row):
                self._exceptions.pop(row["id"], None)
                gone.append(row["id"])
            elif row.get("recurrence"):
                self._masters[row["id"]] = row
            else:
                bundles.append(Bundle(row, (), self._zone))
        return self._page(bundles, gone)

    def _page(self, bundles: list[Bundle], gone: list[str]) -> Page:
        present = [bundle.event["id"] for bundle in bundles if self._is_known(bundle)]
        return Page(items=self._news(bundles), present=present, removed=gone)

    def _news(self, bundles: list[Bundle]) -> list[Item]:
        """What is not known yet; nor half made, see `calhub.providers.google.writing`."""
        return [bundle.item() for bundle in bundles if not self._is_known(bundle) and not bundle.pending]

    def _is_known(self, bundle: Bundle) -> bool:
        return self._known.version(bundle.event["id"]) == bundle.version

    def _touched(self) -> tuple[list[Bundle], list[str]]:
        """The series of which something changed, and what is gone."""
        whole = [
            Bundle(row, list(self._exceptions.pop(master, {}).values()), self._zone)
            for master, row in list(self._masters.items())
            if self._had_no_exceptions(master)
        ]
        for bundle in whole:
            del self._masters[bundle.event["id"]]
        ids = sorted({*self._masters, *self._exceptions})
        unseen = [master for master in ids if master not in self._masters]
        for master, row in zip(unseen, self._reader.events(self._calendar, unseen) if unseen else [], strict=True):
            if row is not None and not is_gone(row) and row.get("recurrence"):
                self._masters[master] = row
        asked = [self._masters[master] for master in ids if master in self._masters]
        gone = [master for master in ids if master not in self._masters]
        for row, found in zip(asked, self._reader.complete(self._calendar, asked) if asked else [], strict=True):
            own = self._exceptions.pop(row["id"], {})
            if found is None:
                gone.append(row["id"])
                continue
            rows = own | {each["id"]: each for each in found.exceptions}
            whole.append(Bundle(found.event, list(rows.values()), found.zone))
        # An instance that was an item of its own is one no more once its series is there, or when it was cancelled.
        gone += [row["id"] for bundle in whole for row in bundle.exceptions if row["id"] in self._known]
        gone += [row["id"] for rows in self._exceptions.values() for row in rows.values() if is_gone(row)]
        return [*whole, *self._orphans()], [name for name in gone if name in self._known]

    def _had_no_exceptions(self, master: str) -> bool:
        """Then those of the increment are all there are."""
        version = self._known.version(master)
        return version is not None and version.endswith(" -")

    def _orphans(self) -> list[Bundle]:
        """Instances whose series this account cannot see: each is an item of its own."""
        rows = [row for group in self._exceptions.values() for row in group.values() if not is_gone(row)]
        return [Bundle(row, (), self._zone) for row in rows]


def _is_dead(found: Problem) -> bool:
    """410, or a 400 for a token that is garbled; the query itself is known to be good."""
    return found.status in (400, 410)
