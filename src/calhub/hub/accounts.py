"""Accounts, calendars and replicas: their rows, and how users name them.

Things are named by id or, where unique, by exact name; otherwise `Ambiguous` lists what would be unambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from calhub.hub import audit, sql
from calhub.hub.breaker import Breaker
from calhub.hub.database import instant
from calhub.hub.errors import Ambiguous, InvalidValue, NotFound
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection, IntegrityError, Row

#: The key of an account's settings under which its `Schedule` is kept.
_SCHEDULE: Final = "schedule"

Settings = dict[str, Any]
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Schedule:
    """An account's turn in a sync of all: the higher ``priority`` first, not again within ``interval`` seconds."""

    priority: int = 0
    interval: int = 0


def schedule_of(settings: Mapping[str, Any]) -> Schedule:
    """The schedule that an account's settings say."""
    kept = settings.get(_SCHEDULE)
    # a credentials file may have a key of this name too, but only with a text
    return Schedule(**kept) if isinstance(kept, dict) else Schedule()


@dataclass(frozen=True)
class Account:
    """Settings at one provider; secrets are kept apart (`sealed_secrets`)."""

    id: int
    name: str
    provider: str
    settings: Settings
    state: str  # ok | needs_login | failing | paused
    error: str | None

    @property
    def schedule(self) -> Schedule:
        return schedule_of(self.settings)


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


_ACCOUNTS: Final = "SELECT id, name, provider, settings, state, error FROM account"
_CALENDARS: Final = "SELECT id, name, color, time_zone FROM calendar"
_REPLICAS: Final = (
    "SELECT r.id, r.calendar_id, c.name AS calendar, r.account_id, a.name AS account, a.provider, r.remote_id, "
    "r.remote_name, r.access, r.direction, r.conflicts, r.settings, r.state, r.error, r.last_success, r.cursor, "
    "r.phase, r.hub_seq FROM replica r JOIN calendar c ON c.id = r.calendar_id JOIN account a ON a.id = r.account_id"
)

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
    _check_name("account", name, sql.value(conn, "SELECT EXISTS (SELECT 1 FROM account WHERE name = ?)", (name,)))
    values = {"name": name, "provider": provider, "settings": dumps(settings), "created": now}
    sql.insert(conn, "account", values)
    audit.note(conn, "account added", account=name, provider=provider)
    return account(conn, name)


def account(conn: Connection, name: str | int) -> Account:
    """The account with this name or id. Raises `NotFound`."""
    found = [_account(row) for row in conn.execute(f"{_ACCOUNTS} WHERE {_named('id', 'name')}", _key(name))]
    return _only(
        found, "account", name, lambda: [one.name for one in accounts(conn)], lambda one: f"{one.id} ({one.name})"
    )


def accounts(conn: Connection) -> list[Account]:
    """All accounts, oldest first."""
    return [_account(row) for row in conn.execute(f"{_ACCOUNTS} ORDER BY id")]


def set_account_state(conn: Connection, account_id: int, state: str, error: str | None) -> None:
    """Set how the account fares (``ok``, ``needs_login``, ``failing``, ``paused``) and why."""
    old = account(conn, account_id)
    sql.update(conn, "account", account_id, {"state": state, "error": error})
    if state == "needs_login" and old.state != state:
        audit.note(conn, "sign-in lost", account=old.name)
    if state == "ok" and old.state == "needs_login":
        audit.note(conn, "sign-in works again", account=old.name)


def set_account_settings(conn: Connection, account_id: int, settings: Mapping[str, Any]) -> None:
    """Replace the account's settings."""
    old = account(conn, account_id)
    sql.update(conn, "account", account_id, {"settings": dumps(settings)})
    names = {*old.settings, *settings}
    changed = sorted(name for name in names if old.settings.get(name) != settings.get(name))
    if changed:
        audit.note(conn, "account changed", account=old.name, changed=changed)


def set_schedule(conn: Connection, of: Account, schedule: Schedule) -> None:
    """Give the account another turn in a sync of all."""
    set_account_settings(conn, of.id, of.settings | {_SCHEDULE: asdict(schedule)})


def breaker(conn: Connection, account_id: int) -> Breaker:
    """The account's circuit breaker; closed where nothing has failed lately."""
    row = sql.first(conn, "SELECT state, failures, until FROM breaker WHERE account_id = ?", (account_id,))
    if row is None:
        return Breaker()
    state, failures, until = row
    return Breaker(state, failures, None if until is None else datetime.fromisoformat(until))


