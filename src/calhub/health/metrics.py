"""Metrics in Prometheus' format: what the database knows, read when it is asked for, and what this process measures.

So there is one truth for the daemon's two processes and for commands run by cron, and nothing is lost by a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from calhub.hub import accounts, inbox, measures, modes, runs, sql
from calhub.hub.database import Hub
from calhub.hub.sql import Connection
from calhub.ops.samples import BOUNDS

#: Of what passes measure (`calhub.hub.measures`): name there, labels, and what it is.
_HISTOGRAMS: Final = (
    ("pass_seconds", ("provider",), "How long passes took."),
    ("request_seconds", ("provider", "status"), "How long services took to answer; status none: they did not."),
    ("propagation_seconds", ("provider", "way"), "From a change at a remote to the hub, and from there to a remote."),
    ("detection_seconds", ("provider",), "From a change at a remote to its being noticed."),
)
_COUNTERS: Final = (
    ("passes", ("account", "status"), "Passes that ended."),
    ("operations", ("op", "side"), "Events created, updated and deleted, in the hub and at remotes."),
    ("errors", ("account",), "Errors of passes and of single events."),
    ("conflicts", (), "Conflicts noted, open and settled."),
    ("messages", ("outcome",), "Attempts to deliver messages to webhooks: delivered, failed, dead (the last one)."),
)

#: What this process answers: by the route's pattern, so that there are not more of them than routes.
_ANSWERS: Final = ("calhub_api_seconds", "How long requests to this API took.", ("route", "method", "status"))

_WEBHOOKS: Final = ("calhub_webhooks", "Messages of services: accepted, repeated, ended (of an old channel), refused.")

Load = Callable[[], Mapping[str, Any] | None]


class Metrics:
    """The registry of a server. ``load`` tells how the engine fares, where there is one (`Front.load`)."""

    def __init__(self, hub: Hub, load: Load = lambda: None) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_HubCollector(hub, load))
        name, text, labels = _ANSWERS
        self._answers = Histogram(name, text, labels, buckets=BOUNDS, registry=self.registry)
        self._webhooks = Counter(*_WEBHOOKS, ("provider", "outcome"), registry=self.registry)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._answers.labels(route, method, str(status)).observe(seconds)

    def told(self, provider: str, outcome: str) -> None:
        """A message of a service arrived (`calhub.daemon.webhooks`)."""
        self._webhooks.labels(provider, outcome).inc()


class _HubCollector(Collector):
    def __init__(self, hub: Hub, load: Load) -> None:
        self._hub = hub
        self._load = load

    def collect(self) -> Iterator[Metric]:
        with self._hub.read() as conn:
            yield from _measured(conn)
            yield from _standing(conn)
            yield from _freshness(self._hub, conn)
        yield _gauge("database_bytes", "Size of the database.", self._hub.path.stat().st_size)
        yield from _engine(self._load())


def _measured(conn: Connection) -> Iterator[Metric]:
    """Every family, also those of which nothing has been measured yet."""
    families: dict[str, HistogramMetricFamily | CounterMetricFamily] = {}
    labels: tuple[str, ...]
    for name, labels, text in _HISTOGRAMS:
        families[name] = HistogramMetricFamily(f"calhub_{name}", text, labels=labels)
    for name, labels, text in _COUNTERS:
        families[name] = CounterMetricFamily(f"calhub_{name}", text, labels=labels)
    for (name, key), rows in groupby(measures.stored(conn), key=lambda row: (row[0], tuple(row[1].values()))):
        family = families.get(name)
        values = {bound: value for _, _, bound, value in rows}
        if isinstance(family, HistogramMetricFamily):
            family.add_metric(key, _cumulative(values), values["sum"])
        elif isinstance(family, CounterMetricFamily):
            family.add_metric(key, values[""])
    yield from families.values()


def _cumulative(values: Mapping[str, float]) -> list[tuple[str, float]]:
    buckets, total = [], 0.0
    for bound in (*map(str, BOUNDS), "+Inf"):
        total += values.get(bound, 0)
        buckets.append((bound, total))
    return buckets


def _standing(conn: Connection) -> Iterator[Metric]:
    """What waits, and how accounts fare."""
    status = runs.status(conn)
    yield _gauge("events", "Events in the hub.", sql.value(conn, "SELECT count(*) FROM event WHERE deleted = 0"))
    yield _gauge("pending_changes", "Events that have not reached a replica yet.", status["pending"])
    yield _gauge("open_conflicts", "Conflicts that wait for a person.", status["conflicts"])
    yield _gauge("waiting_holds", "Holds that wait for a person.", status["holds"])
    yield _gauge("dead_letters", "Writes that failed and wait for a person.", status["dead_letters"])
    yield _gauge("quarantined_items", "Items that cannot be read.", inbox.quarantine_count(conn))
    yield _gauge("pending_messages", "Messages that wait for a webhook.", status["webhooks"]["pending"])
    yield _gauge("dead_messages", "Messages to webhooks that were given up.", status["webhooks"]["dead"])
    yield _gauge("disabled_webhooks", "Webhooks that were given up.", len(status["webhooks"]["disabled"]))
    yield _gauge("dry_run", "1 while nothing is written to any remote.", modes.dry_run_since(conn) is not None)
    shapes = status["accounts"]
    yield _gauges("account_signed_in", "0 where somebody has to sign in again.", ("account", "provider"), (
        ((each["name"], each["provider"]), each["state"] != "needs_login") for each in shapes
    ))  # fmt: skip
    yield _gauges("breaker_open", "1 where an account is left alone after failures.", ("account",), (
        ((each["name"],), each["breaker"]["state"] != "closed") for each in shapes
    ))  # fmt: skip


def _freshness(hub: Hub, conn: Connection) -> Iterator[Metric]:
    ages = ((each, runs.age(each.last_success, hub.clock())) for each in accounts.replicas(conn))
    yield _gauges("freshness_seconds", "Since the last pass that succeeded.", ("account", "calendar", "replica"), (
        ((each.account, each.calendar, str(each.id)), age) for each, age in ages if age is not None
    ))  # fmt: skip


def _engine(load: Mapping[str, Any] | None) -> Iterator[Metric]:
    if load is None:
        return
    yield _gauge("queue_waiting", "Replicas that wait for their pass.", load.get("waiting", 0))
    yield _gauge("queue_running", "Passes under way.", load.get("running", 0))
    yield _gauge("engine_silent_seconds", "Since the engine was last heard of.", load["silent"])
    restarts = CounterMetricFamily("calhub_restarts", "Components started again.", labels=("component",))
    for component, number in load["restarts"].items():
        restarts.add_metric((component,), number)
    yield restarts


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"calhub_{name}", text, value=value)


def _gauges(name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(f"calhub_{name}", text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family
