"""Endpoints: somebody's URLs that are told of changes, by messages (`calhub.hub.messages`).

Secrets are spelled as Standard Webhooks has them (https://www.standardwebhooks.com): ``whsec_`` and 32 random bytes in
base64. They are kept sealed and shown once. After a rotation the one before signs, too, for a day.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from calhub.hub import accounts, audit, changes, sql
from calhub.hub.database import instant
from calhub.hub.errors import InvalidValue, NotFound
from calhub.hub.jsontext import dumps
from calhub.hub.secrets import forget, seal, unseal
from calhub.hub.sql import Connection

State = Literal["active", "disabled"]

#: How long the secret before the present one goes on signing.
OVERLAP: Final = timedelta(hours=24)

_SECRET_BYTES: Final = 32
_SECRET: Final = "secret"
_PREVIOUS: Final = "previous secret"
#: The reason where a person disabled it.
BY_HAND: Final = "Disabled by hand."
#: Stands for a ``seq`` that no log goes back to.
LOST: Final = -1


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A row. ``public_only``: its host must be public, and is looked up by `calhub.providers.pinned`. ``every``: it is
    told of all calendars. Of changes up to ``seq`` messages have been cut. Instants are as the hub spells them.
    """

    id: int
    url: str
    public_only: bool
    every: bool
    secret: str
    previous: str | None
    previous_until: str | None
    seq: int
    state: State
    reason: str | None
    failing_since: str | None
    rests_until: str | None
    created: str


def endpoint(conn: Connection, endpoint_id: int) -> Endpoint:
    """Raises `NotFound`."""
    row = sql.first(conn, "SELECT * FROM endpoint WHERE id = ?", (endpoint_id,))
    if row is None:
        raise NotFound(f"There is no webhook {endpoint_id}.", "List them with: calhub webhook list")
    return Endpoint(**dict(row))


def endpoints(conn: Connection) -> list[Endpoint]:
    """All of them, oldest first."""
    return [Endpoint(**dict(row)) for row in conn.execute("SELECT * FROM endpoint ORDER BY id")]


def calendar_ids(conn: Connection, of: Endpoint) -> list[int] | None:
    """The calendars it is told of; None for all. A calendar that is removed leaves the list, which may become empty."""
    query = "SELECT calendar_id FROM endpoint_calendar WHERE endpoint_id = ? ORDER BY calendar_id"
    return None if of.every else sql.column(conn, query, (of.id,))


def add(
    conn: Connection, home: Path, url: str, calendars: Sequence[str] | None, *, public_only: bool, now: str
) -> dict[str, Any]:
    """Make an endpoint that is told of what happens from now on; returns its shape with the ``secret``, this once.

    ``calendars`` are names or ids, None for all. Raises `NotFound`, `Ambiguous` and `InvalidValue`.
    """
    row = {
        "url": url, "public_only": public_only, "every": calendars is None, "secret": "",
        "seq": changes.last_seq(conn), "created": now,
    }  # fmt: skip
    endpoint_id = sql.insert(conn, "endpoint", row)
    _choose(conn, endpoint_id, calendars)
    secret = _new_secret()
    sql.update(conn, "endpoint", endpoint_id, {"secret": seal(home, _owner(endpoint_id), _SECRET, secret)})
    audit.note(conn, "webhook added", webhook=endpoint_id, host=urlsplit(url).hostname)
    return {**shape(conn, endpoint(conn, endpoint_id)), "secret": secret}


def set_url(conn: Connection, endpoint_id: int, url: str, *, public_only: bool) -> None:
    """What has not been delivered yet goes to the new address, too. Raises `NotFound`."""
    endpoint(conn, endpoint_id)
    sql.update(conn, "endpoint", endpoint_id, {"url": url, "public_only": public_only})
    audit.note(conn, "webhook changed", webhook=endpoint_id, host=urlsplit(url).hostname)


def set_calendars(conn: Connection, endpoint_id: int, calendars: Sequence[str] | None) -> None:
    """Which calendars it is told of from now on, None for all. Raises `NotFound`, `Ambiguous` and `InvalidValue`."""
    endpoint(conn, endpoint_id)
    conn.execute("DELETE FROM endpoint_calendar WHERE endpoint_id = ?", (endpoint_id,))
    sql.update(conn, "endpoint", endpoint_id, {"every": calendars is None})
    _choose(conn, endpoint_id, calendars)
    audit.note(conn, "webhook changed", webhook=endpoint_id, calendars=None if calendars is None else list(calendars))


