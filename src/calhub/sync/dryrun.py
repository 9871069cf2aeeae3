"""`sync --dry-run`: the real engine on a copy of the hub, with providers that only pretend to write."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from calhub.calendar.event import Content
from calhub.hub.accounts import Account
from calhub.hub.backup import backup
from calhub.hub.database import Hub
from calhub.providers.base import Done, Item, Outcome, Provider, RemoteCalendar, WriteRequest, write_one
from calhub.providers.layers import Layer
from calhub.sync.report import Progress, RunReport

if TYPE_CHECKING:  # the engine imports this module lazily
    from calhub.sync.engine import Connect, Derive


class Pretend(Layer):
    """Reads are real; writes always succeed without leaving the house."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self._writes = 0

    def _echo(self, remote_id: str, uid: str, content: Content, raw: str | None) -> Outcome:
        self._writes += 1
        return Done(Item(remote_id=remote_id, version=f"dry-run-{self._writes}", uid=uid, content=content, raw=raw))

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:  # noqa: ARG002 - the contract's
        return self._echo(remote_id, uid, content, None)

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None  # noqa: ARG002
    ) -> Outcome:  # fmt: skip
        return self._echo(remote_id, uid, content, raw)

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:  # noqa: ARG002 - the contract's
        return Done(None)

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        return [write_one(self, calendar, request) for request in requests]

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        raise AssertionError(f"a pass never creates calendars ({name}, {color}, {time_zone})")

    def delete_calendar(self, calendar: str) -> None:
        raise AssertionError(f"a pass never deletes calendars ({calendar})")


def rehearse(
    hub: Hub,
    connect: Connect,
    replica_ids: Sequence[int] | None,
    account: str | None,
    calendar: str | None,
    *,
    full: bool,
    progress: Progress,
    derive: Derive | None,
) -> list[RunReport]:
    """The reports a `sync` would give now, each with its plan. The hub and the remotes stay as they are."""
    from calhub.sync.engine import Session, choose

    with rehearsal(hub, connect) as (copy, pretend):
        chosen = choose(copy, replica_ids=replica_ids, account=account, calendar=calendar)
        return Session(copy, pretend, full=full, progress=progress, dry_run=True, derive=derive).run(chosen)


@contextmanager
def rehearsal(hub: Hub, connect: Connect) -> Iterator[tuple[Hub, Connect]]:
    """A copy of the hub, to be thrown away, and a way to connect to its accounts that writes nothing."""

    def pretend(of: Account) -> Provider:
        return Pretend(connect(of))

    with tempfile.TemporaryDirectory(prefix="calhub-dry-run-") as folder:
        home = Path(folder)
        backup(hub, home / "hub.db")
        with Hub.open(home, clock=hub.clock) as copy:
            yield copy, pretend
