"""A job, carried out: a sync over its replicas, and what that means for the schedule."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from calhub.daemon.schedule import Job, Outcome
from calhub.daemon.settings import Settings
from calhub.hub import accounts, links, waits
from calhub.hub.database import Hub
from calhub.hub.errors import HubError
from calhub.ops import log
from calhub.rules.cleanup import cleanup
from calhub.rules.derive import derive
from calhub.sync import engine
from calhub.sync.connect import connector
from calhub.sync.report import RunReport

#: What is said of one replica of a job, and the seconds after which it is to be looked at again, see `Schedule.done`.
Found = tuple[int, Outcome, float | None]

_OUTCOMES: Final[dict[str, Outcome]] = {"failed": "failed", "held": "quiet"}


class Work:
    """Syncs with a hub, several at once. ``stop`` is asked at each safe point whether to end there."""

    def __init__(self, hub: Hub, stop: Callable[[], bool]) -> None:
        self.connect = connector(hub)
        self._hub = hub
        self._stop = stop
        self._deriving = threading.Lock()

    def run(self, job: Job) -> tuple[list[RunReport], list[Found]]:
        """Sync the replicas of a job. Never raises: what nobody foresaw is logged, and all of them count as failed."""
        try:
            reports = engine.sync(
                self._hub, self.connect, replica_ids=job.replicas, full=job.full, derive=self._derive, stop=self._stop
            )
            return reports, outcomes(self._hub, job, reports)
        except Exception as error:  # noqa: BLE001 - one pass must not end all others
            said = log_failure("pass", error)
            return self._failed(job, said), [(replica, "failed", None) for replica in job.replicas]

    def _failed(self, job: Job, said: str) -> list[RunReport]:
        """What those who wait for the job are told; nothing where not even the replicas can be read."""
        try:
            chosen = engine.choose(self._hub, replica_ids=job.replicas)
        except HubError:
            return []
        reports = [
            RunReport(account=each.account, calendar=each.calendar, remote=each.remote_name, replica_id=each.id)
            for each in chosen
        ]
        for report in reports:
            report.fail(None, said)
        return reports

    def rehearse(self, account: str | None, calendar: str | None, *, full: bool) -> list[dict[str, Any]]:
        """What a sync would do, as run shapes with plans. Raises `HubError`."""
        reports = engine.sync(
            self._hub, self.connect, account=account, calendar=calendar, full=full, dry_run=True, derive=derive
        )
        return [report.shape() for report in reports]

    def derive(self) -> None:
        """Have the rules carry on what changed in the hub without any pass. Never raises."""
        try:
            self._derive(self._hub)
        except Exception as error:  # noqa: BLE001 - likewise
            log_failure("derive", error)

    def bring_forward(self, seconds: float) -> None:
        """The clock was put back: what waits by it is not to wait for the same hour twice. Never raises."""
        log.get("daemon").warning("the clock was put back", seconds=round(seconds))
        try:
            with self._hub.transaction() as conn:
                waits.bring_forward(conn, seconds)
        except HubError as error:
            log_failure("clock", error)

    def tidy(self, settings: Settings) -> None:
        """Remove copies that stand for nothing, and history that has expired. Raises `HubError`."""
        with self._deriving:
            cleanup(self._hub, self.connect, keep_runs=settings.keep_runs, keep_days=settings.keep_days)

    def _derive(self, hub: Hub) -> None:
        with self._deriving:  # two at once would only do the same twice
            derive(hub)


def outcomes(hub: Hub, job: Job, reports: Sequence[RunReport]) -> list[Found]:
    """What came of each replica of the job. One that nothing is said of has been paused or removed meanwhile."""
    by_replica = {report.replica_id: report for report in reports}
    return [
        (replica, *_outcome(hub, job, by_replica[replica])) if replica in by_replica else (replica, "quiet", None)
        for replica in job.replicas
    ]


def _outcome(hub: Hub, job: Job, report: RunReport) -> tuple[Outcome, float | None]:
    if report.status == "skipped" and not report.paused:
        return "busy", None
    with hub.read() as conn:
        if report.paused:
            return "resting", accounts.breaker(conn, job.account).wait(hub.clock()).total_seconds()
        retry = links.next_retry(conn, report.replica_id)
    again = None if retry is None else max((datetime.fromisoformat(retry) - hub.clock()).total_seconds(), 0.0)
    moved = any(report.counts[side][what] for side in ("pulled", "pushed") for what in report.counts[side])
    return _OUTCOMES.get(report.status, "changed" if moved or report.errors else "quiet"), again


def log_failure(what: str, error: Exception) -> str:
    """Name what failed, and return it. Calhub's own messages are without contents; of other errors the kind is told."""
    said = error.message if isinstance(error, HubError) else type(error).__qualname__
    log.get("daemon").error(f"{what} failed", reason=said)
    return said
