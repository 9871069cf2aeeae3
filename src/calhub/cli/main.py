"""The command ``calhub``: which commands there are, and the one place where errors become messages and exit codes.

`app` is the whole command line. `run` builds only the part that a command line names, since a cold ``calhub agenda``
would spend more time on describing the other fifty commands than on its own work.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from calhub.cli.context import Session, session
from calhub.cli.failures import CommandError, explain, swallow_broken_pipe
from calhub.cli.output import clean, styled, write_json

#: Commands of their own: name -> (module, function). In the order of ``calhub --help``.
COMMANDS: Final = {
    "sync": ("syncing", "sync"),
    "serve": ("serving", "serve"),
    "agenda": ("queries", "agenda"),
    "search": ("queries", "search"),
    "import": ("transfer", "import_"),
    "export": ("transfer", "export"),
    "status": ("doctor", "status"),
    "doctor": ("doctor", "doctor"),
    "history": ("runs", "history"),
    "undo": ("runs", "undo"),
    "why": ("runs", "why"),
    "validate": ("checking", "validate"),
    "reset": ("checking", "reset"),
    "cleanup": ("checking", "cleanup"),
    "demo": ("demo", "demo"),
}

#: Nouns with commands below them: name -> (module, its Typer app).
GROUPS: Final = {
    "account": ("accounts", "app"),
    "calendar": ("calendars", "app"),
    "replica": ("replicas", "app"),
    "rule": ("rules", "app"),
    "event": ("events", "app"),
    "conflict": ("inbox", "conflict"),
    "hold": ("inbox", "hold"),
    "quarantine": ("inbox", "quarantine"),
    "token": ("tokens", "app"),
    "webhook": ("webhooks", "app"),
    "audit": ("audit", "app"),
    "db": ("database", "app"),
}


def _root(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option("--home", metavar="DIR", help="The folder of the hub; default: CALHUB_HOME or the platform's."),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Keeps all your calendars in two-way sync through one fast local database."""
    if version:
        from importlib.metadata import version as installed

        print(f"calhub {installed('calhub')}")
        raise typer.Exit
    if home is not None:
        session(context).home = home
    if context.invoked_subcommand is None:
        print(context.get_help())


def build(only: str | None = None) -> typer.Typer:
    """The command line, or the part of it below one name."""
    app = typer.Typer(name="calhub", add_completion=only is None, pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(_root)
    for name, (module, function) in COMMANDS.items():
        if only in (None, name):
            app.command(name)(_member(module, function))
    for name, (module, attribute) in GROUPS.items():
        if only in (None, name):
            app.add_typer(_member(module, attribute), name=name)
    return app


def _member(module: str, name: str) -> Any:
    return getattr(import_module(f"calhub.cli.{module}"), name)


def __getattr__(name: str) -> typer.Typer:
    """``app``, built when somebody asks for it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return build()


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code. Never raises, never prints a stack trace."""
    as_json = "--json" in argv
    here = Session()
    for stream in (sys.stdout, sys.stderr):
        # JSON is UTF-8 whatever the terminal is; a letter that a terminal lacks must not stop a listing.
        getattr(stream, "reconfigure", lambda **_: None)(
            errors="backslashreplace", **({"encoding": "utf-8"} if as_json else {})
        )
    try:
        command = typer.main.get_command(build(_first_word(argv)))
        code = command.main(args=list(argv), prog_name="calhub", standalone_mode=False, obj=here)
        sys.stdout.flush()
    except BrokenPipeError:
        swallow_broken_pipe()
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last stop: everything becomes a sentence here
        return _complain(error, here, as_json)
    return code if isinstance(code, int) else 0


def _first_word(argv: Sequence[str]) -> str | None:
    """The command named on the command line, where that is one of ours."""
    words = iter(argv)
    for word in words:
        if word == "--home":
            next(words, None)
        elif not word.startswith("-"):
            return word if word in COMMANDS or word in GROUPS else None
    return None


def _complain(error: BaseException, here: Session, as_json: bool) -> int:
    home = None if isinstance(error, CommandError | typer.TyperException) else here.home
    problem = explain(error, home)
    if as_json:
        write_json({"error": {"message": problem.message, "hint": problem.hint}})
    else:
        print(f"{styled('calhub:', 'red', stream=sys.stderr)} {clean(problem.message)}", file=sys.stderr)
        if problem.hint:
            print(f"  {clean(problem.hint)}", file=sys.stderr)
    return problem.code


def main() -> None:
    """The entry point of the installed command."""
    gc.set_threshold(100_000, 20)  # a command makes millions of objects and hardly a cycle
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # httpx's own command would load rich
    code = run(sys.argv[1:])
    gc.freeze()  # nor is a last look for cycles worth its time, a fifth of a pass with nothing to do
    sys.exit(code)
