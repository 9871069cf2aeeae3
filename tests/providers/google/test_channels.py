"""Push channels, with messages that are really POSTed."""

from datetime import timedelta
from typing import cast

import pytest

from calhub.providers.base import ProviderError, Trait
from calhub.providers.google import GoogleProvider
from calhub.providers.google.channels import Channel, Channels, verify
from calhub.testing.contract_kit import Remote
from calhub.testing.services.base import Receiver
from calhub.testing.services.google import GoogleService
from calhub.testing.world import START, VirtualClock

TIMES = {"start": {"date": "2026-11-23"}, "end": {"date": "2026-11-24"}}


@pytest.fixture
def channels(remote: Remote, clock: VirtualClock) -> Channels:
    return cast(GoogleProvider, remote.provider).channels(clock=clock)


def test_a_channel_tells_of_changes(google: GoogleService, remote: Remote, channels: Channels) -> None:
    planned = channels.plan(remote.calendar)
    assert not planned.is_open
    with Receiver() as receiver:
        channel = channels.open(planned, receiver.url + "/webhooks/google/1")
        google.user_insert(remote.calendar, **TIMES)
        google.deliver()
        first, second = (verify(channel, request.headers) for request in receiver.log)
    assert first is not None
    assert second is not None
    assert (first.calendar, first.changed, second.changed) == (remote.calendar, False, True)
    assert second.number > first.number
    assert verify(planned, receiver.log[0].headers) is not None, "the first message may overtake the answer"
    assert Channel.from_dict(channel.as_dict()) == channel


def test_a_message_needs_the_token_and_the_channel(google: GoogleService, remote: Remote, channels: Channels) -> None:
    with Receiver() as receiver:
        channel = channels.open(channels.plan(remote.calendar), receiver.url)
        google.deliver()
        headers = dict(receiver.log[0].headers)
    assert verify(channel, headers) is not None
    for name in ("x-goog-channel-token", "x-goog-channel-id", "x-goog-resource-id"):
        assert verify(channel, {**headers, name: "another"}) is None
        assert verify(channel, {key: value for key, value in headers.items() if key != name}) is None


def test_a_new_channel_takes_the_place_of_one_that_ends(
    google: GoogleService, remote: Remote, channels: Channels, clock: VirtualClock
) -> None:
    with Receiver() as receiver:
        old = channels.open(channels.plan(remote.calendar), receiver.url)
        assert old.expires == (START + timedelta(days=7)).isoformat()
        assert not old.is_due(clock())
        clock.advance(days=6, hours=13)
        assert old.is_due(clock())
        new = channels.open(channels.plan(remote.calendar), receiver.url)
        channels.stop(old)
        channels.stop(old)
        google.deliver()
        receiver.log.clear()
        clock.advance(days=1)
        google.user_insert(remote.calendar, **TIMES)
        google.deliver()
    assert [request.header("x-goog-channel-id") for request in receiver.log] == [new.id]


def test_where_there_is_no_push_the_caller_is_told(google: GoogleService, remote: Remote, channels: Channels) -> None:
    with pytest.raises(ProviderError) as caught:
        channels.open(channels.plan(remote.calendar), "http://hub.example.org/")
    assert caught.value.trait is Trait.FATAL
    google.fail("POST */watch", "status", status=400)
    with pytest.raises(ProviderError) as caught:
        channels.open(channels.plan(remote.calendar), "https://hub.example.org/")
    assert caught.value.trait is Trait.FATAL
    google.user_remove_calendar(remote.calendar)
    with pytest.raises(ProviderError) as caught:
        channels.open(channels.plan(remote.calendar), "https://hub.example.org/")
    assert caught.value.trait is Trait.GONE
