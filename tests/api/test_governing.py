"""Dry-run mode, criteria and the audit log by HTTP."""

from __future__ import annotations

import os
from datetime import timedelta

import httpx
import pytest
from tests.api.conftest import NOW, MakeToken, Serve, Settings, add, problem
from tests.cli.conftest import Folder

from calhub.api.surroundings import Surroundings
from calhub.hub import accounts, audit
from calhub.hub.database import Hub
from calhub.providers.base import ProviderError
from calhub.sync.connect import connector


def criteria(api: httpx.Client) -> dict[str, tuple[float | None, int, str]]:
    found = api.get("/api/v1/criteria").json()["criteria"]
    return {each["name"]: (each["value"], each["count"], each["status"]) for each in found}


def test_dry_run(api: httpx.Client, disk: Folder) -> None:
    """Writes stop and are shown, pulling goes on; switched off, all that waited is done."""
    assert api.get("/api/v1/dry-run").json() == {"on": False, "since": None, "runs": []}
    uid = add(api, calendar="work")["uid"]

    on = api.post("/api/v1/dry-run", json={"on": True}).json()

    assert (on["on"], on["since"]) == (True, "2026-11-21T12:00:00.000Z")
    assert [(step["side"], step["op"], step["uid"]) for step in on["runs"][0]["plan"]] == [("remote", "create", uid)]
    disk.put("work", "a", "one")
    run = api.post("/api/v1/sync").json()["runs"][0]
    assert (run["status"], run["pulled"]["created"], run["pushed"]["created"]) == ("ok", 1, 0)
    assert disk.names("work") == ["a"]
    assert api.get("/api/v1/status").json()["dry_run"] == "2026-11-21T12:00:00.000Z"

    off = api.post("/api/v1/dry-run", json={"on": False}).json()

    assert (off["on"], off["runs"][0]["pushed"]["created"]) == (False, 1)
    assert disk.names("work") == sorted(["a", uid])
    whats = [each["what"] for each in api.get("/api/v1/audit").json()["items"]]
    assert [each for each in whats if each.startswith("dry run")] == ["dry run off", "dry run on"]


def test_dry_run_stops_undo_and_atomic_writes(api: httpx.Client, disk: Folder) -> None:
    """Not only passes write to remotes."""
    uid = add(api, calendar="work")["uid"]
    run = api.post("/api/v1/sync").json()["runs"][0]["id"]
    api.post("/api/v1/dry-run", json={"on": True})

    (skipped,) = api.post(f"/api/v1/runs/{run}/undo").json()["skipped"]
    assert "dry run" in skipped["reason"]
    body = {"calendar": "work", "title": "x", "start": "2026-11-23T12:00"}
    answer = api.post("/api/v1/events", params={"mode": "atomic"}, json=body)

    assert answer.status_code >= 400
    assert disk.names("work") == [uid]


@pytest.mark.usefixtures("disk")
def test_every_kind_of_write_is_stopped(api: httpx.Client, hub: Hub, disk: Folder) -> None:
    """By a connection made before, too."""
    with hub.read() as conn:
        provider = connector(hub)(accounts.account(conn, "disk"))
    (remote,) = provider.discover()
    api.post("/api/v1/dry-run", json={"on": True})

    for write in (
        lambda: provider.create(remote.id, "n.ics", "n", {}),
        lambda: provider.update(remote.id, "n.ics", "n", {}, expected=None, raw=None),
        lambda: provider.delete(remote.id, "n.ics", expected=None),
        lambda: provider.write_batch(remote.id, []),
        lambda: provider.create_calendar("new"),
        lambda: provider.delete_calendar(remote.id),
    ):
        with pytest.raises(ProviderError, match="dry run"):
            write()
    assert [each.name for each in disk.path.iterdir()] == ["work"]


def test_nothing_is_claimed_that_was_not_measured(api: httpx.Client) -> None:
    assert criteria(api) == dict.fromkeys(
        ("propagation", "query", "writes", "consistency", "detection"), (None, 0, "not measured yet")
    )


