"""Bringing the rows of one event to what they are to show, in an order that may break off anywhere.

Occurrences are written before the row of the series says that they have rows, and are taken away only after it: what
has no row at some moment in between never looks like an occurrence that somebody deleted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from calhub.calendar.event import Content
from calhub.providers.base import NotSent, ProviderError, Unknown
from calhub.providers.notion import series
from calhub.providers.notion.client import Failure, Json, Notion, is_trashed
from calhub.providers.notion.recurrence import write
from calhub.providers.notion.rows import Row, SchemaChanged, changed, properties, read_row
from calhub.providers.notion.schema import Columns
from calhub.providers.notion.series import Group, Target, compose
from calhub.providers.notion.values import rich_text


class Stopped(Exception):
    """A request did not succeed. ``failure`` says what that means for the event as a whole."""

    def __init__(self, failure: Failure) -> None:
        super().__init__("the write stopped")
        self.failure = failure


class Writer:
    """The requests of one write."""

    def __init__(self, notion: Notion, table: str, columns: Columns) -> None:
        self._notion = notion
        self._table = table
        self._columns = columns
        self._wrote = False

    def create(self, target: Target, content: Content) -> Group:
        """All rows of a new event. Raises `Stopped`, `ProviderError`."""
        first = dict(target.head)
        if "recurrence" in first:
            first["recurrence"] = rich_text(write(content))  # which occurrences have rows is said at the end
        head = self._create(first)
        rows = [self._create(own) for own in target.occurrences.values()]
        if first != target.head:
            head = self._update(head, {"recurrence": target.head["recurrence"]})
        return compose(head, rows)

    def update(self, found: Group, target: Target, content: Content) -> Group:
        """Write what differs, and only that. Raises `Stopped`, `ProviderError`."""
        rows = {}
        for rid, own in target.occurrences.items():
            row = found.occurrences.get(rid)
            rows[rid] = self._create(own) if row is None else self._update(row, changed(row, own))
        head = self._update(found.head, series.head_changes(found, target, content))
        for rid, row in found.occurrences.items():
            if rid not in rows:
                self._trash(row)
        return compose(head, list(rows.values()))

    def delete(self, found: Group) -> None:
        """The series' own row goes first: without it, those of its occurrences mean nothing."""
        for row in (found.head, *found.occurrences.values()):
            self._trash(row)

    def _create(self, values: dict[str, Any]) -> Row:
        return self._row(self._notion.create(self._table, properties(values, self._columns)))

    def _update(self, row: Row, values: dict[str, Any]) -> Row:
        if not values:
            return row
        return self._row(self._notion.update(row.id, properties(values, self._columns)))

    def _trash(self, row: Row) -> None:
        answer = self._notion.trash(row.id)
        if isinstance(answer, Failure) and not self._is_gone(row):
            raise self._stopped(answer)
        self._wrote = True

    def _is_gone(self, row: Row) -> bool:
        """Whether it is in the trash all the same: then the other rows of its series have to follow it."""
        try:
            page = self._notion.page(row.id)
        except ProviderError:
            return False
        return page is None or is_trashed(page)

    def _row(self, answer: Json | Failure) -> Row:
        if isinstance(answer, Failure):
            page = self._made(answer)
            if page is None:
                raise self._stopped(answer)
            answer = page
        self._wrote = True
        try:
            return read_row(answer, self._columns)
        except SchemaChanged as error:
            raise Stopped(Failure(Unknown(error.message, of_item=True))) from error

    def _made(self, failure: Failure) -> Json | None:
        """The row that was created although the answer was a failure."""
        if failure.made is None:
            return None
        try:
            return self._notion.page(failure.made)
        except ProviderError:
            return None

    def _stopped(self, failure: Failure) -> Stopped:
        if self._wrote:  # some rows are written: only a look at them tells
            failure = replace(failure, schema=False)
            if isinstance(failure.outcome, NotSent):
                failure = Failure(Unknown(f"Not all rows of the event were written: {failure.outcome.reason}"))
        return Stopped(failure)
