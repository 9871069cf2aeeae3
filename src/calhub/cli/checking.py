"""``validate``, ``reset`` and ``cleanup``: whether rules did what they should, taking it back, tidying up."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from calhub.cli.context import session
from calhub.cli.failures import FAILED, LOCKED, WAITING
from calhub.cli.output import Json, emit, note, table

Shape = dict[str, Any]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed; change nothing.")]


def validate(
    context: typer.Context,
    calendar: Annotated[
        str | None, typer.Option("--calendar", help="Only this calendar, and the rules into and out of it.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read everything from the remotes, not a sample; derive everything anew.")
    ] = False,
    json: Json = False,
) -> None:
    """Check that rules and replicas did what they should. Names each event that is not right; changes nothing.

    Exits with 1 when there is a finding.
    """
    from calhub.rules.validate import validate as check

    here = session(context)
    with here.hub() as hub:
        found = check(hub, here.connector(hub), calendar=calendar, full=full)

    def render() -> None:
        rows = [(each["check"], each["calendar"], each["uid"], each["message"]) for each in found["findings"]]
        table(("Check", "Calendar", "Event", "What is wrong"), rows, empty="All is as it should be.")

    emit(found, json, render)
    if not found["ok"]:
        raise typer.Exit(FAILED)


def reset(
    context: typer.Context,
    calendar: Annotated[str, typer.Argument(metavar="CALENDAR", help="Whose copies are to go.")],
    confirm: Annotated[bool, typer.Option("--confirm", help="Yes, delete them.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Delete what rules made in a calendar, here and at its remotes, and nothing else.

    Rules that are still there make their copies anew with the next sync. `undo` of the run brings back what is gone.
    """
    from calhub.rules.reset import reset as take_away

    here = session(context)
    with here.hub() as hub:
        found = take_away(hub, here.connector(hub), calendar, confirm=confirm, dry_run=dry_run)

    def render() -> None:
        table(("Event", "Title"), [(each["uid"], each["title"]) for each in found["removed"]], empty="")
        note(f"{len(found['removed'])} copies {'would be' if dry_run else 'were'} deleted.{way_back(found)}")
        _print_runs(found["runs"])

    emit(found, json, render)
    _exit(found["runs"])


def cleanup(
    context: typer.Context,
    remote: Annotated[
        bool, typer.Option("--remote", help="Look for lost copies at the remotes too, and delete them there.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Delete copies whose event or rule is gone, and history that has expired; events of people are never touched.

    How much history stays is settled by keep_runs and keep_days in config.toml.
    """
    from calhub.rules.cleanup import cleanup as tidy

    here = session(context)
    keep_runs, keep_days = here.number("keep_runs"), here.number("keep_days")
    with here.hub() as hub:
        connect = here.connector(hub)
        found = tidy(hub, connect, remote=remote, dry_run=dry_run, keep_runs=keep_runs, keep_days=keep_days)

    def render() -> None:
        rows = [(each["calendar"], each["uid"], each["title"]) for each in found["copies"]]
        table(("Calendar", "Event", "Title"), rows, empty="")
        rest = {"copies": len(rows)} | found["expired"] | found["strays"]
        counted = ", ".join(f"{name}: {count}" for name, count in rest.items())
        note(f"{'Would remove' if dry_run else 'Removed'} {counted}.{way_back(found)}")
        _print_runs(found["runs"])

    emit(found, json, render)
    _exit(found["runs"])


def way_back(found: Shape) -> str:
    return "" if found["run"] is None else f" To bring them back: calhub undo {found['run']}"


def _print_runs(runs: list[Shape]) -> None:
    from calhub.cli.syncing import print_runs

    if runs:
        print_runs(runs, waiting=0, dry_run=False)


def _exit(runs: list[Shape]) -> None:
    if code := exit_code(runs):
        raise typer.Exit(code)


def exit_code(runs: list[Shape]) -> int:
    """What has gone from the hub goes from the remotes with a later sync; the code says that not all of it has yet."""
    statuses = {run["status"] for run in runs}
    codes = (("failed", FAILED), ("skipped", LOCKED), ("held", WAITING))
    return next((code for status, code in codes if status in statuses), 0)
