"""``manage.py sync_calendars``: what ``calhub sync`` does."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from calhub.cli.context import Session
from calhub.cli.syncing import perform
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
            dry_run=options["dry_run"], progress=no_progress, say=self.line if options["verbose"] else None,
        )  # fmt: skip
        self.runs(ended.runs)
        if not ended.runs:
            self.line(ended.nothing)
        return ended.code
