"""``conflict``, ``hold``, ``dead-letter`` and ``quarantine``: what waits for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from calhub.cli.context import session
from calhub.cli.failures import usage
from calhub.cli.output import Json, emit, fields, note, progress, table
from calhub.cli.times import local_text

Shape = dict[str, Any]
Side = Literal["hub", "remote"]

conflict = typer.Typer(help="Conflicts: the same field changed differently on both sides.")
hold = typer.Typer(help="Holds: mass changes that wait for your word.")
dead_letter = typer.Typer(help="Dead letters: writes that a service refused for good, or that failed too often.")
quarantine = typer.Typer(help="Quarantine: items at remotes that cannot be read.")

Id = Annotated[int, typer.Argument(metavar="ID", help="The number the list shows.")]


# Conflicts


@conflict.command("list")
def list_conflicts(context: typer.Context, json: Json = False) -> None:
    """Conflicts that wait (open) and those decided automatically that can still be flipped (auto)."""
    from calhub.hub import inbox

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        found = inbox.conflicts(conn)
    rows = [
        (
            each["id"], each["state"], each["calendar"], ", ".join(field["name"] for field in each["fields"]),
            local_text(each["since"], here.zone), each["uid"],
        )
        for each in found
    ]  # fmt: skip
    emit(
        found, json, lambda: table(("Id", "State", "Calendar", "Fields", "Since", "Event"), rows, empty="No conflict.")
    )


@conflict.command("show")
def show_conflict(context: typer.Context, id: Id, json: Json = False) -> None:
    """Both values of each field, and what both sides last agreed on."""
    from calhub.hub import inbox

    with session(context).hub() as hub, hub.read() as conn:
        found = inbox.get_conflict(conn, id)
    emit(found, json, lambda: _print_conflict(found))


def _print_conflict(found: Shape) -> None:
    fields({"conflict": found["id"], "state": found["state"], "calendar": found["calendar"], "event": found["uid"]})
    print()
    rows = [(each["name"], each["base"], each["hub"], each["remote"], each["taken"]) for each in found["fields"]]
    table(("Field", "Agreed before", "Hub", "Remote", "Taken"), rows, empty="")


@conflict.command("resolve")
def resolve_conflict(
    context: typer.Context,
    id: Id,
    take: Annotated[
        Literal["hub", "remote", "both"] | None,
        typer.Option("--take", help="Whose values; both keeps the two as events of their own."),
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="F=hub|remote", help="For one field; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Decide a conflict; takes effect at the next sync."""
    from calhub.sync.resolve import resolve

    chosen = _fields(field or ())
    if take is None and not chosen:
        raise usage("Say whose value to take.", "Write --take hub, --take remote, --take both or --field NAME=hub.")
    with session(context).hub() as hub, hub.transaction() as conn:
        found = resolve(conn, id, take, chosen, now=hub.now())
    emit(found, json, lambda: note(f"Conflict {id} is decided; calhub sync carries it out."))


def _fields(given: Sequence[str]) -> dict[str, Side]:
    chosen: dict[str, Side] = {}
    for text in given:
        name, _, side = text.rpartition("=")
        if not name or side not in ("hub", "remote"):
            raise usage(f"{text!r} is not FIELD=hub or FIELD=remote.", "Write --field title=remote.")
        chosen[name] = "hub" if side == "hub" else "remote"
    return chosen


# Holds


@hold.command("list")
def list_holds(context: typer.Context, json: Json = False) -> None:
    """What the guard holds back."""
    from calhub.hub import inbox

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        found = inbox.holds(conn)
    rows = [
        (
            each["id"], each["replica"], each["creates"], each["updates"], each["deletes"],
            local_text(each["since"], here.zone), each["reason"],
        )
        for each in found
    ]  # fmt: skip
    columns = ("Id", "Replica", "Creates", "Updates", "Deletes", "Since", "Reason")
    emit(found, json, lambda: table(columns, rows, empty="Nothing is held back."))


@hold.command("show")
def show_hold(context: typer.Context, id: Id, json: Json = False) -> None:
    """One hold with every step it holds back."""
    from calhub.hub import inbox

    with session(context).hub() as hub, hub.read() as conn:
        found = inbox.get_hold(conn, id)
    emit(found, json, lambda: _print_hold(found))


