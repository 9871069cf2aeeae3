"""Listing the rows of a table: all of them, or those edited since.

Notion has no token for changes. Rows are asked for by ``last_edited_time``, which is rounded to the minute, so a
listing overlaps with the one before; what did not change by content is left out. Once nothing was edited for a
while the overlap is not needed any more. A row in the trash is simply not listed, so deletions show in full listings
only: each is one where all rows fit into one answer anyway, otherwise one an hour is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from calhub.providers.base import Item, Known, Page, ProviderError, Trait
from calhub.providers.notion.client import PAGE_SIZE, Json, Notion, is_trashed
from calhub.providers.notion.rows import Row, digest, read_row
from calhub.providers.notion.schema import Columns
from calhub.providers.notion.series import Group, compose, group, is_part

#: Rounding to the minute either way, and an index that may lag behind.
OVERLAP: Final = timedelta(minutes=3)
#: By the clock here, after which no edit can be dated to a minute already listed; more than the overlap.
SETTLED: Final = timedelta(minutes=5)
#: How often all rows are listed, to notice deleted ones.
FULL: Final = timedelta(hours=1)
#: UIDs in one filter.
_ASKED: Final = 50

ORPHAN: Final = "This row is an occurrence of a series whose own row is not there."
SURPLUS: Final = "Another row stands for the same occurrence; keep one of the two."


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Where a listing ended. ``at`` and ``full`` are by the clock here, and compared with it only."""

    seen: str  # the latest last_edited_time
    at: str  # when that was first seen
    full: str  # when all rows were listed
    rows: int  # how many there were then
    columns: str  # the properties read: with others the rows mean something else
    settled: bool = False  # nothing can be dated to ``seen`` any more

    @classmethod
    def parse(cls, text: str | None) -> Cursor | None:
        try:
            cursor = cls(**json.loads(text or ""))
            for moment in (cursor.seen, cursor.at, cursor.full):
                datetime.fromisoformat(moment)
        except (ValueError, TypeError):
            return None
        return cursor

    def __str__(self) -> str:
        return json.dumps(asdict(self))


