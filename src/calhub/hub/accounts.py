"""Accounts, calendars and replicas: their rows, and how users name them.

Things are named by id or, where unique, by exact name; otherwise `Ambiguous` lists what would be unambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from calhub.hub import schema
from calhub.hub.breaker import Breaker
from calhub.hub.database import instant
from calhub.hub.errors import Ambiguous, InvalidValue, NotFound
from calhub.hub.jsontext import dumps, loads

Settings = dict[str, Any]
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Account:
    """Settings at one provider; secrets are kept apart (`sealed_secrets`)."""

    id: int
    name: str
    provider: str
    settings: Settings
    state: str  # ok | needs_login | failing | paused
    error: str | None


@dataclass(frozen=True)
class Calendar:
    """A calendar in the hub."""

    id: int
    name: str
    color: str | None
    time_zone: str | None


@dataclass(frozen=True)
class Replica:
    """Ties a calendar to a remote calendar. ``calendar``, ``account`` and ``provider`` are names, for showing."""

    id: int
    calendar_id: int
    calendar: str
    account_id: int
    account: str
    provider: str
    remote_id: str
    remote_name: str
    access: str
    direction: str  # both | pull | push
    conflicts: str  # merge | newest | hub | remote | ask
    settings: Settings
    state: str  # ok | failing | held | paused
    error: str | None
    last_success: str | None
    cursor: str | None
    phase: str  # initial | steady
    hub_seq: int


_a, _c, _r = schema.account.c, schema.calendar.c, schema.replica.c
_ACCOUNTS: Final[Select[Any]] = select(_a.id, _a.name, _a.provider, _a.settings, _a.state, _a.error).order_by(_a.id)
_CALENDARS: Final[Select[Any]] = select(_c.id, _c.name, _c.color, _c.time_zone).order_by(_c.id)
_REPLICAS: Final[Select[Any]] = (
    select(
        _r.id, _r.calendar_id, _c.name.label("calendar"), _r.account_id, _a.name.label("account"), _a.provider,
        _r.remote_id, _r.remote_name, _r.access, _r.direction, _r.conflicts, _r.settings, _r.state, _r.error,
        _r.last_success, _r.cursor, _r.phase, _r.hub_seq,
    )
    .join_from(schema.replica, schema.calendar)
    .join(schema.account, _a.id == _r.account_id)
    .order_by(_r.id)
)  # fmt: skip

_ADDRESS: Final = re.compile(r"[^@\s/:]+@[^@\s/:]+\.[^@\s/:.]+")

#: Columns `update_replica` sets; the others say what the replica is and never change.
_MUTABLE: Final = frozenset(
    {
        "remote_name", "access", "direction", "conflicts", "settings", "state", "error", "last_success", "cursor",
        "phase", "hub_seq",
    }
)  # fmt: skip


# Accounts


def add_account(conn: Connection, name: str, provider: str, settings: Mapping[str, Any], now: str) -> Account:
    """Store a new account. Raises `InvalidValue` for an empty name or one that is taken."""
    _check_name("account", name, conn.execute(select(exists().where(_a.name == name))).scalar_one())
    values = {"name": name, "provider": provider, "settings": dumps(settings), "created": now}
    conn.execute(insert(schema.account).values(values))
    return account(conn, name)


def account(conn: Connection, name: str | int) -> Account:
    """The account with this name or id. Raises `NotFound`."""
    found = _named(name, _a.id, _a.name, lambda where: [_account(r) for r in conn.execute(_ACCOUNTS.where(where))])
    return _only(
        found, "account", name, lambda: [one.name for one in accounts(conn)], lambda one: f"{one.id} ({one.name})"
    )


def accounts(conn: Connection) -> list[Account]:
    """All accounts, oldest first."""
    return [_account(row) for row in conn.execute(_ACCOUNTS)]


def set_account_state(conn: Connection, account_id: int, state: str, error: str | None) -> None:
    """Set how the account fares (``ok``, ``needs_login``, ``failing``, ``paused``) and why."""
    conn.execute(update(schema.account).where(_a.id == account_id).values(state=state, error=error))


def set_account_settings(conn: Connection, account_id: int, settings: Mapping[str, Any]) -> None:
    """Replace the account's settings."""
    conn.execute(update(schema.account).where(_a.id == account_id).values(settings=dumps(settings)))


