"""One pass over one replica: what its steps share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from calhub.hub.accounts import Replica
from calhub.hub.database import Hub
from calhub.hub.events import StoredEvent
from calhub.hub.links import Link
from calhub.providers.base import Capabilities, Provider
from calhub.sync.guard import Limits
from calhub.sync.plan import HubSide, Policy
from calhub.sync.report import Progress, RunReport, no_progress

#: A write that failed this often is a dead letter: it waits for a person or for a new change of its event.
DEFAULT_ATTEMPTS = 10
_BACKOFF_CAP_S = 6 * 3600


class OutOfTime(Exception):
    """The time given to the pass is over; what was committed stays, the rest goes on in the next pass."""


@dataclass
class Pass:
    hub: Hub
    replica: Replica
    provider: Provider
    report: RunReport
    #: List everything anew; also set where there is no cursor to go on from.
    full: bool = False
    #: The hub's seq when it was restored from a backup, until the replica has gone through a pass.
    restored: int | None = None
    progress: Progress = no_progress
    out_of_time: Callable[[], bool] = lambda: False
    #: Events of a discarded hold: the other side was declared right, so the guard lets them through.
    discarded: set[str] = field(default_factory=set)
    #: Remote ids of items to be written anew as they are; see `Page.outdated`.
    outdated: set[str] = field(default_factory=set)
    #: When items that were read got there; see `Item.written`.
    written: dict[str, str] = field(default_factory=dict)
    #: Set when both steps have gone through to the end, whatever became of single events.
    completed: bool = False

    @cached_property
    def capabilities(self) -> Capabilities:
        """What can be done with this replica's remote calendar. Raises `ProviderError` when first asked for."""
        return self.provider.prepare(self.replica.remote_id, self.replica.settings)

    def prepare(self) -> Capabilities:
        """Tell the provider the replica's settings: what it is asked before, it answers without them."""
        return self.capabilities

    @property
    def policy(self) -> Policy:
        direction = self.replica.direction if self.capabilities.writable else "pull"
        return Policy(
            conflicts=self.replica.conflicts,  # type: ignore[arg-type]  # the schema's CHECK guarantees the literal
            direction=direction,  # type: ignore[arg-type]  # likewise
            keeps=self.capabilities.keeps,
        )

    @property
    def hub_is_right(self) -> Policy:
        return replace(self.policy, direction="push")

    @property
    def limits(self) -> Limits:
        settings = self.replica.settings
        return Limits(
            number=int(settings.get("guard_number", Limits.number)),
            share=float(settings.get("guard_share", Limits.share)),
        )

    @property
    def first_pass(self) -> bool:
        return self.replica.phase == "initial"

    def tell(self, what: str, done: int, total: int | None) -> None:
        """Report progress, naming the calendar."""
        self.progress(f"{self.replica.calendar} ({self.replica.account}): {what}", done, total)

    def check_time(self) -> None:
        """Raise `OutOfTime` once the pass has used up what it was given; called between commits only."""
        if self.out_of_time():
            raise OutOfTime

    def next_try(self, attempts: int, event_id: int, retry_after: float | None) -> str | None:
        """When to try again after so many failures: 30 s, doubled each time up to 6 h, jittered; None = dead letter."""
        if attempts >= int(self.replica.settings.get("attempts", DEFAULT_ATTEMPTS)):
            return None
        # Seeded, so that a simulation repeats itself; the spread is all that matters.
        spread = random.Random(f"{self.replica.id}/{event_id}/{attempts}").uniform(0.5, 1.5)
        wait = max(min(30 * 2 ** (attempts - 1), _BACKOFF_CAP_S) * spread, retry_after or 0)
        return stamp(self.hub, wait)


def stamp(hub: Hub, seconds_ahead: float) -> str:
    """An instant in the hub's text form, ``seconds_ahead`` from now."""
    moment = hub.clock() + timedelta(seconds=seconds_ahead)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hub_side(stored: StoredEvent, link: Link | None) -> HubSide:
    edited = link is not None and link.hub_rev != stored.rev
    return HubSide(content=stored.content, deleted=stored.deleted, updated=stored.updated, edited=edited)


def title(content: dict[str, Any]) -> str:
    return str(content.get("title", ""))
