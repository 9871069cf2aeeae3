"""Replicas made and changed: what the command line and the API do alike.

Settings of a replica: ``past`` and ``future`` (days), ``guard_share``, ``guard_number``, ``invitations``,
``create_properties`` (switches), ``properties`` (``{field: name}``), ``series``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from calhub.hub import accounts, audit, runs
from calhub.hub.accounts import Account, Calendar, Replica
from calhub.hub.database import Hub
from calhub.hub.errors import InvalidValue, NotFound
from calhub.hub.sql import Connection
from calhub.providers.base import Provider, RemoteCalendar
from calhub.sync.accounts import can_write, find_remote


def add(
    hub: Hub,
    connect: Callable[[Account], Provider],
    calendar: str,
    account: str,
    *,
    remote: str | None = None,
    create: str | None = None,
    direction: str | None = None,
    conflicts: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Tie a calendar to a remote calendar: the one named by id or name, or a new one. Returns the replica's shape.

    The calendar is made where there is none of that name. Raises `InvalidValue`, `NotFound` and `ProviderError`.
    """
    if (remote is None) == (create is None):
        raise InvalidValue(
            "Name one remote calendar, or a new one with --create.", "See: calhub account remotes ACCOUNT"
        )
    with hub.read() as conn:
        owner = accounts.account(conn, account)
    with closing(connect(owner)) as provider:
        target = _target(hub, provider, owner.id, remote, create)
        way = _direction(provider, target, direction)
    with hub.transaction() as conn:
        chosen = _calendar(conn, hub, calendar, target)
        made = accounts.add_replica(
            conn, chosen.id, owner.id, target.id, target.name, hub.now(),
            access=target.access, direction=way, conflicts=conflicts or "merge", settings=settings or {},
        )  # fmt: skip
        return runs.replica_shape(conn, made)


def change(
    hub: Hub,
    replica: str,
    *,
    direction: str | None = None,
    conflicts: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Change what is given and leave the rest; properties are merged by field. Returns the replica's shape."""
    columns: dict[str, Any] = {
        name: value for name, value in (("direction", direction), ("conflicts", conflicts)) if value is not None
    }
    changed = dict(settings or {})
    if not columns and not changed:
        raise InvalidValue("Nothing to set.", "Name at least one option; see calhub replica set --help")
    with hub.transaction() as conn:
        old = accounts.replica(conn, replica)
        if direction in ("both", "push") and old.access not in ("owner", "writer"):
            raise InvalidValue(
                f'"{old.remote_name}" takes no writes.', "Its owner would have to give you the right to change it."
            )
        if "properties" in changed:
            changed["properties"] = old.settings.get("properties", {}) | changed["properties"]
        if changed:
            columns["settings"] = old.settings | changed
        if changed.keys() & {"past", "future", "series"}:
            # another window, or other rows, mean another listing: the cursor stands for the old one
            columns["cursor"] = None
        return _save(conn, old, columns)


def set_state(hub: Hub, replica: str, state: str) -> dict[str, Any]:
    """Pause a replica (``paused``) or let it go on (``ok``)."""
    with hub.transaction() as conn:
        return _save(conn, accounts.replica(conn, replica), {"state": state, "error": None})


def remove(hub: Hub, replica: str) -> Replica:
    """Untie the calendar from the remote calendar. Nothing is deleted, neither in the hub nor at the remote."""
    with hub.transaction() as conn:
        old = accounts.replica(conn, replica)
        accounts.remove_replica(conn, old.id)
    return old


def _save(conn: Connection, replica: Replica, columns: Mapping[str, Any]) -> dict[str, Any]:
    accounts.update_replica(conn, replica.id, **columns)
    settings = columns.get("settings", replica.settings)
    changed = {name for name in settings if settings[name] != replica.settings.get(name)}
    changed |= columns.keys() - {"settings", "cursor", "error"}
    audit.note(conn, "replica changed", replica=replica.id, calendar=replica.calendar, changed=sorted(changed))
    return runs.replica_shape(conn, accounts.replica(conn, replica.id))


def _target(hub: Hub, provider: Provider, account_id: int, remote: str | None, create: str | None) -> RemoteCalendar:
    """The remote calendar meant, made where ``create`` asks for it."""
    if remote is not None:
        found = find_remote(provider.discover(), remote)
        with hub.read() as conn:
            for other in accounts.replicas(conn, account_id=account_id):
                if other.remote_id == found.id:
                    raise InvalidValue(
                        f'"{found.name}" is tied to the calendar "{other.calendar}" already (replica {other.id}).',
                        f"Free it first, nothing is deleted by that: calhub replica remove {other.id}",
                    )
        return found
    if not provider.capabilities.create_calendars:
        raise InvalidValue("This account cannot make calendars.", "Make it at the service, then name it here.")
    assert create is not None
    if not create.strip():
        raise InvalidValue("The name of the new remote calendar is empty.", "Give it a name.")
    return provider.create_calendar(create)


def _direction(provider: Provider, target: RemoteCalendar, asked: str | None) -> str:
    if can_write(target, provider.capabilities.writable):
        return asked or "both"
    if asked in ("both", "push"):
        raise InvalidValue(f'"{target.name}" takes no writes.', "Use --direction pull.")
    return "pull"


def _calendar(conn: Connection, hub: Hub, name: str, target: RemoteCalendar) -> Calendar:
    try:
        return accounts.calendar(conn, name)
    except NotFound:
        return accounts.add_calendar(conn, name, hub.now(), color=target.color, time_zone=target.time_zone)
