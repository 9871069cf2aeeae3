"""Webhooks that leave: one attempt to deliver a message, and what its outcome means.

As in Standard Webhooks 1.0.0 (https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md): the
headers ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``, which is HMAC-SHA256 over id, timestamp and
body with full stops between; 2xx is success, 410 an unsubscription, and everything else is tried again for three days.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import httpx

from calhub.hub.database import instant
from calhub.hub.errors import InvalidValue
from calhub.hub.messages import Due, Result
from calhub.providers.base import ProviderError
from calhub.providers.http import check_url, host_of, new_client, retry_after, transport_failure
from calhub.providers.pinned import public_address

#: Seconds from one attempt to the next; after the last of them the message is dead.
BACKOFF: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
#: Up to this share is added to a pause, by chance, lest everybody comes back at the same moment.
JITTER: Final = 0.1
#: An endpoint of which no attempt has succeeded for so long is disabled.
PATIENCE: Final = timedelta(days=5)
#: For connecting, for each part of an answer, and for all of it.
ATTEMPT_SECONDS: Final = 15.0

_GONE: Final = 410
#: The service is busy or cannot be reached: what else waits for it is held back, too, for a moment.
_THROTTLED: Final = frozenset({None, 429, 502, 503, 504})
#: These say when to come back.
_SAY_WHEN: Final = frozenset({429, 503})


@dataclass(frozen=True)
class Answer:
    """``status`` is None where none came, ``error`` then says why. ``wait`` is what it asks for, in seconds."""

    status: int | None
    error: str | None = None
    wait: float | None = None


def accept(url: str, *, public_only: bool) -> str:
    """The URL of an endpoint as it is kept. Raises `InvalidValue` for one that cannot be used.

    Plain http is for this machine and local networks; with ``public_only`` these are refused. What a name stands for is
    looked up now so that somebody hears of it, and again at each attempt.
    """
    try:
        url = check_url(url, shown="what changed")
        httpx.URL(url)
        if public_only:
            public_address(host_of(url))
    except ProviderError as error:
        raise InvalidValue(error.message, error.hint) from error
    except httpx.InvalidURL as error:
        raise InvalidValue("This is not a web address.", "Give one like https://example.org/calhub.") from error
    except (OSError, UnicodeError):
        pass  # the name may be there later
    return url


def signed(message_id: str, body: str, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """The headers of an attempt made ``now``, with a signature by each of the secrets (``whsec_...``)."""
    timestamp = str(int(now.timestamp()))
    text = f"{message_id}.{timestamp}.{body}".encode()
    keys = (base64.b64decode(each.removeprefix("whsec_")) for each in secrets)
    signatures = (base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode() for key in keys)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def post(url: str, body: str, headers: dict[str, str], public_only: bool, seconds: float = ATTEMPT_SECONDS) -> Answer:
    """Send once. Redirects are not followed, and nothing of the answer is read but its head. Never raises for what the
    network or the receiver does.
    """
    with new_client(public_only=public_only, seconds=seconds) as client:
        # A receiver that sends its head byte by byte would keep us for ever: no single read takes too long.
        alarm = threading.Timer(seconds, client.close)
        alarm.daemon = True
        alarm.start()
        try:
            with client.stream("POST", url, content=body.encode(), headers=headers) as response:
                return Answer(response.status_code, wait=retry_after(response.headers))
        except Exception as error:  # closing it in the middle may come out as anything
            if client.is_closed:
                return Answer(None, f"{host_of(url)} did not answer in time.")
            if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
                error = transport_failure(error, url)
            if isinstance(error, ProviderError):
                return Answer(None, error.message)
            raise
        finally:
            alarm.cancel()


def judge(of: Due, answer: Answer, now: datetime, chance: float) -> Result:
    """What becomes of a message after an attempt; ``chance`` is from 0 to 1."""
    if answer.status is not None and 200 <= answer.status < 300:
        return Result(state="delivered", status=answer.status)
    error = answer.error or f"The answer was {answer.status}."
    asked = min(answer.wait or 0.0, BACKOFF[-1]) if answer.status in _SAY_WHEN else 0.0
    rests = max(asked, BACKOFF[0]) if answer.status in _THROTTLED else None
    pause = BACKOFF[of.attempts] * (1 + JITTER * chance) if of.attempts < len(BACKOFF) else None
    return Result(
        state="dead" if pause is None else "pending",
        status=answer.status,
        error=error,
        next_try=None if pause is None else instant(now + timedelta(seconds=max(pause, asked))),
        rests_until=None if rests is None else instant(now + timedelta(seconds=rests)),
        disabled=_why_disabled(of, answer, error, now),
    )


def _why_disabled(of: Due, answer: Answer, error: str, now: datetime) -> str | None:
    if answer.status == _GONE:
        return "It wants no more messages (410)."
    if of.failing_since is not None and of.failing_since <= instant(now - PATIENCE):
        return f"No message could be delivered for {PATIENCE.days} days. Last: {error}"
    return None
