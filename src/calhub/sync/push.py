"""The push step: carry the hub's own changes to the remote.

For each chunk: intents are committed, then the calls are made (several at once where the service bears it), then the
outcomes are committed, each with its link, observation and closed intent (I4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from calhub.calendar.event import Content
from calhub.calendar.fields import apply, diff, path_name, project, restore
from calhub.calendar.mark import made_by_rule
from calhub.hub import accounts, changes, events, inbox, journal, links, lookup
from calhub.hub.events import StoredEvent
from calhub.hub.journal import Intent
from calhub.hub.links import Link, Observation
from calhub.hub.sql import Connection
from calhub.ops import trace
from calhub.providers.base import (
    Done,
    Item,
    NotSent,
    Outcome,
    ProviderError,
    Refused,
    Stale,
    Trait,
    Unknown,
    WriteRequest,
    write_one,
)
from calhub.sync import guard
from calhub.sync.context import Pass, hub_side, title
from calhub.sync.observe import observe_one
from calhub.sync.plan import Bases, Write, plan_push, unholdable
from calhub.sync.pull import decided, hold, pull
from calhub.sync.recover import recover

#: After a refused precondition the item is read, merged and written again, at most so often in one pass.
ROUNDS = 3
#: Writes journalled in one commit; what a crash leaves in doubt at most.
BATCH = 50


@dataclass(frozen=True, kw_only=True)
class Work:
    """One event to look at, with what the replica knows of it."""

    stored: StoredEvent
    link: Link | None
    seen: Observation | None
    write: Write | None
    acknowledged: Content | None  # the hub's base once the write is done


@dataclass(frozen=True)
class Doubt:
    """A write after which nobody knows what the remote holds, and why."""

    intent: Intent
    reason: str


def push(of: Pass) -> bool:
    """Write what the hub has and the remote has not. Returns whether the hub itself changed on the way.

    Failures of single events are kept for a retry and reported; `ProviderError` (the account as a whole) is raised.
    """
    if of.policy.direction == "pull":
        with of.hub.transaction() as conn:
            links.drop_retries(conn, of.replica.id)
        of.completed = True
        return False
    with of.hub.read() as conn:
        upto = changes.last_seq(conn)
    ids = _candidates(of)
    if ids:
        of.hub.ensure_sound()
    hub_changed = _look_first(of, ids)
    hub_changed |= _keep_remote(of, ids) or bool(of.discarded)
    if not _admit(of, ids):
        return False
    for _ in range(ROUNDS):
        doubtful = _write_all(of, ids)
        if not doubtful:
            break
        hub_changed |= _look_again(of, [doubt.intent for doubt in doubtful])
        ids = [doubt.intent.event_id for doubt in doubtful]
    else:
        _give_up(of, doubtful)
    _finish(of, upto)
    return hub_changed


def _candidates(of: Pass) -> list[int]:
    with of.hub.read() as conn:
        replica = accounts.replica(conn, of.replica.id)
        everything = of.full or of.first_pass
        dirty = links.dirty_events(conn, replica.id, replica.calendar_id, replica.hub_seq, everything=everything)
        due = links.due_retries(conn, replica.id, of.hub.now())
        anew = [link.event_id for link in links.links_by_remote(conn, replica.id, sorted(of.outdated)).values()]
        busy = {intent.event_id for intent in journal.open_intents(conn, replica.id)}
    return [event_id for event_id in dict.fromkeys([*dirty, *due, *anew]) if event_id not in busy]


def _look_first(of: Pass, ids: Sequence[int]) -> bool:
    """See whether the items are still there to which nothing is to be written, though their events changed in the hub.

    The service cannot hold what changed. A write would find out by itself that somebody has deleted the item, knowing
    nothing of the change; without a look the change would count as seen there. Returns whether anything was merged.
    """
    hidden: list[Work] = []
    for chunk in links.chunks(ids):
        with of.hub.read() as conn:
            hidden += [each for each in _work(conn, of, chunk) if each.write is None]
    asked = [
        (each.link.remote_id, each.stored) for each in hidden if each.link and each.link.hub_rev != each.stored.rev
    ]
    for remote_id, stored in asked:
        observe_one(of, remote_id, stored.uid)
    return bool(asked) and _merge_pending(of)


def _admit(of: Pass, ids: Sequence[int]) -> bool:
    """Ask the guard. Carries out a discarded hold first: what it held is undone in the hub.

    With that it is over, even if the guard holds other things back now: who deletes an event again means it.
    """
    released, discarded = decided(of, "remote")
    if discarded:
        with of.hub.transaction() as conn:
            _take_back(of, ids, lambda each: _step(each).key in discarded)
            inbox.finish_holds(conn, of.replica.id, "remote", now=of.hub.now(), states=("discarded",))
    steps: list[guard.Step] = []
    for chunk in links.chunks(ids):
        with of.hub.read() as conn:
            asked = lookup.asked_for(conn, chunk)
            work = _work(conn, of, chunk)
        for each in work:
            if each.write is None or (each.write.op == "update" and not each.write.fields):
                continue  # written as it is changes nothing; see `Page.outdated`
            if (each.write.op, each.stored.uid) not in released:
                steps.append(_step(each, asked=each.stored.id in asked or each.stored.uid in of.discarded))
    with of.hub.read() as conn:
        linked = links.link_count(conn, of.replica.id)
    reason = guard.check(steps, side="remote", linked=linked, limits=of.limits, first_pass=of.first_pass)
    if reason is not None:
        hold(of, "remote", reason, steps)
    return reason is None


def _step(each: Work, *, asked: bool = False) -> guard.Step:
    assert each.write is not None
    return guard.Step(each.write, each.stored.uid, asked, copy=made_by_rule(each.stored.uid, each.stored.content))


def _keep_remote(of: Pass, ids: Sequence[int]) -> bool:
    """After a restore no remote loses an event because the old hub, or another remote, lacks it (Q10).

    The event comes back into the hub instead, unless a person has deleted it since. Returns whether one did.
    """
    if of.restored is None:
        return False
    kept: set[str] = set()
    for chunk in links.chunks(ids):
        with of.hub.read() as conn:
            asked = lookup.asked_for(conn, chunk)
            work = _work(conn, of, chunk)
        deletes = [each.stored for each in work if each.write is not None and each.write.op == "delete"]
        kept |= {stored.uid for stored in deletes if stored.rev <= of.restored or stored.id not in asked}
    if kept:
        _take_back(of, ids, lambda each: each.stored.uid in kept)
    return bool(kept)


def _take_back(of: Pass, ids: Sequence[int], is_wrong: Callable[[Work], bool]) -> None:
    """Where the remote is right (after a discarded hold, say) the hub's own changes of an event are undone."""
    with of.hub.transaction() as conn:
        for each in _work(conn, of, ids):
            if each.write is None or not is_wrong(each):
                continue
            now, stored = of.hub.now(), each.stored
            if each.link is None:
                events.delete_event(conn, stored.id, now=now)
                events.forget_tombstone(conn, stored.id)
                continue
            restored = restore(stored.content, each.link.base_hub, of.policy.keeps)
            put = events.put_event(conn, stored.calendar_id, stored.uid, restored, now=now)
            links.see_revision(conn, of.replica.id, put.id, put.rev)


