"""What an answer of the Calendar API means (guide "Handle API errors"), for reads and for the journal.

=====  ==================================================  =====================================================
HTTP   reason                                              meaning
=====  ==================================================  =====================================================
400    any                                                 `Refused`; a reading call that we got wrong: FATAL
401    authError                                           LOGIN, after one try with a fresh token
403    userRateLimitExceeded, rateLimitExceeded            `NotSent`, RETRY
403    quotaExceeded, dailyLimitExceeded                   `NotSent`, RETRY, an hour later: trying sooner is no use
403    insufficientPermissions, ...                        LOGIN: a right was not granted
403    else                                                `Refused`; reading: FATAL
404    notFound                                            gone
409    duplicate                                           `Stale`: the id is taken
409    conflict                                            `NotSent`: writes of one batch met
410    deleted                                             gone
410    fullSyncRequired                                    the token is dead: a full listing follows
412    conditionNotMet                                     `Stale`
429    any                                                 `NotSent`, RETRY
5xx    any                                                 `Unknown`, RETRY
=====  ==================================================  =====================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from calhub.providers.base import NotSent, Outcome, ProviderError, Refused, Stale, Trait, Unknown
from calhub.providers.rest import Reply, retry_after

RATE: Final = frozenset({"userRateLimitExceeded", "rateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
QUOTA: Final = frozenset({"quotaExceeded", "dailyLimitExceeded"})
SCOPE: Final = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})
#: The API is not switched on for the user's OAuth client.
DISABLED: Final = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
QUOTA_SECONDS: Final = 3600.0

_SENTENCES: Final = {
    "timeRangeEmpty": "Google Calendar takes no event that ends before it begins.",
    "forbiddenForNonOrganizer": "Only the organizer may change this about the event.",
    "requiredAccessLevel": "The account may not write to this calendar.",
    "forbidden": "The account may not write to this calendar.",
    "eventTypeRestriction": "Google Calendar does not let this be changed in an event of this type.",
    "cannotChangeOrganizer": "Google Calendar does not let the organizer be changed.",
}


@dataclass(frozen=True)
class Problem:
    """An answer that is no success. ``reason`` is the API's word, empty where the body says none."""

    status: int
    reason: str
    retry_after: float | None

    @property
    def is_throttled(self) -> bool:
        return self.status == 429 or (self.status == 403 and self.reason in RATE | QUOTA)

    @property
    def is_gone(self) -> bool:
        return self.status == 404 or (self.status == 410 and self.reason in ("deleted", ""))

    @property
    def wait(self) -> float | None:
        """Seconds after which to try again, where that is known."""
        return self.retry_after or (QUOTA_SECONDS if self.reason in QUOTA else None)


def problem(reply: Reply) -> Problem | None:
    """None for a success."""
    if reply.status < 400:
        return None
    return Problem(reply.status, _reason(reply.json), retry_after(reply.headers))


def _reason(document: Any) -> str:
    """The old frame has ``errors[].reason``, the newer one ``details[].reason``; bodies may be anything."""
    error = document.get("error") if isinstance(document, Mapping) else None
    if not isinstance(error, Mapping):
        return ""
    for name in ("errors", "details"):
        for entry in error.get(name) or ():
            if isinstance(entry, Mapping) and isinstance(entry.get("reason"), str):
                return str(entry["reason"])
    return ""


def refusal(found: Problem, *, about: str) -> ProviderError:
    """For a read, or for a call as a whole. ``about``: what was asked for, such as "The calendar"."""
    if found.is_throttled:
        return ProviderError("Google wants fewer requests.", "Try again later.", Trait.RETRY, found.wait)
    if found.status >= 500:
        message = f"Google Calendar failed with HTTP {found.status}."
        return ProviderError(message, "Try again later.", Trait.RETRY, found.retry_after)
    if found.is_gone:
        hint = "It was deleted, or is no longer shared with the account."
        return ProviderError(f"{about} is not there (any more).", hint, Trait.GONE)
    if found.status == 410:
        return ProviderError("Google wants the calendar listed from its beginning.", "Try again.", Trait.RETRY)
    if found.status == 401 or found.reason in SCOPE:
        hint = "Sign in again, and leave every box ticked: calhub account login NAME"
        return ProviderError("Google did not grant all that is needed.", hint, Trait.LOGIN)
    if found.reason in DISABLED:
        hint = "Enable the Google Calendar API for the project of your OAuth client."
        return ProviderError("The Google Calendar API is not enabled.", hint, Trait.FATAL)
    word = f" ({found.reason})" if found.reason.isidentifier() else ""
    return ProviderError(f"Google Calendar refused with HTTP {found.status}{word}.", "", Trait.FATAL)


def outcome(found: Problem, *, creates: bool = False) -> Outcome:
    """For the write of an event. An event that is not there is `Stale`.

    Raises `ProviderError` where no write of the account can succeed, or the calendar to create in is not there.
    """
    if found.status == 401 or found.reason in SCOPE | DISABLED or (found.is_gone and creates):
        raise refusal(found, about="The calendar")
    if found.is_throttled:
        return NotSent("Google wants fewer requests.", found.wait)
    if found.status == 409 and found.reason == "conflict":
        return NotSent("Google was busy with another change of this calendar.", of_item=True)
    if found.is_gone or found.status in (409, 412):
        return Stale()
    if found.status >= 500:
        return Unknown(f"Google Calendar failed with HTTP {found.status}.")
    word = f", {found.reason}" if found.reason.isidentifier() else ""
    return Refused(
        _SENTENCES.get(found.reason, f"Google Calendar does not take the event (HTTP {found.status}{word}).")
    )
