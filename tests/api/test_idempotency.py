"""The same POST sent twice: done once, answered alike."""

from __future__ import annotations

import threading
from datetime import timedelta

import httpx
import pytest
from tests.api.conftest import NOW, MakeToken, Serve, problem

from calhub.api.surroundings import Order, Surroundings
from calhub.hub import replies
from calhub.hub.database import Hub

LUNCH = {"calendar": "Work", "title": "Lunch", "start": "2026-11-23T12:00"}


def post(api: httpx.Client, key: str, body: dict[str, str] = LUNCH, **headers: str) -> httpx.Response:
    return api.post("/api/v1/events", json=body, headers={"Idempotency-Key": key, **headers})


def test_repetition_has_the_same_answer(work: httpx.Client) -> None:
    """Status, body, ETag and Location; and there is one event."""
    first, second = post(work, "k"), post(work, "k")

    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["idempotency-replayed"] == "true"
    assert [second.headers[name] for name in ("etag", "location")] == [
        first.headers[name] for name in ("etag", "location")
    ]
    assert len(work.get("/api/v1/events").json()["items"]) == 1


def test_another_request_with_the_same_key(work: httpx.Client) -> None:
    post(work, "k")

    problem(post(work, "k", LUNCH | {"title": "Dinner"}), 422, "key-reused")
    problem(work.post("/api/v1/sync", headers={"Idempotency-Key": "k"}), 422, "key-reused")


def test_failure_leaves_the_key_free(work: httpx.Client) -> None:
    """Nothing was done, so there is nothing to repeat."""
    problem(post(work, "k", LUNCH | {"calendar": "Home"}), 404, "not-found")
    work.post("/api/v1/calendars", json={"name": "Home"})

    assert post(work, "k", LUNCH | {"calendar": "Home"}).status_code == 201


def test_keys_belong_to_their_caller(work: httpx.Client, make_token: MakeToken) -> None:
    one, other = (f"Bearer {make_token('write')}" for _ in range(2))

    uids = {post(work, "k", Authorization=token).json()["uid"] for token in (one, other)}

    assert len(uids) == 2


def test_repetition_while_the_first_is_under_way(here: Surroundings, serve: Serve) -> None:
    """It is told so, and nothing is started twice."""
    begun, go_on, orders = threading.Event(), threading.Event(), list[Order]()

    def slow(order: Order) -> list[dict[str, object]]:
        orders.append(order)
        begun.set()
        assert go_on.wait(30)
        return []

    here.sync = slow
    server = serve()
    sent = {"Idempotency-Key": "k"}
    answers: list[httpx.Response] = []
    first = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{server.url}/api/v1/sync", headers=sent, timeout=30))
    )
    first.start()
    assert begun.wait(30)

    problem(server.client.post("/api/v1/sync", headers=sent), 409, "key-in-use")
    go_on.set()
    first.join(30)
    assert [answer.json() for answer in answers] == [{"runs": []}]
    assert len(orders) == 1


def test_key_of_a_dead_process_is_free(hub: Hub, serve: Serve) -> None:
    """What was under way when the process ended is not waited for; what it had added is not added again."""
    with hub.transaction() as conn:
        replies.claim(conn, "address 127.0.0.1", "k", "digest", now=NOW)
    api = serve().client
    api.post("/api/v1/calendars", json={"name": "Work"})

    made = post(api, "k").json()
    with hub.transaction() as conn:  # as if the process had ended between the event and the answer
        conn.execute("DELETE FROM reply")
    again = post(api, "k")

    assert (again.status_code, again.json()) == (201, made)
    assert [each["uid"] for each in api.get("/api/v1/events").json()["items"]] == [made["uid"]]


def test_key_used_again_after_its_day(hub: Hub, work: httpx.Client) -> None:
    """For another event it is refused, rather than answered with the first one."""
    post(work, "k")
    with hub.transaction() as conn:
        conn.execute("DELETE FROM reply")
    problem(post(work, "k", {**LUNCH, "title": "Dinner"}), 409, "exists")


def test_answers_are_kept_for_a_day(hub: Hub) -> None:
    with hub.transaction() as conn:
        replies.claim(conn, "c", "k", "digest", now=NOW)
        replies.keep(conn, "c", "k", 201, {}, b"{}")

        later = replies.claim(conn, "c", "k", "digest", now=NOW + timedelta(hours=23, minutes=59))
        too_late = replies.claim(conn, "c", "k", "digest", now=NOW + timedelta(hours=24, minutes=1))

    assert (later and later.body, too_late) == (b"{}", None)


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
def test_keys_that_are_none(work: httpx.Client, key: str) -> None:
    problem(post(work, key), 422, "invalid-key")
