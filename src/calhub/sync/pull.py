"""The pull step: carry observations into the hub, guarded, each chunk in one transaction with its bases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from calhub.calendar.event import InvalidEvent
from calhub.calendar.fields import apply, diff, project
from calhub.hub import events, inbox, journal, links, lookup
from calhub.hub.events import StoredEvent
from calhub.hub.journal import Intent
from calhub.hub.jsontext import loads
from calhub.hub.links import Link, Observation
from calhub.hub.sql import Connection
from calhub.providers.base import Item
from calhub.sync import guard
from calhub.sync.context import Pass, hub_side, title
from calhub.sync.identity import adds_nothing, created_before_deleted, created_by_us, dropped
from calhub.sync.plan import Bases, Pull, RemoteSide, plan_pull


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An observation with the event it belongs to.

    ``twin``: another live item stands for the same UID. ``moved``: the item is gone under this name only.
    ``sent``: the create by which we made it, though no answer said so.
    """

    seen: Observation
    stored: StoredEvent | None
    link: Link | None
    twin: bool = False
    moved: bool = False
    sent: Intent | None = None


def pull(of: Pass, remote_ids: Sequence[str]) -> bool:
    """Carry these observations into the hub. Returns False when the guard held everything back instead."""
    released, discarded = decided(of, "hub")
    of.discarded |= {uid for _, uid, _ in discarded}
    steps = list(_steps(of, remote_ids, discarded))
    fresh = [step for step in steps if (step.op, step.uid) not in released]
    if of.restored is not None:  # a person put an old hub back: that the remotes have moved on is no accident
        fresh = [step for step in fresh if step.op != "update"]
    with of.hub.read() as conn:
        linked = links.link_count(conn, of.replica.id)
        emptied = linked > 0 and not links.any_alive(conn, of.replica.id)
    reason = guard.check(fresh, side="hub", linked=linked, limits=of.limits, first_pass=of.first_pass, emptied=emptied)
    if reason is not None:
        hold(of, "hub", reason, fresh)
        return False
    for chunk in links.chunks(remote_ids):
        with of.hub.transaction() as conn:
            carried: set[str] = set()
            for pair in _pairs(conn, of, chunk):
                twin = pair.twin or _uid(pair) in carried
                _carry_alone(conn, of, replace(pair, twin=twin), discarded)
                carried.add(_uid(pair))
            links.settle(conn, of.replica.id, chunk)
        of.tell("merging", len(chunk), len(remote_ids))
        of.check_time()
    if not discarded:
        with of.hub.transaction() as conn:
            inbox.finish_holds(conn, of.replica.id, "hub", now=of.hub.now())
    return True


def take_new(of: Pass, conn: Connection, items: Sequence[Item]) -> list[Item]:
    """During a first pass: make events of brand-new items in the transaction that stores them. Returns those taken.

    Only plain creations are taken here; whatever meets something in the hub, or is refused by it, stays pending for
    `pull`, which looks at each alone.
    """
    now, replica_id, calendar_id = of.hub.now(), of.replica.id, of.replica.calendar_id
    fresh = lookup.strangers(conn, calendar_id, replica_id, items)
    rows = [(calendar_id, item.uid, item.content) for item in fresh if item.uid and item.content is not None]
    try:
        with of.hub.transaction():  # a savepoint
            stored = events.put_events(conn, rows, now=now, replica_id=replica_id, run_id=of.report.run_id)
            links.link_new(conn, replica_id, zip((each.id for each in stored), fresh, strict=True), now=now)
    except InvalidEvent:
        return []
    return fresh


def hold(of: Pass, side: inbox.Side, reason: str, steps: list[guard.Step]) -> None:
    """Keep a refused plan for a person; nothing of it has been done."""
    with of.hub.transaction() as conn:
        plan = [step.key for step in steps]
        inbox.set_hold(conn, of.replica.id, side, reason, guard.counts(steps), plan, now=of.hub.now())
    of.report.status = "held"
    of.report.counts["held"] += len(steps)


def decided(of: Pass, side: inbox.Side) -> tuple[set[tuple[str, str]], set[guard.Key]]:
    """The (op, uid) steps a person has released, and those discarded; of a step decided twice, the later decision.

    To discard is to lose what was held, so just that: what somebody has typed since is another step.
    """
    with of.hub.read() as conn:
        rows = inbox.decided_holds(conn, of.replica.id, side)
    decisions = {(op, uid): (row["state"], mark) for row in rows for op, uid, mark in loads(row["plan"])}
    released = {step for step, (state, _) in decisions.items() if state == "released"}
    return released, {(*step, mark) for step, (state, mark) in decisions.items() if state == "discarded"}


