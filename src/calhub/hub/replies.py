"""Answers kept for requests that may be sent again with the same ``Idempotency-Key``, for a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from calhub.hub import sql
from calhub.hub.database import instant
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection

_KEPT_FOR: Final = timedelta(hours=24)


@dataclass(frozen=True)
class Reply:
    """``request`` is a digest of what was asked for; ``status`` is None while the answer is on its way."""

    request: str
    status: int | None
    headers: Mapping[str, str]
    body: bytes


def claim(conn: Connection, caller: str, key: str, request: str, *, now: datetime) -> Reply | None:
    """Take a key for a request, or get what was made of it when it was taken before. Drops what is older than a day."""
    conn.execute("DELETE FROM reply WHERE at < ?", (instant(now - _KEPT_FOR),))
    row = sql.first(conn, "SELECT * FROM reply WHERE caller = ? AND key = ?", (caller, key))
    if row is not None:
        return Reply(row["request"], row["status"], loads(row["headers"] or "{}"), row["body"] or b"")
    values = {"caller": caller, "key": key, "request": request, "at": instant(now)}
    sql.insert(conn, "reply", values)
    return None


def keep(conn: Connection, caller: str, key: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Store the answer to a claimed request."""
    conn.execute(
        "UPDATE reply SET status = ?, headers = ?, body = ? WHERE caller = ? AND key = ?",
        (status, dumps(dict(headers)), body, caller, key),
    )


def free(conn: Connection, caller: str, key: str) -> None:
    """Give a key back: nothing came of the request."""
    conn.execute("DELETE FROM reply WHERE caller = ? AND key = ? AND status IS NULL", (caller, key))


def free_all(conn: Connection) -> None:
    """Give back the keys of requests that ended with their process; called when it starts."""
    conn.execute("DELETE FROM reply WHERE status IS NULL")
