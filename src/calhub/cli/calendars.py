"""``calendar``: the calendars of the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from calhub.cli.context import Session, confirm, session
from calhub.cli.failures import CommandError, usage
from calhub.cli.output import Json, emit, note, table

if TYPE_CHECKING:
    from calhub.hub.accounts import Calendar, Replica
    from calhub.hub.database import Hub
    from calhub.hub.rules import Rule
    from calhub.hub.sql import Connection

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
    from calhub.hub import accounts

    here = session(context)
    with here.hub() as hub:
        with hub.read() as conn:
            calendar = accounts.calendar(conn, name)
            parts = [] if keep_remote else _linked(conn, calendar)
            copies = {} if keep_remote else _copies(conn, calendar)
        number = sum(len(part.items) for part in parts)
        lost = _lost(parts, copies)
        if lost:
            confirm(f"Delete {lost}?", yes, "Use --keep-remote to remove the calendar from the hub only.")
            _delete_remote(here, hub, parts)
        with hub.transaction() as conn:
            gone = _remove_rules(conn, calendar, hub.now(), keep_copies=keep_remote)
            accounts.remove_calendar(conn, calendar.id)
    for each in gone:
        note(f"Removed rule {each.id} ({each.kind}) from {each.source} to {each.target}.")
    document = {"removed": calendar.name, "deleted_at_remotes": number}
    emit(document, json, lambda: note(f"Removed {calendar.name}; {number} events were deleted at remotes."))


def _copies(conn: Connection, calendar: Calendar) -> dict[str, int]:
    """How many copies rules have made of the calendar's events, by the calendar they are in."""
    from calhub.hub import rules

    counted: Counter[str] = Counter()
    for rule in rules.rules(conn, calendar_id=calendar.id):
        if rule.source_id == calendar.id:
            counted[rule.target] += rules.copy_count(conn, rule.id)
    return +counted


def _lost(parts: list[_Part], copies: Mapping[str, int]) -> str:
    """What will be deleted elsewhere, for a question; empty if nothing."""
    number = sum(len(part.items) for part in parts)
    where = ", ".join(f"{part.replica.remote_name} ({part.replica.account})" for part in parts if part.items)
    found = [f"{number} events at {where}"] if number else []
    if copies:
        found.append(f"{sum(copies.values())} copies of its events in {', '.join(copies)}")
    return " and ".join(found)


def _remove_rules(conn: Connection, calendar: Calendar, now: str, *, keep_copies: bool) -> list[Rule]:
    """Remove the rules from and to a calendar that is to go itself, with all copies in it."""
    from calhub.hub import rules

    found = rules.rules(conn, calendar_id=calendar.id)
    for each in found:
        kept = keep_copies or each.target_id == calendar.id
        rules.remove_rule(conn, each.id, keep_copies=kept, now=now)
    return found


@dataclass
class _Part:
    """What one remote calendar holds of the calendar: (UID, remote id, version last seen)."""

    replica: Replica
    items: list[tuple[str, str, str | None]] = field(default_factory=list)


def _linked(conn: Connection, calendar: Calendar) -> list[_Part]:
    from calhub.hub import accounts

    query = (
        "SELECT e.uid, l.remote_id, l.version FROM link l JOIN event e ON e.id = l.event_id "
        "WHERE l.replica_id = ? ORDER BY l.id"
    )
    parts = []
    for replica in accounts.replicas(conn, calendar_id=calendar.id):
        if replica.direction != "pull" and replica.access in ("owner", "writer"):
            parts.append(_Part(replica, [tuple(row) for row in conn.execute(query, (replica.id,))]))
    return parts


def _delete_remote(here: Session, hub: Hub, parts: list[_Part]) -> None:
    """Delete each item on the condition that it is as we last saw it. Repeating this after a failure is harmless:
    what is gone already counts as done. Raises `CommandError` when something had to stay."""
    from calhub.hub import accounts
    from calhub.hub.locks import replica_lock
    from calhub.providers.base import Done

    left: list[str] = []
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(replica_lock(hub.home, part.replica.id))
        for part in parts:
            if not part.items:
                continue
            with hub.read() as conn:
                account = accounts.account(conn, part.replica.account)
            with closing(here.connector(hub)(account)) as provider:
                for uid, remote_id, version in part.items:
                    outcome = provider.delete(part.replica.remote_id, remote_id, expected=version)
                    if not isinstance(outcome, Done):
                        left.append(uid)
    if left:
        raise CommandError(
            f"{len(left)} events could not be deleted, so the calendar stays: {', '.join(left[:5])}.",
            "They were changed at the remote or refused. Run calhub sync and try again, or use --keep-remote.",
        )
