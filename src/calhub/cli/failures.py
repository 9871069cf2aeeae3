"""What goes wrong, as a user sees it: one sentence, a hint, an exit code; never a stack trace.

Exit codes: 0 all done; 1 something failed; 2 usage; 3 another pass holds the lock; 4 done, but conflicts or holds
wait for a person. Where several apply: 2, 1, 3, 4. An interruption by the user is 130, as shells expect.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

FAILED: Final = 1
USAGE: Final = 2
LOCKED: Final = 3
WAITING: Final = 4
INTERRUPTED: Final = 130


@dataclass
class CommandError(Exception):
    """A command cannot do what was asked. ``hint`` says what to do instead."""

    message: str
    hint: str = ""
    code: int = FAILED

    def __str__(self) -> str:
        return self.message


def usage(message: str, hint: str = "") -> CommandError:
    """The command line itself is wrong."""
    return CommandError(message, hint, USAGE)


def explain(error: BaseException, home: Path | None) -> CommandError:
    """The one sentence, hint and exit code for any error; details of unexpected ones go to the log file."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, typer.TyperException):
        return _of_typer(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return CommandError("Interrupted; what was committed stays.", code=INTERRUPTED)
    return _of_calhub(error) or _of_system(error) or _of_damage(home) or _unexpected(error, home)


def _of_typer(error: typer.TyperException) -> CommandError:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "calhub"
    return CommandError(message, f"See: {path} --help", error.exit_code)


def _of_calhub(error: BaseException) -> CommandError | None:
    # Imported here, since a command that goes well needs none of them.
    from calhub.calendar.event import InvalidEvent
    from calhub.hub.errors import Ambiguous, Busy, InvalidValue

    if isinstance(error, InvalidEvent):
        return CommandError(str(error), "Change the value and try again.", USAGE)
    message, hint = getattr(error, "message", None), getattr(error, "hint", "")
    if not isinstance(message, str) or not isinstance(hint, str):
        return None
    if isinstance(error, Ambiguous | InvalidValue):
        return CommandError(message, hint, USAGE)
    return CommandError(message, hint, LOCKED if isinstance(error, Busy) else FAILED)


def _of_system(error: BaseException) -> CommandError | None:
    if isinstance(error, OSError) and error.strerror:
        what = f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
        return CommandError(what, "Check the path, its permissions and the free space.")
    if isinstance(error, RecursionError | MemoryError):
        return CommandError("There is not enough memory for this.", "Try with less at once.")
    return None


def _of_damage(home: Path | None) -> CommandError | None:
    """What nobody foresaw may come from a damaged database: a flipped byte is any value at all."""
    if home is None or not (home / "hub.db").exists():
        return None
    from calhub.hub import backup
    from calhub.hub.errors import CorruptDatabase, HubError

    try:
        problems = backup.check(home)
        found: HubError | None = CorruptDatabase(f"The database is damaged: {problems[0]}") if problems else None
    except HubError as damage:
        found = damage
    return None if found is None else CommandError(found.message, found.hint)


def _unexpected(error: BaseException, home: Path | None) -> CommandError:
    if home is not None:
        from calhub.ops import log

        log.configure(home)
        log.record(error, "cli")
    return CommandError(
        "Something unexpected happened; this is a fault of calhub.",
        "Run: calhub doctor" + (f"; details are in {home / 'log' / 'calhub.log'}" if home is not None else ""),
    )


def swallow_broken_pipe() -> None:
    """Whoever read our output has gone (``calhub agenda | head``): keep the interpreter from complaining at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
