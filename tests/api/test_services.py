"""Accounts, calendars, replicas, rules and what waits for a person, by HTTP, with a folder as the service."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.conftest import Serve, Settings, add, problem
from tests.cli.conftest import Folder

from calhub.api.surroundings import Order, Surroundings
from calhub.hub.database import Hub
from calhub.providers import pinned
from calhub.providers.base import ProviderError
from calhub.providers.vault import MemoryVault
from calhub.sync import accounts as services


def test_account_with_its_calendars(api: httpx.Client, folder: Folder) -> None:
    """Added, shown, tried, and removed; at the service everything stays."""
    folder.calendar("work")
    folder.calendar("home")
    folder.put("work", "u", "Lunch")
    body = {"provider": "folder", "name": "disk", "credentials": {"url": str(folder.path)}, "calendars": ["work"]}

    made = api.post("/api/v1/accounts", json=body)

    assert made.status_code == 201
    assert made.json()["account"] | {"state": "ok", "calendars": 1} == made.json()["account"]
    assert [each["remote_name"] for each in made.json()["replicas"]] == ["work"]
    assert api.get(made.headers["location"]).json()["name"] == "disk"
    remotes = api.get("/api/v1/accounts/disk/remotes").json()["items"]
    assert {each["name"]: each["calendar"] for each in remotes} == {"work": "work", "home": None}
    assert api.post("/api/v1/accounts/disk/test").json()["state"] == "ok"
    assert api.patch("/api/v1/accounts/disk", json={"interval": 300}).json()["interval"] == 300
    assert api.patch("/api/v1/accounts/disk", json={"priority": 2}).json()["interval"] == 300
    problem(api.post("/api/v1/accounts", json=body), 422, "invalid-value")
    assert api.delete("/api/v1/accounts/disk").json() == {"removed": "disk", "calendars": ["work"], "kept": []}
    assert folder.names("work") == ["u"]
    assert api.get("/api/v1/status").json()["accounts"] == []


def test_account_that_cannot_sign_in_keeps_nothing(api: httpx.Client) -> None:
    body = {
        "provider": "caldav",
        "name": "cloud",
        "credentials": {"url": "https://dav.example.org", "password": "hush"},
    }

    answer = api.post("/api/v1/accounts", json=body)

    problem(answer, 422, "sign-in-failed")
    assert "hush" not in answer.text
    assert api.get("/api/v1/accounts").json()["items"] == []


def test_password_in_an_address_is_sealed(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are stored in clear: what is secret goes out of them before."""
    asked: list[MemoryVault] = []

    def sign_in(_: str, settings: dict[str, str], vault: MemoryVault) -> Any:
        asked.append(vault)
        assert settings["url"] == "https://dav.example.org/"
        raise ProviderError("No.")

    monkeypatch.setattr(services, "sign_in", sign_in)
    credentials = {"url": "https://ann:hush@dav.example.org/"}
    api.post("/api/v1/accounts", json={"provider": "caldav", "name": "cloud", "credentials": credentials})

    assert asked[0].load() == {"password": "hush"}
    for provider in ("caldav", "feed", "folder"):
        problem(api.post("/api/v1/accounts", json={"provider": provider, "name": "n"}), 422, "invalid-value")


@pytest.mark.parametrize("provider", ["feed", "caldav"])
@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1"])
def test_private_networks_are_out_of_reach(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch, provider: str, address: str
) -> None:
    """Whatever name leads there: nothing is connected to."""
    monkeypatch.setattr(pinned.PublicOnly.__init__, "__kwdefaults__", {"ask": lambda _: ["203.0.114.9", address]})
    credentials = {"url": "https://innocent.example/x", "username": "u", "password": "p", "network": "any"}

    answer = api.post("/api/v1/accounts", json={"provider": provider, "name": "n", "credentials": credentials})

    assert "private network" in problem(answer, 422, "sign-in-failed")["detail"]


def test_private_networks_can_be_allowed(settings: Settings, serve: Serve) -> None:
    """Then the address is asked: the failure is the service's."""
    settings["allow_private_networks"] = "true"
    body = {"provider": "feed", "name": "n", "credentials": {"url": "http://127.0.0.1:9/x.ics"}}

    assert (
        "cannot be reached"
        in problem(serve().client.post("/api/v1/accounts", json=body), 422, "sign-in-failed")["detail"]
    )