def _work(conn: Connection, of: Pass, ids: Sequence[int]) -> list[Work]:
    stored = lookup.events_by_id(conn, ids)
    known = links.links_by_event(conn, of.replica.id, ids)
    seen = links.observations(conn, of.replica.id, [link.remote_id for link in known.values()])
    withheld = inbox.withheld(conn, of.replica.id)
    found = []
    for event_id in ids:
        if event_id not in stored:
            continue
        link = known.get(event_id)
        item = seen.get(link.remote_id) if link is not None else None
        found.append(_plan(of, stored[event_id], link, item, withheld.get(event_id, frozenset())))
    return found


def _plan(of: Pass, stored: StoredEvent, link: Link | None, seen: Observation | None, withheld: frozenset[str]) -> Work:
    unreadable = link is not None and (seen is None or seen.content is None)
    if unreadable:  # quarantined at the remote: writing would destroy what a person may still want to mend
        return Work(stored=stored, link=link, seen=seen, write=None, acknowledged=None)
    bases = Bases(remote=link.base_remote, hub=link.base_hub) if link is not None else None
    write = plan_push(hub_side(stored, link), seen.content if seen is not None else None, bases, of.policy, withheld)
    if write is None and link is not None and seen is not None and link.remote_id in of.outdated and not stored.deleted:
        write = Write(op="update", content=seen.content)
    mine = project(stored.content, of.policy.keeps)
    acknowledged = mine
    if link is not None and withheld:
        # A withheld field is still in dispute: the base must not claim that it was agreed.
        kept = {path: pair for path, pair in diff(link.base_hub, mine).items() if path_name(path) not in withheld}
        acknowledged = apply(link.base_hub, kept)
    return Work(stored=stored, link=link, seen=seen, write=write, acknowledged=acknowledged)