def breaker(conn: Connection, account_id: int) -> Breaker:
    """The account's circuit breaker; closed where nothing has failed lately."""
    table = schema.breaker
    row = conn.execute(select(table).where(table.c.account_id == account_id)).one_or_none()
    if row is None:
        return Breaker()
    return Breaker(row.state, row.failures, None if row.until is None else datetime.fromisoformat(row.until))


def set_breaker(conn: Connection, account_id: int, value: Breaker) -> None:
    """Store the account's circuit breaker."""
    conn.execute(delete(schema.breaker).where(schema.breaker.c.account_id == account_id))
    if value != Breaker():
        until = None if value.until is None else instant(value.until)
        row = {"account_id": account_id, "state": value.state, "failures": value.failures, "until": until}
        conn.execute(insert(schema.breaker).values(row))


def remove_account(conn: Connection, account_id: int) -> None:
    """Remove the account, its secrets and its replicas; calendars and their events stay, and every remote as it is."""
    for one in replicas(conn, account_id=account_id):
        remove_replica(conn, one.id)
    conn.execute(delete(schema.account).where(_a.id == account_id))


def set_secret(conn: Connection, account_id: int, name: str, sealed: str) -> None:
    """Store a secret as sealed by `calhub.ops.secrets.seal`, replacing an earlier one of that name."""
    table = schema.secret
    conn.execute(delete(table).where(table.c.account_id == account_id, table.c.name == name))
    conn.execute(insert(table).values(account_id=account_id, name=name, sealed=sealed))


def replace_secrets(conn: Connection, account_id: int, sealed: Mapping[str, str]) -> None:
    """Make these, by name and as sealed, all the secrets of the account."""
    conn.execute(delete(schema.secret).where(schema.secret.c.account_id == account_id))
    for name, text in sealed.items():
        set_secret(conn, account_id, name, text)


def sealed_secrets(conn: Connection, account_id: int) -> dict[str, str]:
    """The account's secrets by name, still sealed."""
    table = schema.secret
    rows = conn.execute(select(table.c.name, table.c.sealed).where(table.c.account_id == account_id))
    return {row.name: row.sealed for row in rows}


# Calendars


def add_calendar(
    conn: Connection, name: str, now: str, color: str | None = None, time_zone: str | None = None
) -> Calendar:
    """Store a new, empty calendar. Raises `InvalidValue` for an empty name or one that is taken."""
    _check_name("calendar", name, _calendar_exists(conn, name))
    values = {"name": name, "color": color, "time_zone": time_zone, "created": now}
    key = conn.execute(insert(schema.calendar).values(values)).inserted_primary_key
    assert key is not None  # an insert of one row has one
    return Calendar(key[0], name, color, time_zone)


def calendar(conn: Connection, id_or_name: int | str) -> Calendar:
    """The calendar with this id or exact name. Raises `NotFound`, `Ambiguous`."""
    found = _named(
        id_or_name, _c.id, _c.name, lambda where: [Calendar(*row) for row in conn.execute(_CALENDARS.where(where))]
    )
    return _only(
        found, "calendar", id_or_name, lambda: [one.name for one in calendars(conn)],
        lambda one: f"{one.id} ({one.name})",
    )  # fmt: skip


def calendars(conn: Connection) -> list[Calendar]:
    """All calendars, oldest first."""
    return [Calendar(*row) for row in conn.execute(_CALENDARS)]


