"""The demo's second and third part as they are played to people; the first one needs a minute."""

from __future__ import annotations

import io
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from calhub.cli import demo_everywhere, demo_rules


@pytest.mark.parametrize(("part", "end"), [(demo_everywhere, "All equal."), (demo_rules, "All true.")])
def test_part(
    part: ModuleType, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All commands succeed, what it shows in the end is so, and nothing is left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = io.StringIO()
    with ExitStack() as stack:
        part.act(Console(file=told, width=200), stack)
    printed = told.getvalue() + capfd.readouterr().out

    assert end in told.getvalue()
    assert "nothing to write, anywhere" in told.getvalue()
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []
