"""Write docs/providers-*.md: what each service holds of an event, from the providers' own tables. Run by ``make docs``;
tests/test_docs.py fails when one is stale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from calhub.providers.fieldtable import Field
from calhub.providers.google import tables as google
from calhub.providers.microsoft import tables as microsoft
from calhub.providers.notion import tables as notion

DOCS: Final = Path(__file__).parent.parent / "docs"

#: By kind of provider: the service's name, where things are kept that it has no place for, and its table.
TABLES: Final[dict[str, tuple[str, str, Sequence[Field]]]] = {
    "google": ("Google Calendar", "private extended properties of the event", google.FIELDS),
    "microsoft": ("Microsoft 365", "two extended properties of the event", microsoft.FIELDS),
    "notion": ("Notion", "further properties of the row", notion.FIELDS),
}


def page(kind: str) -> Path:
    return DOCS / f"providers-{kind}.md"


def table(kind: str) -> str:
    """The page as it should be."""
    name, place, fields = TABLES[kind]
    lines = [
        f"# {name}: what is kept",
        "",
        "*Written by `make docs` from the program itself.*",
        "",
        f"Each field of an event, what it is at {name}, and what of it is kept beside, in {place},",
        f"where no other program shows it. Whatever else {name} has in an event stays as it is: only what changed is",
        f"written. How to use the provider: [providers.md](providers.md#{kind}).",
        "",
        f"| field | {name} | kept beside | remarks |",
        "|---|---|---|---|",
    ]
    for field in fields:
        names = ", ".join(f"`{each}`" for each in field.names.split(", "))
        lines.append(f"| {names} | {field.there or '-'} | {field.beside or '-'} | {field.note} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    for each in TABLES:
        page(each).write_text(table(each))
