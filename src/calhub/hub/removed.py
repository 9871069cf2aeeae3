"""What a run that took copies away knew of them, kept for `undo`: the rows that tie them to their rules.

Such a run has one row of ``meta``, ``removed:RUN``. The events themselves are in the change log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from calhub.hub import sql
from calhub.hub.jsontext import dumps, loads
from calhub.hub.rules import Copy
from calhub.hub.sql import Connection

_ONE = "removed:{}"


def remember(conn: Connection, run_id: int, copies: Sequence[tuple[int, Copy]]) -> None:
    """Keep the copies that the run is about to forget, each with the id of its rule, beside those it forgot before."""
    rows = [[rule_id, asdict(copy)] for rule_id, copy in [*remembered(conn, run_id), *copies]]
    conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_ONE.format(run_id), dumps(rows)))


def remembered(conn: Connection, run_id: int) -> list[tuple[int, Copy]]:
    """The copies the run forgot, each with the id of its rule; none for a run that took none away."""
    found = sql.value(conn, "SELECT value FROM meta WHERE key = ?", (_ONE.format(run_id),))
    return [] if found is None else [(rule_id, Copy(**fields)) for rule_id, fields in loads(found)]


def drop_expired(conn: Connection) -> None:
    """Forget what belongs to runs that are not in the history any more."""
    conn.execute(
        "DELETE FROM meta WHERE key LIKE 'removed:%' AND CAST(substr(key, 9) AS INTEGER) NOT IN (SELECT id FROM run)"
    )