def test_criteria_are_measured(api: httpx.Client, disk: Folder, hub: Hub, settings: Settings) -> None:
    """Each from what happened here; the clock of the hub tells the delays."""
    now = NOW
    hub.clock = lambda: now
    now = NOW + timedelta(seconds=100)
    disk.put("work", "a", "one", modified="20261121T120000Z")
    written = NOW.timestamp() + 97.5  # which the file knows better than its text
    os.utime(disk.path / "work" / "a.ics", (written, written))
    api.post("/api/v1/sync")
    add(api, calendar="work")
    now += timedelta(seconds=40)
    api.post("/api/v1/sync")
    assert api.get("/api/v1/search", params={"q": "lunch"}).status_code == 200

    found = criteria(api)

    assert found["detection"] == (2.5, 1, "missed")
    assert found["propagation"] == (40.0, 2, "missed")
    assert found["writes"] == (1.0, 1, "met")
    assert found["consistency"] == (1.0, 2, "met")
    assert found["query"][1] == 1
    assert 0 < (found["query"][0] or 0) < 10

    settings["target_propagation"] = "60"
    disk.put("work", "a", "two")
    with hub.transaction() as conn:
        conn.execute("UPDATE observation SET pending = 1 WHERE uid = 'a'")
        conn.execute("INSERT INTO intent (replica_id, event_id, uid, op, remote_id, hub_rev, state, created, closed) "
                     "VALUES (1, 9, 'x', 'create', 'x', 1, 'refused', 't', 't')")  # fmt: skip
    found = criteria(api)
    assert found["propagation"][2] == "met"
    assert found["writes"] == (0.5, 2, "missed")
    assert found["consistency"] == (0.5, 2, "missed")


def test_target_that_is_no_number(api: httpx.Client, settings: Settings) -> None:
    settings["target_query"] = "fast"
    assert "target_query" in problem(api.get("/api/v1/criteria"), 500, "hub-failed")["detail"]


def test_audit(api: httpx.Client, disk: Folder, hub: Hub) -> None:
    """Newest first, page by page; the verdict says where it was changed."""
    assert disk.names("work") == []
    first = api.get("/api/v1/audit", params={"limit": 3}).json()
    rest = api.get("/api/v1/audit", params={"limit": 3, "cursor": first["next"]}).json()
    assert [each["id"] for each in [*first["items"], *rest["items"]]] == [4, 3, 2, 1]
    assert rest["items"][0]["what"] == "account added"
    assert {each["actor"] for each in first["items"]} == {"address 127.0.0.1"}
    assert api.get("/api/v1/audit/verify").json()["ok"] is True

    with hub.transaction() as conn:
        conn.execute("UPDATE audit SET actor = 'somebody else' WHERE id = 3")

    found = api.get("/api/v1/audit/verify").json()
    assert (found["ok"], found["entry"]) == (False, 3)


def test_refused_credentials_and_callers_are_noted(here: Surroundings, serve: Serve, make_token: MakeToken) -> None:
    """Who tried, not with what; and what a token did, under its number."""
    here.loopback = False
    api = serve().client
    token = make_token("admin")
    for _ in range(3):  # a guesser does not fill the log either
        problem(api.get("/api/v1/status", headers={"Authorization": "Bearer hunter2"}), 401, "wrong-token")
    mine = {"Authorization": f"Bearer {token}"}
    assert api.post("/api/v1/calendars", json={"name": "Work"}, headers=mine).status_code == 201

    answer = api.get("/api/v1/audit", headers=mine)

    noted = [(each["what"], each["actor"], each["facts"]) for each in answer.json()["items"]]
    assert noted[:2] == [
        ("calendar added", "token 1", {"calendar": "Work"}),
        ("credentials refused", "", {"address": "127.0.0.1"}),
    ]
    assert "hunter2" not in answer.text
    assert token not in answer.text


def test_refusals_without_an_entry_are_noted_at_the_end(serve: Serve, hub: Hub) -> None:
    server = serve()
    for _ in range(3):
        server.client.get("/api/v1/status", headers={"Authorization": "Bearer hunter2"})
    server.close()
    with hub.read() as conn:
        assert [(each["what"], each["facts"]) for each in audit.entries(conn, 2)] == [
            ("refusals", {"left_out": 2}),
            ("credentials refused", {"address": "127.0.0.1"}),
        ]


def test_a_refusal_that_cannot_be_noted_stands_all_the_same(api: httpx.Client, hub: Hub) -> None:
    """An audit log that cannot be written to lets nobody in and breaks nothing."""
    with hub.transaction() as conn:
        conn.execute("ALTER TABLE audit RENAME TO away")
    problem(api.get("/api/v1/status", headers={"Authorization": "Bearer hunter2"}), 401, "wrong-token")
