"""How well this installation does what it promises, by what it has measured itself; what was not measured says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, Literal

from calhub.hub import measures
from calhub.hub.sql import Connection

NOT_MEASURED: Final = "not measured yet"


@dataclass(frozen=True)
class Criterion:
    """``unit``: ``seconds``, of which 95 % are to stay within the target, or ``share``, which is to reach it."""

    name: str
    unit: Literal["seconds", "share"]
    target: float
    text: str


#: The setting ``target_NAME`` gives another target.
CRITERIA: Final = (
    Criterion("propagation", "seconds", 1.0, "From a change at one place to the hub, or from the hub to a remote."),
    Criterion("query", "seconds", 0.01, "How long this server took to answer what was asked of the hub."),
    Criterion("writes", "share", 0.999, "Writes to remotes that were done."),
    Criterion("consistency", "share", 0.99, "Events that say the same in the hub and at the remote."),
    Criterion("detection", "seconds", 0.1, "From a change at a remote to its being noticed."),
)


def judge(conn: Connection, targets: Mapping[str, float], queries: Sequence[float]) -> list[dict[str, Any]]:
    """``{"name", "unit", "target", "value", "count", "status", "text"}`` of each criterion.

    ``value`` is a 95th percentile in seconds, or a share; over ``count`` measurements, the latest of their kind.
    ``queries`` are the latest answering times of this server, in seconds. ``status`` is ``met``, ``missed`` or
    `NOT_MEASURED`.
    """
    found = {
        "propagation": _percentile(measures.latest(conn, measures.TO_HUB, measures.TO_REMOTE)),
        "query": _percentile(sorted(queries)),
        "writes": _share(*measures.write_success(conn)),
        "consistency": _share(*measures.consistency(conn)),
        "detection": _percentile(measures.latest(conn, measures.DETECTION)),
    }
    return [_judged(each, targets.get(each.name, each.target), *found[each.name]) for each in CRITERIA]


def _judged(of: Criterion, target: float, value: float | None, count: int) -> dict[str, Any]:
    if value is None:
        status = NOT_MEASURED
    else:
        status = "met" if (value <= target if of.unit == "seconds" else value >= target) else "missed"
    return {
        "name": of.name, "unit": of.unit, "target": target, "value": value, "count": count, "status": status,
        "text": of.text,
    }  # fmt: skip


def _percentile(ascending: Sequence[float]) -> tuple[float | None, int]:
    """The 95th percentile by nearest rank: one of the values, which 95 % of them do not exceed."""
    if not ascending:
        return None, 0
    return ascending[ceil(0.95 * len(ascending)) - 1], len(ascending)


def _share(part: int, whole: int) -> tuple[float | None, int]:
    return (part / whole if whole else None), whole
