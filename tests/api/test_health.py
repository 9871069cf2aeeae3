"""Health, metrics and history by HTTP: what is measured here is what happened here."""

from __future__ import annotations

import re
import sqlite3

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.api.conftest import NOW, MakeToken, Serve, Settings, add, problem
from tests.cli.conftest import Folder

from calhub.api.surroundings import Surroundings
from calhub.health.report import account_score, score
from calhub.hub import accounts
from calhub.hub.breaker import Breaker
from calhub.hub.database import Hub
from calhub.hub.secrets import seal


def samples(api: httpx.Client) -> dict[str, float]:
    """Every sample, spelled as Prometheus does, with labels in order."""
    answer = api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        f"{each.name}{{{','.join(f'{key}={value}' for key, value in sorted(each.labels.items()))}}}": each.value
        for family in text_string_to_metric_families(answer.text)
        for each in family.samples
    }


def test_the_address_that_is_shown_leads_on(api: httpx.Client) -> None:
    """Whoever opens it in a browser finds the way to everything else."""
    found = api.get("/").json()
    assert found.pop("calhub")
    assert {name: api.get(url).status_code for name, url in found.items()} == dict.fromkeys(found, 200)


def test_alive_without_token_and_database(api: httpx.Client, hub: Hub) -> None:
    """Liveness says nothing about the hub: a broken one is not mended by starting the server again."""
    hub.path.unlink()

    answer = api.get("/health", headers={"Host": "calendar.example.org"})

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.usefixtures("disk")
def test_all_is_well(api: httpx.Client, here: Surroundings) -> None:
    here.load = lambda: {"running": 1, "waiting": 2, "passes": 3, "silent": 0.4, "restarts": {"engine": 1}}

    found = api.get("/health/detailed").json()

    assert (found["status"], found["score"], found["dry_run"]) == ("ok", 1.0, None)
    (account,) = found["accounts"]
    assert account["name"] == "disk"
    assert account["signed_in"] is True
    assert account["last_success"] == "2026-11-21T12:00:00.000Z"
    assert (account["freshness_seconds"], account["stale"]) == (0.0, False)
    assert account["breaker"]["state"] == "closed"
    assert found["database"]["bytes"] > 0
    assert found["disk"]["free_bytes"] > 0
    assert found["scheduler"] == {
        "running": 1, "waiting": 2, "passes": 3, "silent": 0.4, "restarts": {"engine": 1}, "ok": True
    }  # fmt: skip
    assert found["channels"] == []


@pytest.mark.usefixtures("disk")
def test_what_is_wrong(api: httpx.Client, hub: Hub, here: Surroundings) -> None:
    """A lost sign-in, an open breaker, a silent engine: each is named and lowers the score."""
    with hub.transaction() as conn:
        accounts.add_account(conn, "cloud", "google", {}, hub.now())
        cloud = accounts.account(conn, "cloud")
        until = seal(hub.home, "cloud", "access_until", "2026-11-21T13:00:00+00:00")
        accounts.replace_secrets(conn, cloud.id, {"access_until": until})
        accounts.set_account_state(conn, cloud.id, "needs_login", "gone")

    found = api.get("/health/detailed").json()
    assert (found["status"], found["score"]) == ("degraded", 0.5)
    assert [each["signed_in"] for each in found["accounts"]] == [True, False]
    assert found["accounts"][1]["token_until"] == "2026-11-21T13:00:00+00:00"

    with hub.transaction() as conn:
        accounts.set_breaker(conn, 1, Breaker("open", 5, NOW))
    here.load = lambda: {"silent": 31.0, "restarts": {}}

    found = api.get("/health/detailed").json()
    assert (found["status"], found["score"]) == ("failing", 0.0)
    assert found["scheduler"]["ok"] is False


def test_damaged_database(api: httpx.Client, hub: Hub) -> None:
    with sqlite3.connect(hub.path) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = 'event_rev'")
    db.close()

    found = api.get("/health/detailed").json()

    assert (found["status"], found["score"], found["database"]["ok"]) == ("failing", 0.0, False)
    assert "damaged" in found["database"]["problem"]


def test_score() -> None:
    """Halved by a full disk and by a silent scheduler, nothing without a database, 1 with nothing to do."""
    fine = {"ok": True}
    assert score([], True, True, None) == 1.0
    assert score([1.0, 0.0, 0.5], True, True, fine) == 0.5
    assert score([1.0], True, False, fine) == 0.5
    assert score([1.0], True, False, {"ok": False}) == 0.25
    assert score([1.0], False, True, fine) == 0.0


@pytest.mark.parametrize(
    ("state", "breaker", "stale", "expected"),
    [
        ("ok", "closed", False, 1.0),
        ("ok", "closed", True, 0.5),
        ("failing", "closed", False, 0.5),
        ("ok", "half_open", False, 0.5),
        ("failing", "open", False, 0.0),
        ("needs_login", "closed", False, 0.0),
    ],
)
def test_account_score(state: str, breaker: str, stale: bool, expected: float) -> None:
    assert account_score(state, breaker, stale) == expected


