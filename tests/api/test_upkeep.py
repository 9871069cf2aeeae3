"""Dead letters, signing in again and taking copies back by HTTP, with a real CalDAV server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from tests.api.conftest import MakeToken, Serve, Settings, add, problem

from calhub.api.surroundings import Surroundings
from calhub.hub import accounts
from calhub.hub.database import Hub
from calhub.ops import log
from calhub.testing.davserver import PASSWORD, USERNAME, DavServer, Reply
from calhub.testing.services.google import GoogleService


@pytest.fixture
def api(serve: Serve, settings: Settings) -> httpx.Client:
    settings["allow_private_networks"] = "true"
    return serve().client


@pytest.fixture
def dav(api: httpx.Client) -> Iterator[DavServer]:
    """A server with an account ``dav`` for it, synced."""
    with DavServer() as server:
        body = {"provider": "caldav", "name": "dav", "credentials": credentials(server)}
        assert api.post("/api/v1/accounts", json=body).status_code == 201
        assert status(api) == ["ok"]
        yield server


def credentials(dav: DavServer) -> dict[str, str]:
    return {"url": dav.url, "username": USERNAME, "password": PASSWORD}


def status(api: httpx.Client) -> list[str]:
    """A pass over everything, and what came of it."""
    return [run["status"] for run in api.post("/api/v1/sync").json()["runs"]]


def test_dead_letters(api: httpx.Client, dav: DavServer) -> None:
    """What the server refuses is listed with its reason, page by page, and tried again when somebody says so."""
    (calendar,) = api.get("/api/v1/calendars").json()["items"]
    dav.answerers.append(lambda request: Reply(403) if request.method == "PUT" else None)
    for uid in ("a", "b"):
        add(api, calendar=calendar["name"], uid=uid)
    assert status(api) == ["failed"]

    first = api.get("/api/v1/dead-letters", params={"limit": 1}).json()
    rest = api.get("/api/v1/dead-letters", params={"cursor": first["next"]}).json()
    assert [(each["uid"], each["op"], each["attempts"]) for each in [*first["items"], *rest["items"]]] == [
        ("a", "create", 1), ("b", "create", 1)
    ]  # fmt: skip
    assert first["items"][0]["error"] == "The server does not allow writing here."
    problem(api.post("/api/v1/dead-letters/retry", json={"uid": "none"}), 404, "not-found")
    dav.answerers.clear()

    one = api.post("/api/v1/dead-letters/retry", json={"uid": "a"}).json()
    assert ([each["uid"] for each in one["retried"]], one["runs"][0]["pushed"]["created"]) == (["a"], 1)
    everything = api.post("/api/v1/dead-letters/retry", json={}).json()
    assert [each["uid"] for each in everything["retried"]] == ["b"]
    assert len(dav.items) == 2
    assert api.get("/api/v1/dead-letters").json() == {"items": [], "next": None}
    noted = [each["facts"]["uid"] for each in api.get("/api/v1/audit").json()["items"] if "dead" in each["what"]]
    assert noted == ["b", "a"]


@pytest.fixture
def locked_out(api: httpx.Client, dav: DavServer) -> DavServer:
    """Somebody has changed the password at the server."""
    dav.password = "changed"
    assert status(api) == ["failed"]
    assert api.get("/api/v1/accounts/dav").json()["state"] == "needs_login"
    return dav


@pytest.mark.usefixtures("locked_out")
def test_signing_in_again(api: httpx.Client) -> None:
    """With the new password alone; the address and the user name stay."""
    answer = api.post("/api/v1/accounts/dav/login", json={"credentials": {"password": "changed"}})

    assert (answer.status_code, answer.json()["state"]) == (200, "ok")
    assert "changed" not in answer.text
    assert status(api) == ["ok"]
    assert [each["what"] for each in api.get("/api/v1/audit").json()["items"]].count("signed in") == 2


@pytest.mark.parametrize("wrong", [{"password": "guess"}, {"username": "someone"}, {"url": "http://127.0.0.1:9/"}, {}])
def test_a_sign_in_that_fails_changes_nothing(
    api: httpx.Client, locked_out: DavServer, hub: Hub, wrong: dict[str, str]
) -> None:
    """Not the state, nor the secrets, nor the settings: where the old password counts again, it is used."""
    with hub.read() as conn:
        before = accounts.account(conn, "dav"), accounts.sealed_secrets(conn, 1)

    answer = api.post("/api/v1/accounts/dav/login", json={"credentials": wrong})

    problem(answer, 422, "sign-in-failed")
    assert "guess" not in answer.text
    with hub.read() as conn:
        assert (accounts.account(conn, "dav"), accounts.sealed_secrets(conn, 1)) == before
    locked_out.password = PASSWORD
    assert api.post("/api/v1/accounts/dav/test").json()["state"] == "ok"
    problem(api.post("/api/v1/accounts/none/login", json={"credentials": {}}), 404, "not-found")


def test_another_address_is_looked_at(api: httpx.Client, locked_out: DavServer, settings: Settings) -> None:
    """An account that may be in a private network stays there; nobody leads it to another place in one."""
    settings["allow_private_networks"] = ""
    same = credentials(locked_out) | {"password": "changed"}
    assert api.post("/api/v1/accounts/dav/login", json={"credentials": same}).status_code == 200

    for moved in (locked_out.url.replace("127.0.0.1", "localhost"), locked_out.url.rstrip("/") + "/x"):
        given = same | {"url": moved, "network": "any"}
        found = problem(api.post("/api/v1/accounts/dav/login", json={"credentials": given}), 422, "sign-in-failed")
        assert "private network" in found["detail"]


def test_signing_in_again_with_oauth(api: httpx.Client) -> None:
    """A new credentials file; the secret of the client that the account has is kept where the file has none."""
    with GoogleService() as google:
        google.user_add_calendar("Work")
        given = google.credentials()
        body = {"provider": "google", "name": "me", "credentials": given, "calendars": "none"}
        assert api.post("/api/v1/accounts", json=body).status_code == 201
        wrong = {"credentials": {"refresh_token": "none of Google's"}}
        problem(api.post("/api/v1/accounts/me/login", json=wrong), 422, "sign-in-failed")

        fresh = {"credentials": {"refresh_token": given["refresh_token"]}}
        assert api.post("/api/v1/accounts/me/login", json=fresh).json()["state"] == "ok"


def test_reset_and_cleanup(api: httpx.Client, dav: DavServer) -> None:
    """As on the command line: shown first, then done, and taken back by undo."""
    (calendar,) = api.get("/api/v1/calendars").json()["items"]
    name = calendar["name"]
    assert api.post("/api/v1/calendars", json={"name": "Work"}).status_code == 201
    add(api, uid="own")
    rule = api.post("/api/v1/rules", json={"kind": "mirror", "source": "Work", "target": name}).json()
    assert status(api) == ["ok"]
    assert len(dav.items) == 1

    problem(api.post(f"/api/v1/calendars/{name}/reset", json={}), 422, "invalid-value")
    dry = api.post(f"/api/v1/calendars/{name}/reset", json={"dry_run": True}).json()
    assert (len(dry["removed"]), dry["dry_run"], dry["run"], len(dav.items)) == (1, True, None, 1)
    done = api.post(f"/api/v1/calendars/{name}/reset", json={"confirm": True}).json()
    assert (done["removed"], done["runs"][0]["pushed"]["deleted"]) == (dry["removed"], 1)
    assert dav.items == {}
    assert api.post(f"/api/v1/runs/{done['run']}/undo").json()["undone"] == 1
    problem(api.post("/api/v1/calendars/none/reset", json={"confirm": True}), 404, "not-found")

    assert api.delete(f"/api/v1/rules/{rule['id']}", params={"keep_copies": True}).status_code == 200
    assert api.post("/api/v1/cleanup").json()["copies"] == []
    dry = api.post("/api/v1/cleanup", json={"dry_run": True, "remote": True}).json()
    assert (dry["dry_run"], dry["run"], [run["status"] for run in dry["runs"]]) == (True, None, ["ok"])


def test_upkeep_is_for_admins(here: Surroundings, serve: Serve, make_token: MakeToken) -> None:
    here.loopback = False
    writer = {"Authorization": f"Bearer {make_token('write')}"}
    api = serve().client
    bodies: dict[str, dict[str, object]] = {
        "accounts/dav/login": {"credentials": {}},
        "calendars/x/reset": {},
        "cleanup": {},
    }
    for path, body in bodies.items():
        problem(api.post(f"/api/v1/{path}", headers=writer, json=body), 403, "scope")


def test_the_log_of_a_pass(api: httpx.Client, dav: DavServer, tmp_path: Path) -> None:
    """Each request to a service, also from another thread, belongs to its pass; what is in events is nowhere."""
    (calendar,) = api.get("/api/v1/calendars").json()["items"]
    for uid in ("a", "b", "c"):
        add(api, calendar=calendar["name"], uid=uid, title="Secret lunch")
    dav.answerers.append(lambda request: Reply(403) if b"UID:c" in request.body else None)
    log.configure(tmp_path, level="debug")
    try:
        assert status(api) == ["failed"]
    finally:
        log.close()
        structlog.reset_defaults()

    text = (tmp_path / "log" / "calhub.log").read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    calls = [each for each in entries if each["event"] == "call"]
    (ended,) = (each for each in entries if each["event"] == "pass")
    (request,) = (each for each in entries if each["event"] == "request")
    assert len([each for each in calls if each["method"] == "PUT"]) == 3
    assert {each["run"] for each in calls} == {ended["run"]}
    assert {(each["provider"], each["host"]) for each in calls} == {("caldav", "127.0.0.1")}
    assert (ended["level"], ended["changes"], ended["errors"]) == ("warning", 2, 1)
    assert ended["reason"] is None  # what a single event is refused for may say what is in it
    assert (request["route"], request["code"]) == ("/api/v1/sync", 200)
    assert "Secret lunch" not in text
