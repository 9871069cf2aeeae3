"""``manage.py reset_calendar``: what ``calhub reset`` does."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from calhub.cli.checking import exit_code, way_back
from calhub.cli.context import Session
from calhub.contrib.django.hub_command import HubCommand
from calhub.rules.reset import reset


class Command(HubCommand):
    help = "Delete what rules made in a calendar, here and at its remotes, and nothing else."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--calendar-id", required=True, help="Whose copies are to go, by id or name.")
        parser.add_argument("--confirm", action="store_true", help="Yes, delete them.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be deleted; change nothing.")

    def perform(self, here: Session, **options: Any) -> int:
        with here.hub() as hub:
            found = reset(
                hub, here.connector(hub), options["calendar_id"], confirm=options["confirm"], dry_run=options["dry_run"]
            )
        self.copies(found["removed"])
        what = "Copies that would be deleted" if found["dry_run"] else "Copies deleted"
        self.line(f"{what}: {len(found['removed'])}.{way_back(found)}")
        self.runs(found["runs"])
        return exit_code(found["runs"])