def test_metrics(api: httpx.Client, disk: Folder, here: Surroundings) -> None:
    """Passes, operations and answers are counted as they happened; the database tells what waits."""
    here.load = lambda: {"running": 1, "waiting": 2, "silent": 0.4, "restarts": {"engine": 1}}
    disk.put("work", "a", "one")
    assert api.post("/api/v1/sync").json()["runs"][0]["pulled"]["created"] == 1
    add(api, calendar="work")
    waiting = samples(api)
    assert waiting["calhub_pending_changes{}"] == 1
    assert api.post("/api/v1/sync").json()["runs"][0]["pushed"]["created"] == 1

    found = samples(api)

    assert found["calhub_passes_total{account=disk,status=ok}"] == 3
    assert found["calhub_pass_seconds_count{provider=folder}"] == 3
    assert found["calhub_pass_seconds_bucket{le=+Inf,provider=folder}"] == 3
    assert found["calhub_operations_total{op=create,side=hub}"] == 1
    assert found["calhub_operations_total{op=create,side=remote}"] == 1
    assert found["calhub_propagation_seconds_count{provider=folder,way=hub_to_remote}"] == 1
    assert found["calhub_pending_changes{}"] == 0
    assert found["calhub_events{}"] == 2
    assert found["calhub_freshness_seconds{account=disk,calendar=work,replica=1}"] == 0
    assert found["calhub_account_signed_in{account=disk,provider=folder}"] == 1
    assert (found["calhub_queue_waiting{}"], found["calhub_restarts_total{component=engine}"]) == (2, 1)
    assert found["calhub_api_seconds_count{method=POST,route=/api/v1/sync,status=200}"] == 3
    assert found["calhub_database_bytes{}"] > 0


def test_metrics_need_a_token_elsewhere(here: Surroundings, serve: Serve, make_token: MakeToken) -> None:
    """Account names are in there. Only liveness is for everybody."""
    here.loopback = False
    api = serve().client
    for path in ("/metrics", "/health/detailed", "/history", "/api/v1/criteria", "/api/v1/audit"):
        problem(api.get(path), 401, "token-needed")
    reader = {"Authorization": f"Bearer {make_token('read')}"}
    assert api.get("/metrics", headers=reader).status_code == 200
    problem(api.get("/api/v1/audit", headers=reader), 403, "scope")
    problem(api.post("/api/v1/dry-run", headers=reader, json={"on": True}), 403, "scope")


def test_history(api: httpx.Client, disk: Folder) -> None:
    """The last passes, and by the hour how many succeeded."""
    disk.path.joinpath("work").rename(disk.path.with_name("away"))
    failed = api.post("/api/v1/sync").json()["runs"][0]
    assert failed["status"] == "failed"

    found = api.get("/history", params={"limit": 1}).json()

    assert [each["id"] for each in found["runs"]] == [failed["id"]]
    assert (found["passes"], found["success_rate"]) == (2, 0.5)
    (hour,) = found["hours"]
    assert (hour["hour"], hour["passes"], hour["succeeded"]) == ("2026-11-21T12:00:00.000Z", 2, 1)


def test_history_before_the_first_pass(api: httpx.Client) -> None:
    found = api.get("/history").json()
    assert found == {"runs": [], "hours": [], "passes": 0, "success_rate": None}


def test_validate_sync(api: httpx.Client, disk: Folder) -> None:
    """A remote that says something else than the hub is a finding."""
    disk.put("work", "a", "one")
    api.post("/api/v1/sync")
    assert api.post("/validate-sync").json() == {"ok": True, "findings": []}
    disk.path.joinpath("work", "a.ics").unlink()

    found = api.post("/validate-sync", json={"calendar": "work", "full": True}).json()

    assert found["ok"] is False
    assert [each["uid"] for each in found["findings"]] == ["a"]
    problem(api.post("/validate-sync", json={"calendar": "none"}), 404, "not-found")


def test_debugging_is_for_development(serve: Serve, settings: Settings) -> None:
    """Without the setting there is no such address; with it, an event is shown as it is stored."""
    api = serve().client
    assert api.post("/api/v1/calendars", json={"name": "Work"}).status_code == 201
    event = add(api)
    problem(api.get("/debug/events/Work"), 404, "not-found")
    assert "/debug/events/{calendar}" not in api.get("/api/v1/openapi.json").json()["paths"]
    settings["development"] = "true"

    (found,) = serve().client.get("/debug/events/Work").json()["items"]

    assert (found["uid"], found["content"]["title"], found["links"]) == (event["uid"], "Lunch", [])


def test_names_and_units(api: httpx.Client) -> None:
    """Prometheus' conventions: one prefix, base units."""
    names = {each.name for each in text_string_to_metric_families(api.get("/metrics").text)}
    assert names
    assert not [name for name in names if not re.fullmatch(r"calhub_[a-z_]+", name)]
    assert not [name for name in names if name.endswith(("_ms", "_milliseconds", "_kb", "_minutes"))]
