"""The log: JSON lines in the home, without secrets and without what people wrote."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from calhub.ops import log, trace


@pytest.fixture(autouse=True)
def configured(tmp_path: Path) -> Iterator[None]:
    log.configure(tmp_path)
    yield
    log.close()
    structlog.reset_defaults()


def entries(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "log" / "calhub.log").read_text("utf-8").splitlines()]


def test_entries_are_json_lines(tmp_path: Path) -> None:
    """An entry says when, how grave, which room, what, and its values."""
    log.get("sync").info("pass ended", replica=3, pulled={"created": 2}, path=tmp_path)
    log.get("sync").debug("not shown")

    (entry,) = entries(tmp_path)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "level": "info",
        "room": "sync",
        "event": "pass ended",
        "replica": 3,
        "pulled": {"created": 2},
        "path": str(tmp_path),
    }


def test_the_log_is_private(tmp_path: Path) -> None:
    """Only the owner reads the log."""
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "log" / "calhub.log").stat().st_mode) == 0o600


def test_a_full_disk_stops_nobody(tmp_path: Path) -> None:
    """An entry for which there is no room is dropped; neither logging it nor the work it tells of fails."""
    full = tmp_path / "other" / "log"
    full.mkdir(parents=True)
    (full / "calhub.log").symlink_to("/dev/full")
    log.configure(tmp_path / "other")

    log.get("sync").error("pass failed")
    with trace.span("pass") as told:
        told["status"] = "failed"
    log.close()


@pytest.mark.parametrize(
    "key",
    [
        "password", "Authorization", "access_token", "refresh-token", "client_secret", "Set-Cookie", "credentials",
        "title", "description", "content", "attendees", "raw",
    ],
)  # fmt: skip
def test_secrets_and_contents_are_dropped(tmp_path: Path, key: str) -> None:
    """Keys that hold secrets or event contents are dropped at any depth."""
    log.get("sync").warning("refused", status=403, **{key: "hunter2"})
    log.get("sync").warning("refused", request={"headers": [{key: "hunter2", "Accept": "*/*"}]})

    assert "hunter2" not in (tmp_path / "log" / "calhub.log").read_text()
    first, second = entries(tmp_path)
    assert first["status"] == 403
    assert second["request"] == {"headers": [{"Accept": "*/*"}]}


@pytest.mark.parametrize(
    "text",
    [
        "GET https://ann:hunter2@dav.example.org/cal",
        "GET https://example.org/feed.ics?key=hunter2",
        "sent Authorization: Bearer hunter2hunter2",
    ],
)
def test_secrets_inside_texts(tmp_path: Path, text: str) -> None:
    """Passwords in addresses, secret addresses and headers are cut out of messages and tracebacks."""
    log.get("providers").info(text)
    try:
        raise ValueError(text)
    except ValueError as error:
        log.get("providers").exception("failed", error=error)

    assert "hunter2" not in (tmp_path / "log" / "calhub.log").read_text()
    assert "ValueError" in entries(tmp_path)[1]["exception"]


def test_a_big_log_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has grown too big a new one is started and the last one kept, by whoever writes: a daemon never ends."""
    path = tmp_path / "log" / "calhub.log"
    other = log._File(path)  # another process has it open
    log.get("sync").info("first")
    monkeypatch.setattr(log, "_ROTATE_BYTES", 10)
    log.get("sync").info("second")
    monkeypatch.setattr(log, "_ROTATE_BYTES", 1000)
    other.write('{"event": "third"}\n')
    other.close()

    assert [entry["event"] for entry in entries(tmp_path)] == ["second", "third"]
    assert "first" in path.with_name("calhub.log.1").read_text()
    path.unlink()
    log.get("sync").info("fourth")
    assert [entry["event"] for entry in entries(tmp_path)] == ["fourth"]


def test_without_a_configured_log_standard_output_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """It belongs to the answer of a command, which may be JSON."""
    structlog.reset_defaults()
    log.get("sync").info("not shown")
    log.get("sync").warning("shown", password="hunter2")

    out, err = capsys.readouterr()
    assert out == ""
    assert "shown" in err
    assert not [word for word in ("not shown", "hunter2") if word in err]


def test_a_home_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a place for the file, the log goes to standard error; nothing fails for it."""
    (tmp_path / "file").touch()
    log.configure(tmp_path / "file")
    log.get("sync").info("still here")

    assert json.loads(capsys.readouterr().err)["event"] == "still here"


def test_unknown_level_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is what tells of failures, so it does not fail itself."""
    monkeypatch.setenv("CALHUB_LOG_LEVEL", "verbose")
    log.configure(tmp_path)
    log.get("sync").info("shown")
    log.get("sync").debug("not shown")
    assert [entry["event"] for entry in entries(tmp_path)] == ["shown"]
