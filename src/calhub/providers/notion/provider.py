"""The provider: one connection to Notion. A calendar is a data source (before 2025-09-03 a database), an item a row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from calhub.calendar.event import Content, InvalidEvent
from calhub.calendar.fields import project
from calhub.calendar.frame import frame_of
from calhub.calendar.recurrence import is_recurring
from calhub.providers.base import (
    Capabilities,
    Done,
    Item,
    Known,
    NotSent,
    OneByOne,
    Outcome,
    Page,
    ProviderError,
    Refused,
    RemoteCalendar,
    Stale,
    Trait,
)
from calhub.providers.notion.client import Json, Notion, is_trashed, normal_id, title_of
from calhub.providers.notion.listing import ORPHAN, Listing, problem, rows_of
from calhub.providers.notion.rows import Row, SchemaChanged, is_row_of, read_row
from calhub.providers.notion.schema import Columns, definition, has_date, match
from calhub.providers.notion.series import Group, Target, compose, group, is_outdated, is_part, target, window_around
from calhub.providers.notion.writing import Stopped, Writer

#: How long a schema is taken for granted.
SCHEMA_SECONDS: Final = 3600
#: Days back and ahead for which the occurrences of a series are written, where the replica asks for that.
PAST: Final = 30
FUTURE: Final = 180

_NO_UID: Final = "The database has no UID property, so nothing is written to it."
_NO_RULE: Final = "The database has no text property for the recurrence of a series."
_HINT: Final = "Add a text property UID, or allow it: calhub replica set ID --create-properties"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class _Table:
    """A data source or database, and how this replica uses it."""

    id: str
    schema: Mapping[str, Json]
    read_at: datetime
    columns: Columns
    settings: Mapping[str, Any]
    #: UIDs of all rows, known since the full listing of this pass; None = ask before creating one.
    uids: set[str] | None = None
    #: Somebody changed the schema: it is read anew by the next `prepare`, and not before, since until then the engine
    #: would take what is not shown any more for deleted.
    outdated: bool = False


class NotionProvider(OneByOne):
    """`calhub.providers.base.Provider` for Notion. A remote_id is the id of a row, of a series its own row's.

    Notion has neither conditional writes nor ids of our choosing: a row is read right before it is changed, and looked
    for by its UID before it is created.
    """

    def __init__(self, notion: Notion, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self.capabilities = Capabilities(
            conditional_writes=False, chosen_ids=False, deletion_feed=False, parallel_writes=3
        )
        self._notion = notion
        self._clock = clock
        self._tables: dict[str, _Table] = {}
        self._lock = threading.RLock()

    @property
    def requests(self) -> int:
        return self._notion.requests

    def close(self) -> None:
        self._notion.close()

    # Calendars

    def discover(self) -> list[RemoteCalendar]:
        """Everything with a date property that was shared with the connection. Rights are not told by Notion."""
        return [
            RemoteCalendar(id=table["id"], name=title_of(table) or "Untitled", access="writer")
            for table in self._notion.tables()
            if not is_trashed(table) and has_date(table.get("properties") or {})
        ]

    def prepare(self, calendar: str, settings: Mapping[str, Any]) -> Capabilities:
        """Settings: ``properties`` {field: name}, ``create_properties``, ``series`` (``master``, or ``occurrences``
        with ``past`` and ``future`` days).
        """
        with self._lock:
            known = self._tables.get(calendar)
            aged = known is None or not timedelta() <= self._clock() - known.read_at < timedelta(seconds=SCHEMA_SECONDS)
            if known is None or aged or known.outdated:
                table = self._load(calendar, settings)
            else:
                table = known
                table.columns, table.settings, table.uids = _match(known.schema, settings), settings, None
        return replace(self.capabilities, keeps=table.columns.keeps, writable=table.columns.writable)

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        raise NotImplementedError("not among the capabilities: a database needs a page to be in")

    def delete_calendar(self, calendar: str) -> None:
        raise NotImplementedError("not among the capabilities")

    # Reading

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        table = self._table(calendar)

        def outdated(found: Group) -> bool:
            return found.content is not None and is_outdated(found, self._target(table, found.head.uid, found.content))

        listing = Listing(self._notion, table.id, table.columns, known, self._clock, outdated)
        with _noticing(table):
            yield from listing.pages(cursor)
        table.uids = listing.uids

    def get(self, calendar: str, remote_id: str) -> Item | None:
        table = self._table(calendar)
        with _noticing(table):
            found = self._group(table, remote_id)
        return found.item if isinstance(found, Group) else found

    def find(self, calendar: str, uid: str) -> Item | None:
        table = self._table(calendar)
        with _noticing(table):
            found = self._rows(table, uid)
        groups, _ = group(found)
        if groups:
            return groups[0].item
        return self.get(calendar, uid) if normal_id(uid) and not found else None

    # Writing

    def reserve(self, calendar: str, uid: str) -> str:  # noqa: ARG002 - Notion chooses
        return f"new-{uuid4()}"

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        del remote_id

        def attempt(table: _Table, rows: Target, writer: Writer) -> Outcome:
            if self._is_there(table, uid):
                return Stale()
            with self._lock:
                if table.uids is not None:
                    table.uids.add(uid)  # from here on one cannot be sure
            return Done(writer.create(rows, content).item)

        return self._write(calendar, uid, content, attempt)

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        del raw  # the row is read anyway

        def attempt(table: _Table, rows: Target, writer: Writer) -> Outcome:
            found = self._group(table, remote_id)
            if not isinstance(found, Group) or expected not in (None, found.item.version):
                return Stale()
            return Done(writer.update(found, rows, content).item)

        return self._write(calendar, uid, content, attempt)

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        try:
            table = self._table(calendar)
            with _noticing(table):
                found = self._group(table, remote_id)
            if not isinstance(found, Group):
                return Done(None)
            if expected not in (None, found.item.version):
                return Stale()
        except ProviderError as error:
            return _not_sent(error)
        try:
            Writer(self._notion, table.id, table.columns).delete(found)
        except Stopped as stopped:
            return stopped.failure.outcome
        return Done(None)

    def _write(
        self, calendar: str, uid: str, content: Content, attempt: Callable[[_Table, Target, Writer], Outcome]
    ) -> Outcome:
        """Make the attempt; once more where Notion does not find it valid, with the schema read anew and times told by
        offsets: it may not know the zone.
        """
        failure = None
        for again in (False, True):
            try:
                table = self._refreshed(calendar) if again else self._complete(calendar)
                reason = _unfit(content, table.columns)
                if reason is not None:
                    return Refused(reason)
                rows = self._target(table, uid, project(content, table.columns.keeps), with_zone=not again)
                with _noticing(table):
                    return attempt(table, rows, Writer(self._notion, table.id, table.columns))
            except InvalidEvent as error:
                return Refused(str(error))
            except Stopped as stopped:
                failure = stopped.failure
                if not failure.schema:
                    break
            except ProviderError as error:
                return _not_sent(error)
        assert failure is not None
        return failure.outcome

    # Inside

    def _table(self, calendar: str) -> _Table:
        """As it was prepared, or with no settings."""
        with self._lock:
            return self._tables.get(calendar) or self._load(calendar, {})

    def _load(self, calendar: str, settings: Mapping[str, Any]) -> _Table:
        """Read the schema. Raises `ProviderError` GONE, also where it cannot be a calendar."""
        found = self._read_table(calendar)
        schema = found["properties"]
        table = _Table(found["id"], schema, self._clock(), _match(schema, settings), settings)
        self._tables[calendar] = table
        return table

    def _read_table(self, calendar: str) -> Json:
        gone = ProviderError(
            "Notion does not show this database.", "Share it with the connection in Notion again.", Trait.GONE
        )
        if normal_id(calendar) is None:
            raise gone
        try:
            table = self._notion.table(calendar)
        except ProviderError as error:
            if error.trait is Trait.GONE:
                raise gone from error
            raise
        if is_trashed(table):
            raise gone
        return table

    def _complete(self, calendar: str) -> _Table:
        """The table with all properties that may be made, made."""
        with self._lock:
            table = self._table(calendar)
            if table.columns.missing:
                made = {name: definition(key) for key, name in table.columns.missing.items()}
                self._notion.add_properties(table.id, made)
                table = self._refreshed(calendar)
            return table

    def _refreshed(self, calendar: str) -> _Table:
        """With the schema as it is now. Raises `SchemaChanged` if less can be held than was said."""
        with self._lock:
            table = self._table(calendar)
            schema = self._read_table(calendar)["properties"]
            columns = _match(schema, table.settings)
            if not table.columns.keeps <= columns.keeps:
                table.outdated = True
                raise SchemaChanged
            table.schema, table.columns = schema, columns
            return table

    def _target(self, table: _Table, uid: str, content: Content, *, with_zone: bool = True) -> Target:
        window = None
        if table.settings.get("series") == "occurrences":
            days = (int(table.settings.get(name, usual)) for name, usual in (("past", PAST), ("future", FUTURE)))
            window = window_around(self._clock(), *days)
        return target(uid, content, table.columns, window=window, with_zone=with_zone)

    def _is_there(self, table: _Table, uid: str) -> bool:
        if table.uids is not None and uid not in table.uids:
            return False
        return bool(self._rows(table, uid))

    def _rows(self, table: _Table, uid: str) -> list[Row]:
        return rows_of(self._notion, table.id, table.columns, [uid]) if "uid" in table.columns else []

    def _group(self, table: _Table, remote_id: str) -> Group | Item | None:
        """The event whose own row this is; an item that says why it is none; None where there is no such row."""
        page = self._notion.page(remote_id) if normal_id(remote_id) else None
        if page is None:
            if normal_id(remote_id):
                self._read_table(table.id)  # a row is also out of sight when the whole table is
            return None
        if not is_row_of(page, table.id):
            return None
        row = read_row(page, table.columns)
        if not is_part(row):
            return compose(row, [])
        parts = [each for each in self._rows(table, row.uid) if each.rule.instance is not None and each.id != row.id]
        if row.rule.instance is None:
            return compose(row, parts)
        return problem(row, ORPHAN)


def _match(schema: Mapping[str, Json], settings: Mapping[str, Any]) -> Columns:
    return match(schema, settings.get("properties") or {}, create=bool(settings.get("create_properties")))


@contextmanager
def _noticing(table: _Table) -> Iterator[None]:
    """Remember that the schema changed while rows were read."""
    try:
        yield
    except SchemaChanged:
        table.outdated = True
        raise


def _unfit(content: Content, columns: Columns) -> str | None:
    """Why the event cannot be written at all, or None."""
    if not columns.writable:
        return f"{_NO_UID} {_HINT}"
    if is_recurring(content):
        if "recurrence" not in columns:
            return f"{_NO_RULE} {_HINT}"
        if not any(name in content for name in ("rrule", "rdates")):
            return "These are single occurrences of a series that is elsewhere; Notion cannot hold them."
    frame_of(content)  # a zone with rules of its own is not kept here
    return None


def _not_sent(error: ProviderError) -> NotSent:
    """For a failure before the write; raised again where only the user can help."""
    if error.trait is not Trait.RETRY and not isinstance(error, SchemaChanged):
        raise error
    return NotSent(error.message, error.retry_after, of_item=isinstance(error, SchemaChanged))