def set_breaker(conn: Connection, account_id: int, value: Breaker) -> None:
    """Store the account's circuit breaker."""
    conn.execute("DELETE FROM breaker WHERE account_id = ?", (account_id,))
    if value != Breaker():
        until = None if value.until is None else instant(value.until)
        row = {"account_id": account_id, "state": value.state, "failures": value.failures, "until": until}
        sql.insert(conn, "breaker", row)


def remove_account(conn: Connection, account_id: int) -> None:
    """Remove the account, its secrets and its replicas; calendars and their events stay, and every remote as it is."""
    for one in replicas(conn, account_id=account_id):
        remove_replica(conn, one.id)
    audit.note(conn, "account removed", account=account(conn, account_id).name)
    conn.execute("DELETE FROM account WHERE id = ?", (account_id,))


def set_secret(conn: Connection, account_id: int, name: str, sealed: str) -> None:
    """Store a secret as sealed by `calhub.hub.secrets.seal`, replacing an earlier one of that name."""
    conn.execute(
        "INSERT OR REPLACE INTO secret (account_id, name, sealed) VALUES (?, ?, ?)", (account_id, name, sealed)
    )


def replace_secrets(conn: Connection, account_id: int, sealed: Mapping[str, str]) -> None:
    """Make these, by name and as sealed, all the secrets of the account."""
    conn.execute("DELETE FROM secret WHERE account_id = ?", (account_id,))
    audit.note(conn, "signed in", account=account(conn, account_id).name)
    for name, text in sealed.items():
        set_secret(conn, account_id, name, text)


def sealed_secrets(conn: Connection, account_id: int) -> dict[str, str]:
    """The account's secrets by name, still sealed."""
    return dict(conn.execute("SELECT name, sealed FROM secret WHERE account_id = ?", (account_id,)).fetchall())


# Calendars


def add_calendar(
    conn: Connection, name: str, now: str, color: str | None = None, time_zone: str | None = None
) -> Calendar:
    """Store a new, empty calendar. Raises `InvalidValue` for an empty name or one that is taken."""
    _check_name("calendar", name, _calendar_exists(conn, name))
    values = {"name": name, "color": color, "time_zone": time_zone, "created": now}
    audit.note(conn, "calendar added", calendar=name)
    return Calendar(sql.insert(conn, "calendar", values), name, color, time_zone)


def calendar(conn: Connection, id_or_name: int | str) -> Calendar:
    """The calendar with this id or exact name. Raises `NotFound`, `Ambiguous`."""
    found = [Calendar(*row) for row in conn.execute(f"{_CALENDARS} WHERE {_named('id', 'name')}", _key(id_or_name))]
    return _only(
        found, "calendar", id_or_name, lambda: [one.name for one in calendars(conn)],
        lambda one: f"{one.id} ({one.name})",
    )  # fmt: skip


def calendars(conn: Connection) -> list[Calendar]:
    """All calendars, oldest first."""
    return [Calendar(*row) for row in conn.execute(f"{_CALENDARS} ORDER BY id")]


def rename_calendar(conn: Connection, calendar_id: int, name: str) -> None:
    """Rename in the hub only; its rules are derived anew, since copies may show the name.

    Raises `InvalidValue` when another calendar has the name.
    """
    taken = "SELECT EXISTS (SELECT 1 FROM calendar WHERE name = ? AND id != ?)"
    _check_name("calendar", name, sql.value(conn, taken, (name, calendar_id)))
    audit.note(conn, "calendar renamed", calendar=calendar(conn, calendar_id).name, to=name)
    sql.update(conn, "calendar", calendar_id, {"name": name})
    conn.execute("UPDATE rule SET stale = 1 WHERE source_id = ?", (calendar_id,))


def remove_calendar(conn: Connection, calendar_id: int) -> None:
    """Remove the calendar with its replicas and events, without tombstones; every remote stays as it is."""
    for one in replicas(conn, calendar_id=calendar_id):
        remove_replica(conn, one.id)
    audit.note(conn, "calendar removed", calendar=calendar(conn, calendar_id).name)
    conn.execute("DELETE FROM event_search WHERE rowid IN (SELECT id FROM event WHERE calendar_id = ?)", (calendar_id,))
    conn.execute("DELETE FROM event WHERE calendar_id = ?", (calendar_id,))
    conn.execute("DELETE FROM calendar WHERE id = ?", (calendar_id,))


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
    same_remote = f"{_REPLICAS} WHERE r.account_id = ? AND r.remote_id = ?"
    for row in conn.execute(same_remote, (account_id, remote_id)):
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
    made = replica(conn, sql.insert(conn, "replica", values))
    audit.note(conn, "replica added", replica=made.id, calendar=made.calendar, account=made.account, remote=remote_name)
    return made


