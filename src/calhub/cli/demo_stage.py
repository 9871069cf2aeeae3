"""What all parts of the demo need: a home that is gone afterwards, and its commands, shown with their output."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypedDict

from rich.console import Console

from calhub.testing.remotes import OtherProgram


class DemoFailed(Exception):
    """Something was not as promised; the message says what."""


class Times(TypedDict):
    """Wall times, as people type them."""

    start: str
    end: str


@dataclass
class Demo:
    """The state of one demo: where its home is, and the remote calendars by the name people see in the output."""

    root: Path
    console: Console
    monday: date
    remotes: dict[str, OtherProgram] = field(default_factory=dict)

    @classmethod
    def begin(cls, console: Console, stack: ExitStack) -> Self:
        """With a folder that goes with ``stack``, in this week."""
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="calhub-demo-")))
        today = datetime.now().astimezone().date()
        return cls(root, console, today - timedelta(days=today.weekday()))

    def calhub(self, *arguments: str, given: str | None = None, expect: tuple[int, ...] = (0,)) -> None:
        """Print and run one command; its output goes to the terminal. Raises `DemoFailed` on another exit code."""
        secret = " < password" if given else ""
        self.console.print(
            f"\n[bold green]$[/] [bold]calhub {shlex.join(arguments)}{secret}[/]", highlight=False, soft_wrap=True
        )
        code = self._run(arguments, given, capture=False).returncode
        if code != 0:
            self.console.print(f"[dim](exit code {code})[/]")
        if code not in expect:
            raise DemoFailed(f"calhub {arguments[0]} ended with exit code {code}, expected {expect[0]}")

    def ask(self, *arguments: str) -> Any:
        """The parsed ``--json`` answer of a command, not shown."""
        return json.loads(self.output(*arguments, "--json"))

    def output(self, *arguments: str) -> str:
        """What a command prints on standard output, not shown. Raises `DemoFailed` if it failed."""
        done = self._run(arguments, None, capture=True)
        if done.returncode not in (0, 4):
            raise DemoFailed(f"calhub {shlex.join(arguments)} ended with exit code {done.returncode}")
        return str(done.stdout)

    def _run(self, arguments: tuple[str, ...], given: str | None, *, capture: bool) -> subprocess.CompletedProcess[str]:
        # The user's own hub, settings and keychain stay out of it.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CALHUB_")}
        environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
        sys.stdout.flush()
        return subprocess.run(
            [sys.executable, "-m", "calhub.cli", "--home", str(self.root / "home"), *arguments],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            stdout=subprocess.PIPE if capture else None,
            text=True,
            encoding="utf-8",
            env=environment,
            check=False,
        )

    def quiet(self) -> None:
        """Sync until nothing is written any more, two passes at most. Raises `DemoFailed` if it never ends."""
        for _ in range(3):
            runs = self.ask("sync")["runs"]
            written = sum(sum(run[way].values()) for run in runs for way in ("pulled", "pushed"))
            if written == 0:
                self.note(f"A further sync of {len(runs)} replicas: nothing to write, anywhere.")
                return
        raise DemoFailed(f"syncing again and again still writes something: {runs}")

    def day(self, number: int) -> str:
        """So many days from this week's Monday on."""
        return (self.monday + timedelta(days=number)).isoformat()

    def at(self, number: int, hour: int) -> Times:
        """An hour of that day."""
        day = self.day(number)
        return {"start": f"{day}T{hour:02}:00:00", "end": f"{day}T{hour + 1:02}:00:00"}

    def part(self, text: str) -> None:
        self.console.print()
        self.console.rule(f"[bold magenta]{text}[/]", characters="═")

    def heading(self, text: str) -> None:
        self.console.print()
        self.console.rule(f"[bold cyan]{text}[/]", align="left")

    def note(self, text: str) -> None:
        self.console.print(f"[yellow]{text}[/]", highlight=False, soft_wrap=True)
