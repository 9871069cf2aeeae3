"""Whose turn it is: the order of the accounts in a sync, and those that a sync of all leaves out this time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from calhub.hub import accounts, inbox, journal, links, restored, runs
from calhub.hub.accounts import Account, Replica
from calhub.hub.database import Hub
from calhub.hub.sql import Connection

#: An interval counts as over when only this share of it is left: cron starts a second late now and then, and an
#: account with the interval of its schedule must not miss every other turn for that.
_GRACE: Final = 0.1


@dataclass(frozen=True)
class Resting:
    """An account left out, and when its interval is over (UTC)."""

    account: Account
    until: datetime


def in_turn(conn: Connection, replicas: Sequence[Replica]) -> list[Replica]:
    """The replicas account by account: the higher priority first, then the one whose last success is longest ago.

    Among equals those in trouble come last: their time-outs must not eat up the time of the others.
    """

    def turn(mine: list[Replica]) -> tuple[int, bool, str, int]:
        account = accounts.account(conn, mine[0].account_id)
        oldest = min(each.last_success or "" for each in mine)
        return -account.schedule.priority, account.state != "ok", oldest, account.id

    return [each for mine in sorted(_by_account(replicas), key=turn) for each in mine]


def resting(hub: Hub) -> list[Resting]:
    """The accounts whose replicas have all gone through within the account's interval, with nothing left to be done."""
    now = hub.clock()
    with hub.read() as conn:
        awake = [each for each in accounts.replicas(conn) if each.state != "paused"]
        found = [_rest(conn, mine, now, hub.now()) for mine in _by_account(awake)]
    return [each for each in found if each is not None]


def _by_account(replicas: Sequence[Replica]) -> list[list[Replica]]:
    def account_id(of: Replica) -> int:
        return of.account_id

    return [list(mine) for _, mine in groupby(sorted(replicas, key=account_id), key=account_id)]


def _rest(conn: Connection, mine: Sequence[Replica], now: datetime, stamp: str) -> Resting | None:
    account = accounts.account(conn, mine[0].account_id)
    if not account.schedule.interval:
        return None
    interval = timedelta(seconds=account.schedule.interval)
    last = [runs.last_sync(conn, each.id) for each in mine]
    # counted from when a pass began, as the one who starts it every few minutes counts
    good = [row for row in last if row is not None and row["status"] in ("ok", "held")]
    began = [datetime.fromisoformat(row["started"]) for row in good]
    if len(began) < len(mine) or any(_has_work(conn, each, stamp) for each in mine):
        return None
    until = min(began) + interval
    # a pass that began in the future tells of a clock put right since
    return Resting(account, until) if max(began) <= now < until - interval * _GRACE else None


def _has_work(conn: Connection, of: Replica, now: str) -> bool:
    """Whether something waits for the next sync besides what the remote may have new."""
    if restored.since(conn, of.id) is not None or journal.open_intents(conn, of.id):
        return True
    if any(inbox.decided_holds(conn, of.id, side) for side in ("hub", "remote")):
        return True
    if of.direction == "pull":
        return False
    dirty = links.dirty_events(conn, of.id, of.calendar_id, of.hub_seq, everything=False)
    return bool(dirty or links.due_retries(conn, of.id, now))
