"""Write docs/cli.md from the commands themselves. Run by ``make docs``; tests/test_docs.py fails when it is stale."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Final

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from calhub.cli.main import app

PAGE: Final = Path(__file__).parent.parent / "docs" / "cli.md"

_HEAD: Final = """# Command line

*Written by `make docs` from the program itself.*

    calhub [--home DIR] COMMAND

The home defaults to the platform's data folder; `CALHUB_HOME` overrides it, `--home` overrides both. Every listing and
result command takes `--json`: one JSON document on standard output and nothing else there; messages and progress go to
standard error.

| exit code | meaning |
|---|---|
| 0 | all done |
| 1 | something failed |
| 2 | usage: unknown name, several matches, bad option |
| 3 | another pass holds the lock |
| 4 | done, but conflicts or holds wait for a person |

Calendars, replicas and remote calendars are named by id or, where unique, by exact name. A UID that is in two calendars
needs `--calendar`. Times are given as `2026-11-21`, `2026-11-21T10:00` or RFC 3339.
"""


def reference() -> str:
    """The page as it should be."""
    sections = ["\n".join(_section(path, command)) for path, command in commands()]
    return "\n".join([_HEAD, *sections])


def commands() -> Iterator[tuple[str, TyperCommand]]:
    """Every command a user can give, with its full name: ``("calhub account add", ...)``."""
    yield from _walk("calhub", get_command(app))


def options(command: TyperCommand) -> list[TyperOption]:
    """Its options, but for ``--help``."""
    return [parameter for parameter in command.params if isinstance(parameter, TyperOption)]


def _walk(path: str, command: object) -> Iterator[tuple[str, TyperCommand]]:
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            if not child.hidden:
                yield from _walk(f"{path} {name}", child)
    elif isinstance(command, TyperCommand):
        yield path, command


def _section(path: str, command: TyperCommand) -> Iterator[str]:
    arguments = [parameter for parameter in command.params if isinstance(parameter, TyperArgument)]
    names = [(argument.name or "").upper() for argument in arguments]
    yield " ".join(["##", path, *(f"{n}" if a.required else f"[{n}]" for n, a in zip(names, arguments, strict=True))])
    yield ""
    yield cleandoc(command.help or "")
    yield ""
    rows = [(name, argument.help) for name, argument in zip(names, arguments, strict=True) if argument.help]
    rows += [(", ".join([*option.opts, *option.secondary_opts]), option.help or "") for option in options(command)]
    if rows:
        yield "| | |"
        yield "|---|---|"
        yield from (f"| `{name}` | {(meaning or '').replace('|', '&#124;')} |" for name, meaning in rows)
        yield ""


if __name__ == "__main__":
    PAGE.write_text(reference())
