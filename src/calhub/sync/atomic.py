"""Atomic writes: every replica takes the change, or none keeps it.

The hub's edit and one intent per replica are committed first; then each remote is written, conditionally. If one of
them refuses or cannot be reached, those already written are put back, and so is the hub. A crash in between leaves
open intents, which the next pass settles as it does for queued writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum

from calhub.calendar.event import Content
from calhub.calendar.fields import project
from calhub.hub import accounts, events, journal, links
from calhub.hub.accounts import Account, Replica
from calhub.hub.database import Hub
from calhub.hub.events import StoredEvent
from calhub.hub.journal import Intent
from calhub.hub.locks import replica_lock
from calhub.hub.sql import Connection
from calhub.providers.base import Done, Item, Provider, ProviderError, Stale, Unknown
from calhub.sync import push
from calhub.sync.context import Pass
from calhub.sync.report import RunReport


class AtomicFailed(Exception):
    """The change was not made anywhere, or was put back wherever it had been made."""

    def __init__(self, message: str, hint: str = "Run calhub sync, look at the event, and try again.") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class _State(Enum):
    WAITING = "not sent"
    DONE = "made"
    REFUSED = "certainly not made"
    DOUBT = "nobody knows"


@dataclass
class _Part:
    of: Pass
    work: push.Work
    intent: Intent
    state: _State = _State.WAITING
    echo: Item | None = None


#: Called at the beginning of the transaction that edits the hub; raising there ends it.
Check = Callable[[Connection], None]


def write(
    hub: Hub,
    connect: Callable[[Account], Provider],
    calendar_id: int,
    uid: str,
    content: Content | None,
    *,
    check: Check = lambda _: None,
) -> None:
    """Put (or with None delete) an event in the hub and in every replica that takes writes, or nowhere.

    Raises AtomicFailed after the roll-back, Busy when a pass holds one of the replicas, CorruptDatabase when
    the hub is damaged (nothing was tried then).
    """
    hub.ensure_sound()
    with hub.read() as conn:
        replicas = [each for each in accounts.replicas(conn, calendar_id=calendar_id) if each.state != "paused"]
        before = events.event(conn, calendar_id, uid, deleted=True)
    with ExitStack() as stack:
        for replica in replicas:
            stack.enter_context(replica_lock(hub.home, replica.id))
        passes = _open(hub, connect, replicas, stack)
        parts = _prepare(hub, passes, calendar_id, uid, content, check)
        failure = None
        for part in parts:
            failure = _attempt(part, uid)
            if failure is not None:
                break
        if failure is None:
            for part in parts:
                push.record_done(part.of, part.work, part.intent, part.echo)
            return
        left = _roll_back(hub, parts, calendar_id, uid, before)
    if left:
        failure = f"{failure} Putting it back failed at {', '.join(left)}; the next sync settles that."
    raise AtomicFailed(failure)


def _open(hub: Hub, connect: Callable[[Account], Provider], replicas: list[Replica], stack: ExitStack) -> list[Pass]:
    passes = []
    providers: dict[int, Provider] = {}
    for replica in replicas:
        if replica.account_id not in providers:
            with hub.read() as conn:
                account = accounts.account(conn, replica.account)
            with _reaching(replica):
                providers[replica.account_id] = connect(account)
            stack.callback(providers[replica.account_id].close)
        report = RunReport(
            account=replica.account, calendar=replica.calendar, remote=replica.remote_name, replica_id=replica.id
        )
        of = Pass(hub=hub, replica=replica, provider=providers[replica.account_id], report=report)
        with _reaching(replica):
            if of.policy.direction != "pull":
                passes.append(of)
    return passes


@contextmanager
def _reaching(replica: Replica) -> Iterator[None]:
    try:
        yield
    except ProviderError as error:
        raise AtomicFailed(f"{replica.account}: {error.message}") from error


def _prepare(
    hub: Hub, passes: list[Pass], calendar_id: int, uid: str, content: Content | None, check: Check
) -> list[_Part]:
    """Commit the hub's edit and the intents: from here on a crash is settled like any lost answer."""
    parts = []
    with hub.transaction() as conn:
        check(conn)
        now = hub.now()
        if content is not None:
            stored = events.put_event(conn, calendar_id, uid, content, now=now)
        else:
            found = events.event(conn, calendar_id, uid)
            if found is None:
                raise AtomicFailed("The event is not there.", "List events with: calhub agenda")
            events.delete_event(conn, found.id, now=now)
            stored = found
        for of in passes:
            parts += [_Part(of, work, intent) for work, intent in push.journal_writes(conn, of, [stored.id])]
            if of.report.errors:
                raise AtomicFailed(f"{of.replica.account}: {of.report.errors[0]['message']}")
    return parts


