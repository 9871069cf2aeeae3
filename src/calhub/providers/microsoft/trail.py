"""Whether somebody else has changed an event while we were writing it.

Graph answers a write with the row that was written, but not with the rest of the item (a series' exceptions, our own
properties), and may save it once more a moment later (microsoft: Writing). So an item is read back; what that shows
beyond our own writes is somebody's edit, and must not be taken for what was agreed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calhub.calendar.event import Content, InvalidEvent
from calhub.providers.microsoft import kept
from calhub.providers.microsoft.inward import Row, etag, exceptions, shown


class Trail:
    """An event as it must look if nobody else touches it: as it was read, and what was answered to our writes since."""

    def __init__(self, row: Row) -> None:
        self._rows: dict[str, Row] = {}
        self._cancelled: set[str] = set()
        self._zones = kept.read(row).zones
        self.read(row)

    def read(self, row: Row) -> None:
        """The event was read and found to be as it must look."""
        self._rows = {str(each["id"]): each for each in (row, *exceptions(row))}
        self._cancelled |= _cancelled_days(row)
        self._zones = {**self._zones, **kept.read(row).zones}

    def wrote(self, row: Row, sent: Mapping[str, Any]) -> None:
        """The answer to a PATCH of the event or of an instance."""
        self._rows[str(row["id"])] = row
        self._zones = {**self._zones, **kept.read(sent).zones}

    def cancelled(self, recurrence_id: str) -> None:
        """An instance was deleted."""
        self._cancelled.add(recurrence_id[:10])

    def is_left(self, row: Row) -> bool:
        """Whether somebody else has been there. Exceptions that are gone went with a change of their series."""
        if not _cancelled_days(row) <= self._cancelled:
            return True
        return any(self._is_other(each) for each in (row, *exceptions(row)))

    def _is_other(self, row: Row) -> bool:
        known = self._rows.get(str(row["id"]))
        if known is None:
            return True
        return etag(known) != etag(row) and self._said(known) != self._said(row)

    def _said(self, row: Row) -> Content | None:
        """What a row says, however it was saved; None for one that cannot be read."""
        try:
            return shown(row, self._zones, attendees=True)
        except InvalidEvent:
            return None


def _cancelled_days(row: Row) -> set[str]:
    """Deleted instances are named ``OID.{master}.{yyyy-mm-dd}``."""
    return {name.rpartition(".")[2][:10] for name in row.get("cancelledOccurrences") or ()}
