"""``history``, ``undo`` and ``why``: what happened, taking it back, and how one event fares."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from calhub.cli.context import session
from calhub.cli.failures import FAILED
from calhub.cli.output import Json, emit, fields, note, table, yes_no
from calhub.cli.times import local_text

Shape = dict[str, Any]


def history(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 20,
    json: Json = False,
) -> None:
    """The last runs, newest first."""
    from calhub.cli.syncing import counts, remarks
    from calhub.hub import runs

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        found = runs.history(conn, limit)
    rows = [
        (
            each["id"], local_text(each["started"], here.zone), each["calendar"], each["account"], each["kind"],
            each["status"], counts(each["pulled"]), counts(each["pushed"]), remarks(each),
        )
        for each in found
    ]  # fmt: skip
    columns = ("Run", "When", "Calendar", "Account", "Kind", "Status", "Pulled", "Pushed", "")
    emit(found, json, lambda: table(columns, rows, empty="No run yet: calhub sync"))


def undo(
    context: typer.Context,
    run: Annotated[int, typer.Argument(metavar="RUN", help="The number history shows.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be put back; change nothing.")] = False,
    json: Json = False,
) -> None:
    """Put hub and remote back to what they were before a run; what was changed since is left alone."""
    from calhub.sync.undo import undo as put_back

    here = session(context)
    with here.hub() as hub:
        found = put_back(hub, here.connector(hub), run, dry_run)

    def render() -> None:
        note(f"{found['undone']} changes {'would be' if dry_run else 'were'} put back.")
        table(("Event", "Left alone because"), [(one["uid"], one["reason"]) for one in found["skipped"]], empty="")

    emit(found, json, render)
    if found["skipped"] and not found["undone"]:
        raise typer.Exit(FAILED)


def _origin(of: Shape | None) -> str:
    """What a copy was made from, for people; empty for an event that is no copy."""
    return "" if of is None else f"{of['uid'] or 'several events'} in {of['calendar']} (rule {of['rule']})"


def why(
    context: typer.Context,
    uid: Annotated[str, typer.Argument(metavar="UID", help="The event's UID.")],
    calendar: Annotated[
        str | None, typer.Option("--calendar", help="Which calendar, where several have this UID.")
    ] = None,
    json: Json = False,
) -> None:
    """Where an event is held, what is still to be done for it, and what is in its way."""
    from calhub.hub import events, runs

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        found = runs.why(conn, events.find_event(conn, uid, calendar))

    def render() -> None:
        held = {name: ", ".join(map(str, found[name])) for name in ("conflicts", "holds")}
        copies = ", ".join(f"{each['calendar']} (rule {each['rule']})" for each in found["copies"])
        origin = _origin(found["copy_of"])
        fields({"event": found["uid"], "calendar": found["calendar"], "copies": copies, "copy of": origin, **held})
        print()
        rows = [
            (
                each["replica"], each["remote_id"], local_text(each["synced_at"], here.zone), yes_no(each["pending"]),
                each["error"], local_text(each["next_try"], here.zone),
            )
            for each in found["replicas"]
        ]  # fmt: skip
        columns = ("Replica", "Item", "Synced", "Pending", "Error", "Next try")
        table(columns, rows, empty="The calendar has no replica: the event lives in the hub only.")

    emit(found, json, render)