def _attempt(part: _Part, uid: str) -> str | None:
    """Make one write. Returns why it failed; an answer lost on the way counts as made if the item shows it."""
    outcome = push.send(part.of, uid, part.intent)
    if isinstance(outcome, Done):
        part.state, part.echo = _State.DONE, outcome.echo
        return None
    if isinstance(outcome, Unknown | ProviderError):
        _probe(part)
        if part.state is _State.DONE:
            return None
    else:
        part.state = _State.REFUSED
    where = f"{part.of.replica.account}: "
    if isinstance(outcome, Stale):
        return where + "the event was changed there in the meantime."
    return where + (outcome.message if isinstance(outcome, ProviderError) else outcome.reason)


def _probe(part: _Part) -> None:
    """The answer was lost: see whether the item shows the write."""
    intent = part.intent
    try:
        item = part.of.provider.get(part.of.replica.remote_id, intent.remote_id)
    except ProviderError:
        part.state = _State.DOUBT
        return
    made = item is None if intent.op == "delete" else item is not None and item.content == intent.content
    part.state, part.echo = (_State.DONE, item) if made else (_State.REFUSED, None)


def _roll_back(hub: Hub, parts: list[_Part], calendar_id: int, uid: str, before: StoredEvent | None) -> list[str]:
    """Put back hub and remotes. Returns the accounts where that could not be done for certain."""
    for part in parts:
        if part.state is _State.DONE:
            part.state = _State.REFUSED if _put_back(part, uid) else _State.DOUBT
    with hub.transaction() as conn:
        now = hub.now()
        for part in parts:
            if part.state is not _State.DOUBT:  # that one is looked at by the next pass
                journal.close_intent(conn, part.intent.id, "failed", now=now, error="rolled back")
        stored = events.event(conn, calendar_id, uid, deleted=True)
        assert stored is not None
        if before is not None and not before.deleted:
            put = events.put_event(conn, calendar_id, uid, before.content, now=now)
            for part in parts:
                links.see_revision(conn, part.of.replica.id, put.id, put.rev)
        elif not stored.deleted:
            events.delete_event(conn, stored.id, now=now)
            events.forget_tombstone(conn, stored.id)
    return [part.of.replica.account for part in parts if part.state is _State.DOUBT]


def _put_back(part: _Part, uid: str) -> bool:
    provider, replica, intent, now = part.of.provider, part.of.replica, part.intent, part.of.hub.now()
    try:
        if intent.op == "create":
            assert part.echo is not None
            outcome = provider.delete(replica.remote_id, part.echo.remote_id, expected=part.echo.version)
        elif intent.op == "update":
            assert part.echo is not None
            assert intent.before is not None
            outcome = provider.update(
                replica.remote_id, intent.remote_id, uid, intent.before, expected=part.echo.version, raw=part.echo.raw
            )
        else:
            assert intent.before is not None
            remote_id = provider.reserve(replica.remote_id, uid)
            outcome = provider.create(replica.remote_id, remote_id, uid, intent.before)
    except ProviderError:
        return False
    if not isinstance(outcome, Done):
        return False
    if outcome.echo is not None:
        with part.of.hub.transaction() as conn:
            echo, work = outcome.echo, part.work
            links.observe_items(conn, replica.id, [echo], now=now)
            links.settle(conn, replica.id, [echo.remote_id])
            if work.link is not None and intent.before is not None:
                links.set_link(
                    conn, replica.id, work.stored.id, echo.remote_id, base_remote=echo.content or intent.before,
                    base_hub=project(work.link.base_hub, part.of.capabilities.keeps), version=echo.version,
                    hub_rev=work.stored.rev, now=now,
                )  # fmt: skip
    return True
