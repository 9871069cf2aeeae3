"""Instants until which something in the hub waits, and what becomes of them when the clock is put back."""

from __future__ import annotations

from typing import Final

from calhub.hub.sql import Connection

#: Tables and columns. The breaker's is not among them: it sees by itself that it has waited long enough.
_WAITS: Final = (("retry", "next_try"), ("message", "next_try"), ("endpoint", "rests_until"))


def bring_forward(conn: Connection, seconds: float) -> None:
    """Have everything wait for so many seconds less by the clock, which was put back by as many."""
    for table, column in _WAITS:
        moved = f"strftime('%Y-%m-%dT%H:%M:%fZ', {column}, ?)"
        conn.execute(f"UPDATE {table} SET {column} = {moved} WHERE {column} IS NOT NULL", (f"{-seconds:.3f} seconds",))
