"""What commands print: tables or one JSON document on standard output, everything else on standard error."""

from __future__ import annotations

import json as jsonlib
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final, TextIO, TypeAlias

import typer

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

#: From this many rows on a table is laid out by us: rich takes a second for ten thousand.
_MANY_ROWS: Final = 500

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def emit(document: Any, as_json: bool, render: Callable[[], None]) -> None:
    """Print the result: the JSON document, or what ``render`` prints for people. Called last by every command."""
    if as_json:
        write_json(document)
    else:
        render()


def write_json(document: Any) -> None:
    """One JSON document and a line end. Text that is no Unicode (lone surrogates) is escaped."""
    text = jsonlib.dumps(document, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = jsonlib.dumps(document)
    print(text)


def note(text: str) -> None:
    """A message beside the result."""
    print(clean(text), file=sys.stderr)


def clean(value: object) -> str:
    """Text for a terminal, in one line. Control characters of remote events must not steer it."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(c if _is_plain(c) else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _is_plain(character: str) -> bool:
    # Format characters join emoji and mark direction; surrogates cannot be printed at all.
    return character.isprintable() or unicodedata.category(character) in ("Cf", "Co", "Zs")


def styled(text: str, *styles: str, stream: TextIO | None = None) -> str:
    """``text`` in bold, dim or a colour where a person reads it and has not set NO_COLOR."""
    if not (stream or sys.stdout).isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{';'.join(_STYLES[name] for name in styles)}m{text}\x1b[0m"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under headings, or ``empty`` (to standard error) when there are none. Empty columns are left out."""
    cells = [[clean(value) for value in row] for row in rows]
    shown = [place for place in range(len(columns)) if any(row[place] for row in cells)]
    columns, cells = [columns[place] for place in shown], [[row[place] for place in shown] for row in cells]
    if not cells:
        if empty:
            note(empty)
    elif len(cells) > _MANY_ROWS or not sys.stdout.isatty():
        _plain_table(columns, cells)
    else:
        _rich_table(columns, cells)


def _rich_table(columns: Sequence[str], cells: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, emoji=False, highlight=False)
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        grid.add_column(name, overflow="fold")
    for row in cells:
        grid.add_row(*(Text(cell, style=_tone(cell)) for cell in row))
    console.print(grid, soft_wrap=False)


def _plain_table(columns: Sequence[str], cells: list[list[str]]) -> None:
    """As wide as it needs to be: in a file or pipe cut values would be useless."""
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in ([*columns], *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _tone(cell: str) -> str:
    return {
        "ok": "green",
        "failed": "red",
        "failing": "red",
        "needs_login": "red",
        "open": "yellow",
        "held": "yellow",
    }.get(cell, "")


def fields(pairs: Mapping[str, object]) -> None:
    """Print one thing as ``name  value`` lines; what is empty is left out."""
    shown = {name: clean(value) for name, value in pairs.items() if value not in (None, "", [], {})}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        print(f"{styled(name.ljust(width), 'dim')}  {value}")


def yes_no(value: object) -> str:
    return "yes" if value else "no"


def _silent(_what: str, _done: int, _total: int | None) -> None:
    """Nobody watches."""


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str, int, int | None], None]]:
    """A callback (what, how far, of how many) that draws on standard error, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as display:
        tasks: dict[str, Any] = {}

        def step(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = display.add_task(clean(what), total=total)
            display.update(tasks[what], completed=done, total=total)

        yield step