def _write_all(of: Pass, ids: Sequence[int]) -> list[Doubt]:
    """Write the events, a batch at a time. Returns the writes whose items have to be looked at again."""
    doubtful: list[Doubt] = []
    done = 0
    for batch in links.chunks(ids, BATCH):
        with of.hub.transaction() as conn:
            planned = journal_writes(conn, of, batch)
        for each, intent, outcome in _call(of, planned):
            doubt = _conclude(of, each, intent, outcome)
            if doubt is not None:
                doubtful.append(doubt)
        done += len(batch)
        of.tell("writing", done, len(ids))
        of.check_time()
    return doubtful


def journal_writes(conn: Connection, of: Pass, ids: Sequence[int]) -> list[tuple[Work, Intent]]:
    """Plan the events and open an intent for each write; what has nothing to be written is settled."""
    planned: list[tuple[Work, Intent]] = []
    for each in _work(conn, of, ids):
        stored = each.stored
        if each.write is None:
            _settle(conn, of, each)
            continue
        reason = unholdable(stored.content, of.policy.keeps) if each.write.op != "delete" else None
        if reason is not None:
            links.set_retry(conn, of.replica.id, stored.id, attempts=1, error=reason, next_try=None)
            of.report.fail(stored.uid, reason)
            continue
        remote_id = each.link.remote_id if each.link else _identity(conn, of, stored)
        intent = journal.open_intent(
            conn,
            replica_id=of.replica.id,
            event_id=stored.id,
            uid=stored.uid,
            run_id=of.report.run_id,
            op=each.write.op,
            remote_id=remote_id,
            expected=each.seen.version if each.seen else None,
            hub_rev=stored.rev,
            content=each.write.content,
            before=each.seen.content if each.seen else None,
            before_raw=each.seen.raw if each.seen else None,
            now=of.hub.now(),
        )
        planned.append((each, intent))
    return planned


def _settle(conn: Connection, of: Pass, each: Work) -> None:
    """Nothing of the event is left to be written. Where the remote shows all it can of a change, that is agreed on."""
    link, shown = each.link, each.seen.content if each.seen is not None else None
    if link is not None:
        if shown is None:
            return
        change = diff(link.base_hub, each.acknowledged) if each.acknowledged is not None else {}
        if change and apply(shown, change) == shown and not each.stored.deleted:
            links.move_base(conn, link.id, apply(link.base_hub, change))
        links.see_revision(conn, of.replica.id, each.stored.id, each.stored.rev)
    links.clear_retry(conn, of.replica.id, [each.stored.id])


def _identity(conn: Connection, of: Pass, stored: StoredEvent) -> str:
    failed = journal.failed_identity(conn, of.replica.id, stored.id)
    return failed or of.provider.reserve(of.replica.remote_id, stored.uid)


def _call(of: Pass, planned: list[tuple[Work, Intent]]) -> Iterator[tuple[Work, Intent, Outcome | ProviderError]]:
    workers = max(1, of.capabilities.parallel_writes)
    if of.capabilities.batch_writes > 1:
        for part in links.chunks(planned, of.capabilities.batch_writes):
            answers = send_batch(of, [_request(each.stored.uid, intent) for each, intent in part])
            for (each, intent), outcome in zip(part, answers, strict=True):
                yield each, intent, outcome
        return
    if workers == 1 or len(planned) < 2:
        for each, intent in planned:
            yield each, intent, send(of, each.stored.uid, intent)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="calhub-push") as pool:
        outcomes = pool.map(trace.carried(lambda pair: send(of, pair[0].stored.uid, pair[1])), planned)
        for (each, intent), outcome in zip(planned, outcomes, strict=True):
            yield each, intent, outcome


def _request(uid: str, intent: Intent) -> WriteRequest:
    return WriteRequest(
        op=intent.op, remote_id=intent.remote_id, uid=uid, content=intent.content, expected=intent.expected,
        raw=intent.before_raw,
    )  # fmt: skip


def send(of: Pass, uid: str, intent: Intent) -> Outcome | ProviderError:
    """Make the one call an intent stands for. The error is returned, so that siblings under way are still concluded."""
    try:
        return write_one(of.provider, of.replica.remote_id, _request(uid, intent))
    except ProviderError as error:
        return error


def send_batch(of: Pass, requests: Sequence[WriteRequest]) -> Sequence[Outcome | ProviderError]:
    try:
        return of.provider.write_batch(of.replica.remote_id, requests)
    except ProviderError as error:
        return [error] * len(requests)