def test_calendars(work: httpx.Client) -> None:
    """Made, shown by name and id, renamed, removed; names are unique."""
    problem(work.post("/api/v1/calendars", json={"name": "Work"}), 422, "invalid-value")
    problem(work.post("/api/v1/calendars", json={"name": "X", "time_zone": "Mars"}), 422, "invalid")
    add(work)

    assert work.get("/api/v1/calendars/1").json()["events"] == 1
    assert work.patch("/api/v1/calendars/Work", json={"name": "Office"}).json()["name"] == "Office"
    problem(work.get("/api/v1/calendars/Work"), 404, "not-found")
    assert work.delete("/api/v1/calendars/Office").json() == {"removed": "Office", "deleted_at_remotes": 0}
    assert work.get("/api/v1/calendars").json() == {"items": [], "next": None}


def test_removing_a_calendar_at_its_remotes_too(api: httpx.Client, disk: Folder) -> None:
    """Only when asked to."""
    disk.put("work", "u", "Lunch")
    api.post("/api/v1/sync")

    assert api.delete("/api/v1/calendars/work?keep_remote=false").json() == {"removed": "work", "deleted_at_remotes": 1}
    assert disk.names("work") == []


def test_files(work: httpx.Client) -> None:
    """A calendar goes out and comes in again unchanged; what is cut off does not come in."""
    add(work, title="Lunch", rrule="FREQ=DAILY")
    text = work.get("/api/v1/export?calendar=Work")
    kind = {"Content-Type": "text/calendar; charset=utf-8"}
    assert text.headers["content-type"] == "text/calendar; charset=utf-8"
    work.post("/api/v1/calendars", json={"name": "Copy"})

    made = work.post("/api/v1/import?calendar=Copy", content=text.content, headers=kind)

    assert made.json() == {"created": 1, "updated": 0, "unchanged": 0, "quarantined": []}
    assert work.get("/api/v1/events?calendar=Copy").json()["items"][0]["title"] == "Lunch"
    problem(work.post("/api/v1/import?calendar=Copy", content=text.content[:-20], headers=kind), 422, "invalid-event")
    problem(work.post("/api/v1/import?calendar=Copy", json={}), 415, "unsupported-media-type")


def test_replicas(api: httpx.Client, disk: Folder) -> None:
    """Made, changed, paused and removed."""
    made = api.post("/api/v1/replicas", json={"calendar": "Home", "account": "disk", "create": "home"})

    assert made.status_code == 201
    path = made.headers["location"]
    changed = api.patch(path, json={"direction": "pull", "settings": {"guard_number": 3}}).json()
    assert (changed["calendar"], changed["direction"]) == ("Home", "pull")
    assert api.post(f"{path}/pause").json()["state"] == "paused"
    assert len(api.post("/api/v1/sync").json()["runs"]) == 1
    assert api.post(f"{path}/resume").json()["state"] == "ok"
    assert [each["calendar"] for each in api.get("/api/v1/replicas?calendar=Home").json()["items"]] == ["Home"]
    problem(api.patch(path, json={}), 422, "invalid-value")
    problem(
        api.post("/api/v1/replicas", json={"calendar": "X", "account": "disk", "remote": "nope"}), 422, "invalid-value"
    )
    assert api.delete(path).json() == {"removed": 2}
    assert (disk.path / "home").is_dir()


def test_sync_history_and_undo(api: httpx.Client, disk: Folder) -> None:
    """A pass brings something, is in the history, and is taken back."""
    disk.put("work", "u", "Lunch")
    plan = api.post("/api/v1/sync", json={"dry_run": True}).json()["runs"][0]["plan"]
    assert [(step["side"], step["op"], step["uid"]) for step in plan] == [("hub", "create", "u")]

    run = api.post("/api/v1/sync", json={"account": "disk"}).json()["runs"][0]

    assert (run["status"], run["pulled"]["created"]) == ("ok", 1)
    assert api.get(f"/api/v1/runs/{run['id']}").json()["pulled"]["created"] == 1
    first = api.get("/api/v1/runs?limit=1").json()
    second = api.get("/api/v1/runs", params={"limit": 1, "cursor": first["next"]}).json()
    assert [page["items"][0]["id"] for page in (first, second)] == [run["id"], run["id"] - 1]
    assert api.post(f"/api/v1/runs/{run['id']}/undo").json() == {
        "run": run["id"],
        "undone": 1,
        "skipped": [],
        "dry_run": False,
    }
    assert api.get("/api/v1/events").json()["items"] == []
    problem(api.post("/api/v1/runs/99/undo"), 404, "not-found")
    problem(api.post("/api/v1/sync", json={"account": "nope"}), 404, "not-found")


