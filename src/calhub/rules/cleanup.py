"""Clean up: copies that stand for nothing, rows that belong to nothing, history that has expired."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from calhub.calendar.mark import key_of, made_by_rule, mark_of
from calhub.hub import accounts, changes, lookup, retention, rules
from calhub.hub.database import Hub, instant
from calhub.hub.rules import Rule
from calhub.hub.sql import Connection
from calhub.rules.remove import Removal
from calhub.sync import engine
from calhub.sync.dryrun import rehearsal
from calhub.sync.engine import Connect


def cleanup(
    hub: Hub,
    connect: Connect,
    *,
    remote: bool = False,
    dry_run: bool = False,
    keep_runs: int = retention.KEEP_RUNS,
    keep_days: int = retention.KEEP_DAYS,
) -> dict[str, Any]:
    """Remove copies whose event or rule is gone, rows of removed replicas, and history beyond ``keep_runs`` runs a
    replica and ``keep_days`` days. Events without our mark are never touched.

    With ``remote`` every remote is listed anew (a full sync that derives nothing), so that copies there which the hub
    had lost sight of are found, and what is removed goes from the remotes at once; else with the next sync. The copies
    removed are a run of their own, which `undo` takes back.

    Returns ``{"run" (None where no copy was removed), "copies": [{"calendar", "uid", "title"}],
    "strays": {table: rows}, "expired": {"runs", "intents", "changes"}, "runs": [run shape], "dry_run"}``.
    """
    if dry_run:
        with rehearsal(hub, connect) as (copy, pretend):
            found = cleanup(copy, pretend, remote=remote, keep_runs=keep_runs, keep_days=keep_days)
            return found | {"run": None, "dry_run": True}
    removal = Removal(hub)

    def take_away(_hub: Hub) -> None:
        with hub.read() as conn:
            doomed = orphans(conn)
        removal.remove(doomed)

    reports = engine.sync(hub, connect, full=True, derive=take_away) if remote else []
    take_away(hub)
    with hub.transaction() as conn:
        strays = retention.drop_strays(conn)
        before = instant(hub.clock() - timedelta(days=keep_days))
        expired = retention.drop_expired(conn, keep_runs=keep_runs, before=before)
    return {
        "run": removal.run_id,
        "copies": [asdict(each) for each in removal.taken],
        "strays": {table: count for table, count in strays.items() if count},
        "expired": expired,
        "runs": [report.shape() for report in reports],
        "dry_run": False,
    }


def orphans(conn: Connection) -> dict[int, list[str]]:
    """The UIDs of copies to be removed, by calendar: those whose event is gone, and those that no rule knows.

    Left alone are calendars that calhub only reads, what the next derivation will see to anyway, and copies that were
    kept when their rule was removed.
    """
    found: dict[int, list[str]] = {}
    for calendar in accounts.calendars(conn):
        replicas = accounts.replicas(conn, calendar_id=calendar.id)
        if replicas and all(each.direction == "pull" for each in replicas):
            continue
        writing = [rule for rule in rules.rules(conn, calendar_id=calendar.id) if rule.target_id == calendar.id]
        uids = [uid for rule in writing for uid in _without_source(conn, rule)]
        uids += _unknown(conn, calendar.id, writing)
        if uids:
            found[calendar.id] = uids
    return found


def _without_source(conn: Connection, rule: Rule) -> list[str]:
    news = set(changes.uids_since(conn, rule.seq, rule.source_id))
    rows = [copy for copy in rules.copies(conn, rule.id) if copy.source_uid and copy.source_uid not in news]
    there = lookup.events_by_uid(conn, rule.source_id, [copy.source_uid for copy in rows])
    live = {uid for uid, stored in there.items() if not stored.deleted}
    return [copy.uid for copy in rows if copy.source_uid not in live]


def _unknown(conn: Connection, calendar_id: int, writing: list[Rule]) -> list[str]:
    """Marked events without a row, but for those a rule will adopt when it next derives everything."""
    spared = {rule.key for rule in writing if rule.stale} | rules.kept_keys(conn)
    claimed = rules.claimed(conn, calendar_id)
    return [
        uid
        for uid, content in rules.marked_events(conn, calendar_id)
        if made_by_rule(uid, content) and uid not in claimed and key_of(mark_of(content) or uid) not in spared
    ]