def _conclude(of: Pass, each: Work, intent: Intent, outcome: Outcome | ProviderError) -> Doubt | None:
    """Record an outcome. Returns a doubt when the item has to be looked at again; raises when the account is out."""
    uid = each.stored.uid
    match outcome:
        case Done(echo):
            record_done(of, each, intent, echo)
            return None
        case Stale():
            if intent.op == "create":  # closed at once: its item need not be ours
                with of.hub.transaction() as conn:
                    journal.close_intent(conn, intent.id, "stale", now=of.hub.now())
            return Doubt(
                replace(intent, state="stale"), "The item kept changing at the remote while it was being written."
            )
        case Refused(reason):
            _record_failure(of, each, intent, "refused", reason, final=True)
            return None
        case NotSent(reason, retry_after):
            _record_failure(of, each, intent, "failed", reason, retry_after=retry_after)
            return None
        case Unknown(reason):  # the intent stays open until the item has been looked at
            return Doubt(intent, reason)
        case ProviderError() as error:
            if error.trait is Trait.LOGIN:  # refused at the door: certainly not applied
                _record_failure(of, each, intent, "failed", error.message)
                raise error
            of.report.fail(uid, error.message)
            raise error


def record_done(of: Pass, each: Work, intent: Intent, echo: Item | None) -> None:
    assert each.write is not None
    now, replica_id, stored = of.hub.now(), of.replica.id, each.stored
    with of.hub.transaction() as conn:
        if each.write.op == "delete":
            if each.link is not None:
                links.drop_link(conn, each.link.id)
            links.drop_observation(conn, replica_id, intent.remote_id)
            journal.close_intent(conn, intent.id, "done", now=now)
        else:
            assert intent.content is not None
            assert each.acknowledged is not None
            echo = echo or Item(remote_id=intent.remote_id, version=None, uid=stored.uid, content=intent.content)
            links.observe_items(conn, replica_id, [echo], now=now)
            links.settle(conn, replica_id, [echo.remote_id])
            links.set_link(
                conn, replica_id, stored.id, echo.remote_id,
                base_remote=echo.content if echo.content is not None else intent.content,
                base_hub=each.acknowledged, version=echo.version, hub_rev=stored.rev, now=now,
            )  # fmt: skip
            journal.close_intent(conn, intent.id, "done", now=now, after=echo.version)
        links.clear_retry(conn, replica_id, [stored.id])
        events.forget_tombstone(conn, stored.id)
    of.report.count("pushed", each.write.op)
    of.report.note("remote", each.write, stored.uid, title(stored.content))


def _record_failure(
    of: Pass, each: Work, intent: Intent, state: journal.Closing, reason: str, *, final: bool = False,
    retry_after: float | None = None,
) -> None:  # fmt: skip
    """The intention is never lost: it stays as a retry with its reason, or as a dead letter."""
    with of.hub.transaction() as conn:
        failed = links.attempts(conn, of.replica.id, each.stored.id) + 1
        next_try = None if final else of.next_try(failed, each.stored.id, retry_after)
        journal.close_intent(conn, intent.id, state, now=of.hub.now(), error=reason)
        links.set_retry(conn, of.replica.id, each.stored.id, attempts=failed, error=reason, next_try=next_try)
    of.report.fail(each.stored.uid, reason)


def _look_again(of: Pass, doubtful: Sequence[Intent]) -> bool:
    """Read the items of stale and unknown writes, and merge what they show. Returns whether anything was merged."""
    recover(of, doubtful)
    return _merge_pending(of)


def _merge_pending(of: Pass) -> bool:
    with of.hub.read() as conn:
        pending = links.pending_ids(conn, of.replica.id)
    return pull(of, pending) and bool(pending)


def _give_up(of: Pass, doubtful: Sequence[Doubt]) -> None:
    """Nothing came of it in this pass; leave the events to later ones.

    An event that is not there any more was a deletion that turned out to be done when its item was looked at.
    """
    with of.hub.transaction() as conn:
        there = lookup.events_by_id(conn, [doubt.intent.event_id for doubt in doubtful])
        doubtful = [doubt for doubt in doubtful if doubt.intent.event_id in there]
        for doubt in doubtful:
            event_id = doubt.intent.event_id
            failed = links.attempts(conn, of.replica.id, event_id) + 1
            next_try = of.next_try(failed, event_id, None)
            links.set_retry(conn, of.replica.id, event_id, attempts=failed, error=doubt.reason, next_try=next_try)
    for doubt in doubtful:
        of.report.fail(doubt.intent.uid, doubt.reason)


def _finish(of: Pass, upto: int) -> None:
    with of.hub.transaction() as conn:
        accounts.update_replica(conn, of.replica.id, hub_seq=upto)
        inbox.finish_holds(conn, of.replica.id, "hub", now=of.hub.now(), states=("released", "discarded"))
        inbox.finish_holds(conn, of.replica.id, "remote", now=of.hub.now())
    of.completed = True