def rotate(conn: Connection, home: Path, endpoint_id: int, now: datetime) -> dict[str, Any]:
    """Give it a new secret, returned this once with the shape; the old one signs as well for a day.

    Raises `NotFound`, and `HubError` where the old one cannot be opened.
    """
    of = endpoint(conn, endpoint_id)
    old, secret = unseal(home, _owner(of.id), _SECRET, of.secret), _new_secret()
    row = {
        "previous": seal(home, _owner(of.id), _PREVIOUS, old),
        "previous_until": instant(now + OVERLAP),
        "secret": seal(home, _owner(of.id), _SECRET, secret),
    }
    sql.update(conn, "endpoint", of.id, row)
    audit.note(conn, "webhook rotated", webhook=of.id)
    return {**shape(conn, endpoint(conn, of.id)), "secret": secret}


def secrets(home: Path, of: Endpoint, now: str) -> list[str]:
    """The secrets that sign now, the present one first. Raises `HubError` where one cannot be opened."""
    found = [unseal(home, _owner(of.id), _SECRET, of.secret)]
    if of.previous is not None and of.previous_until is not None and now < of.previous_until:
        found.append(unseal(home, _owner(of.id), _PREVIOUS, of.previous))
    return found


def remove(conn: Connection, home: Path, endpoint_id: int) -> None:
    """Forget it with all messages to it. Raises `NotFound`."""
    of = endpoint(conn, endpoint_id)
    conn.execute("DELETE FROM endpoint WHERE id = ?", (of.id,))
    audit.note(conn, "webhook removed", webhook=of.id, host=urlsplit(of.url).hostname)
    for name, sealed in ((_SECRET, of.secret), (_PREVIOUS, of.previous)):
        if sealed is not None:
            forget(home, _owner(of.id), name, sealed)


def enable(conn: Connection, endpoint_id: int, now: str) -> None:
    """Send it everything that waits, at once, and what happened meanwhile. Raises `NotFound`."""
    endpoint(conn, endpoint_id)
    row = {"state": "active", "reason": None, "failing_since": None, "rests_until": None}
    sql.update(conn, "endpoint", endpoint_id, row)
    waiting = "UPDATE message SET next_try = ?, attempts = 0 WHERE endpoint_id = ? AND state = 'pending'"
    conn.execute(waiting, (now, endpoint_id))
    audit.note(conn, "webhook enabled", webhook=endpoint_id)


def disable(conn: Connection, endpoint_id: int, reason: str) -> None:
    """Send it nothing any more; ``reason`` is a sentence. Raises `NotFound`."""
    endpoint(conn, endpoint_id)
    sql.update(conn, "endpoint", endpoint_id, {"state": "disabled", "reason": reason})
    audit.note(conn, "webhook disabled", webhook=endpoint_id, reason=reason)


def shape(conn: Connection, of: Endpoint) -> dict[str, Any]:
    """``{"id", "url", "calendars": [name] | null, "state", "reason", "failing_since", "pending", "dead", "created"}``:
    the last two numbers count messages.
    """
    names = "SELECT name FROM calendar WHERE id IN (SELECT value FROM json_each(?)) ORDER BY name"
    chosen = calendar_ids(conn, of)
    count = "SELECT count(*) FROM message WHERE endpoint_id = ? AND state = ?"
    return {
        "id": of.id,
        "url": of.url,
        "calendars": None if chosen is None else sql.column(conn, names, (dumps(chosen),)),
        "state": of.state,
        "reason": of.reason,
        "failing_since": of.failing_since,
        **{state: sql.value(conn, count, (of.id, state)) for state in ("pending", "dead")},
        "created": of.created,
    }


def summary(conn: Connection) -> dict[str, Any]:
    """What waits and what needs a person: ``{"pending", "dead" (messages), "disabled": [{"id", "reason"}]}``, the last
    without those that a person disabled.
    """
    count = "SELECT count(*) FROM message WHERE state = ?"
    disabled = conn.execute("SELECT id, reason FROM endpoint WHERE reason <> ? ORDER BY id", (BY_HAND,))
    return {
        **{state: sql.value(conn, count, (state,)) for state in ("pending", "dead")},
        "disabled": [dict(row) for row in disabled],
    }


def _choose(conn: Connection, endpoint_id: int, calendars: Sequence[str] | None) -> None:
    if calendars is not None and not calendars:
        raise InvalidValue("A webhook without calendars is told nothing.", "Name one, or leave them out for all.")
    for calendar_id in {accounts.calendar(conn, name).id for name in calendars or ()}:
        sql.insert(conn, "endpoint_calendar", {"endpoint_id": endpoint_id, "calendar_id": calendar_id})


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(_SECRET_BYTES)).decode()


def _owner(endpoint_id: int) -> str:
    return f"webhook {endpoint_id}"
