"""``manage.py cleanup_orphaned``: what ``calhub cleanup`` does."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from calhub.cli.checking import exit_code, way_back
from calhub.cli.context import Session
from calhub.contrib.django.hub_command import HubCommand
from calhub.rules.cleanup import cleanup


class Command(HubCommand):
    help = "Delete copies whose event or rule is gone, and history that has expired."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--remote", action="store_true", help="Look for lost copies at the remotes too.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be deleted; change nothing.")

    def perform(self, here: Session, **options: Any) -> int:
        with here.hub() as hub:
            found = cleanup(
                hub, here.connector(hub), remote=options["remote"], dry_run=options["dry_run"],
                keep_runs=here.number("keep_runs"), keep_days=here.number("keep_days"),
            )  # fmt: skip
        self.copies(found["copies"])
        removed = {"copies": len(found["copies"])} | found["expired"] | found["strays"]
        what = "Would remove" if found["dry_run"] else "Removed"
        self.line(f"{what} {', '.join(f'{name}: {count}' for name, count in removed.items())}.{way_back(found)}")
        self.runs(found["runs"])
        return exit_code(found["runs"])
