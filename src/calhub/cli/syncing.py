"""``sync``: one pass over the replicas, and what it says about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calhub.cli.context import Session, session
from calhub.cli.failures import FAILED, LOCKED, WAITING, usage
from calhub.cli.output import Json, clean, emit, note, progress, table

if TYPE_CHECKING:
    from calhub.hub.database import Hub
    from calhub.sync.report import RunReport

Shape = dict[str, Any]


def sync(
    context: typer.Context,
    account: Annotated[str | None, typer.Option("--account", help="Only replicas of this account.")] = None,
    calendar: Annotated[str | None, typer.Option("--calendar", help="Only replicas of this calendar.")] = None,
    full: Annotated[bool, typer.Option("--full", help="List everything anew instead of only what changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="Stop at the next safe point after so long.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Name each step and error on standard error.")
    ] = False,
    json: Json = False,
) -> None:
    """Pull, merge and push: bring the hub and all its remotes in step."""
    from calhub.rules.derive import derive
    from calhub.sync import engine

    here = session(context)
    seconds = _timeout(here) if timeout is None else timeout
    if seconds is not None and seconds <= 0:
        raise usage("The timeout is not a positive number of seconds.", "Write --timeout 60.")
    with here.hub() as hub, progress(quiet=json) as step:
        reports = engine.sync(
            hub, here.connector(hub), account=account, calendar=calendar, full=full, dry_run=dry_run,
            deadline=None if seconds is None else time.monotonic() + seconds,
            progress=_loud(step) if verbose else step, derive=derive,
        )  # fmt: skip
        waiting = _waiting(hub, reports)
    runs = [report.shape() for report in reports]
    emit({"runs": runs}, json, lambda: print_runs(runs, waiting, dry_run))
    code = _exit_code(reports, waiting)
    if code:
        raise typer.Exit(code)


def _timeout(here: Session) -> float | None:
    text = here.setting("sync_timeout")
    try:
        return float(text) if text else None
    except ValueError:
        raise usage(f"The setting sync_timeout is not a number: {text!r}.", "Give it in seconds.") from None


def _loud(step: Any) -> Any:
    """``--verbose``: each new step in a line of its own, besides the bar."""
    seen: set[str] = set()

    def announce(what: str, done: int, total: int | None) -> None:
        if what not in seen:
            seen.add(what)
            note(what)
        step(what, done, total)

    return announce


def _waiting(hub: Hub, reports: Sequence[RunReport]) -> int:
    """Open conflicts and holds that wait in the calendars synced, also those found by an earlier pass."""
    from calhub.hub import accounts, inbox

    with hub.read() as conn:
        calendars = {accounts.replica(conn, report.replica_id).calendar_id for report in reports}
        replicas = [each.id for one in calendars for each in accounts.replicas(conn, calendar_id=one)]
        return inbox.open_count(conn, replicas) if replicas else 0


def _exit_code(reports: Sequence[RunReport], waiting: int) -> int:
    """The precedence of the contract: a failure (also one that keeps an account paused), then a lock, then what waits
    for a person.
    """
    statuses = {report.status for report in reports}
    if "failed" in statuses or any(report.paused for report in reports):
        return FAILED
    if "skipped" in statuses:
        return LOCKED
    return WAITING if waiting or "held" in statuses else 0


def print_runs(runs: Sequence[Shape], waiting: int, dry_run: bool) -> None:
    rows = [
        (run["calendar"], run["account"], run["status"], counts(run["pulled"]), counts(run["pushed"]), remarks(run))
        for run in runs
    ]
    columns = ("Calendar", "Account", "Status", "Pulled", "Pushed", "")
    table(columns, rows, empty="There is nothing to sync: add an account first, or resume a paused replica.")
    for run in runs:
        for error in run["errors"]:
            subject = f" {error['uid']}:" if error["uid"] else ""
            note(f"{run['calendar']} ({run['account']}):{subject} {error['message']}")
    if dry_run:
        steps = [(run["calendar"], run["account"], *_plan_row(step)) for run in runs for step in run.get("plan", ())]
        print()
        table(("Calendar", "Account", "Where", "What", "Title", "Fields"), steps, empty="Nothing would change.")
    if waiting:
        note(f"{waiting} waiting for you: see calhub conflict list and calhub hold list.")


def _plan_row(step: Shape) -> tuple[str, ...]:
    return step["side"], step["op"], clean(step["title"]) or step["uid"], ", ".join(step["fields"])


def counts(counts: Shape) -> str:
    signs = (("created", "+"), ("updated", "~"), ("deleted", "-"))
    return " ".join(f"{sign}{counts[name]}" for name, sign in signs if counts[name]) or "."


def remarks(run: Shape) -> str:
    names = (("conflicts", "conflicts"), ("held", "held"), ("quarantined", "quarantined"))
    return ", ".join(f"{run[name]} {word}" for name, word in names if run[name])
