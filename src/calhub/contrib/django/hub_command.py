"""What the management commands share: the site's home, and errors as one sentence with an exit code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from calhub.cli.context import Session
from calhub.cli.failures import FAILED, LOCKED, WAITING, explain
from calhub.cli.output import clean
from calhub.cli.syncing import counts, plan_row, remarks

#: What the exit codes of ``calhub`` mean, where the command has said the rest already.
_MEANING: Final = {
    FAILED: "Something failed; see above.",
    LOCKED: "Another sync is at work; its accounts were left alone.",
    WAITING: "Done, but conflicts or holds wait for a person: see calhub conflict list and calhub hold list.",
}


class HubCommand(BaseCommand, ABC):  # type: ignore[misc]  # Django publishes no types
    """A command over the hub in ``settings.CALHUB_HOME``. Subclasses do their work in `perform`."""

    requires_system_checks = ()

    def handle(self, **options: Any) -> None:
        """Raises `CommandError` whose ``returncode`` is the exit code ``calhub`` would have."""
        here = Session()
        try:
            home = getattr(settings, "CALHUB_HOME", None)
            if home:
                here.home = Path(home)
            code = self.perform(here, **options)
        except Exception as error:  # the last stop: everything becomes a sentence here
            problem = explain(error, here.home)
            raise CommandError(f"{problem.message} {problem.hint}".strip(), returncode=problem.code) from error
        if code:
            raise CommandError(_MEANING[code], returncode=code)

    def line(self, text: str) -> None:
        """A line of the result."""
        self.stdout.write(clean(text))

    def runs(self, runs: Iterable[dict[str, Any]]) -> None:
        """Tell of runs in their JSON shape: a line for each, one for each step of a plan, errors on standard error."""
        for run in runs:
            name = f"{run['calendar']} ({run['account']})"
            told = f"{run['status']}, pulled {counts(run['pulled'])}, pushed {counts(run['pushed'])}"
            self.line(", ".join(filter(None, (f"{name}: {told}", remarks(run)))))
            for error in run["errors"]:
                self.stderr.write(clean(" ".join(filter(None, (f"{name}:", error["uid"], error["message"])))))
            for step in run.get("plan", ()):
                self.line(" ".join(filter(None, (f"{name}: would be done:", *plan_row(step)))))

    def copies(self, copies: Iterable[dict[str, Any]]) -> None:
        """A line for each copy that is gone, or would be."""
        for each in copies:
            self.line(f"{each['calendar']}: {each['title'] or each['uid']}")

    @abstractmethod
    def perform(self, here: Session, **options: Any) -> int:
        """Do the work; the result is the exit code. Any exception is explained to the user."""
