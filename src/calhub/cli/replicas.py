"""``replica``: which calendar goes with which remote calendar, and how."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from calhub.cli.context import session
from calhub.cli.failures import usage
from calhub.cli.output import Json, emit, note, table

if TYPE_CHECKING:
    from calhub.hub.accounts import Calendar, Replica
    from calhub.hub.database import Hub
    from calhub.hub.sql import Connection
    from calhub.providers.base import Provider, RemoteCalendar

app = typer.Typer(help="Replicas: which calendar goes with which remote calendar, and how.")

Direction = Annotated[
    Literal["both", "pull", "push"] | None, typer.Option("--direction", help="Which way changes go; default: both.")
]
Conflicts = Annotated[
    Literal["merge", "newest", "hub", "remote", "ask"] | None,
    typer.Option("--conflicts", help="What happens when both sides changed the same field; default: merge."),
]
Past = Annotated[str | None, typer.Option("--past", metavar="DAYS", help="How far back to sync, such as 365d.")]
Future = Annotated[str | None, typer.Option("--future", metavar="DAYS", help="How far ahead to sync, such as 1095d.")]
GuardShare = Annotated[
    float | None, typer.Option("--guard-share", min=0, max=1, help="Hold passes that hit more than this share.")
]
GuardNumber = Annotated[
    int | None, typer.Option("--guard-number", min=0, help="... and more than this number of events.")
]
Invitations = Annotated[
    Literal["on", "off"] | None, typer.Option("--invitations", help="Whether writes may mail attendees; default: off.")
]
Property = Annotated[
    list[str] | None, typer.Option("--property", metavar="FIELD=NAME", help="Where a field is kept; may be repeated.")
]
CreateProperties = Annotated[
    bool | None,
    typer.Option("--create-properties/--no-create-properties", help="Make missing properties at the remote."),
]
Series = Annotated[
    Literal["master", "occurrences"] | None,
    typer.Option("--series", help="At Notion: one row for a series, or one for each occurrence in the window."),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The replica's id, or the name of its remote calendar.")]


@app.command("add")
def add(
    context: typer.Context,
    calendar: Annotated[str, typer.Argument(help="The calendar's name or id; made where there is none.")],
    account: Annotated[str, typer.Argument(help="The account's name.")],
    remote: Annotated[str | None, typer.Argument(help="The remote calendar's id or name.")] = None,
    create: Annotated[str | None, typer.Option("--create", help="Make a remote calendar of this name.")] = None,
    direction: Direction = None,
    conflicts: Conflicts = None,
    past: Past = None,
    future: Future = None,
    guard_share: GuardShare = None,
    guard_number: GuardNumber = None,
    invitations: Invitations = None,
    property: Property = None,
    create_properties: CreateProperties = None,
    series: Series = None,
    json: Json = False,
) -> None:
    """Tie a calendar to a remote calendar. One remote calendar has at most one replica."""
    from calhub.hub import accounts, runs

    if (remote is None) == (create is None):
        raise usage("Name one remote calendar, or a new one with --create.", "See: calhub account remotes ACCOUNT")
    settings = _settings(past, future, guard_share, guard_number, invitations, property, create_properties, series)
    here = session(context)
    with here.hub() as hub:
        with hub.read() as conn:
            owner = accounts.account(conn, account)
        with closing(here.connector(hub)(owner)) as provider:
            target = _target(hub, provider, owner.id, remote, create)
            way = _direction(provider, target, direction)
        with hub.transaction() as conn:
            chosen = _calendar(conn, hub, calendar, target)
            made = accounts.add_replica(
                conn, chosen.id, owner.id, target.id, target.name, hub.now(),
                access=target.access, direction=way, conflicts=conflicts or "merge", settings=settings,
            )  # fmt: skip
            shape = runs.replica_shape(conn, made)
    emit(shape, json, lambda: _show([shape]))


def _target(hub: Hub, provider: Provider, account_id: int, remote: str | None, create: str | None) -> RemoteCalendar:
    """The remote calendar meant, made where ``--create`` asks for it."""
    from calhub.cli.accounts import find_remote
    from calhub.hub import accounts

    if remote is not None:
        found = find_remote(provider.discover(), remote)
        with hub.read() as conn:
            for other in accounts.replicas(conn, account_id=account_id):
                if other.remote_id == found.id:
                    raise usage(
                        f'"{found.name}" is tied to the calendar "{other.calendar}" already (replica {other.id}).',
                        f"Free it first, nothing is deleted by that: calhub replica remove {other.id}",
                    )
        return found
    if not provider.capabilities.create_calendars:
        raise usage("This account cannot make calendars.", "Make it at the service, then name it here.")
    assert create is not None
    if not create.strip():
        raise usage("The name of the new remote calendar is empty.", "Give it a name.")
    return provider.create_calendar(create)


def _direction(provider: Provider, target: RemoteCalendar, asked: str | None) -> str:
    from calhub.cli.accounts import can_write

    if can_write(target, provider.capabilities.writable):
        return asked or "both"
    if asked in ("both", "push"):
        raise usage(f'"{target.name}" takes no writes.', "Use --direction pull.")
    return "pull"


def _calendar(conn: Connection, hub: Hub, name: str, target: RemoteCalendar) -> Calendar:
    from calhub.hub import accounts
    from calhub.hub.errors import NotFound

    try:
        return accounts.calendar(conn, name)
    except NotFound:
        return accounts.add_calendar(conn, name, hub.now(), color=target.color, time_zone=target.time_zone)


def _settings(
    past: str | None,
    future: str | None,
    guard_share: float | None,
    guard_number: int | None,
    invitations: str | None,
    properties: Sequence[str] | None,
    create_properties: bool | None,
    series: str | None,
) -> dict[str, Any]:
    """The options given, as they are stored with the replica: days, numbers and switches."""
    from calhub.cli.times import days

    named: dict[str, str] = {}
    for text in properties or ():
        field, equals, name = text.partition("=")
        if not (field.strip() and equals and name.strip()):
            raise usage(f"{text!r} is not FIELD=NAME.", "Write --property title=Name.")
        named[field.strip()] = name.strip()
    given = {
        "past": None if past is None else days(past),
        "future": None if future is None else days(future),
        "guard_share": guard_share,
        "guard_number": guard_number,
        "invitations": None if invitations is None else invitations == "on",
        "properties": named or None,
        "create_properties": create_properties,
        "series": series,
    }
    return {name: value for name, value in given.items() if value is not None}


@app.command("list")
def list_(
    context: typer.Context,
    calendar: Annotated[str | None, typer.Option("--calendar", help="Only of this calendar.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Only of this account.")] = None,
    json: Json = False,
) -> None:
    """All replicas, and how they fare."""
    from calhub.hub import accounts, runs

    with session(context).hub() as hub, hub.read() as conn:
        calendar_id = None if calendar is None else accounts.calendar(conn, calendar).id
        account_id = None if account is None else accounts.account(conn, account).id
        found = [
            runs.replica_shape(conn, each)
            for each in accounts.replicas(conn, calendar_id=calendar_id, account_id=account_id)
        ]
    emit(found, json, lambda: _show(found))


def _show(found: Sequence[dict[str, Any]]) -> None:
    rows = [
        (
            each["id"], each["calendar"], each["account"], each["remote_name"], each["direction"], each["conflicts"],
            each["state"], each["pending"], each["error"],
        )
        for each in found
    ]  # fmt: skip
    columns = ("Id", "Calendar", "Account", "Remote", "Direction", "Conflicts", "State", "Pending", "Error")
    table(columns, rows, empty="No replica yet: calhub replica add CALENDAR ACCOUNT REMOTE")


def _save(conn: Connection, replica_id: int, **columns: Any) -> dict[str, Any]:
    from calhub.hub import accounts, runs

    accounts.update_replica(conn, replica_id, **columns)
    return runs.replica_shape(conn, accounts.replica(conn, replica_id))


def _set_state(context: typer.Context, name: str, state: str, json: bool) -> None:
    from calhub.hub import accounts

    with session(context).hub() as hub, hub.transaction() as conn:
        shape = _save(conn, accounts.replica(conn, name).id, state=state, error=None)
    emit(shape, json, lambda: _show([shape]))


@app.command("set")
def set_(
    context: typer.Context,
    replica: Id,
    direction: Direction = None,
    conflicts: Conflicts = None,
    past: Past = None,
    future: Future = None,
    guard_share: GuardShare = None,
    guard_number: GuardNumber = None,
    invitations: Invitations = None,
    property: Property = None,
    create_properties: CreateProperties = None,
    series: Series = None,
    json: Json = False,
) -> None:
    """Change how a replica syncs; what is not named stays."""
    from calhub.hub import accounts

    changed = _settings(past, future, guard_share, guard_number, invitations, property, create_properties, series)
    columns: dict[str, Any] = {
        name: value for name, value in (("direction", direction), ("conflicts", conflicts)) if value is not None
    }
    if not columns and not changed:
        raise usage("Nothing to set.", "Name at least one option; see calhub replica set --help")
    with session(context).hub() as hub, hub.transaction() as conn:
        old = accounts.replica(conn, replica)
        _check_direction(old, direction)
        if changed:
            columns["settings"] = old.settings | _with_properties(old, changed)
        if changed.keys() & {"past", "future", "series"}:
            # another window, or other rows, mean another listing: the cursor stands for the old one
            columns["cursor"] = None
        shape = _save(conn, old.id, **columns)
    emit(shape, json, lambda: _show([shape]))


def _check_direction(old: Replica, direction: str | None) -> None:
    if direction in ("both", "push") and old.access not in ("owner", "writer"):
        raise usage(f'"{old.remote_name}" takes no writes.', "Its owner would have to give you the right to change it.")


def _with_properties(old: Replica, changed: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in changed:
        return changed
    return changed | {"properties": old.settings.get("properties", {}) | changed["properties"]}


@app.command("pause")
def pause(context: typer.Context, replica: Id, json: Json = False) -> None:
    """Leave the replica out of every sync until it is resumed."""
    _set_state(context, replica, "paused", json)


@app.command("resume")
def resume(context: typer.Context, replica: Id, json: Json = False) -> None:
    """Sync the replica again."""
    _set_state(context, replica, "ok", json)


@app.command("remove")
def remove(context: typer.Context, replica: Id, json: Json = False) -> None:
    """Untie the calendar from the remote calendar. Nothing is deleted, neither in the hub nor at the remote."""
    from calhub.hub import accounts

    with session(context).hub() as hub, hub.transaction() as conn:
        old = accounts.replica(conn, replica)
        accounts.remove_replica(conn, old.id)
    emit({"removed": old.id}, json, lambda: note(f"{old.calendar} and {old.remote_name} go separate ways now."))
