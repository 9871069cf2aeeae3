"""The demo's second part as it is played to people; the first one needs a minute."""

from __future__ import annotations

import io
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from calhub.cli import demo_everywhere


def test_one_calendar_at_five_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All commands succeed, the comparison finds all equal, and nothing is left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = io.StringIO()
    with ExitStack() as stack:
        demo_everywhere.act(Console(file=told, width=200), stack)
    printed = told.getvalue() + capfd.readouterr().out

    assert "All equal." in told.getvalue()
    assert "nothing to write, anywhere" in told.getvalue()
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []
