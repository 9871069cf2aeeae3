"""What passes have measured, added up in the database: so a command run by cron counts like the daemon, and a restart
loses nothing.

    histograms  pass_seconds{provider}, request_seconds{provider,status}, propagation_seconds{provider,way},
                detection_seconds{provider}
    counters    passes{account,status}, operations{op,side}, errors{account}, conflicts, messages{outcome}

The latest single delays are kept beside, for percentiles of how things are now rather than since the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from calhub.hub import sql
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection
from calhub.ops.samples import Key, Samples

#: So many of the latest delays are kept of each kind.
KEPT: Final = 1000

#: Ways of a change, as labels and as names of the latest delays; the third is how long it took to be noticed.
TO_HUB: Final = "remote_to_hub"
TO_REMOTE: Final = "hub_to_remote"
DETECTION: Final = "detection"

_PAST: Final = {"created": "create", "updated": "update", "deleted": "delete"}


def store(conn: Connection, values: Mapping[Key, float]) -> None:
    """Add samples to what is there."""
    conn.executemany(
        "INSERT INTO measure (name, labels, bound, value) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET value = value + excluded.value",
        [(name, dumps(dict(labels)), bound, value) for (name, labels, bound), value in values.items()],
    )


def stored(conn: Connection) -> Iterator[tuple[str, dict[str, str], str, float]]:
    """Everything added up so far: name, labels, bound and value, sorted by name and labels."""
    for row in conn.execute("SELECT name, labels, bound, value FROM measure ORDER BY name, labels"):
        yield row["name"], loads(row["labels"]), row["bound"], row["value"]


def note_run(conn: Connection, run_id: int) -> None:
    """Count a pass that has ended."""
    row = sql.first(conn, _RUN, (run_id,))
    assert row is not None  # it was finished in this transaction
    noted, counts = Samples(), loads(row["counts"])
    noted.observe("pass_seconds", row["duration_ms"] / 1000, provider=row["provider"])
    noted.count("passes", account=row["account"], status=row["status"])
    noted.count("errors", len(loads(row["errors"])), account=row["account"])
    noted.count("conflicts", counts["conflicts"])
    for way, side in (("pulled", "hub"), ("pushed", "remote")):
        for past, op in _PAST.items():
            noted.count("operations", counts[way][past], side=side, op=op)
    store(conn, noted.drain())


def note_delays(conn: Connection, run_id: int) -> None:
    """Measure how long what the pass carried had been under way. Not for first passes: what they bring is old.

    The remote's clock tells when it changed there. Where that is later than our own, nothing is measured.
    """
    noted, latest = Samples(), list[tuple[str, float]]()
    for row in conn.execute(_PULLED, (run_id,)):
        noticed, arrived = (_between(row["modified"], row[name]) for name in ("seen", "at"))
        if noticed >= 0 and arrived >= 0:
            noted.observe("detection_seconds", noticed, provider=row["provider"])
            noted.observe("propagation_seconds", arrived, provider=row["provider"], way=TO_HUB)
            latest += [(DETECTION, noticed), (TO_HUB, arrived)]
    for row in conn.execute(_PUSHED, (run_id,)):
        seconds = _between(row["at"], row["closed"])
        noted.observe("propagation_seconds", seconds, provider=row["provider"], way=TO_REMOTE)
        latest.append((TO_REMOTE, seconds))
    if latest:
        store(conn, noted.drain())
        conn.executemany("INSERT INTO sample (name, seconds) VALUES (?, ?)", latest)
        conn.executemany(_TRIM, [(name, name, KEPT) for name in {name for name, _ in latest}])


def latest(conn: Connection, *names: str) -> list[float]:
    """The latest delays of these kinds, in seconds, ascending."""
    return sql.column(conn, f"SELECT seconds FROM sample WHERE {sql.within('name')} ORDER BY seconds", (dumps(names),))


def write_success(conn: Connection) -> tuple[int, int]:
    """Of the latest writes to remotes: how many were done, and how many in all.

    A stale write is not counted: it was refused because somebody else was faster, which is what it asked for.
    """
    query = (
        "SELECT count(*) FILTER (WHERE state = 'done'), count(*) FROM "
        "(SELECT state FROM intent WHERE state NOT IN ('open', 'stale') ORDER BY id DESC LIMIT ?)"
    )
    done, everything = conn.execute(query, (KEPT,)).fetchone()
    return done, everything


def consistency(conn: Connection) -> tuple[int, int]:
    """Of the events tied to an item: how many say the same in the hub and at the remote, as far as we have looked.

    The others wait to be pulled or pushed, or have an open conflict.
    """
    agreeing, everything = conn.execute(_AGREEING).fetchone()
    return agreeing, everything


def _between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


_RUN: Final = (
    "SELECT run.account, run.status, run.counts, run.errors, run.duration_ms, coalesce(a.provider, '') AS provider "
    "FROM run LEFT JOIN account a ON a.name = run.account WHERE run.id = ?"
)
_PULLED: Final = (
    "SELECT c.at, o.modified, o.seen, a.provider FROM change c JOIN replica r ON r.id = c.replica_id "
    "JOIN account a ON a.id = r.account_id JOIN link l ON l.replica_id = r.id AND l.event_id = c.event_id "
    "JOIN observation o ON o.replica_id = r.id AND o.remote_id = l.remote_id "
    "WHERE c.run_id = ? AND o.modified >= r.created"
)
_PUSHED: Final = (
    "SELECT i.closed, c.at, a.provider FROM intent i JOIN change c ON c.seq = i.hub_rev "
    "JOIN replica r ON r.id = i.replica_id JOIN account a ON a.id = r.account_id "
    "WHERE i.run_id = ? AND i.state = 'done' AND c.at >= r.created AND i.closed >= c.at"
)
_TRIM: Final = (
    "DELETE FROM sample WHERE name = ? AND id <= "
    "(SELECT id FROM sample WHERE name = ? ORDER BY id DESC LIMIT 1 OFFSET ?)"
)
_AGREEING: Final = (
    "SELECT coalesce(sum(l.hub_rev = e.rev "
    "AND NOT EXISTS (SELECT 1 FROM observation o WHERE o.replica_id = l.replica_id AND o.remote_id = l.remote_id "
    "AND o.pending = 1) "
    "AND NOT EXISTS (SELECT 1 FROM conflict c WHERE c.replica_id = l.replica_id AND c.event_id = l.event_id "
    "AND c.state = 'open')), 0), count(*) "
    "FROM link l JOIN event e ON e.id = l.event_id JOIN replica r ON r.id = l.replica_id WHERE r.direction <> 'pull' "
    "OR l.hub_rev = e.rev"
)
