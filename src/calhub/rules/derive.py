"""Derivation: what the rules make of what changed in the hub. Between pulling and pushing, in every sync.

A rule looks at the change log from where it left off, so that its cost follows the changes: at events of its source
that changed, at events of its target with the UID of one of these, at its own copies that somebody touched, and, once a
day, at what has come into its window. What it writes commits together with the rows of its copies; stopped anywhere, it
goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import cached_property
from zoneinfo import ZoneInfo

from calhub.calendar.event import Content
from calhub.calendar.mark import copy_uid, is_copy, made_by_rule, mark_of
from calhub.calendar.recurrence import times_of
from calhub.hub import accounts, changes, events, links, lookup, rules
from calhub.hub.changes import last_seq
from calhub.hub.database import Hub
from calhub.hub.events import StoredEvent
from calhub.hub.rules import Copy, Key, Rule
from calhub.hub.sql import Connection
from calhub.rules import blocks, options
from calhub.rules.blocks import View
from calhub.rules.options import Options
from calhub.rules.plan import Spare, Step, plan_copies

Wanted = dict[Key, tuple[Content, int | None]]
#: Told of each step once it is done.
Note = Callable[[Rule, Step], None]


def derive(hub: Hub, note: Note = lambda _rule, _step: None) -> None:
    """Bring the copies of all rules up to date in the hub; replicas carry them on with the next push."""
    with hub.read() as conn:
        found = rules.rules(conn)
    reached = {rule.id: _derive_rule(hub, rule, note) for rule in found}
    moved = [rule for rule in found if rule.stale or reached[rule.id] != (rule.seq, rule.reached_ts)]
    if moved:
        with hub.transaction() as conn:
            for rule in rules.rules(conn):
                if rule in moved:  # one that was told something else meanwhile has not been derived yet
                    rules.set_derived(conn, rule.id, *reached[rule.id])


def _derive_rule(hub: Hub, rule: Rule, note: Note) -> tuple[int, int]:
    """Returns up to which change, and to which moment of time, everything has been derived."""
    with hub.read() as conn:
        upto = expected = last_seq(conn)
        work = Work(conn, rule, _timestamp(hub))
        parts = work.parts(conn)
    alone = True  # nobody else has written since: then all changes up to the last one have been seen to
    for part in parts:
        with hub.transaction() as conn:
            alone &= last_seq(conn) == expected
            steps = work.plan(conn, part)
            apply(conn, rule, steps, hub.now())
            expected = last_seq(conn)
        for step in steps:
            note(rule, step)
    return expected if alone else upto, work.end_ts


def preview(hub: Hub, rule_id: int, *, everything: bool = False) -> list[Step]:
    """What `derive` would do for one rule now; with ``everything``, if it looked at more than what is new.

    Changes nothing. Raises `NotFound`.
    """
    with hub.read() as conn:
        rule = rules.rule(conn, rule_id)
        work = Work(conn, replace(rule, stale=rule.stale or everything), _timestamp(hub))
        found = [step for part in work.parts(conn) for step in work.plan(conn, part)]
    return [step for step in found if step.op != "adopt"]


def apply(conn: Connection, rule: Rule, steps: Sequence[Step], now: str, *, run_id: int | None = None) -> None:
    """Carry out the steps of a rule in the hub, in the caller's transaction."""
    writes = [(rule.target_id, step.uid, step.content) for step in steps if step.content is not None]
    events.put_events(conn, writes, now=now, run_id=run_id)
    for step in steps:
        if step.op == "delete":
            rules.drop_event(conn, rule.target_id, step.uid, now=now, run_id=run_id)
    rules.put_copies(conn, rule.id, [step.copy for step in steps if step.copy is not None])
    rules.drop_copies(conn, rule.id, [step.uid for step in steps if step.copy is None])


def _timestamp(hub: Hub) -> int:
    return int(hub.clock().timestamp())


