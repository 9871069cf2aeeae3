"""The documentation names what is there, and nothing in it leads nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from fastapi.routing import APIRoute

from calhub.api.app import ROUTERS
from calhub.calendar.event import FIELDS
from calhub.cli.context import SETTINGS, Setting
from calhub.providers.registry import KINDS
from scripts.cli_reference import PAGE, commands, options, reference
from scripts.field_tables import TABLES, page, table

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
COMMANDS: Final = dict(commands())


def test_reference_is_current() -> None:
    """docs/cli.md is what `make docs` would write now."""
    assert reference() == PAGE.read_text()


@pytest.mark.parametrize("kind", TABLES)
def test_field_table_is_current(kind: str) -> None:
    """docs/providers-KIND.md is what `make docs` would write now, and speaks of every field once."""
    assert table(kind) == page(kind).read_text()
    named = [name for field in TABLES[kind][2] for name in field.names.split(", ")]
    assert sorted(named) == sorted(FIELDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_help(name: str) -> None:
    """Every command and every option says what it does."""
    command = COMMANDS[name]

    assert command.help
    assert [option.opts for option in options(command) if not option.help] == []


@pytest.mark.parametrize("kind", KINDS)
def test_provider_is_documented(kind: str) -> None:
    """Every registered provider has its own section in docs/providers.md."""
    assert f"## `{kind}`" in (ROOT / "docs" / "providers.md").read_text()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_setting_is_documented(setting: Setting) -> None:
    """Every setting and its environment variable are in the table of docs/operations.md."""
    row = f"| `{setting.name}` | `CALHUB_{setting.name.upper()}` |"

    assert row in (ROOT / "docs" / "operations.md").read_text()


def test_commands_in_pages_exist() -> None:
    """Each `calhub ...` line of an example is a command there is, with options it has."""
    unknown = [
        f"{page.name}: {line}" for page in PAGES if page != PAGE for line in _example_lines(page) if not _is_known(line)
    ]

    assert unknown == []


def test_routes_are_documented() -> None:
    """Every route of the API is in the table of docs/api.md, and nothing else is."""
    there = {
        (method, route.path_format)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }

    assert set(_documented_routes()) == there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Links between the pages name a file, and a heading in it, that exist."""
    broken = [link for link in LINK.findall(page.read_text()) if "://" not in link and not _exists(page, link)]

    assert broken == []


def _documented_routes() -> Iterator[tuple[str, str]]:
    """From rows such as ``| `GET`, `PUT /events/{uid}`, `GET /status` | ... |``."""
    for cell in re.findall(r"^\| (`[A-Z].*?) \|", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE):
        methods: list[str] = []
        for span in re.findall(r"`([^`]+)`", cell):
            method, _, path = span.partition(" ")
            methods.append(method)
            if path:
                yield from ((each, path) for each in methods)
                methods = []


def _example_lines(page: Path) -> list[str]:
    return re.findall(r"^(?: {4}|.*`)(?:\S*=\S* )?(calhub [^`#\n]*)", page.read_text(), re.MULTILINE)


def _is_known(line: str) -> bool:
    words = re.sub(r"--home \S+ ", "", line).split()
    for length in range(len(words), 1, -1):
        command = COMMANDS.get(" ".join(words[:length]))
        if command:
            known = {spelling for option in options(command) for spelling in [*option.opts, *option.secondary_opts]}
            used = {word.strip("[]").partition("=")[0] for word in words[length:] if word.strip("[").startswith("-")}
            return used - {"-"} <= known | {"--help"}
    return words[1:2] in ([], ["COMMAND"], ["[--home"]) or _is_group(words)


def _is_group(words: list[str]) -> bool:
    return any(name.startswith(" ".join(words) + " ") for name in COMMANDS)


def _exists(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (
        not anchor or anchor in {_anchor(title) for title in HEADING.findall(target.read_text())}
    )


def _anchor(heading: str) -> str:
    """As code hosts make it from a heading: lower case, no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
