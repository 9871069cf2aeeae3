"""Dead letters, signing in again and taking copies back by HTTP, with a real CalDAV server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.api.conftest import Serve, Settings, add, problem

from calhub.testing.davserver import PASSWORD, USERNAME, DavServer, Reply


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
