"""Spans: who listens hears of each, with what became of it; the log and OpenTelemetry listen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from calhub.ops import log, telemetry, trace


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = list(trace.listeners)
    yield
    log.close()
    structlog.reset_defaults()
    trace.listeners[:] = before


def entries(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "log" / "calhub.log").read_text("utf-8").splitlines()]


def fail() -> None:
    with trace.span("push", run=8):
        raise ValueError("Lunch with Ann")


def test_entries_of_a_span_belong_together(tmp_path: Path) -> None:
    """What is logged meanwhile has the span's facts, also from deep inside; afterwards nothing has."""
    log.configure(tmp_path, level="debug")

    with trace.span("pull", run=7, account="cloud") as facts:
        log.get("http").info("asked")
        facts["status"] = "ok"
    log.get("http").info("later")

    asked, ended, later = entries(tmp_path)
    assert (asked["run"], asked["account"]) == (7, "cloud")
    assert (ended["event"], ended["level"], ended["run"], ended["status"]) == ("pull", "debug", 7, "ok")
    assert ended["ms"] >= 0
    assert "run" not in later


def test_failure_is_a_warning_without_its_message(tmp_path: Path) -> None:
    """The message of an error may quote an event."""
    log.configure(tmp_path)

    with pytest.raises(ValueError, match="Lunch"):
        fail()

    (ended,) = entries(tmp_path)
    assert (ended["level"], ended["run"], ended["status"]) == ("warning", 8, "failed")
    assert "Lunch" not in json.dumps(ended)


def test_pretty_log_is_redacted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For people: no JSON, and no secrets either."""
    monkeypatch.setenv("CALHUB_LOG_FORMAT", "pretty")
    monkeypatch.setenv("CALHUB_LOG_LEVEL", "warning")
    log.configure(tmp_path)

    log.get("http").info("not shown")
    log.get("http").warning("asked", url="https://u:hunter2@x.example/?key=1", title="Lunch")

    text = (tmp_path / "log" / "calhub.log").read_text("utf-8")
    assert "asked" in text
    assert "https://x.example" in text
    assert not text.startswith("{")
    assert not [word for word in ("hunter2", "key=1", "Lunch", "not shown") if word in text]


def test_opentelemetry() -> None:
    """Spans nest as ours do, and carry the facts."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.listeners.append(telemetry.listener(provider))

    with trace.span("request", request="abc", calendar=None):
        with trace.span("pull", run=7) as facts:
            facts["status"] = "ok"
        with pytest.raises(ValueError, match="Lunch"):
            fail()

    pull, push, request = exporter.get_finished_spans()
    assert dict(pull.attributes or {}) == {"run": 7, "status": "ok"}
    assert dict(request.attributes or {}) == {"request": "abc"}
    assert pull.parent is not None
    assert pull.parent.span_id == request.context.span_id
    assert (pull.status.is_ok, push.status.is_ok) == (True, False)
    assert "Lunch" not in push.to_json()


def test_nothing_is_loaded_without_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(telemetry.ENDPOINT, raising=False)
    before = list(trace.listeners)

    telemetry.start.__wrapped__()

    assert trace.listeners == before
