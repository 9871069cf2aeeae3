"""``manage.py sync_calendars``: what ``calhub sync`` does."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from calhub.cli.context import Session
from calhub.cli.output import clean
from calhub.cli.syncing import counts, perform, plan_row, remarks
from calhub.contrib.django.hub_command import HubCommand
from calhub.sync.report import no_progress


class Command(HubCommand):
    help = "Pull, merge and push: bring the hub and all its remotes in step."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account-id", help="Only replicas of this account, by id or name.")
        parser.add_argument("--calendar-id", help="Only replicas of this calendar, by id or name.")
        parser.add_argument("--force-full", action="store_true", help="List everything anew.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done; change nothing.")
        parser.add_argument("--verbose", action="store_true", help="Name each step, and accounts left out.")

    def perform(self, here: Session, **options: Any) -> int:
        ended = perform(
            here, account=options["account_id"], calendar=options["calendar_id"], full=options["force_full"],
            dry_run=options["dry_run"], progress=no_progress, say=self._line if options["verbose"] else None,
        )  # fmt: skip
        for run in ended.runs:
            name = f"{run['calendar']} ({run['account']})"
            told = f"{run['status']}, pulled {counts(run['pulled'])}, pushed {counts(run['pushed'])}"
            self._line(", ".join(filter(None, (f"{name}: {told}", remarks(run)))))
            for error in run["errors"]:
                self.stderr.write(clean(" ".join(filter(None, (f"{name}:", error["uid"], error["message"])))))
            for step in run.get("plan", ()):
                self._line(" ".join(filter(None, (f"{name}: would be done:", *plan_row(step)))))
        if not ended.runs:
            self._line(ended.nothing)
        return ended.code

    def _line(self, text: str) -> None:
        self.stdout.write(clean(text))
