"""Removing a calendar: in the hub, and where asked for also its events at the remotes and its copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Final

from calhub.hub import accounts, rules
from calhub.hub.accounts import Account, Calendar, Replica
from calhub.hub.database import Hub
from calhub.hub.errors import HubError
from calhub.hub.locks import replica_lock
from calhub.hub.rules import Rule
from calhub.hub.sql import Connection
from calhub.providers.base import Done, Provider

_LINKED: Final = (
    "SELECT e.uid, l.remote_id, l.version FROM link l JOIN event e ON e.id = l.event_id "
    "WHERE l.replica_id = ? ORDER BY l.id"
)


@dataclass
class Part:
    """What one remote calendar holds of the calendar: (UID, remote id, version last seen)."""

    replica: Replica
    items: list[tuple[str, str, str | None]] = field(default_factory=list)


@dataclass(frozen=True)
class Removal:
    """What goes with a calendar. ``copies`` counts those that rules have made of its events, by calendar."""

    calendar: Calendar
    keep_remote: bool
    parts: tuple[Part, ...]
    copies: Mapping[str, int]

    @property
    def number(self) -> int:
        """How many events are to be deleted at remotes."""
        return sum(len(part.items) for part in self.parts)


def plan_removal(conn: Connection, name: str, *, keep_remote: bool) -> Removal:
    """Look up what a removal would take along: nothing outside the calendar itself with ``keep_remote``."""
    calendar = accounts.calendar(conn, name)
    if keep_remote:
        return Removal(calendar, True, (), {})
    return Removal(calendar, False, tuple(_linked(conn, calendar)), _copies(conn, calendar))


def remove(hub: Hub, connect: Callable[[Account], Provider], removal: Removal) -> list[Rule]:
    """Carry it out, remotes first, and return the rules that went with the calendar.

    Raises `HubError` when something had to stay at a remote; the calendar stays then, too. Repeating that is harmless.
    """
    _delete_remote(hub, connect, removal.parts)
    with hub.transaction() as conn:
        gone = _remove_rules(conn, removal.calendar, hub.now(), keep_copies=removal.keep_remote)
        accounts.remove_calendar(conn, removal.calendar.id)
    return gone


def _copies(conn: Connection, calendar: Calendar) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for rule in rules.rules(conn, calendar_id=calendar.id):
        if rule.source_id == calendar.id:
            counted[rule.target] += rules.copy_count(conn, rule.id)
    return +counted


def _remove_rules(conn: Connection, calendar: Calendar, now: str, *, keep_copies: bool) -> list[Rule]:
    """Remove the rules from and to a calendar that is to go itself, with all copies in it."""
    found = rules.rules(conn, calendar_id=calendar.id)
    for each in found:
        kept = keep_copies or each.target_id == calendar.id
        rules.remove_rule(conn, each.id, keep_copies=kept, now=now)
    return found


def _linked(conn: Connection, calendar: Calendar) -> list[Part]:
    parts = []
    for replica in accounts.replicas(conn, calendar_id=calendar.id):
        if replica.direction != "pull" and replica.access in ("owner", "writer"):
            parts.append(Part(replica, [tuple(row) for row in conn.execute(_LINKED, (replica.id,))]))
    return parts


def _delete_remote(hub: Hub, connect: Callable[[Account], Provider], parts: tuple[Part, ...]) -> None:
    """Delete each item on the condition that it is as we last saw it. What is gone already counts as done."""
    left: list[str] = []
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(replica_lock(hub.home, part.replica.id))
        for part in parts:
            if not part.items:
                continue
            with hub.read() as conn:
                account = accounts.account(conn, part.replica.account)
            with closing(connect(account)) as provider:
                for uid, remote_id, version in part.items:
                    outcome = provider.delete(part.replica.remote_id, remote_id, expected=version)
                    if not isinstance(outcome, Done):
                        left.append(uid)
    if left:
        raise HubError(
            f"{len(left)} events could not be deleted, so the calendar stays: {', '.join(left[:5])}.",
            "They were changed at the remote or refused. Run calhub sync and try again, or use --keep-remote.",
        )
