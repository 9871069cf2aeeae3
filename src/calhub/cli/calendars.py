"""``calendar``: the calendars of the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from calhub.cli.context import confirm, session
from calhub.cli.failures import usage
from calhub.cli.output import Json, emit, note, table

if TYPE_CHECKING:
    from calhub.sync.calendars import Removal

app = typer.Typer(help="Calendars of the hub.")

Name = Annotated[str, typer.Argument(help="The calendar's name or id.")]


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All calendars with their events and replicas."""
    from calhub.hub import accounts, runs

    with session(context).hub() as hub, hub.read() as conn:
        found = [runs.calendar_shape(conn, each) for each in accounts.calendars(conn)]
    rows = [
        (
            each["id"],
            each["name"],
            each["events"],
            ", ".join(map(str, each["replicas"])),
            each["color"],
            each["time_zone"],
        )
        for each in found
    ]
    columns = ("Id", "Name", "Events", "Replicas", "Color", "Time zone")
    emit(found, json, lambda: table(columns, rows, empty="No calendar yet: calhub calendar add NAME"))


@app.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call the calendar.")],
    color: Annotated[str | None, typer.Option("--color", help="A CSS colour, such as #1e88e5.")] = None,
    time_zone: Annotated[str | None, typer.Option("--time-zone", help="IANA name, such as Europe/Paris.")] = None,
    json: Json = False,
) -> None:
    """Make an empty calendar in the hub."""
    from calhub.calendar.zones import canonical_zone
    from calhub.hub import accounts, runs

    zone = None if time_zone is None else canonical_zone(time_zone)
    if time_zone is not None and zone is None:
        raise usage(f"There is no time zone {time_zone!r}.", "Write it like Europe/Paris.")
    with session(context).hub() as hub, hub.transaction() as conn:
        shape = runs.calendar_shape(conn, accounts.add_calendar(conn, name, hub.now(), color=color, time_zone=zone))
    emit(shape, json, lambda: note(f"Made the calendar {shape['name']}."))


@app.command("rename")
def rename(
    context: typer.Context,
    name: Name,
    new: Annotated[str, typer.Argument(help="The new name, in the hub only.")],
    json: Json = False,
) -> None:
    """Rename a calendar in the hub; remote calendars keep their names."""
    from calhub.hub import accounts, runs

    with session(context).hub() as hub, hub.transaction() as conn:
        found = accounts.calendar(conn, name)
        accounts.rename_calendar(conn, found.id, new)
        shape = runs.calendar_shape(conn, accounts.calendar(conn, found.id))
    emit(shape, json, lambda: note(f"{found.name} is now {shape['name']}."))


@app.command("remove")
def remove(
    context: typer.Context,
    name: Name,
    keep_remote: Annotated[
        bool, typer.Option("--keep-remote", help="Forget it in the hub only; every remote stays as it is.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting at remotes.")] = False,
    json: Json = False,
) -> None:
    """Remove a calendar with its events.

    With --keep-remote nothing is deleted at a remote. Without it, the events are also deleted in every remote calendar
    that takes writes, after a question (or with --yes); the remote calendars themselves stay. An event that was
    changed there since the last sync is not deleted: then the calendar stays too, and the command fails.

    The rules from and to the calendar go with it, and so do the copies made from it, but with --keep-remote.
    """
    from calhub.sync import calendars

    here = session(context)
    with here.hub() as hub:
        with hub.read() as conn:
            removal = calendars.plan_removal(conn, name, keep_remote=keep_remote)
        lost = _lost(removal)
        if lost:
            confirm(f"Delete {lost}?", yes, "Use --keep-remote to remove the calendar from the hub only.")
        gone = calendars.remove(hub, here.connector(hub), removal)
    for each in gone:
        note(f"Removed rule {each.id} ({each.kind}) from {each.source} to {each.target}.")
    title, number = removal.calendar.name, removal.number
    document = {"removed": title, "deleted_at_remotes": number}
    emit(document, json, lambda: note(f"Removed {title}; {number} events were deleted at remotes."))


def _lost(removal: Removal) -> str:
    """What will be deleted elsewhere, for a question; empty if nothing."""
    parts = [part for part in removal.parts if part.items]
    where = ", ".join(f"{part.replica.remote_name} ({part.replica.account})" for part in parts)
    found = [f"{removal.number} events at {where}"] if parts else []
    if removal.copies:
        found.append(f"{sum(removal.copies.values())} copies of its events in {', '.join(removal.copies)}")
    return " and ".join(found)
