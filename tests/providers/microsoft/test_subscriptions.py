"""Notifications: subscribed for real, answered for real, read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.providers.microsoft.kit import Clock, client_of, meeting

from calhub.providers.base import ProviderError
from calhub.providers.microsoft.subscriptions import Subscription, Subscriptions, actions, handshake
from calhub.testing.contract_kit import Remote
from calhub.testing.services.base import Receiver, Request, Response
from calhub.testing.services.graph import Graph


def answer(request: Request) -> Response:
    """What the daemon's endpoint does."""
    token = handshake({name: values[-1] for name, values in request.query.items()})
    if token is None:
        return Response(status=202)
    return Response(headers={"Content-Type": "text/plain"}, body=token.encode())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(reply=answer) as service:
        yield service


@pytest.fixture
def subscriptions(remote: Remote, clock: Clock) -> Subscriptions:
    return Subscriptions(client_of(remote.provider), clock)


def test_a_change_in_outlook_asks_for_a_pass(
    graph: Graph, remote: Remote, receiver: Receiver, subscriptions: Subscriptions
) -> None:
    """Create answers the handshake; an edit then brings one notification that names the subscription."""
    made = subscriptions.create(remote.calendar, f"{receiver.url}/hook")
    graph.user_event(remote.calendar, **meeting())
    (sent,) = graph.deliver()

    assert sent.status == 202
    assert actions(sent.body, {made.id: made}) == [(made, "pass")]


def test_nothing_is_believed_without_the_secret(
    remote: Remote, receiver: Receiver, subscriptions: Subscriptions
) -> None:
    """A made-up notification, one for another subscription and garbage ask for nothing."""
    made = subscriptions.create(remote.calendar, f"{receiver.url}/hook")
    forged = {"value": [{"subscriptionId": made.id, "clientState": "guess"}, {"subscriptionId": "other"}]}

    assert actions(json.dumps(forged).encode(), {made.id: made}) == []
    assert actions(b"garbage", {made.id: made}) == []
    assert actions(b'{"value": 3}', {made.id: made}) == []


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("reauthorizationRequired", "renew"),
        ("missed", "full"),
        ("somethingNew", "pass"),
        ("subscriptionRemoved", "recreate"),
    ],
)
def test_lifecycle_notifications(
    kind: str, action: str, graph: Graph, remote: Remote, receiver: Receiver, subscriptions: Subscriptions
) -> None:
    """Each lifecycle event asks for what it needs; twice in one POST is once."""
    made = subscriptions.create(remote.calendar, f"{receiver.url}/hook")
    graph.subscriptions.lifecycle(made.id, kind)
    (sent,) = graph.deliver()
    twice = json.dumps({"value": json.loads(sent.body)["value"] * 2}).encode()

    assert actions(twice, {made.id: made}) == [(made, action)]


def test_renewal(remote: Remote, receiver: Receiver, subscriptions: Subscriptions, clock: Clock) -> None:
    """It is due three days before its end; renewed it lasts longer; one that ran out is to be made anew."""
    made = subscriptions.create(remote.calendar, f"{receiver.url}/hook")
    assert not made.due(clock())
    clock.now += timedelta(days=5)
    assert made.due(clock())
    renewed = subscriptions.renew(made)
    assert renewed is not None
    assert not renewed.due(clock())
    clock.now += timedelta(days=8)

    assert subscriptions.renew(renewed) is None


def test_a_leftover_is_replaced(graph: Graph, remote: Remote, receiver: Receiver, subscriptions: Subscriptions) -> None:
    """A subscription whose record was lost makes way for the new one, and stop is harmless to repeat."""
    first = subscriptions.create(remote.calendar, f"{receiver.url}/hook")
    second = subscriptions.create(remote.calendar, f"{receiver.url}/hook")
    assert set(graph.subscriptions.rows) == {second.id}
    assert first.id != second.id
    subscriptions.stop(second)
    subscriptions.stop(second)

    assert graph.subscriptions.rows == {}


def test_an_address_that_does_not_answer_is_refused(remote: Remote, subscriptions: Subscriptions) -> None:
    """A receiver that does not do the handshake gets no subscription, and the user a sentence."""
    with Receiver(status=200) as wrong, pytest.raises(ProviderError) as caught:
        subscriptions.create(remote.calendar, f"{wrong.url}/hook")

    assert caught.value.message == "Microsoft 365 does not send notifications to this address."


def test_stored_as_text() -> None:
    """What is stored is what comes back."""
    made = Subscription("id", "calendar", "secret", "2026-11-28T00:00:00Z")

    assert Subscription.load(made.dump()) == made
