"""Modes of the whole installation, kept in the database so that every process obeys them."""

from __future__ import annotations

from typing import Final

from calhub.hub import audit, sql
from calhub.hub.sql import Connection

_DRY_RUN: Final = "dry_run"  # of meta: since when


def dry_run_since(conn: Connection) -> str | None:
    """Since when nothing is written to any remote; None where writes go out."""
    since: str | None = sql.value(conn, "SELECT value FROM meta WHERE key = ?", (_DRY_RUN,))
    return since


def set_dry_run(conn: Connection, on: bool, now: str) -> None:
    """Stop all writes to remotes, or let them go on. Doing so again changes nothing."""
    if on == (dry_run_since(conn) is not None):
        return
    if on:
        sql.insert(conn, "meta", {"key": _DRY_RUN, "value": now})
    else:
        conn.execute("DELETE FROM meta WHERE key = ?", (_DRY_RUN,))
    audit.note(conn, f"dry run {'on' if on else 'off'}")
