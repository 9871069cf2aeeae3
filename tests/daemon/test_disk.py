"""The disk under a running daemon fills up: it answers as ever, refuses what it cannot keep, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.rig import Daemon, Pair, daemon, eventually
from tests.disk import fill_up, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16) as folder:
        yield folder


@pytest.fixture
def serving(tmp_path: Path, disk: Path) -> Iterator[Daemon]:
    with daemon(disk / "home", tmp_path / "serve.log") as made:
        yield made


def test_a_full_disk(serving: Daemon, pair: Pair, disk: Path) -> None:
    """Front and engine: reads go on, writes are refused with a problem, and with room again everything arrives."""
    serving.start()
    pair.put("before", "before")
    titles = {"before": "before"}
    eventually(lambda: pair.agree_on(titles), "the first event")
    engine = serving.engine
    fill_up(disk / "ballast")

    refused = _fill_hub(serving, titles)
    assert refused["code"] == "disk-full"
    assert refused["detail"].endswith(" is full.")
    pair.put("file", "written meanwhile")
    pair.put_remote("there", "made there")
    [*runs] = serving.post("api/v1/sync", {}).json()["runs"]
    assert [run["status"] for run in runs] == ["failed", "failed"]
    assert " is full." in runs[0]["errors"][0]["message"]
    for question in ("events/before", "occurrences?from=2026-11-23&to=2026-11-25", "search?q=before", "status"):
        assert serving.get(f"api/v1/{question}").status_code == 200, question
    assert serving.get("health").status_code == 200
    assert serving.engine == engine, "the engine died of it"

    (disk / "ballast").unlink()
    titles |= {"file": "written meanwhile", "there": "made there"}
    eventually(lambda: pair.agree_on(titles), "everything everywhere")
    serving.stop()
    pair.assert_whole()


def _fill_hub(serving: Daemon, titles: dict[str, str]) -> Any:
    """Add events until one is refused, since there may be room in the database's own files; returns the problem."""
    for number in range(1000):
        event = {"calendar": "Work", "title": f"event {number}", "uid": f"e{number}", "start": "2026-11-24T10:00"}
        answer = serving.post("api/v1/events", {**event, "description": "y" * 20_000})
        if answer.status_code != 201:
            assert answer.status_code == 507, answer.text
            return answer.json()
        titles[event["uid"]] = event["title"]
    raise AssertionError("the disk is not full")
