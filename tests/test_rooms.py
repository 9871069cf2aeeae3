"""The rooms of the program: imports point downwards, in the order in which docs/architecture.md lists them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
SOURCE: Final = ROOT / "src" / "calhub"


def rooms() -> list[str]:
    """As the page names them, from the top."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    part = page[page.index("## Rooms") : page.index("## The way of a change")]
    return re.findall(r"^    (\w+)/ ", part, re.MULTILINE)


def imports(path: Path) -> Iterator[str]:
    """The names of modules a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_page_names_all_rooms() -> None:
    assert sorted(rooms()) == sorted(each.parent.name for each in SOURCE.glob("*/__init__.py"))


def test_imports_point_downwards() -> None:
    """The last room, `testing`, may use all others, and only the demo may use it."""
    order = rooms()
    depth = {room: number for number, room in enumerate(order)}
    upwards = set()
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0]
        if room == "testing" or room not in depth:
            continue
        for name in imports(path):
            other = name.removeprefix("calhub.").partition(".")[0] if name.startswith("calhub.") else room
            in_demo = other == "testing" and room == "cli" and path.name.startswith("demo")
            if depth[other] < depth[room] or (other == "testing" and not in_demo):
                upwards.add(f"{path.relative_to(SOURCE)} imports {name}")
    assert upwards == set()
