"""A small world for tests of the engine: one hub, one calendar, and as many in-memory remotes as wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from calhub.calendar.event import Content
from calhub.calendar.fields import apply, diff
from calhub.hub import accounts, events, inbox, sql
from calhub.hub.accounts import Account, Calendar, Replica
from calhub.hub.database import Hub
from calhub.providers.base import Provider
from calhub.sync import engine
from calhub.sync.report import RunReport
from calhub.testing.memory import MemoryProvider, MemoryService, Quirks

START: Final = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


class VirtualClock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def __call__(self) -> datetime:
        return self._now

    def advance(self, **delta: float) -> None:
        """Move forward; the arguments are those of `timedelta`."""
        self._now += timedelta(**delta)


@dataclass
class Remote:
    """One remote calendar with its service and replica."""

    service: MemoryService
    calendar: str
    replica: Replica

    def put(self, uid: str, **fields: Any) -> None:
        """A user of the service creates or replaces an item."""
        self.service.user_put(self.calendar, uid, plain(**fields))

    def edit(self, uid: str, **fields: Any) -> None:
        self.service.user_edit(self.calendar, uid, **fields)

    def delete(self, uid: str) -> None:
        self.service.user_delete(self.calendar, uid)

    @property
    def contents(self) -> dict[str, Content]:
        return self.service.contents(self.calendar)

    @property
    def writes(self) -> int:
        return len(self.service.writes())


@dataclass
class World:
    """Hub and remotes. `sync` is one pass over everything; `reopen` stands for a restarted process."""

    home: Path
    clock: VirtualClock = field(default_factory=VirtualClock)
    remotes: list[Remote] = field(default_factory=list)
    _providers: dict[int, Callable[[], Provider]] = field(default_factory=dict, init=False)  # by account

    def __post_init__(self) -> None:
        self.hub = self._open()
        with self.hub.transaction() as conn:
            found = accounts.calendars(conn)
            self.calendar: Calendar = found[0] if found else accounts.add_calendar(conn, "Home", self.hub.now())

    def _open(self) -> Hub:
        return Hub.open(self.home, clock=self.clock)

    def add_remote(
        self, *, quirks: Quirks | None = None, direction: str = "both", conflicts: str = "merge", **settings: Any
    ) -> Remote:
        """A new service with one calendar, tied to the hub's calendar."""
        service = MemoryService(quirks=quirks, clock=self.clock)
        calendar = service.add_calendar("Home")
        replica = self.add_replica(
            calendar, partial(MemoryProvider, service), direction=direction, conflicts=conflicts, settings=settings
        )
        remote = Remote(service, calendar, replica)
        self.remotes.append(remote)
        return remote

    def add_replica(self, remote_calendar: str, provider: Callable[[], Provider], **options: Any) -> Replica:
        """Tie a remote calendar of whatever service to the hub's calendar; ``provider`` connects to it.

        ``options`` are those of `accounts.add_replica`.
        """
        name = f"account-{len(self._providers) + 1}"
        with self.hub.transaction() as conn:
            account = accounts.add_account(conn, name, "memory", {}, self.hub.now())
            replica = accounts.add_replica(
                conn, self.calendar.id, account.id, remote_calendar, "Home", self.hub.now(), **options
            )
        self._providers[account.id] = provider
        return replica

    def connect(self, account: Account) -> Provider:
        """What the engine is given to reach an account."""
        return self._providers[account.id]()

    def sync(self, **options: Any) -> list[RunReport]:
        return engine.sync(self.hub, self.connect, **options)

    def settle(self, cycles: int = 5) -> None:
        """Sync until nothing is written any more, at most so many times, with time for every backoff to end."""
        for _ in range(cycles):
            before = sum(remote.writes for remote in self.remotes), self.seq
            self.sync()
            self.clock.advance(hours=12)
            if before == (sum(remote.writes for remote in self.remotes), self.seq) and not self.open_work():
                return

    def open_work(self) -> bool:
        with self.hub.read() as conn:
            found = sql.value(
                conn,
                "SELECT (SELECT count(*) FROM intent WHERE state = 'open') + "
                "(SELECT count(*) FROM observation WHERE pending = 1) + (SELECT count(*) FROM retry)",
            )
        return bool(found)

    @property
    def seq(self) -> int:
        with self.hub.read() as conn:
            return int(sql.value(conn, "SELECT coalesce(max(seq), 0) FROM change"))

    # The hub's own user.

    def put(self, uid: str, **fields: Any) -> None:
        with self.hub.transaction() as conn:
            events.put_event(conn, self.calendar.id, uid, plain(**fields), now=self.hub.now())

    def edit(self, uid: str, **fields: Any) -> None:
        def change(content: Content) -> Content:
            return {name: value for name, value in {**content, **fields}.items() if value is not None}

        self.change(uid, change)

    def change(self, uid: str, change: Callable[[Content], Content]) -> None:
        with self.hub.transaction() as conn:
            stored = events.event(conn, self.calendar.id, uid)
            assert stored is not None
            content = apply(stored.content, diff(stored.content, change(stored.content)))
            events.put_event(conn, self.calendar.id, uid, content, now=self.hub.now())

    def delete(self, uid: str) -> None:
        with self.hub.transaction() as conn:
            stored = events.event(conn, self.calendar.id, uid)
            assert stored is not None
            events.delete_event(conn, stored.id, now=self.hub.now())

    @property
    def contents(self) -> dict[str, Content]:
        with self.hub.read() as conn:
            return {stored.uid: stored.content for stored in events.events(conn, self.calendar.id)}

    @property
    def conflicts(self) -> list[dict[str, Any]]:
        with self.hub.read() as conn:
            return inbox.conflicts(conn)

    @property
    def holds(self) -> list[dict[str, Any]]:
        with self.hub.read() as conn:
            return inbox.holds(conn)

    def reopen(self) -> None:
        """Throw the process away: what was not committed is lost."""
        self.hub.close()
        self.hub = self._open()

    def close(self) -> None:
        self.hub.close()


def plain(**fields: Any) -> Content:
    """A one-hour event with the given fields changed."""
    content: Content = {
        "title": "Lunch",
        "start": "2026-11-23T12:00:00",
        "end": "2026-11-23T13:00:00",
        "time_zone": "Europe/Berlin",
    }
    return {name: value for name, value in {**content, **fields}.items() if value is not None}
