"""What a pass did, as it goes along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from calhub.hub.runs import empty_counts
from calhub.sync.plan import OpName, Write

#: Called with (what is being done, how far, of how many or None).
Progress = Callable[[str, int, int | None], None]

_PAST = {"create": "created", "update": "updated", "delete": "deleted"}


def no_progress(what: str, done: int, total: int | None) -> None:
    """The default: tell nobody."""


@dataclass
class RunReport:
    """One run in the making; `shape` is the design's run shape."""

    account: str
    calendar: str
    remote: str
    replica_id: int
    run_id: int | None = None
    status: Literal["ok", "failed", "held", "skipped"] = "ok"
    counts: dict[str, Any] = field(default_factory=empty_counts)
    errors: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    duration_ms: int = 0
    dry_run: bool = False
    paused: bool = False
    plan: list[dict[str, Any]] = field(default_factory=list)

    def count(self, way: Literal["pulled", "pushed"], op: OpName) -> None:
        self.counts[way][_PAST[op]] += 1

    def note(self, side: Literal["hub", "remote"], write: Write, uid: str, title: str) -> None:
        """Remember a step for `sync --dry-run`."""
        if self.dry_run:
            step = {"side": side, "op": write.op, "uid": uid, "title": title, "fields": list(write.fields)}
            self.plan.append(step)

    def skip(self, message: str, *, paused: bool) -> None:
        """Nothing is done this time: another pass is at it, or the account's breaker is open (``paused``)."""
        self.status = "skipped"
        self.paused = paused
        self.errors.append({"uid": None, "message": message})

    def fail(self, uid: str | None, message: str) -> None:
        self.status = "failed"
        self.errors.append({"uid": uid, "message": message})

    def facts(self) -> dict[str, str | int | None]:
        """What the log tells of it; ``changes`` are events changed on either side.

        ``reason`` is that of the first error of the pass itself: those of single events may say what is in them.
        """
        changes = sum(number for way in ("pulled", "pushed") for number in self.counts[way].values())
        reason = next((each["message"] for each in self.errors if each["uid"] is None), None)
        return {
            "run": self.run_id, "replica": self.replica_id, "account": self.account, "status": self.status,
            "changes": changes, "errors": len(self.errors), "reason": reason, "ms": self.duration_ms,
        }  # fmt: skip

    def shape(self) -> dict[str, Any]:
        shape = {
            "id": self.run_id,
            "account": self.account,
            "calendar": self.calendar,
            "remote": self.remote,
            "status": self.status,
            **self.counts,
            "errors": self.errors,
            "requests": self.requests,
            "duration_ms": self.duration_ms,
            "dry_run": self.dry_run,
        }
        return shape | {"plan": self.plan} if self.dry_run else shape