def _steps(of: Pass, remote_ids: Sequence[str], discarded: set[guard.Key]) -> Iterator[guard.Step]:
    for chunk in links.chunks(remote_ids):
        with of.hub.read() as conn:
            pairs = _pairs(conn, of, chunk)
        for pair in pairs:
            write = _plan(of, pair, is_discarded=_is_discarded(of, pair, discarded)).hub
            if write is not None:
                yield guard.Step(write, _uid(pair))


def _pairs(conn: Connection, of: Pass, remote_ids: Sequence[str]) -> list[Pair]:
    """Tie observations to links and events; quarantined ones are left out, moved ones keep their link."""
    seen = links.observations(conn, of.replica.id, remote_ids)
    direct = links.links_by_remote(conn, of.replica.id, remote_ids)
    linked_events = lookup.events_by_id(conn, [link.event_id for link in direct.values()])
    uids = [each.uid for each in seen.values() if each.uid]
    uids += [stored.uid for stored in linked_events.values()]
    by_uid = lookup.events_by_uid(conn, of.replica.calendar_id, uids)
    by_event = links.links_by_event(conn, of.replica.id, [stored.id for stored in by_uid.values()])
    live = lookup.live_twins(conn, of.replica.id, uids)
    named = links.observations(conn, of.replica.id, [link.remote_id for link in by_event.values()])
    ours = created_by_us(conn, of, [each for each in seen.values() if each.remote_id not in direct and not each.gone])
    unheard = created_before_deleted(conn, of, by_uid.values())
    pairs = []
    for remote_id in remote_ids:
        each = seen.get(remote_id)
        if each is None or each.problem is not None:
            continue
        if remote_id in ours:
            pairs.append(Pair(seen=each, stored=ours[remote_id][0], link=None, sent=ours[remote_id][1]))
            continue
        link = direct.get(remote_id)
        stored = linked_events.get(link.event_id) if link else by_uid.get(each.uid or "")
        others = [other for other in live.get(stored.uid if stored else each.uid or "", []) if other != remote_id]
        if each.gone and link is not None and others:
            pairs.append(Pair(seen=each, stored=stored, link=None, moved=True))
            continue
        if link is None and stored is not None:
            link = by_event.get(stored.id)
            if link is not None and link.remote_id != remote_id and _is_live(named.get(link.remote_id)):
                pairs.append(Pair(seen=each, stored=stored, link=None, twin=True))
                continue
        sent = unheard.get(stored.id) if stored is not None and link is None and not each.gone else None
        if sent is not None and not adds_nothing(sent.content, each.content):
            sent = None
        pairs.append(Pair(seen=each, stored=stored, link=link, sent=sent))
    return sorted(pairs, key=lambda pair: pair.sent is None)  # what we made comes before a stranger with its UID


def _is_live(item: Observation | None) -> bool:
    return item is not None and not item.gone


def _uid(pair: Pair) -> str:
    return pair.stored.uid if pair.stored is not None else pair.seen.uid or pair.seen.remote_id


def _plan(of: Pass, pair: Pair, *, is_discarded: bool = False) -> Pull:
    if pair.moved:  # its new name carries the link on
        return Pull()
    return plan_pull(
        hub_side(pair.stored, pair.link) if pair.stored is not None else None,
        RemoteSide(content=pair.seen.content, modified=pair.seen.modified),
        _bases(pair),
        of.hub_is_right if is_discarded else of.policy,
    )


def _is_discarded(of: Pass, pair: Pair, discarded: set[guard.Key]) -> bool:
    """Whether a person has said that just this should not come into the hub."""
    write = _plan(of, pair).hub if discarded else None
    return write is not None and guard.Step(write, _uid(pair)).key in discarded


def _bases(pair: Pair) -> Bases | None:
    if pair.link is not None:
        return Bases(remote=pair.link.base_remote, hub=pair.link.base_hub)
    sent = pair.sent.content if pair.sent is not None else None
    if sent is None or pair.seen.content is None:
        return None
    # What is not there is sent once more: the creation may have been carried out in part.
    arrived = apply(sent, dropped(diff(sent, pair.seen.content)))
    return Bases(remote=arrived, hub=arrived)


