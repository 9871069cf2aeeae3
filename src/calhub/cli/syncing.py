"""``sync``: one pass over the replicas, and what it says about it.

`perform` is the command without its command line, for others that offer it (`calhub.contrib.django`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calhub.cli.context import Session, session
from calhub.cli.failures import FAILED, LOCKED, WAITING, usage
from calhub.cli.output import Json, clean, emit, note, progress, table
from calhub.cli.times import local_text

if TYPE_CHECKING:
    from calhub.hub.database import Hub
    from calhub.sync.report import Progress, RunReport

Shape = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a sync ended: its runs, how many conflicts and holds wait for a person, how many accounts were left out."""

    reports: Sequence[RunReport]
    waiting: int
    resting: int

    @property
    def runs(self) -> list[Shape]:
        return [report.shape() for report in self.reports]

    @property
    def nothing(self) -> str:
        """What to say when there were no runs."""
        if self.resting:
            return "No account is due. To sync one at once: calhub sync --account NAME"
        return "There is nothing to sync: add an account first, or resume a paused replica."

    @property
    def code(self) -> int:
        """The exit code, in the precedence of the contract: a failure (also one that keeps an account paused), then a
        lock, then what waits for a person.
        """
        statuses = {report.status for report in self.reports}
        if "failed" in statuses or any(report.paused for report in self.reports):
            return FAILED
        if "skipped" in statuses:
            return LOCKED
        return WAITING if self.waiting or "held" in statuses else 0


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
    """Pull, merge and push: bring the hub and all its remotes in step.

    Without --account, --calendar, --full and --dry-run, accounts whose interval is not over are left out, unless
    something waits to be written to them.
    """
    with progress(quiet=json) as step:
        ended = perform(
            session(context), account=account, calendar=calendar, full=full, dry_run=dry_run, timeout=timeout,
            progress=step, say=note if verbose else None,
        )  # fmt: skip
    emit({"runs": ended.runs}, json, lambda: print_runs(ended.runs, ended.waiting, dry_run, ended.nothing))
    if ended.code:
        raise typer.Exit(ended.code)


def perform(
    here: Session,
    *,
    account: str | None = None,
    calendar: str | None = None,
    full: bool = False,
    dry_run: bool = False,
    timeout: float | None = None,
    replica_ids: Sequence[int] | None = None,
    progress: Progress,
    say: Callable[[str], None] | None = None,
) -> Ended:
    """Sync as the options of ``calhub sync`` say, or just these replicas. ``say`` hears of each step and of each
    account left out.

    Raises usage errors and what opening the hub and `engine.sync` raise; a failure of an account is in its reports.
    """
    from calhub.sync import engine, turns

    seconds = _timeout(here) if timeout is None else timeout
    if seconds is not None and seconds <= 0:
        raise usage("The timeout is not a positive number of seconds.", "Write --timeout 60.")
    workers = _workers(here)
    with here.hub() as hub:
        chosen = account or calendar or full or dry_run or replica_ids is not None
        resting = [] if chosen else turns.resting(hub)
        left_out = {each.account.id for each in resting}
        if say:
            for each in resting:
                say(f"{each.account.name}: left out, not due before {local_text(each.until.isoformat(), here.zone)}.")
        due = replica_ids
        if resting:
            due = [each.id for each in engine.choose(hub) if each.account_id not in left_out]
        reports = engine.sync(
            hub, here.connector(hub), replica_ids=due, account=account, calendar=calendar, full=full, dry_run=dry_run,
            deadline=None if seconds is None else time.monotonic() + seconds, workers=workers,
            progress=_loud(progress, say) if say else progress, derive=_derive,
        )  # fmt: skip
        if not dry_run:
            _alert(here, hub)
        return Ended(reports, _waiting(hub, reports), len(resting))


def _alert(here: Session, hub: Hub) -> None:
    """Tell what somebody should see to, where addresses for that are set: nobody looks at the output of cron."""
    urls = here.setting("alert_urls").split()
    if urls:
        from calhub.health import alerts

        alerts.check(hub, urls, here.number("alert_slow_seconds"))


def _derive(hub: Hub) -> None:
    """`calhub.rules.derive.derive`, which is loaded only where there are rules."""
    from calhub.hub import rules

    with hub.read() as conn:
        found = rules.rules(conn)
    if found:
        from calhub.rules.derive import derive

        derive(hub)


def _timeout(here: Session) -> float | None:
    text = here.setting("sync_timeout")
    try:
        return float(text) if text else None
    except ValueError:
        raise usage(f"The setting sync_timeout is not a number: {text!r}.", "Give it in seconds.") from None


def _workers(here: Session) -> int:
    number = here.number("sync_workers")
    if not 1 <= number <= 99:
        raise usage(f"The setting sync_workers is not a number from 1 to 99: {number}.", "4 is the default.")
    return number


def _loud(step: Progress, say: Callable[[str], None]) -> Progress:
    """``--verbose``: each new step in a line of its own, besides the bar."""
    seen: set[str] = set()

    def announce(what: str, done: int, total: int | None) -> None:
        if what not in seen:
            seen.add(what)
            say(what)
        step(what, done, total)

    return announce


def _waiting(hub: Hub, reports: Sequence[RunReport]) -> int:
    """Open conflicts and holds that wait in the calendars synced, also those found by an earlier pass."""
    from calhub.hub import accounts, inbox

    with hub.read() as conn:
        calendars = {accounts.replica(conn, report.replica_id).calendar_id for report in reports}
        replicas = [each.id for one in calendars for each in accounts.replicas(conn, calendar_id=one)]
        return inbox.open_count(conn, replicas) if replicas else 0


def print_runs(runs: Sequence[Shape], waiting: int, dry_run: bool, nothing: str = "") -> None:
    """Runs as a table, their errors and plans, and how much waits for a person; ``nothing`` where there are none."""
    rows = [
        (run["calendar"], run["account"], run["status"], counts(run["pulled"]), counts(run["pushed"]), remarks(run))
        for run in runs
    ]
    columns = ("Calendar", "Account", "Status", "Pulled", "Pushed", "")
    table(columns, rows, empty=nothing)
    for run in runs:
        for error in run["errors"]:
            subject = f" {error['uid']}:" if error["uid"] else ""
            note(f"{run['calendar']} ({run['account']}):{subject} {error['message']}")
    if dry_run:
        steps = [(run["calendar"], run["account"], *plan_row(step)) for run in runs for step in run.get("plan", ())]
        print()
        table(("Calendar", "Account", "Where", "What", "Title", "Fields"), steps, empty="Nothing would change.")
    if waiting:
        note(f"{waiting} waiting for you: see calhub conflict list and calhub hold list.")


def plan_row(step: Shape) -> tuple[str, ...]:
    return step["side"], step["op"], clean(step["title"]) or step["uid"], ", ".join(step["fields"])


def counts(counts: Shape) -> str:
    signs = (("created", "+"), ("updated", "~"), ("deleted", "-"))
    return " ".join(f"{sign}{counts[name]}" for name, sign in signs if counts[name]) or "."


def remarks(run: Shape) -> str:
    names = (("conflicts", "conflicts"), ("held", "held"), ("quarantined", "quarantined"))
    return ", ".join(f"{run[name]} {word}" for name, word in names if run[name])