class Listing:
    """One call of `Provider.changes`. ``uids`` are those of a full listing once it is through."""

    def __init__(
        self,
        notion: Notion,
        table: str,
        columns: Columns,
        known: Known,
        clock: Callable[[], datetime],
        is_outdated: Callable[[Group], bool],
    ) -> None:
        self._notion = notion
        self._table = table
        self._columns = columns
        self._known = known
        self._now = clock()
        self._is_outdated = is_outdated
        self._seen = ""
        self.uids: set[str] | None = None

    def pages(self, cursor: str | None) -> Iterator[Page]:
        since = Cursor.parse(cursor)
        if since is None or self._is_full_due(since):
            yield from self._full()
        else:
            yield from self._incremental(since)

    def _is_full_due(self, since: Cursor) -> bool:
        passed = self._now - datetime.fromisoformat(since.full)
        small = since.rows <= PAGE_SIZE
        return small or since.columns != self._columns.mark or not timedelta() <= passed < FULL

    def _full(self) -> Iterator[Page]:
        """All rows, in windows by when they were made: no query shows more than 10,000."""
        parts: list[Row] = []
        uids: set[str] = set()
        count = 0
        for rows in self._walk():
            count += len(rows)
            uids.update(row.uid for row in rows)
            parts += [row for row in rows if is_part(row)]
            yield self._page([compose(row, ()) for row in rows if not is_part(row)])
        groups, orphans = group(parts)
        page = self._page(groups, orphans)
        seen = self._seen or self._now.isoformat()
        now = self._now.isoformat()
        cursor = Cursor(seen=seen, at=now, full=now, rows=count, columns=self._columns.mark)
        self.uids = uids
        yield replace(page, cursor=str(cursor), complete=True)

    def _walk(self) -> Iterator[list[Row]]:
        listed: set[str] = set()
        since: str | None = None
        while True:
            start = {"timestamp": "created_time", "created_time": {"on_or_after": since}} if since else None
            latest, left_out = since, False
            for rows, left_out in self._query(start):  # noqa: B007 - the last one counts
                fresh = [row for row in rows if row.id not in listed]
                listed.update(row.id for row in fresh)
                latest = max([latest or "", *(row.created for row in rows)])
                yield fresh
            if not left_out:
                return
            if latest == since:
                raise ProviderError(
                    "Notion does not show all rows: more than 10,000 were made in one minute.",
                    "Move some of them to another database.", Trait.GONE,
                )  # fmt: skip
            since = latest

    def _incremental(self, since: Cursor) -> Iterator[Page]:
        seen = datetime.fromisoformat(since.seen)
        bound = {"after": since.seen} if since.settled else {"on_or_after": _stamp(seen - OVERLAP)}
        touched: set[str] = set()
        for rows, _ in self._query({"timestamp": "last_edited_time", "last_edited_time": bound}):
            touched.update(row.uid for row in rows if is_part(row))
            yield self._page([compose(row, ()) for row in rows if not is_part(row)])
        groups, orphans = group(self._rows_of(sorted(touched)))
        page = self._page(groups, orphans)
        yield replace(page, cursor=str(self._moved_on(since)))

    def _moved_on(self, since: Cursor) -> Cursor:
        if self._seen > since.seen:
            changed = {"seen": self._seen, "at": self._now.isoformat(), "settled": False}
        else:
            waited = self._now - datetime.fromisoformat(since.at)
            changed = {"settled": since.settled or waited >= SETTLED}
        return Cursor(**(asdict(since) | changed))

    def _query(self, filter: Json | None) -> Iterator[tuple[list[Row], bool]]:
        """Rows by when they were made, so that edits on the way move none to another page; (rows, some left out)."""
        sorts = [{"timestamp": "created_time", "direction": "ascending"}]
        first = True
        for found, more, left_out in self._notion.pages(self._table, filter=filter, sorts=sorts):
            rows = [read_row(page, self._columns) for page in found if not is_trashed(page)]
            if first and more:
                self._saw(self._latest())  # rows already shown may be edited while the others are read
            elif first:
                self._saw(rows)
            first = False
            yield rows, left_out

    def _latest(self) -> list[Row]:
        sorts = [{"timestamp": "last_edited_time", "direction": "descending"}]
        found, _, _ = next(self._notion.pages(self._table, sorts=sorts, size=1))
        return [read_row(page, self._columns) for page in found]

    def _saw(self, rows: Sequence[Row]) -> None:
        self._seen = max([self._seen, *(row.modified for row in rows)])

    def _rows_of(self, uids: Sequence[str]) -> list[Row]:
        return rows_of(self._notion, self._table, self._columns, uids)

    def _page(self, groups: Sequence[Group], orphans: Iterable[Row] = ()) -> Page:
        items: list[Item] = []
        present: list[str] = []
        for item in _items(groups, orphans, self._known):
            if item.version == self._known.version(item.remote_id):
                present.append(item.remote_id)
            else:
                items.append(item)
        outdated = [each.head.id for each in groups if self._is_outdated(each)]
        return Page(items=items, present=present, outdated=outdated)


def _items(groups: Iterable[Group], orphans: Iterable[Row], known: Known) -> Iterator[Item]:
    for each in groups:
        # A row without a date is no event, unless it was one.
        if each.head.is_dated or each.head.id in known:
            yield each.item
        yield from (problem(row, SURPLUS if each.head.rule.is_series else ORPHAN) for row in each.surplus)
    yield from (problem(row, ORPHAN) for row in orphans)


def problem(row: Row, reason: str) -> Item:
    return Item(remote_id=row.id, version=digest(row.uid, reason), uid=None, problem=reason, modified=row.modified)


def rows_of(notion: Notion, table: str, columns: Columns, uids: Sequence[str]) -> list[Row]:
    """The rows with one of these UIDs in their property, and those that have none but whose id it is."""
    found: dict[str, Row] = {}
    for start in range(0, len(uids), _ASKED):
        tests: list[dict[str, Any]] = [
            {"property": columns["uid"].id, "rich_text": {"equals": uid}} for uid in uids[start : start + _ASKED]
        ]
        filter = tests[0] if len(tests) == 1 else {"or": tests}
        for pages, _, _ in notion.pages(table, filter=filter):
            found |= {row.id: row for row in (read_row(page, columns) for page in pages if not is_trashed(page))}
    return list(found.values())


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
