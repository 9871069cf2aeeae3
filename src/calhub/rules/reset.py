"""Reset a calendar: take away every copy that a rule made in it, here and at its remotes, and nothing else."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from calhub.calendar.mark import made_by_rule
from calhub.hub import accounts, rules
from calhub.hub.accounts import Calendar
from calhub.hub.database import Hub
from calhub.hub.errors import InvalidValue
from calhub.hub.sql import Connection
from calhub.rules.remove import Removal
from calhub.sync import engine
from calhub.sync.dryrun import rehearsal
from calhub.sync.engine import Connect


def reset(hub: Hub, connect: Connect, calendar: str, *, confirm: bool, dry_run: bool = False) -> dict[str, Any]:
    """Remove what rules made in the calendar: the copies the hub knows, and those its remotes bring with our mark.

    The calendar's replicas are pulled first and pushed afterwards. What is removed is a run of its own in the history;
    `undo` brings it back. Rules that are still there make their copies anew with the next sync.

    Returns ``{"calendar", "run" (None where there was nothing), "removed": [{"calendar", "uid", "title"}], "runs":
    [run shape], "dry_run"}``; with ``dry_run`` nothing changes anywhere. Raises `NotFound`, and `InvalidValue` without
    ``confirm`` or ``dry_run``.
    """
    with hub.read() as conn:
        found = accounts.calendar(conn, calendar)
        count = len(copies_in(conn, found.id))
    if dry_run:
        with rehearsal(hub, connect) as (copy, pretend):
            return _reset(copy, pretend, found) | {"run": None, "dry_run": True}
    if not confirm:
        raise InvalidValue(
            f'This would delete the {count} copies that rules made in "{found.name}", here and at its remotes.',
            "See them with --dry-run, delete them with --confirm. What people made stays; `calhub undo` takes it back.",
        )
    return _reset(hub, connect, found)


def copies_in(conn: Connection, calendar_id: int) -> list[str]:
    """The UIDs of the calendar's events that a rule made: by its rows, and by their marks."""
    marked = [uid for uid, content in rules.marked_events(conn, calendar_id) if made_by_rule(uid, content)]
    return list(dict.fromkeys([*sorted(rules.claimed(conn, calendar_id)), *marked]))


def _reset(hub: Hub, connect: Connect, calendar: Calendar) -> dict[str, Any]:
    removal = Removal(hub)

    def take_away(_hub: Hub) -> None:
        with hub.read() as conn:
            doomed = copies_in(conn, calendar.id)
        removal.remove({calendar.id: doomed})

    with hub.read() as conn:
        replica_ids = [each.id for each in accounts.replicas(conn, calendar_id=calendar.id)]
    reports = engine.sync(hub, connect, replica_ids=replica_ids, derive=take_away)
    return {
        "calendar": calendar.name,
        "run": removal.run_id,
        "removed": [asdict(each) for each in removal.taken],
        "runs": [report.shape() for report in reports],
        "dry_run": False,
    }
