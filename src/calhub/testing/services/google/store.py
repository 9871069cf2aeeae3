"""The data of the emulated Google Calendar: calendars, event rows by their latest change, tokens."""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from calhub.testing.services.google import recurring
from calhub.testing.services.google.recurring import Body

#: What an exception does not take from its master.
OWN = frozenset({"id", "etag", "recurrence", "start", "end", "originalStartTime", "recurringEventId", "status"})


@dataclass
class Row:
    """One stored event: a single one, a master or an exception. ``seq`` is that of its latest change."""

    body: Body
    seq: int
    uid: str
    encoded: bytes | None = None  # the body as JSON, made once: listings of many events must not be slow

    @property
    def cancelled(self) -> bool:
        return bool(self.body["status"] == "cancelled")

    @property
    def master(self) -> str | None:
        found: str | None = self.body.get("recurringEventId")
        return found

    def json(self) -> bytes:
        if self.encoded is None:
            self.encoded = json.dumps(self.body, ensure_ascii=False).encode()
        return self.encoded


@dataclass
class CalendarData:
    id: str
    summary: str | None
    time_zone: str
    role: str = "owner"
    primary: bool = False
    color_id: str = "1"
    background: str = "#ac725e"
    rows: dict[str, Row] = field(default_factory=dict)
    epoch: int = 0  # sync tokens of an earlier one are dead
    _order: list[tuple[int, str]] | None = None

    def put(self, row: Row) -> None:
        self.rows[row.body["id"]] = row
        self._order = None

    def drop(self, event_id: str) -> None:
        del self.rows[event_id]
        self._order = None

    def after(self, seq: int) -> list[Row]:
        """Rows changed after ``seq``, in the order of their latest change."""
        if self._order is None:
            self._order = sorted((row.seq, event_id) for event_id, row in self.rows.items())
        start = bisect_right(self._order, (seq, "\U0010ffff"))
        return [self.rows[event_id] for _, event_id in self._order[start:]]

    def exceptions(self, master: str) -> list[Row]:
        return [row for row in self.rows.values() if row.master == master]

    def instance(self, event_id: str) -> Body | None:
        """An instance that is no exception (yet), by its id; None if there is no such instance."""
        master_id, _, suffix = event_id.rpartition("_")
        row = self.rows.get(master_id)
        if row is None or row.cancelled or not row.body.get("recurrence"):
            return None
        wall = recurring.wall_of_suffix(row.body, suffix, self.time_zone)
        if wall is None or not recurring.is_instance(row.body, wall, self.time_zone):
            return None
        return self.make_instance(row.body, wall)

    def make_instance(self, master: Body, wall: Any) -> Body:
        body = deepcopy({name: value for name, value in master.items() if name not in OWN})
        original = recurring.original(master, wall, self.time_zone)
        return body | {
            "id": f"{master['id']}_{recurring.suffix(master, wall, self.time_zone)}",
            "etag": master["etag"],
            "status": "confirmed",
            "recurringEventId": master["id"],
            "originalStartTime": original,
            "start": dict(original),
            "end": recurring.end(master, wall, self.time_zone),
        }

    def instances(self, master: Body) -> Iterator[Body]:
        """All instances, exceptions in the place of what they replace; cancelled ones included."""
        found = {row.body["id"]: row.body for row in self.exceptions(master["id"])}
        for wall in recurring.starts(master, self.time_zone):
            name = f"{master['id']}_{recurring.suffix(master, wall, self.time_zone)}"
            yield found.get(name) or self.make_instance(master, wall)


def tombstone(body: Body) -> Body:
    """What is left of a deleted event (google: Reading): of a cancelled instance, who it was, too."""
    kept = ("kind", "etag", "id", "recurringEventId", "originalStartTime")
    return {name: body[name] for name in kept if name in body} | {"status": "cancelled"}


def encode_token(**values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values, sort_keys=True).encode()).decode().rstrip("=")


def decode_token(text: str) -> dict[str, Any] | None:
    """What a token says, or None for one that was not made here."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