class Work:
    """What one rule has to look at, and what follows from it."""

    def __init__(self, conn: Connection, rule: Rule, now_ts: int) -> None:
        """Raises `InvalidValue` for options that no version of calhub has written."""
        self.rule = rule
        self.options: Options = options.read(rule.kind, rule.options)
        self.now_ts = now_ts
        window = self.options.window(now_ts)
        self.end_ts = window[1]
        mine, theirs = (accounts.owner_addresses(conn, each) for each in (rule.source_id, rule.target_id))
        self.theirs = (theirs | ({self.options.owner} if self.options.owner else set())) - mine
        self.view = blocks.View(
            options=self.options, calendar=rule.source, zone=clock_zone(conn, rule, self.options), me=mine,
            window=window,
        )  # fmt: skip
        self.spare = Spare()

    def parts(self, conn: Connection) -> list[Sequence[str]]:
        """The UIDs of the source's events to be looked at, in portions, those that are gone last.

        With ``merge`` there is one portion for all of them: a copy may stand for any number of events.
        """
        uids = self._everything(conn) if self.rule.stale else self._news(conn)
        if self.options.merge:
            return [[""]] if uids else []
        live: set[str] = set()
        for part in links.chunks(uids):
            live |= {stored.uid for stored in self._sources(conn, part)}
        gone = [uid for uid in uids if uid not in live]
        self._collect_spare(conn, gone)
        return list(links.chunks([uid for uid in uids if uid in live] + gone))

    def plan(self, conn: Connection, uids: Sequence[str]) -> list[Step]:
        """The steps for one portion, as of now."""
        copies = self._merged_copies(conn) if self.options.merge else rules.copies(conn, self.rule.id, uids)
        known = {each.key: each for each in copies}
        wanted = self._merged(conn, copies) if self.options.merge else self._wanted(conn, uids, copies)
        wanted = {key: each for key, each in wanted.items() if key in known or self._within_reach(key, each[0])}
        names = [copy.uid for copy in known.values()] + [copy_uid(self.rule.key, *key) for key in wanted]
        found = lookup.events_by_uid(conn, self.rule.target_id, names)
        there = {uid: stored.content for uid, stored in found.items() if not stored.deleted}
        keep_edits = self.options.on_edit == "keep"
        return plan_copies(self.rule.key, wanted, known, self.spare.contents | there, self.spare, keep_edits=keep_edits)

    # Which events

    def _everything(self, conn: Connection) -> list[str]:
        live = events.uids(conn, self.rule.source_id)
        return list(dict.fromkeys([*live, *(copy.source_uid for copy in rules.copies(conn, self.rule.id))]))

    def _news(self, conn: Connection) -> list[str]:
        """Of what changed since, and of what has come into the window or gone beyond the cutoff since."""
        rule = self.rule
        changed = changes.uids_since(conn, rule.seq, rule.source_id)
        touched = changes.uids_since(conn, rule.seq, rule.target_id)
        uids = [*changed, *rules.sources_of(conn, rule.id, touched), *touched]
        if rule.reached_ts != self.end_ts:
            if self.options.future is not None and rule.reached_ts is not None:
                uids += rules.beginning(conn, rule.source_id, rule.reached_ts, self.end_ts)
            if self.options.cutoff is not None:
                uids += rules.ended(conn, rule.id, self._cutoff)
            uids += rules.in_parts(conn, rule.id)
        return list(dict.fromkeys(uids))

    def _sources(self, conn: Connection, uids: Sequence[str]) -> list[StoredEvent]:
        """The live ones of the events that a rule may read: no copies."""
        found = lookup.events_by_uid(conn, self.rule.source_id, [uid for uid in uids if not is_copy(uid)])
        return [each for each in found.values() if not each.deleted and not made_by_rule(each.uid, each.content)]

    def _collect_spare(self, conn: Connection, gone: Sequence[str]) -> None:
        """Copies whose event is gone and, where everything is derived anew, marked events that no rule knows."""
        for part in links.chunks(gone):
            uids = [copy.uid for copy in rules.copies(conn, self.rule.id, part)]
            for stored in lookup.events_by_uid(conn, self.rule.target_id, uids).values():
                if not stored.deleted:
                    self.spare.add(stored.uid, stored.content)
        if self.rule.stale:
            claimed = rules.claimed(conn, self.rule.target_id)
            for uid, content in rules.marked_events(conn, self.rule.target_id):
                if uid not in claimed:
                    self.spare.add(uid, content, mark=None if made_by_rule(uid, content) else mark_of(content))

    # What copies they should have

    @cached_property
    def _cutoff(self) -> int:
        assert self.options.cutoff is not None
        return self.now_ts - int(self.options.cutoff.total_seconds())

    def _wanted(self, conn: Connection, uids: Sequence[str], known: Sequence[Copy]) -> Wanted:
        wanted: Wanted = {}
        in_parts: dict[str, list[Copy]] = {}
        for copy in known:
            if copy.part:
                in_parts.setdefault(copy.source_uid, []).append(copy)
        for stored in self._admissible(conn, self._sources(conn, uids)):
            view = self._view_back_to(in_parts.get(stored.uid, ()))
            for part, content in blocks.copies(stored.content, view).items():
                end_ts = None if self.options.cutoff is None else blocks.last_end(content)
                if end_ts is None or end_ts > self._cutoff:
                    wanted[stored.uid, part] = (content, end_ts)
        return wanted

    def _merged(self, conn: Connection, known: Sequence[Copy]) -> Wanted:
        found: list[tuple[int, int, bool]] = []
        view = self._view_back_to(known)
        for part in links.chunks(list(rules.taking_place(conn, self.rule.source_id, *view.window))):
            for stored in self._admissible(conn, self._sources(conn, part)):
                found += blocks.busy(stored.content, view)
        return {("", part): (content, None) for part, content in blocks.merged(found, view).items()}

    def _merged_copies(self, conn: Connection) -> list[Copy]:
        """Those to be looked at: of the past only where everything is derived anew."""
        begin = self.view.window[0]
        known = rules.copies(conn, self.rule.id)
        return known if self.rule.stale else [each for each in known if times_of(each.face)[1] > begin]

    def _view_back_to(self, known: Iterable[Copy]) -> View:
        """The window, and what it has left behind: copies made one by one stay and follow their events like others."""
        begin, end = self.view.window
        return replace(self.view, window=(min([begin, *(times_of(each.face)[0] for each in known)]), end))

    def _admissible(self, conn: Connection, found: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Those that are not in the target anyway: under their own UID, or because its owner takes part."""
        if self.rule.kind == "publish":
            return list(found)
        twins = lookup.events_by_uid(conn, self.rule.target_id, [stored.uid for stored in found])
        return [
            stored
            for stored in found
            if not (stored.uid in twins and not twins[stored.uid].deleted)
            and not self.theirs & stored.content.get("attendees", {}).keys()
        ]

    def _within_reach(self, key: Key, content: Content) -> bool:
        """A copy is made only of what takes place in the window; one that is there follows its event anywhere."""
        window = self.view.window if key[1] else self.options.reach(self.now_ts)
        return blocks.takes_place(content, *window)


def clock_zone(conn: Connection, rule: Rule, given: Options) -> tzinfo:
    """By which clock a rule's hours and days are: its own, else the source calendar's, else UTC."""
    name = given.time_zone or accounts.calendar(conn, rule.source_id).time_zone
    return ZoneInfo(name) if name and name != "UTC" else UTC
