"""``replica``: which calendar goes with which remote calendar, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from calhub.cli.context import session
from calhub.cli.failures import usage
from calhub.cli.output import Json, emit, note, table

if TYPE_CHECKING:
    pass

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
    from calhub.sync import replicas

    settings = _settings(past, future, guard_share, guard_number, invitations, property, create_properties, series)
    here = session(context)
    with here.hub() as hub:
        shape = replicas.add(
            hub, here.connector(hub), calendar, account,
            remote=remote, create=create, direction=direction, conflicts=conflicts, settings=settings,
        )  # fmt: skip
    emit(shape, json, lambda: _show([shape]))


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
    from calhub.sync import replicas

    changed = _settings(past, future, guard_share, guard_number, invitations, property, create_properties, series)
    with session(context).hub() as hub:
        shape = replicas.change(hub, replica, direction=direction, conflicts=conflicts, settings=changed)
    emit(shape, json, lambda: _show([shape]))


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
    from calhub.sync import replicas

    with session(context).hub() as hub:
        old = replicas.remove(hub, replica)
    emit({"removed": old.id}, json, lambda: note(f"{old.calendar} and {old.remote_name} go separate ways now."))


def _set_state(context: typer.Context, name: str, state: str, json: bool) -> None:
    from calhub.sync import replicas

    with session(context).hub() as hub:
        shape = replicas.set_state(hub, name, state)
    emit(shape, json, lambda: _show([shape]))