def test_engine_elsewhere_makes_the_pass(here: Surroundings, serve: Serve) -> None:
    """Where there is another process for it, the order goes there as it came."""
    orders: list[Order] = []

    def sync(order: Order) -> list[dict[str, Any]]:
        orders.append(order)
        return []

    here.sync = sync
    assert serve().client.post("/api/v1/sync", json={"full": True, "timeout": 5}).json() == {"runs": []}
    assert orders == [Order(full=True, timeout=5)]


def test_conflict(api: httpx.Client, disk: Folder) -> None:
    """Both values are shown; the one taken is written at the next sync."""
    api.patch("/api/v1/replicas/1", json={"conflicts": "ask"})
    disk.put("work", "u", "Lunch")
    api.post("/api/v1/sync")
    api.patch("/api/v1/events/u", json={"title": "Here"})
    disk.put("work", "u", "There")
    api.post("/api/v1/sync")

    found = api.get("/api/v1/conflicts").json()["items"]

    path = f"/api/v1/conflicts/{found[0]['id']}"
    assert found[0]["fields"] == [{"name": "title", "base": "Lunch", "hub": "Here", "remote": "There", "taken": None}]
    assert api.get("/api/v1/status").json()["conflicts"] == 1
    problem(api.post(f"{path}/resolve", json={}), 422, "invalid-value")
    assert api.post(f"{path}/resolve", json={"fields": {"title": "remote"}}).json()["state"] == "resolved"
    api.post("/api/v1/sync")
    assert api.get("/api/v1/events/u").json()["title"] == "There"
    problem(api.get("/api/v1/conflicts/99"), 404, "not-found")


@pytest.mark.parametrize(("decision", "left"), [("release", 0), ("discard", 12)])
def test_hold(api: httpx.Client, disk: Folder, decision: str, left: int) -> None:
    """A calendar gone empty waits; then it is as the person says."""
    for number in range(12):
        disk.put("work", f"u{number}", "Lunch")
    api.post("/api/v1/sync")
    for path in (disk.path / "work").glob("*.ics"):
        path.unlink()
    assert api.post("/api/v1/sync").json()["runs"][0]["status"] == "held"

    hold = api.get("/api/v1/holds").json()["items"][0]

    assert hold["deletes"] == 12
    assert len(api.get(f"/api/v1/holds/{hold['id']}").json()["plan"]) == 12
    api.post(f"/api/v1/holds/{hold['id']}/{decision}")
    api.post("/api/v1/sync")
    assert len(api.get("/api/v1/events").json()["items"]) == left
    assert len(disk.names("work")) == left
    problem(api.post(f"/api/v1/holds/{hold['id']}/{decision}"), 422, "invalid-value")


def test_quarantine(api: httpx.Client, disk: Folder) -> None:
    (disk.path / "work" / "bad.ics").write_text(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:bad\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    api.post("/api/v1/sync")

    found = api.get("/api/v1/quarantine").json()["items"]

    assert [each["remote_id"] for each in found] == ["bad.ics"]
    assert api.get(f"/api/v1/quarantine/{found[0]['id']}").json()["reason"] == found[0]["reason"]


def test_rule(work: httpx.Client) -> None:
    """Made, looked at beforehand, carried out by a sync, removed with its copies."""
    work.post("/api/v1/calendars", json={"name": "Public"})
    add(work, title="Secret")
    rule = work.post(
        "/api/v1/rules", json={"kind": "mirror", "source": "Work", "target": "Public", "options": {"private": True}}
    )

    assert rule.status_code == 201
    path = rule.headers["location"]
    preview = work.get(f"{path}/preview").json()
    assert (preview["creates"], preview["plan"][0]["title"]) == (1, "Busy")
    assert work.get("/api/v1/rules").json()["items"][0]["options"] == {"private": True}
    assert work.delete(path).json() == {"removed": 1, "deleted": 0}
    wrong = {"kind": "mirror", "source": "Work", "target": "Public", "options": {"hours": "late"}}
    problem(work.post("/api/v1/rules", json=wrong), 422, "invalid-value")
    problem(work.post("/api/v1/rules", json=wrong | {"target": "Work", "options": {}}), 422, "invalid-value")


def test_busy_hub_asks_to_come_back(work: httpx.Client, hub: Hub) -> None:
    """Another process keeps writing: 503 with a time, not a failure."""
    with hub.transaction() as conn:
        conn.execute("PRAGMA busy_timeout = 1")
    with Hub.open(hub.home, clock=hub.clock) as other, other.transaction():
        answer = work.post("/api/v1/calendars", json={"name": "Home"})

    problem(answer, 503, "busy")
    assert answer.headers["retry-after"] == "1"
