"""A small town for tests of rules: one hub, several calendars, each with a remote of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calhub.calendar.event import Content
from calhub.calendar.mark import is_copy
from calhub.calendar.recurrence import expand
from calhub.hub import accounts, events, rules
from calhub.hub.accounts import Account
from calhub.hub.database import Hub
from calhub.hub.rules import Kind, Rule
from calhub.providers.base import Provider
from calhub.rules.derive import derive
from calhub.sync import engine
from calhub.sync.report import RunReport
from calhub.testing.memory import MemoryProvider, MemoryService
from calhub.testing.world import VirtualClock, plain

#: From long before to long after everything the tests put anywhere.
EVER = (1_600_000_000, 1_900_000_000)


class Town:
    """``put``, ``edit`` and ``delete`` are what users do in the service of a calendar."""

    def __init__(self, home: Path, names: Sequence[str], *, clock: VirtualClock | None = None) -> None:
        self.home, self.clock = home, clock or VirtualClock()
        self.services = {name: MemoryService(clock=self.clock) for name in names}
        self.remote_ids = {name: service.add_calendar(name) for name, service in self.services.items()}
        self.hub = self._settle_in(home)

    def _settle_in(self, home: Path) -> Hub:
        hub = Hub.open(home, clock=self.clock)
        with hub.transaction() as conn:
            for name, remote_id in self.remote_ids.items():
                account = accounts.add_account(conn, name, "memory", {"username": f"{name}@example.org"}, hub.now())
                calendar = accounts.add_calendar(conn, name, hub.now(), time_zone="Europe/Berlin")
                accounts.add_replica(conn, calendar.id, account.id, remote_id, name, hub.now())
        return hub

    def lose_the_hub(self, home: Path) -> None:
        """A new machine: the accounts are added again, everything else that was known is gone."""
        self.hub.close()
        self.home, self.hub = home, self._settle_in(home)

    def rule(self, kind: Kind, source: str, target: str, **options: Any) -> Rule:
        with self.hub.transaction() as conn:
            return rules.add_rule(conn, kind, source, target, options, self.hub.now())

    def drop_rule(self, rule: Rule, *, keep_copies: bool = False) -> None:
        with self.hub.transaction() as conn:
            rules.remove_rule(conn, rule.id, keep_copies=keep_copies, now=self.hub.now())

    def connect(self, account: Account) -> Provider:
        return MemoryProvider(self.services[account.name])

    def sync(self, **options: Any) -> list[RunReport]:
        return engine.sync(self.hub, self.connect, derive=derive, **options)

    def settle(self, most: int = 6) -> int:
        """Sync until a pass writes nothing; returns how many remote writes that took."""
        began = self.writes
        for _ in range(most):
            before = self.writes
            reports = self.sync()
            assert all(report.status == "ok" for report in reports), [report.shape() for report in reports]
            if self.writes == before:
                return self.writes - began
        raise AssertionError(f"{most} passes were not enough")

    @property
    def writes(self) -> int:
        return sum(len(service.writes()) for service in self.services.values())

    def put(self, where: str, uid: str, **fields: Any) -> None:
        self.services[where].user_put(self.remote_ids[where], uid, plain(**fields))

    def edit(self, where: str, uid: str, **fields: Any) -> None:
        self.services[where].user_edit(self.remote_ids[where], uid, **fields)

    def delete(self, where: str, uid: str) -> None:
        self.services[where].user_delete(self.remote_ids[where], uid)

    def shown(self, where: str) -> dict[str, Content]:
        """What the service of a calendar holds, by UID."""
        return self.services[where].contents(self.remote_ids[where])

    def own(self, where: str) -> dict[str, Content]:
        return {uid: content for uid, content in self.shown(where).items() if not is_copy(uid)}

    def copies(self, where: str) -> dict[str, Content]:
        return {uid: content for uid, content in self.shown(where).items() if is_copy(uid)}

    def only_copy(self, where: str) -> Content:
        (content,) = self.copies(where).values()
        return content

    def in_hub(self, where: str) -> dict[str, Content]:
        with self.hub.read() as conn:
            calendar = accounts.calendar(conn, where)
            return {stored.uid: stored.content for stored in events.events(conn, calendar.id)}


def instants(content: Content) -> list[tuple[int, int]]:
    """Start and end of each instance."""
    return sorted((each.start_ts, each.end_ts) for each in expand(content, *EVER))


def said(content: Content) -> Content:
    """A copy without its mark."""
    return {name: value for name, value in content.items() if name != "extra"}
