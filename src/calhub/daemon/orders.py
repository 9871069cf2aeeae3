"""Syncs that somebody waits for: which passes answer them. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from calhub.daemon.schedule import Job
from calhub.sync.report import RunReport


@dataclass
class Order:
    """Wants a pass of each replica that begins after the order was given; ``until`` is when it waits no longer."""

    number: int
    replicas: Sequence[int]
    until: float
    begun: set[int] = field(default_factory=set)
    reports: dict[int, RunReport] = field(default_factory=dict)

    @property
    def missing(self) -> set[int]:
        return set(self.replicas) - self.reports.keys()

    def shapes(self) -> list[dict[str, Any]]:
        """The run shapes there are, in the order asked for."""
        return [self.reports[replica].shape() for replica in self.replicas if replica in self.reports]


class Orders:
    """The orders that wait."""

    def __init__(self) -> None:
        self._waiting: list[Order] = []

    def add(self, order: Order) -> None:
        self._waiting.append(order)

    def began(self, job: Job) -> None:
        """A job begins: its passes count for the orders given so far."""
        for order in self._waiting:
            order.begun |= order.missing & set(job.replicas)

    def ended(self, job: Job, reports: Iterable[RunReport]) -> None:
        """A job has ended. A pass that another process kept from its work will come again, and is waited for."""
        found = {report.replica_id: report for report in reports}
        for order in self._waiting:
            for replica in order.begun & set(job.replicas):
                order.begun.discard(replica)
                report = found.get(replica)
                if report is None:  # removed or paused meanwhile
                    order.replicas = [each for each in order.replicas if each != replica]
                elif report.status != "skipped" or report.paused:
                    order.reports[replica] = report

    def answered(self, now: float) -> list[Order]:
        """Take out the orders that have all they asked for, or have waited long enough."""
        done = [order for order in self._waiting if not order.missing or order.until <= now]
        self._waiting = [order for order in self._waiting if order not in done]
        return done
