"""What the status of a PUT or DELETE means for the journal (RFC 4791 section 5.3.2.1, RFC 4918, RFC 6638)."""

from __future__ import annotations

from typing import Final, Literal

from calhub.providers.base import Done, NotSent, Outcome, Refused, Stale, Unknown
from calhub.providers.caldav import wire
from calhub.providers.caldav.client import rejected
from calhub.providers.http import Answer, host_of, retry_after

Operation = Literal["create", "update", "delete"]

DUPLICATE: Final = "no-uid-conflict"

#: Preconditions by which servers refuse a write, as the user should read them.
SENTENCES: Final = {
    "valid-calendar-data": "The server takes this for no valid calendar data.",
    "valid-calendar-object-resource": "The server does not take an event of this form.",
    "supported-calendar-data": "The server does not take this kind of calendar data.",
    "supported-calendar-component": "This calendar does not take events.",
    "max-resource-size": "The event is larger than the server allows.",
    "min-date-time": "The event is earlier than the server allows.",
    "max-date-time": "The event is later than the server allows.",
    "max-instances": "The series has more occurrences than the server allows.",
    "max-attendees-per-instance": "The event has more attendees than the server allows.",
    "supported-rscale": "The server does not know the calendar system of this series.",
    "supported-filter": "The server does not take this event.",
    "need-privileges": "The account may not write to this calendar.",
    "quota-not-exceeded": "The account's storage at the server is full.",
    "sufficient-disk-space": "The server's disk is full.",
    "allowed-attendee-scheduling-object-change": "Only the organizer may change this about the event.",
    "allowed-organizer-scheduling-object-change": "The server does not let the organizer change this about the event.",
    "valid-organizer": "The server does not take an event with this organizer.",
    "unique-scheduling-object-resource": "Another calendar of this account has this meeting.",
    "same-organizer-in-all-components": "All occurrences of a meeting must have the same organizer.",
    "calendar-collection-location-ok": "No calendar can be made at this place.",
    DUPLICATE: "Another calendar of this account has an event with the same UID.",
}

_BY_STATUS: Final = {
    400: "The server does not understand the event.",
    403: "The server does not allow writing here.",
    405: "The server does not allow writing here.",
    413: "The event is larger than the server allows.",
    415: "The server takes this for no calendar data.",
    422: "The server cannot process the event.",
    501: "The server cannot do this.",
    507: "The account's storage at the server is full.",
}
_LATER: Final = frozenset({423, 425, 429, 503})


def outcome(answer: Answer, operation: Operation) -> Outcome:
    """The outcome of a write that got an answer; ``Done(None)`` for a success, whose echo is yet to be read.

    Raises `ProviderError` GONE when an event cannot be created since its calendar is not there.
    """
    status = answer.status
    named = wire.conditions(answer.body)
    if status < 300:
        return _in_multistatus(answer) if status == 207 else Done(None)
    if status in (404, 410):
        if operation == "create":
            raise rejected(answer)
        return Done(None) if operation == "delete" else Stale()
    if status in _LATER:
        return NotSent(f"{host_of(answer.url)} is too busy (HTTP {status}).", retry_after(answer.headers))
    if operation == "create" and is_duplicate(answer):
        return Stale()
    reason = next((SENTENCES[name] for name in sorted(named) if name in SENTENCES), None)
    if status == 412 and (reason is None or DUPLICATE in named):
        return Stale()
    if status == 409 and operation != "create" and reason is None:
        return Stale()
    if status in _BY_STATUS or status < 500:
        return Refused(reason or _BY_STATUS.get(status, f"The server refused the event (HTTP {status})."))
    return Unknown(f"{host_of(answer.url)} failed with HTTP {status}.")


def is_duplicate(answer: Answer) -> bool:
    """Whether a write was refused since another item has the UID. SabreDAV says so in its message only, with 400."""
    if DUPLICATE in wire.conditions(answer.body):
        return True
    return answer.status == 400 and b"uid already exists" in answer.body.lower()


def duplicate_href(answer: Answer) -> str | None:
    """The href of the item that has the UID, where the server tells (RFC 4791 section 5.3.2.1)."""
    error = wire.error_body(answer.body)
    href = None if error is None else error.findtext(f"{wire.tag('c:' + DUPLICATE)}/{wire.HREF}")
    return href.strip() or None if href else None


def _in_multistatus(answer: Answer) -> Outcome:
    """A DELETE may be answered by the failures of its parts (RFC 4918 section 9.6.1)."""
    try:
        failures = [row.status for row in wire.Multistatus([answer.body]) if row.status >= 300]
    except wire.BadXml:
        return Unknown(f"{host_of(answer.url)} sent a damaged answer.")
    if not failures:
        return Done(None)
    return outcome(Answer(failures[0], answer.headers, b"", answer.url), "delete")
