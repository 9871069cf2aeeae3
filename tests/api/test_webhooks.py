"""Webhooks to others, by HTTP: who is told, what became of it; secrets are shown once."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.api.conftest import MakeToken, Serve, Settings, add, problem
from tests.daemon.receiver import Receiver, fail

from calhub.daemon.delivery import Delivery
from calhub.hub import audit
from calhub.hub.database import Hub

URL = "/api/v1/webhooks"


@pytest.fixture
def receiver(hub: Hub) -> Iterator[Receiver]:
    made = Receiver(lambda: hub.clock().timestamp())
    yield made
    made.close()
    assert made.refused == []


@pytest.fixture
def private(settings: Settings, serve: Serve) -> httpx.Client:
    """An API that may send to this machine, with the calendar Work."""
    settings["allow_private_networks"] = "true"
    api = serve().client
    api.post("/api/v1/calendars", json={"name": "Work", "time_zone": "Europe/Paris"})
    return api


def made(api: httpx.Client, receiver: Receiver, **more: object) -> dict[str, object]:
    answer = api.post(URL, json={"url": receiver.url, **more})
    assert answer.status_code == 201, answer.text
    shape: dict[str, object] = answer.json()
    receiver.secrets.append(str(shape["secret"]))
    return shape


def deliver(hub: Hub) -> None:
    delivery = Delivery(hub, chance=lambda: 0.0)
    delivery.cut()
    for due in delivery.due():
        delivery.attempt(due)


def test_from_beginning_to_end(private: httpx.Client, receiver: Receiver, hub: Hub) -> None:
    """Added, tried, told, listed, changed, given another secret, removed; each step is in the audit log."""
    shape = made(private, receiver, calendars=["Work"])
    assert (shape["id"], shape["calendars"], shape["state"]) == (1, ["Work"], "active")
    assert private.post(f"{URL}/1/test").json() | {"duration_ms": 0} == {
        "webhook": 1, "ok": True, "status": 204, "error": None, "duration_ms": 0,
    }  # fmt: skip
    uid = add(private)["uid"]
    deliver(hub)
    assert (receiver.types, receiver.told) == (["ping", "changes"], [uid])
    (message,) = private.get(f"{URL}/1/messages").json()["items"]
    assert (message["id"], message["state"]) == (receiver.received[1].id, "delivered")

    assert private.patch(f"{URL}/1", json={"calendars": None, "state": "disabled"}).json()["calendars"] is None
    assert private.get(URL).json()["items"][0]["reason"] == "Disabled by hand."
    moved = private.patch(f"{URL}/1", json={"url": "http://127.0.0.1:9/x", "state": "active"}).json()
    assert (moved["url"], moved["state"]) == ("http://127.0.0.1:9/x", "active")
    assert private.post(f"{URL}/1/test").json()["error"] == "127.0.0.1 cannot be reached."
    receiver.secrets.append(private.post(f"{URL}/1/rotate").json()["secret"])
    assert len(set(receiver.secrets)) == 2

    assert private.delete(f"{URL}/1").json() == {"removed": 1}
    problem(private.get(f"{URL}/1"), 404, "not-found")
    with hub.read() as conn:
        facts = [(each["what"], each["facts"]) for each in reversed(audit.entries(conn, 100))]
    assert [what for what, _ in facts if "webhook" in what] == [
        "webhook added", "webhook changed", "webhook disabled", "webhook changed", "webhook enabled",
        "webhook rotated", "webhook removed",
    ]  # fmt: skip
    assert not any(secret in str(facts) for secret in receiver.secrets)


def test_secrets_are_shown_once(private: httpx.Client, receiver: Receiver, hub: Hub) -> None:
    """Not in lists, and not in the answer that is kept for an Idempotency-Key: that would be in clear."""
    key = {"Idempotency-Key": "k"}
    first = private.post(URL, json={"url": receiver.url}, headers=key)
    again = private.post(URL, json={"url": receiver.url}, headers=key)

    secret = first.json()["secret"]
    assert first.headers["cache-control"] == "no-store"
    assert secret.startswith("whsec_")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json() | {"secret": None}
    (listed,) = private.get(URL).json()["items"]
    assert "secret" not in listed
    rotated = private.post(f"{URL}/1/rotate", headers={"Idempotency-Key": "r"}).json()["secret"]
    stored = b"".join(each.read_bytes() for each in hub.home.glob("hub.db*"))
    assert receiver.url.encode() in stored
    assert not any(each[6:-1].encode() in stored for each in (secret, rotated))


def test_dead_messages(private: httpx.Client, receiver: Receiver, hub: Hub) -> None:
    """Listed, with what came, and sent again: one, or all of them."""
    made(private, receiver)
    for title in ("a", "b"):
        add(private, title=title)
        receiver.answers += fail(1, 400)
        deliver(hub)
    with hub.transaction() as conn:
        conn.execute("UPDATE message SET state = 'dead', next_try = NULL")

    found = private.get(f"{URL}/1/messages", params={"state": "dead", "limit": 1}).json()
    rest = private.get(f"{URL}/1/messages", params={"state": "dead", "cursor": found["next"]}).json()
    (newer,), (older,) = found["items"], rest["items"]
    assert (newer["error"], older["status"], rest["next"]) == ("The answer was 400.", 400, None)
    assert private.get("/api/v1/status").json()["webhooks"]["dead"] == 2
    assert private.post(f"{URL}/messages/{older['id']}/resend").json()["state"] == "pending"
    assert private.post(f"{URL}/1/resend").json() == {"resent": 1}
    for _ in range(2):
        deliver(hub)
    assert private.get(f"{URL}/1/messages", params={"state": "dead"}).json()["items"] == []
    problem(private.post(f"{URL}/messages/{older['id']}/resend"), 422, "invalid-value")
    problem(private.post(f"{URL}/messages/msg_0/resend"), 404, "not-found")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "https://10.1.2.3/", "https://localhost/x", "https://[fd00::1]/"]
)
def test_private_networks_are_out_of_reach(api: httpx.Client, url: str) -> None:
    assert "private network" in problem(api.post(URL, json={"url": url}), 422, "invalid-value")["detail"]
    api.post(URL, json={"url": "https://93.184.215.14/"})
    assert "private network" in problem(api.patch(f"{URL}/1", json={"url": url}), 422, "invalid-value")["detail"]


def test_what_is_refused(private: httpx.Client) -> None:
    problem(private.post(URL, json={"url": "http://example.org/"}), 422, "invalid-value")
    problem(private.post(URL, json={"url": "http://127.0.0.1:9/", "calendars": ["Wrok"]}), 404, "not-found")
    problem(private.post(URL, json={"url": "http://127.0.0.1:9/", "calendars": []}), 422, "invalid-request")
    assert private.get(URL).json()["items"] == []


def test_scopes(private: httpx.Client, receiver: Receiver, make_token: MakeToken) -> None:
    """Sending data out is for admin, and so is looking: who knows an address can often post to it."""
    made(private, receiver)
    write = {"Authorization": f"Bearer {make_token('write')}"}

    for method, path in (
        ("GET", ""), ("GET", "/1"), ("GET", "/1/messages"),
        ("POST", ""), ("PATCH", "/1"), ("DELETE", "/1"), ("POST", "/1/test"), ("POST", "/1/rotate"),
        ("POST", "/1/resend"), ("POST", "/messages/msg_0/resend"),
    ):  # fmt: skip
        answer = private.request(method, URL + path, json={"url": receiver.url}, headers=write)
        problem(answer, 403, "scope")