def replica(conn: Connection, id_or_remote_name: int | str) -> Replica:
    """The replica with this id, or the only one with this remote name. Raises `NotFound`, `Ambiguous`."""
    query = f"{_REPLICAS} WHERE {_named('r.id', 'r.remote_name')} ORDER BY r.id"
    found = [_replica(row) for row in conn.execute(query, _key(id_or_remote_name))]
    return _only(found, "replica", id_or_remote_name, lambda: [_describe(one) for one in replicas(conn)], _describe)


def replicas(conn: Connection, calendar_id: int | None = None, account_id: int | None = None) -> list[Replica]:
    """The replicas of a calendar, of an account, of both, or all; oldest first."""
    wanted = {"r.calendar_id": calendar_id, "r.account_id": account_id}
    given = {name: key for name, key in wanted.items() if key is not None}
    where = " AND ".join(f"{name} = ?" for name in given) or "1"
    query = f"{_REPLICAS} WHERE {where} ORDER BY r.id"
    return [_replica(row) for row in conn.execute(query, tuple(given.values()))]


def update_replica(conn: Connection, replica_id: int, **columns: Any) -> None:
    """Set columns of a replica by name; ``settings`` as a dict, replacing all. Raises `InvalidValue` for bad values."""
    unknown = columns.keys() - _MUTABLE
    if unknown:
        raise InvalidValue(f"A replica has no {', '.join(sorted(unknown))} that could be set.")
    if "settings" in columns:
        columns["settings"] = dumps(columns["settings"])
    try:
        sql.update(conn, "replica", replica_id, columns)
    except IntegrityError as error:  # SQLite has undone the statement alone
        values = ", ".join(f"{key} = {value!r}" for key, value in columns.items() if key != "cursor")
        raise InvalidValue(f"A replica cannot have {values}.") from error


def remove_replica(conn: Connection, replica_id: int) -> None:
    """Forget the replica with its links, journal and observations; nothing is deleted in the hub or at the remote.

    Tombstones that only this replica's links kept are removed with them.
    """
    old = replica(conn, replica_id)
    audit.note(conn, "replica removed", replica=old.id, calendar=old.calendar, account=old.account)
    linked = sql.column(conn, _TOMBSTONES_LINKED, (replica_id,))
    conn.execute("DELETE FROM link WHERE replica_id = ?", (replica_id,))
    conn.execute("DELETE FROM replica WHERE id = ?", (replica_id,))
    conn.executemany(_DROP_TOMBSTONE, [(event_id, event_id) for event_id in linked])


_TOMBSTONES_LINKED: Final = (
    "SELECT event.id FROM link JOIN event ON event.id = link.event_id WHERE link.replica_id = ? AND event.deleted = 1"
)
_DROP_TOMBSTONE: Final = "DELETE FROM event WHERE id = ? AND NOT EXISTS (SELECT 1 FROM link WHERE event_id = ?)"


# Rows to values, names to rows


def _account(row: Row) -> Account:
    return Account(**{**dict(row), "settings": loads(row["settings"])})


def _replica(row: Row) -> Replica:
    return Replica(**{**dict(row), "settings": loads(row["settings"])})


def _describe(one: Replica) -> str:
    return f"{one.id} ({one.remote_name}, {one.account}, in {one.calendar})"


def _named(id_column: str, name_column: str) -> str:
    """The condition for a thing that goes by its id or its name; `_key` has its parameters."""
    return f"({id_column} = :id OR {name_column} = :name)"


def _key(name: int | str) -> dict[str, Any]:
    if isinstance(name, int):
        return {"id": name, "name": None}
    # SQLite's integers end at 2**63; a longer run of digits can only be a name
    is_number = name.isascii() and name.isdecimal() and len(name) < 19
    return {"id": int(name) if is_number else None, "name": name}


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
    return bool(sql.value(conn, "SELECT EXISTS (SELECT 1 FROM calendar WHERE name = ?)", (name,)))


def _check_name(kind: str, name: str, taken: bool) -> None:
    if not name.strip():
        raise InvalidValue(f"The name of the {kind} is empty.", "Give it a name.")
    if taken:
        raise InvalidValue(f'There is a {kind} "{name}" already.', "Choose another name.")
