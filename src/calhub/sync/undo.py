"""Undo a run: put back what it wrote, item by item, each only if nobody has changed it since.

A run of a replica is put back in the hub and at its remote; one that worked in the hub only (a reset) in the hub alone,
and the next sync carries it on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from calhub.calendar.event import Content
from calhub.calendar.fields import apply, diff, project
from calhub.hub import accounts, changes, events, journal, links, lookup, removed, rules, runs
from calhub.hub.accounts import Account
from calhub.hub.changes import Change
from calhub.hub.database import Hub
from calhub.hub.events import StoredEvent
from calhub.hub.journal import Intent
from calhub.hub.locks import replica_lock
from calhub.hub.sql import Connection, Row
from calhub.providers.base import Done, Item, Provider, ProviderError
from calhub.sync.context import Pass
from calhub.sync.push import send
from calhub.sync.recover import recover_open
from calhub.sync.report import RunReport


def undo(hub: Hub, connect: Callable[[Account], Provider], run_id: int, dry_run: bool = False) -> dict[str, Any]:
    """Put hub and remote back to what they were before the run; returns the design's undo shape.

    What the run pushed is put back at its remote at once, conditional on the version the run left there. What it pulled
    is put back in the hub; the next sync carries the old state to every replica, the run's own included, under the
    guard. Anything changed since the run is skipped, with the reason. A run that worked in the hub only is put back
    there. Raises NotFound, Busy and ProviderError; then nothing has been changed, except items already counted in the
    journal under the new run.
    """
    if not dry_run:
        hub.ensure_sound()
    with hub.read() as conn:
        row = runs.run_row(conn, run_id)
        if row["replica_id"] is None:
            return _undo_in_hub(hub, row, dry_run)
        replica = accounts.replica(conn, row["replica_id"])
        account = accounts.account(conn, replica.account)
        pushed = _last_by_uid(journal.done_intents(conn, run_id))
        pulled = _span_by_uid(changes.run_changes(conn, run_id), replica.id)
    skipped: list[dict[str, str]] = []
    undone = 0
    with replica_lock(hub.home, replica.id):
        provider = connect(account) if pushed and not dry_run else None
        work = _Undo(hub, replica, provider, dry_run)
        try:
            for uid in dict.fromkeys([*pushed, *pulled]):
                reason = work.push_back(*pushed[uid]) if uid in pushed else work.pull_back(*pulled[uid])
                if reason is None:
                    undone += 1
                else:
                    skipped.append({"uid": uid, "reason": reason})
        finally:
            work.finish(undone, skipped)
            if provider is not None:
                provider.close()
    return {"run": run_id, "undone": undone, "skipped": skipped, "dry_run": dry_run}


def _undo_in_hub(hub: Hub, row: Row, dry_run: bool) -> dict[str, Any]:
    """Put back what a run without replica did, in one transaction, with the rows that tied copies to their rules."""
    undone: list[str] = []
    skipped: list[dict[str, str]] = []
    with hub.transaction() as conn:
        new_id = None if dry_run else runs.start_hub_run(conn, row["calendar"], kind="undo", now=hub.now())
        spans: dict[tuple[int, str], tuple[Change, Change]] = {}
        for each in changes.run_changes(conn, row["id"]):
            key = (each.calendar_id, each.uid)
            spans[key] = (spans.get(key, (each, each))[0], each)
        for (calendar_id, uid), (first, last) in spans.items():
            stored = lookup.events_by_uid(conn, calendar_id, [uid]).get(uid)
            reason = _reason_to_skip(conn, calendar_id, stored, last)
            if reason is not None:
                skipped.append({"uid": uid, "reason": reason})
                continue
            undone.append(uid)
            if not dry_run:
                _put_hub(conn, calendar_id, uid, stored, _before(first), now=hub.now(), run_id=new_id)
        if new_id is not None:
            known = {rule.id for rule in rules.rules(conn)}
            for rule_id, copy in removed.remembered(conn, row["id"]):
                if rule_id in known and copy.uid in undone:
                    rules.put_copies(conn, rule_id, [copy])
            _finish(conn, new_id, len(undone), skipped, requests=0, duration_ms=0, now=hub.now())
    return {"run": row["id"], "undone": len(undone), "skipped": skipped, "dry_run": dry_run}


def _reason_to_skip(conn: Connection, calendar_id: int, stored: StoredEvent | None, last: Change) -> str | None:
    if not any(each.id == calendar_id for each in accounts.calendars(conn)):
        return "Its calendar has been removed."
    return "It has been changed since in the hub." if stored is not None and stored.rev != last.seq else None


def _before(first: Change) -> Content | None:
    return first.before if first.op != "create" else None


def _finish(
    conn: Connection, run_id: int, undone: int, skipped: list[dict[str, str]], *, requests: int, duration_ms: int,
    now: str,
) -> None:  # fmt: skip
    counts = runs.empty_counts() | {"undone": undone}
    errors = [{"uid": each["uid"], "message": each["reason"]} for each in skipped]
    runs.finish_run(
        conn, run_id, status="ok", counts=counts, errors=errors, requests=requests, duration_ms=duration_ms, now=now
    )


def _put_hub(
    conn: Connection, calendar_id: int, uid: str, stored: StoredEvent | None, content: Content | None, *, now: str,
    run_id: int | None,
) -> StoredEvent | None:  # fmt: skip
    """Make the event say ``content`` in the hub, or be gone."""
    if content is not None:
        return events.put_event(conn, calendar_id, uid, content, now=now, run_id=run_id)
    if stored is not None and not stored.deleted:
        events.delete_event(conn, stored.id, now=now, run_id=run_id)
        events.forget_tombstone(conn, stored.id)
    return None


def _last_by_uid(intents: list[Intent]) -> dict[str, tuple[Intent, Intent]]:
    """First and last write of the run to each event: where it started from, what it left."""
    found: dict[str, tuple[Intent, Intent]] = {}
    for each in intents:
        found[each.uid] = (found.get(each.uid, (each, each))[0], each)
    return found


def _span_by_uid(rows: list[Change], replica_id: int) -> dict[str, tuple[Change, Change]]:
    found: dict[str, tuple[Change, Change]] = {}
    for each in rows:
        if each.replica_id == replica_id:
            found[each.uid] = (found.get(each.uid, (each, each))[0], each)
    return found


class _Undo:
    """The undo of one run, as a run of its own. Each step returns None, or why it was skipped."""

    def __init__(self, hub: Hub, replica: accounts.Replica, provider: Provider | None, dry_run: bool) -> None:
        self._hub, self._replica, self._provider, self._dry_run = hub, replica, provider, dry_run
        self._report = RunReport(
            account=replica.account, calendar=replica.calendar, remote=replica.remote_name, replica_id=replica.id
        )
        self._began = time.monotonic()
        if not dry_run:
            with hub.transaction() as conn:
                self._report.run_id = runs.start_run(conn, replica, kind="undo", now=hub.now())
        if provider is not None:
            recover_open(self._pass())

    def _pass(self) -> Pass:
        assert self._provider is not None
        return Pass(hub=self._hub, replica=self._replica, provider=self._provider, report=self._report)

    def finish(self, undone: int, skipped: list[dict[str, str]]) -> None:
        if self._report.run_id is None:
            return
        requests = self._provider.requests if self._provider else 0
        duration_ms = round((time.monotonic() - self._began) * 1000)
        with self._hub.transaction() as conn:
            _finish(
                conn, self._report.run_id, undone, skipped, requests=requests, duration_ms=duration_ms,
                now=self._hub.now(),
            )  # fmt: skip

    def pull_back(self, first: Change, last: Change) -> str | None:
        """Put the hub back to what it was before the run brought its changes."""
        with self._hub.transaction() as conn:
            stored = lookup.events_by_uid(conn, self._replica.calendar_id, [first.uid]).get(first.uid)
            if stored is not None and stored.rev != last.seq:
                return "It has been changed since in the hub."
            if self._dry_run:
                return None
            self._put_hub(conn, first.uid, stored, _before(first))
        return None

    def push_back(self, first: Intent, last: Intent) -> str | None:
        """Put remote and hub back to what they were before the run wrote."""
        with self._hub.read() as conn:
            stored = lookup.events_by_uid(conn, self._replica.calendar_id, [first.uid]).get(first.uid)
            seen = links.observations(conn, self._replica.id, [last.remote_id]).get(last.remote_id)
        if stored is not None and stored.rev != last.hub_rev:
            return "It has been changed since in the hub."
        if last.op != "delete" and (seen is None or seen.version != last.after):
            return "It has been changed since at the remote."
        if self._dry_run:
            return None
        assert self._provider is not None
        target = first.before if first.op != "create" else None
        of = self._pass()
        intent = self._journal(of, stored, last, target, seen.raw if seen else None)
        outcome = send(of, first.uid, intent)
        if not isinstance(outcome, Done):
            with self._hub.transaction() as conn:
                reason = outcome.message if isinstance(outcome, ProviderError) else getattr(outcome, "reason", None)
                reason = reason or "It has been changed since at the remote."
                journal.close_intent(conn, intent.id, "failed", now=self._hub.now(), error=reason)
                links.requeue(conn, self._replica.id, intent.event_id, now=self._hub.now())
            return str(reason)
        self._record(of, intent, stored, last, target, outcome.echo)
        return None

    def _journal(
        self, of: Pass, stored: StoredEvent | None, last: Intent, target: Content | None, raw: str | None
    ) -> Intent:
        op: journal.Op = "create" if last.op == "delete" else "delete" if target is None else "update"
        remote_id = last.remote_id
        with self._hub.transaction() as conn:
            if op == "create":
                assert target is not None
                stored = events.put_event(conn, self._replica.calendar_id, last.uid, target, now=self._hub.now())
                remote_id = of.provider.reserve(self._replica.remote_id, last.uid)
            assert stored is not None
            return journal.open_intent(
                conn, replica_id=self._replica.id, event_id=stored.id, uid=last.uid, run_id=self._report.run_id, op=op,
                remote_id=remote_id, expected=last.after, hub_rev=stored.rev, content=target, before=last.content,
                before_raw=raw, now=self._hub.now(),
            )  # fmt: skip

    def _record(
        self, of: Pass, intent: Intent, stored: StoredEvent | None, last: Intent, target: Content | None,
        echo: Item | None,
    ) -> None:  # fmt: skip
        """Hub, link and journal in one transaction: the base now stands for the old state."""
        now, replica_id = self._hub.now(), self._replica.id
        with self._hub.transaction() as conn:
            journal.close_intent(conn, intent.id, "done", now=now, after=echo.version if echo else None)
            content = target
            if target is not None and stored is not None and last.op == "update" and last.content is not None:
                content = apply(stored.content, diff(last.content, target))  # fields the remote cannot hold stay
            if target is None:
                link = links.links_by_event(conn, replica_id, [intent.event_id]).get(intent.event_id)
                if link is not None:
                    links.drop_link(conn, link.id)
                links.drop_observation(conn, replica_id, intent.remote_id)
            put = self._put_hub(conn, intent.uid, stored, content)
            if put is not None and target is not None and echo is not None:
                links.observe_items(conn, replica_id, [echo], now=now)
                links.settle(conn, replica_id, [echo.remote_id])
                links.set_link(
                    conn, replica_id, put.id, echo.remote_id, base_remote=echo.content or target,
                    base_hub=project(put.content, of.capabilities.keeps), version=echo.version,
                    hub_rev=put.rev, now=now,
                )  # fmt: skip

    def _put_hub(
        self, conn: Connection, uid: str, stored: StoredEvent | None, content: Content | None
    ) -> StoredEvent | None:
        now, run_id = self._hub.now(), self._report.run_id
        return _put_hub(conn, self._replica.calendar_id, uid, stored, content, now=now, run_id=run_id)