def rename_calendar(conn: Connection, calendar_id: int, name: str) -> None:
    """Rename in the hub only. Raises `InvalidValue` when another calendar has the name."""
    taken = conn.execute(select(exists().where(_c.name == name, _c.id != calendar_id))).scalar_one()
    _check_name("calendar", name, taken)
    conn.execute(update(schema.calendar).where(_c.id == calendar_id).values(name=name))


def remove_calendar(conn: Connection, calendar_id: int) -> None:
    """Remove the calendar with its replicas and events, without tombstones; every remote stays as it is."""
    for one in replicas(conn, calendar_id=calendar_id):
        remove_replica(conn, one.id)
    conn.exec_driver_sql(
        "DELETE FROM event_search WHERE rowid IN (SELECT id FROM event WHERE calendar_id = ?)", (calendar_id,)
    )
    conn.execute(delete(schema.event).where(schema.event.c.calendar_id == calendar_id))
    conn.execute(delete(schema.calendar).where(_c.id == calendar_id))


def owner_addresses(conn: Connection, calendar_id: int) -> frozenset[str]:
    """The mail addresses of a calendar's owner, in lower case: those its accounts and remote calendars are named by."""
    names: list[Any] = []
    for one in replicas(conn, calendar_id=calendar_id):
        names += [one.remote_id, *account(conn, one.account_id).settings.values()]
    return frozenset(name.lower() for name in names if isinstance(name, str) and _ADDRESS.fullmatch(name))


def free_calendar_name(conn: Connection, name: str, account_name: str) -> str:
    """A name no calendar has: ``NAME``, else ``NAME (ACCOUNT)``, else ``NAME (ACCOUNT 2)`` and so on."""
    name = name.strip() or account_name
    candidate, number = name, 1
    while _calendar_exists(conn, candidate):
        candidate = f"{name} ({account_name})" if number == 1 else f"{name} ({account_name} {number})"
        number += 1
    return candidate


# Replicas


def add_replica(
    conn: Connection,
    calendar_id: int,
    account_id: int,
    remote_id: str,
    remote_name: str,
    now: str,
    access: str = "owner",
    direction: str = "both",
    conflicts: str = "merge",
    settings: Mapping[str, Any] | None = None,
) -> Replica:
    """Tie a calendar to a remote calendar. Raises `InvalidValue` when that remote has a replica already."""
    same_remote = (_r.account_id == account_id) & (_r.remote_id == remote_id)
    for row in conn.execute(_REPLICAS.where(same_remote)):
        other = _replica(row)
        raise InvalidValue(
            f'The remote calendar "{other.remote_name}" is tied to the calendar "{other.calendar}" already '
            f"(replica {other.id}).",
            f"Remove that replica first (`calhub replica remove {other.id}`; nothing is deleted at the remote).",
        )
    values = {
        "calendar_id": calendar_id,
        "account_id": account_id,
        "remote_id": remote_id,
        "remote_name": remote_name,
        "access": access,
        "direction": direction,
        "conflicts": conflicts,
        "settings": dumps(settings or {}),
        "created": now,
    }
    conn.execute(insert(schema.replica).values(values))
    return _replica(conn.execute(_REPLICAS.where(same_remote)).one())


def replica(conn: Connection, id_or_remote_name: int | str) -> Replica:
    """The replica with this id, or the only one with this remote name. Raises `NotFound`, `Ambiguous`."""
    found = _named(
        id_or_remote_name,
        _r.id,
        _r.remote_name,
        lambda where: [_replica(row) for row in conn.execute(_REPLICAS.where(where))],
    )
    return _only(found, "replica", id_or_remote_name, lambda: [_describe(one) for one in replicas(conn)], _describe)


def replicas(conn: Connection, calendar_id: int | None = None, account_id: int | None = None) -> list[Replica]:
    """The replicas of a calendar, of an account, of both, or all; oldest first."""
    query = _REPLICAS
    if calendar_id is not None:
        query = query.where(_r.calendar_id == calendar_id)
    if account_id is not None:
        query = query.where(_r.account_id == account_id)
    return [_replica(row) for row in conn.execute(query)]


