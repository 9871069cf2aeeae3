"""The files for Grafana and Prometheus name only metrics that there are, and the unit is one for systemd."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from calhub.health.metrics import Metrics
from calhub.hub.database import Hub

PACKAGING: Final = Path(__file__).parents[2] / "packaging"
SUFFIXES: Final = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}


@pytest.fixture
def exposed(tmp_path: Path) -> Iterator[set[str]]:
    """The names of all samples that a server with an engine can show."""
    with Hub.open(tmp_path / "home", clock=lambda: datetime(2026, 11, 21, tzinfo=UTC)) as hub:
        metrics = Metrics(hub, lambda: {"waiting": 1, "running": 1, "silent": 0.1, "restarts": {"engine": 1}})
        families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
        yield {each.name + suffix for each in families for suffix in SUFFIXES[each.type]}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd to ask")
def test_unit(tmp_path: Path) -> None:
    """systemd has nothing to say against it."""
    text = (PACKAGING / "calhub.service").read_text("utf-8")
    unit = tmp_path / "calhub.service"
    unit.write_text(text.replace("/opt/calhub/bin/calhub", sys.executable), "utf-8")  # verified to be there

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def named(expression: str) -> set[str]:
    return set(re.findall(r"calhub_\w+", expression))


def test_dashboard(exposed: set[str]) -> None:
    """Every panel asks for something that there is."""
    panels = json.loads((PACKAGING / "grafana-dashboard.json").read_text("utf-8"))["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]

    assert len(expressions) > len(panels) > 10
    assert all(map(named, expressions))
    assert not set().union(*map(named, expressions)) - exposed


def test_alert_rules(exposed: set[str]) -> None:
    """Every rule; each says what is wrong."""
    (group,) = yaml.safe_load((PACKAGING / "alert-rules.yml").read_text("utf-8"))["groups"]

    assert len({each["alert"] for each in group["rules"]}) == len(group["rules"]) > 5
    for rule in group["rules"]:
        assert named(rule["expr"])
        assert not named(rule["expr"]) - exposed, rule["alert"]
        assert rule["annotations"]["summary"]
