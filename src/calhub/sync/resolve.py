"""Deciding a conflict: the chosen values become an ordinary edit of the hub, which the next sync carries out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Literal

from calhub.calendar.edit import delete_occurrence
from calhub.calendar.event import RECURRENCE_UNIT, TIME_UNIT, Content
from calhub.calendar.fields import Path, apply
from calhub.hub import audit, events, inbox, links
from calhub.hub.errors import InvalidValue
from calhub.hub.jsontext import loads
from calhub.hub.sql import Connection

Take = Literal["hub", "remote", "both"]


def resolve(
    conn: Connection, conflict_id: int, take: Take | None, fields: Mapping[str, Literal["hub", "remote"]], *, now: str
) -> dict[str, Any]:
    """Settle a conflict, open or auto, and return its shape.

    ``take`` decides every field that ``fields`` does not name. ``both`` keeps the hub's event and adds a second one
    with the remote's values, under a new UID. Raises InvalidValue where a field is unknown or left undecided; nothing
    has been changed then.
    """
    row = inbox.conflict_row(conn, conflict_id)
    if row["state"] == "resolved":
        raise InvalidValue(f"Conflict {conflict_id} is resolved already.", "List the others with: calhub conflict list")
    entries = loads(row["fields"])
    sides = _sides(entries, take, fields)
    stored = events.event_by_id(conn, row["event_id"])
    assert stored is not None  # the conflict's foreign key
    chosen = _choose(stored.content, entries, sides)
    if _deleted(entries, sides, now_deleted=stored.deleted):
        if not stored.deleted:
            events.delete_event(conn, stored.id, now=now)
    else:
        events.put_event(conn, stored.calendar_id, stored.uid, chosen, now=now)
    if take == "both":
        second = _choose(stored.content, entries, {entry["name"]: "remote" for entry in entries})
        events.put_event(conn, stored.calendar_id, str(uuid.uuid4()), second, now=now)
    inbox.close_conflict(conn, conflict_id, sides, now=now)
    links.requeue(conn, row["replica_id"], stored.id, now=now)
    audit.note(conn, "conflict resolved", conflict=conflict_id, uid=stored.uid, fields=sorted(sides))
    return inbox.get_conflict(conn, conflict_id) | {
        "fields": [{**entry, "taken": sides[entry["name"]]} for entry in entries]
    }


def _sides(entries: list[dict[str, Any]], take: Take | None, fields: Mapping[str, str]) -> dict[str, str]:
    names = [entry["name"] for entry in entries]
    unknown = [name for name in fields if name not in names]
    if unknown:
        raise InvalidValue(f"The conflict has no field {unknown[0]!r}.", f"Its fields are: {', '.join(names)}")
    default = "hub" if take == "both" else take
    sides = {name: fields.get(name, default) for name in names}
    for unit in (TIME_UNIT, RECURRENCE_UNIT):  # halves of a time from two sides would make a third time
        asked = {sides[name] for name in unit if name in fields}
        if len(asked) > 1:
            raise InvalidValue(
                f"{', '.join(unit)} belong together; take them from one side.", "Name the same side for all."
            )
        if asked:
            sides |= {name: asked.copy().pop() for name in unit if name in sides}
    missing = [name for name, side in sides.items() if side is None]
    if missing:
        raise InvalidValue(
            f"Nothing was chosen for {', '.join(missing)}.", "Add --take hub, --take remote or --field NAME=SIDE."
        )
    return {name: str(side) for name, side in sides.items()}


def _choose(content: Content, entries: list[dict[str, Any]], sides: Mapping[str, str]) -> Content:
    patch: dict[Path, tuple[Any, Any]] = {
        tuple(entry["name"].split("/")): (None, entry[sides[entry["name"]]])
        for entry in entries
        if entry["name"] != "deleted"
    }
    chosen = apply(content, patch)
    for path, (_, value) in patch.items():
        if path[0] == "overrides" and value == {"status": "cancelled"}:  # how a cancelled instance shows in a conflict
            chosen = delete_occurrence(chosen, path[1])
    return chosen


def _deleted(entries: list[dict[str, Any]], sides: Mapping[str, str], *, now_deleted: bool) -> bool:
    return next((bool(entry[sides["deleted"]]) for entry in entries if entry["name"] == "deleted"), now_deleted)