def _print_hold(found: Shape) -> None:
    fields({"hold": found["id"], "replica": found["replica"], "reason": found["reason"]})
    print()
    table(("What", "Event"), [(step[0], step[1]) for step in found["plan"]], empty="")


@hold.command("release")
def release_hold(context: typer.Context, id: Id, json: Json = False) -> None:
    """Let it happen at the next sync."""
    from calhub.hub import inbox

    with session(context).hub() as hub, hub.transaction() as conn:
        found = inbox.release_hold(conn, id, now=hub.now())
    emit(found, json, lambda: note(f"Hold {id} is released; calhub sync carries it out."))


@hold.command("discard")
def discard_hold(context: typer.Context, id: Id, json: Json = False) -> None:
    """The other side is right: what was to be deleted is written back at the next sync."""
    from calhub.hub import inbox

    with session(context).hub() as hub, hub.transaction() as conn:
        found = inbox.discard_hold(conn, id, now=hub.now())
    emit(found, json, lambda: note(f"Hold {id} is discarded; calhub sync writes the events back."))


# Dead letters


@dead_letter.command("list")
def list_dead_letters(context: typer.Context, json: Json = False) -> None:
    """Writes that were given up, and why. A new change of the event tries again, and so does `retry`."""
    from calhub.hub import inbox

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        found = inbox.dead_letters(conn)
    rows = [
        (
            each["replica"], each["calendar"], each["account"], each["op"], each["uid"], each["attempts"],
            local_text(each["since"], here.zone), each["error"],
        )
        for each in found
    ]  # fmt: skip
    columns = ("Replica", "Calendar", "Account", "What", "Event", "Tries", "Since", "Error")
    emit(found, json, lambda: table(columns, rows, empty="No write was given up."))


@dead_letter.command("retry")
def retry_dead_letters(
    context: typer.Context,
    uid: Annotated[str | None, typer.Argument(metavar="UID", help="The event's UID.")] = None,
    calendar: Annotated[str | None, typer.Option("--calendar", help="Only those of this calendar.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were given up.")] = False,
    json: Json = False,
) -> None:
    """Try again now: one event, a calendar or all. The exit code is that of the sync."""
    from calhub.cli.syncing import perform, print_runs
    from calhub.hub import accounts, inbox

    if everything is (uid is not None or calendar is not None):
        raise usage("Say what to try again.", "Name an event or a calendar, or write --all.")
    here = session(context)
    with here.hub() as hub, hub.transaction() as conn:
        calendar_id = None if calendar is None else accounts.calendar(conn, calendar).id
        found = inbox.retry_dead_letters(conn, uid=uid, calendar_id=calendar_id, now=hub.now())
    with progress(quiet=json) as step:
        ended = perform(here, replica_ids=sorted({each["replica"] for each in found}), progress=step)
    document = {"retried": found, "runs": ended.runs}
    emit(document, json, lambda: print_runs(ended.runs, ended.waiting, False, "No write was given up."))
    if ended.code:
        raise typer.Exit(ended.code)


# Quarantine


@quarantine.command("list")
def list_quarantine(context: typer.Context, json: Json = False) -> None:
    """Items that cannot be read, and why. The rest of their calendars goes on."""
    from calhub.hub import inbox

    with session(context).hub() as hub, hub.read() as conn:
        found = inbox.quarantine(conn)
    rows = [(each["id"], each["calendar"], each["remote_id"], each["reason"]) for each in found]
    emit(found, json, lambda: table(("Id", "Calendar", "Item", "Reason"), rows, empty="Nothing is quarantined."))


@quarantine.command("show")
def show_quarantined(context: typer.Context, id: Id, json: Json = False) -> None:
    """One item with its text as the remote holds it."""
    from calhub.hub import inbox

    with session(context).hub() as hub, hub.read() as conn:
        found = inbox.get_quarantined(conn, id)

    def render() -> None:
        fields(
            {"item": found["remote_id"], "calendar": found["calendar"], "uid": found["uid"], "reason": found["reason"]}
        )
        print()
        fields({str(number): line for number, line in enumerate((found["text"] or "").splitlines(), 1)})

    emit(found, json, render)
