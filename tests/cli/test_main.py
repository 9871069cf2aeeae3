"""The command line as a whole: usage errors, help, homes, and the last stop for errors nobody foresaw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.cli.conftest import Calhub

from calhub.cli import main


@pytest.mark.parametrize(
    "argv",
    [
        ("nope",),
        ("agenda", "--nope"),
        ("--nope",),
        ("account", "nope"),
        ("account",),
        ("event", "add"),
        ("sync", "extra"),
        ("history", "--limit"),
    ],
)
def test_usage_errors(calhub: Calhub, argv: tuple[str, ...]) -> None:
    """A wrong command line exits 2: a sentence on standard error, or with --json the error document."""
    plain, documented = calhub(*argv), calhub(*argv, "--json")

    assert (plain.code, documented.code) == (2, 2)
    assert plain.out == ""
    assert plain.err.startswith("calhub: ")
    assert documented.error["message"]


def test_no_command_prints_help(calhub: Calhub) -> None:
    """`calhub` alone prints the help."""
    result = calhub()

    assert result.code == 0
    assert "agenda" in result.out


def test_every_command_has_help(calhub: Calhub) -> None:
    """Each command, at any depth, has a sentence of help and prints it."""

    def walk(command: Any, path: tuple[str, ...]) -> None:
        assert command.help, path
        assert calhub(*path, "--help").code == 0, path
        for name, child in getattr(command, "commands", {}).items():
            walk(child, (*path, name))

    walk(typer.main.get_command(main.app), ())


def test_every_command_takes_json() -> None:
    """Each command takes --json, but the demonstration and the server, which have no result."""

    def without(command: Any, path: str) -> list[str]:
        children = getattr(command, "commands", None)
        if children is not None:
            return [name for key, child in children.items() for name in without(child, f"{path} {key}")]
        options = {option for parameter in command.params for option in parameter.opts}
        return [] if "--json" in options else [path]

    assert without(typer.main.get_command(main.app), "") == [" serve", " demo"]


def test_home_option_comes_before_the_variable(calhub: Calhub, home: Path, tmp_path: Path) -> None:
    """--home DIR is where the hub is, whatever CALHUB_HOME says."""
    calhub("--home", str(tmp_path / "other"), "calendar", "add", "there")

    assert (tmp_path / "other" / "hub.db").exists()
    assert not home.exists()


def test_home_that_is_a_file(calhub: Calhub, tmp_path: Path) -> None:
    """A home that is a file is a usage error."""
    (tmp_path / "file").write_text("")

    result = calhub("--home", str(tmp_path / "file"), "account", "list", "--json")

    assert result.code == 2


@pytest.mark.usefixtures("work")
def test_damaged_database(calhub: Calhub, home: Path) -> None:
    """Every command says that the database is damaged and what to do; none shows a trace."""
    (home / "hub.db").write_bytes(b"not a database at all" * 100)

    for argv in (("account", "list"), ("agenda",), ("sync",), ("status",), ("db", "check"), ("search", "x")):
        result = calhub(*argv, "--json")
        assert result.code == 1
        assert "restore" in result.error["hint"]


@pytest.mark.usefixtures("work")
def test_unexpected_errors_become_a_sentence(calhub: Calhub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours exits 1 with a hint; the log says where it arose, and not what was in the event."""

    def broken(*_: object, **__: object) -> None:
        raise KeyError("a private title")

    monkeypatch.setattr("calhub.hub.runs.status", broken)

    result = calhub("status", "--json")

    assert result.code == 1
    assert "calhub doctor" in result.error["hint"]
    log = (home / "log" / "calhub.log").read_text()
    assert "KeyError" in log
    assert "test_main.py" in log
    assert "private title" not in log + result.out + result.err


@pytest.mark.usefixtures("work")
def test_interruption(calhub: Calhub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C exits 130 with a sentence."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("calhub.sync.engine.sync", interrupted)

    assert calhub("sync", "--json").code == 130


@pytest.mark.usefixtures("work")
def test_reader_that_goes_away(calhub: Calhub, home: Path) -> None:
    """`calhub ... | head -0` ends without a word about the closed pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "calhub.cli", "--home", str(home), "account", "list", "--json"]

    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)

    assert done.stderr == b""
    assert calhub("account", "list").code == 0


def test_json_is_utf8_in_any_locale(calhub: Calhub, home: Path) -> None:
    """A terminal that knows no accents does not stop a document or a listing."""
    calhub("calendar", "add", "Größe 🎉")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "CALHUB_HOME": str(home)}
    command = [sys.executable, "-m", "calhub.cli", "calendar", "list"]

    document = subprocess.run([*command, "--json"], env=environment, capture_output=True, check=True)
    table = subprocess.run(command, env=environment, capture_output=True, check=True)

    assert json.loads(document.stdout.decode())[0]["name"] == "Größe 🎉"
    assert b"Gr" in table.stdout


def test_only_the_named_command_is_built() -> None:
    """Describing the other commands would cost a cold agenda more than its work."""
    assert [command.name for command in main.build("agenda").registered_commands] == ["agenda"]
    assert len(main.build().registered_groups) == len(main.GROUPS)
