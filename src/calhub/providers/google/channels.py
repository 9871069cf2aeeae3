"""Push channels: Google POSTs to an address of ours when a calendar changes (guide "Push notifications").

A channel cannot be listed or renewed: it is known only to who made it, and a new one takes its place before it ends. So
the caller stores what `Channels.plan` gives *before* `Channels.open`, and the answer after it; a channel that was
opened but whose answer was lost ends by itself within a week. Messages may be dropped: polling goes on, less often.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any, Final, Self
from urllib.parse import urlsplit

from calhub.providers.base import ProviderError, Trait
from calhub.providers.google.client import Call, Client, events_path
from calhub.providers.google.errors import problem, refusal
from calhub.providers.http import is_local

#: Asked for; Google may give less, and says so.
SECONDS: Final = 604800
#: A new channel is opened when so much of the old one's life is left; both live for a while.
OVERLAP: Final = timedelta(hours=12)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One channel, as it is to be stored. ``resource`` and ``expires`` (RFC 3339, UTC) are empty until it is open."""

    id: str
    calendar: str
    token: str
    resource: str = ""
    expires: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, str]) -> Self:
        """Raises TypeError for a mapping that `as_dict` did not give."""
        return cls(**stored)

    @property
    def is_open(self) -> bool:
        return bool(self.resource)

    def is_due(self, now: datetime) -> bool:
        """Whether a new one should take its place."""
        return not self.expires or datetime.fromisoformat(self.expires) - OVERLAP <= now


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A message that was verified. ``number`` grows from message to message of a channel, with gaps."""

    calendar: str
    changed: bool  # False for the first message, which only says that the channel is open
    number: int


class Channels:
    """The channels of one account."""

    def __init__(self, client: Client, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._client = client
        self._clock = clock

    def plan(self, calendar: str) -> Channel:
        """A channel to be stored and then opened; no I/O."""
        return Channel(id=secrets.token_hex(16), calendar=calendar, token=secrets.token_urlsafe(32))

    def open(self, channel: Channel, address: str) -> Channel:
        """Have changes of the calendar told to ``address``; the channel as it is to be stored from now on.

        The first message may arrive before this returns. Raises `ProviderError`: FATAL where there can be no push to
        this address (then the calendar is polled), GONE when the calendar is not there.
        """
        if urlsplit(address).scheme != "https" and not is_local(urlsplit(address).hostname or ""):
            raise ProviderError(
                "Google pushes to https addresses only.", "Give --public-url an https one.", Trait.FATAL
            )
        body = {
            "id": channel.id,
            "type": "web_hook",
            "address": address,
            "token": channel.token,
            "params": {"ttl": str(SECONDS)},
        }
        reply = self._client.send(Call("POST", events_path(channel.calendar) + "/watch", json=body))
        found = problem(reply)
        if found is not None and found.status in (400, 401):
            message = "Google does not push to this address; changes are polled."
            raise ProviderError(message, "The address needs a certificate that everybody trusts.", Trait.FATAL)
        if found is not None:
            raise refusal(found, about="The calendar")
        return replace(channel, resource=reply.json["resourceId"], expires=self._end(reply.json))

    def stop(self, channel: Channel) -> None:
        """End a channel; one that has ended already is fine. Raises `ProviderError`."""
        if not channel.is_open:
            return
        body = {"id": channel.id, "resourceId": channel.resource}
        found = problem(self._client.send(Call("POST", "/channels/stop", json=body)))
        if found is not None and not found.is_gone:
            raise refusal(found, about="The channel")

    def _end(self, answer: Mapping[str, Any]) -> str:
        """``expiration`` is in milliseconds, as a text."""
        end = self._clock() + timedelta(seconds=SECONDS)
        if answer.get("expiration"):
            end = datetime.fromtimestamp(int(answer["expiration"]) / 1000, UTC)
        return end.astimezone(UTC).isoformat()


class Push:
    """`calhub.providers.push.Push`: states are channels as JSON."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def plan(self, calendar: str) -> str:
        return _dump(self._channels.plan(calendar))

    def open(self, state: str, address: str) -> str:
        return _dump(self._channels.open(load(state), address))

    def renew(self, state: str) -> None:  # noqa: ARG002 - Google renews nothing
        return None

    def stop(self, state: str) -> None:
        self._channels.stop(load(state))

    def expires(self, state: str) -> datetime:
        return datetime.fromisoformat(load(state).expires)

    def due(self, state: str) -> datetime:
        return self.expires(state) - OVERLAP


def load(state: str) -> Channel:
    """The channel of a state."""
    return Channel.from_dict(json.loads(state))


def _dump(channel: Channel) -> str:
    return json.dumps(channel.as_dict())


def verify(channel: Channel, headers: Mapping[str, str]) -> Notice | None:
    """What a message to our address says; None if it is not of this channel. There is no signature but the token.

    ``headers`` by names in lower case. A message of an unknown channel is to be answered 200, or Google repeats it.
    """
    token = headers.get("x-goog-channel-token", "")
    if headers.get("x-goog-channel-id") != channel.id or not compare_digest(token.encode(), channel.token.encode()):
        return None
    if channel.is_open and headers.get("x-goog-resource-id") != channel.resource:
        return None
    number = headers.get("x-goog-message-number", "")
    return Notice(
        calendar=channel.calendar,
        changed=headers.get("x-goog-resource-state") != "sync",
        number=int(number) if number.isdecimal() else 0,
    )
