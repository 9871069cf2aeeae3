"""Push channels: a service tells an address of ours when a remote calendar changes.

A row outlives its replica, since the channel has to be stopped at the service. What the service and we know each other
by (a token, a secret) is one text, sealed like a password.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from calhub.hub import sql
from calhub.hub.sql import Connection, Row

#: ``planned``: to be opened, or opened with nobody knowing. ``refused``: the service does not push to this address.
State = Literal["planned", "open", "refused"]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """``address`` is where messages go. Instants are as the hub spells them: ``expires``, None where it never ends or
    is not known, and ``due``, when it is to be renewed or asked for again.
    """

    id: int
    account_id: int
    replica_id: int
    remote_id: str
    address: str
    state: State
    sealed: str
    expires: str | None
    error: str | None
    due: str


Kept = Callable[[int], str]

_COLUMNS: Final = "id, account_id, replica_id, remote_id, address, state, sealed, expires, error, due"


def channels(conn: Connection, replica_id: int | None = None) -> list[Channel]:
    """All channels, or those of a replica; oldest first."""
    query = f"SELECT {_COLUMNS} FROM channel WHERE ? IS NULL OR replica_id = ? ORDER BY id"
    return [_channel(row) for row in conn.execute(query, (replica_id, replica_id))]


def plan(
    conn: Connection, *, account_id: int, replica_id: int, remote_id: str, address: str, now: str, kept: Kept
) -> int:
    """Store a channel before it is opened; returns its id. ``kept`` gives, for the id, what it is known by, sealed."""
    row = {
        "account_id": account_id, "replica_id": replica_id, "remote_id": remote_id, "address": address,
        "state": "planned", "sealed": "", "due": now,
    }  # fmt: skip
    channel_id = sql.insert(conn, "channel", row)
    sql.update(conn, "channel", channel_id, {"sealed": kept(channel_id)})
    return channel_id


def opened(conn: Connection, channel_id: int, sealed: str, *, expires: str | None, due: str) -> None:
    """The channel stands."""
    values = {"state": "open", "sealed": sealed, "expires": expires, "error": None, "due": due}
    sql.update(conn, "channel", channel_id, values)


def refused(conn: Connection, channel_id: int, error: str, *, due: str) -> None:
    """The service does not push there, for the reason given."""
    sql.update(conn, "channel", channel_id, {"state": "refused", "error": error, "due": due})


def make_due(conn: Connection, channel_id: int, now: str) -> None:
    """Have the channel renewed soon."""
    sql.update(conn, "channel", channel_id, {"due": now})


def drop(conn: Connection, channel_id: int) -> None:
    """Forget a channel."""
    conn.execute("DELETE FROM channel WHERE id = ?", (channel_id,))


def _channel(row: Row) -> Channel:
    return Channel(**dict(row))