def _carry_alone(conn: Connection, of: Pass, pair: Pair, discarded: set[guard.Key]) -> None:
    """One event the hub cannot keep is quarantined; the rest of the chunk goes on."""
    try:
        with of.hub.transaction():  # a savepoint
            _carry(conn, of, pair, discarded)
    except InvalidEvent as error:
        links.mark_problem(conn, of.replica.id, pair.seen.remote_id, str(error))


def _carry(conn: Connection, of: Pass, pair: Pair, discarded: set[guard.Key]) -> None:
    """Do what the plan says for one pair, in the transaction given."""
    if pair.twin and not pair.seen.gone and _is_second(conn, of, pair):
        reason = "Another item of this calendar has the same UID; keep one of the two."
        links.mark_problem(conn, of.replica.id, pair.seen.remote_id, reason)
        return
    is_discarded = _is_discarded(of, pair, discarded)
    plan = _plan(of, pair, is_discarded=is_discarded)
    now, replica_id, uid = of.hub.now(), of.replica.id, _uid(pair)
    stored = pair.stored
    if plan.hub is not None:
        run_id = of.report.run_id
        if plan.hub.content is not None:
            stored = events.put_event(
                conn, of.replica.calendar_id, uid, plan.hub.content, now=now, replica_id=replica_id, run_id=run_id
            )
        elif stored is not None:
            events.delete_event(conn, stored.id, now=now, replica_id=replica_id, run_id=run_id)
            stored = events.event_by_id(conn, stored.id)
        of.report.count("pulled", plan.hub.op)
        shown = plan.hub.content or (stored.content if stored else {})
        of.report.note("hub", plan.hub, uid, title(shown))
    elif is_discarded and stored is None and pair.seen.content is not None:
        # A discarded arrival: the hub says it should not be, so the remote's item becomes a tombstone to be pushed.
        stored = events.put_event(conn, of.replica.calendar_id, uid, pair.seen.content, now=now)
        events.delete_event(conn, stored.id, now=now)
        plan = Pull(bases=Bases(remote=pair.seen.content, hub=pair.seen.content))
    _relink(conn, of, pair, plan, stored)
    if pair.sent is not None:
        journal.arrived(conn, replica_id, pair.sent.remote_id, pair.seen.version, now=now)
    if plan.noted is not None and stored is not None:
        inbox.note_conflict(conn, replica_id, stored.id, plan.noted.state, list(plan.noted.fields), now=now)
        of.report.counts["conflicts"] += 1
    if pair.seen.gone:
        links.drop_observation(conn, replica_id, pair.seen.remote_id)
        if stored is not None:
            events.forget_tombstone(conn, stored.id)


def _is_second(conn: Connection, of: Pass, pair: Pair) -> bool:
    """Whether a twin is really too many by now: the first of two new twins may just have been linked in this chunk."""
    stored = lookup.events_by_uid(conn, of.replica.calendar_id, [_uid(pair)]).get(_uid(pair))
    link = links.links_by_event(conn, of.replica.id, [stored.id]).get(stored.id) if stored else None
    if link is None or link.remote_id == pair.seen.remote_id:
        return False
    return _is_live(links.observations(conn, of.replica.id, [link.remote_id]).get(link.remote_id))


def _relink(conn: Connection, of: Pass, pair: Pair, plan: Pull, stored: StoredEvent | None) -> None:
    if plan.bases is None:
        if pair.link is not None:
            links.drop_link(conn, pair.link.id)
            if stored is not None and not stored.deleted:
                links.requeue(conn, of.replica.id, stored.id, now=of.hub.now())
        return
    if stored is None:
        return
    # The link has seen this revision only if nothing of the hub's own is left to be pushed.
    nothing_left = not stored.deleted and project(stored.content, of.policy.keeps) == plan.bases.hub
    links.set_link(
        conn,
        of.replica.id,
        stored.id,
        pair.seen.remote_id,
        base_remote=plan.bases.remote,
        base_hub=plan.bases.hub,
        version=pair.seen.version,
        hub_rev=stored.rev if nothing_left or of.policy.direction == "pull" else 0,
        now=of.hub.now(),
    )
    if not nothing_left and of.policy.direction != "pull":
        links.requeue(conn, of.replica.id, stored.id, now=of.hub.now())