def update_replica(conn: Connection, replica_id: int, **columns: Any) -> None:
    """Set columns of a replica by name; ``settings`` as a dict, replacing all. Raises `InvalidValue` for bad values."""
    unknown = columns.keys() - _MUTABLE
    if unknown:
        raise InvalidValue(f"A replica has no {', '.join(sorted(unknown))} that could be set.")
    if "settings" in columns:
        columns["settings"] = dumps(columns["settings"])
    try:
        conn.execute(update(schema.replica).where(_r.id == replica_id).values(columns))
    except IntegrityError as error:  # SQLite has undone the statement alone
        values = ", ".join(f"{key} = {value!r}" for key, value in columns.items() if key != "cursor")
        raise InvalidValue(f"A replica cannot have {values}.") from error


def remove_replica(conn: Connection, replica_id: int) -> None:
    """Forget the replica with its links, journal and observations; nothing is deleted in the hub or at the remote.

    Tombstones that only this replica's links kept are removed with them.
    """
    linked = [row[0] for row in conn.exec_driver_sql(_TOMBSTONES_LINKED, (replica_id,))]
    conn.execute(delete(schema.link).where(schema.link.c.replica_id == replica_id))
    conn.execute(delete(schema.replica).where(_r.id == replica_id))
    for event_id in linked:
        conn.exec_driver_sql(_DROP_TOMBSTONE, (event_id, event_id))


_TOMBSTONES_LINKED: Final = (
    "SELECT event.id FROM link JOIN event ON event.id = link.event_id WHERE link.replica_id = ? AND event.deleted = 1"
)
_DROP_TOMBSTONE: Final = "DELETE FROM event WHERE id = ? AND NOT EXISTS (SELECT 1 FROM link WHERE event_id = ?)"


# Rows to values, names to rows


def _account(row: Row[Any]) -> Account:
    return Account(row.id, row.name, row.provider, loads(row.settings), row.state, row.error)


def _replica(row: Row[Any]) -> Replica:
    values = dict(row._mapping)
    values["settings"] = loads(row.settings)
    return Replica(**values)


def _describe(one: Replica) -> str:
    return f"{one.id} ({one.remote_name}, {one.account}, in {one.calendar})"


def _named(
    name: int | str,
    id_column: ColumnElement[Any],
    name_column: ColumnElement[Any],
    rows: Callable[[ColumnElement[bool]], Sequence[Thing]],
) -> Sequence[Thing]:
    if isinstance(name, int):
        return rows(id_column == name)
    # SQLite's integers end at 2**63; a longer run of digits can only be a name
    if name.isascii() and name.isdecimal() and len(name) < 19:
        return rows(or_(name_column == name, id_column == int(name)))
    return rows(name_column == name)


def _only(
    found: Sequence[Thing], kind: str, name: int | str, known: Callable[[], list[str]], describe: Callable[[Thing], str]
) -> Thing:
    """The one thing found, or an error that tells which there are (``known``, asked only then)."""
    if len(found) == 1:
        return found[0]
    if found:
        raise Ambiguous(f'Several {kind}s go by "{name}".', [describe(one) for one in found])
    names = known()
    there = f"There is: {', '.join(names)}." if names else f"There is no {kind} yet."
    raise NotFound(f'There is no {kind} "{name}".', there)


def _calendar_exists(conn: Connection, name: str) -> bool:
    return bool(conn.execute(select(exists().where(_c.name == name))).scalar_one())


def _check_name(kind: str, name: str, taken: bool) -> None:
    if not name.strip():
        raise InvalidValue(f"The name of the {kind} is empty.", "Give it a name.")
    if taken:
        raise InvalidValue(f'There is a {kind} "{name}" already.', "Choose another name.")
