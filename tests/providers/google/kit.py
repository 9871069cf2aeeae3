"""Short forms for tests against the emulator."""

from typing import Any

from calhub.calendar.event import Content
from calhub.providers.base import Done, Item, Outcome
from calhub.testing.contract_kit import Listing, Remote, Versions, listing
from calhub.testing.services.base import Request
from calhub.testing.services.google import GoogleService


def times(day: int = 23, hour: int = 10, zone: str = "Europe/Berlin") -> dict[str, Any]:
    """An hour in November 2026, as the API has it."""
    return {
        "start": {"dateTime": f"2026-11-{day}T{hour:02}:00:00", "timeZone": zone},
        "end": {"dateTime": f"2026-11-{day}T{hour + 1:02}:00:00", "timeZone": zone},
    }


def series(google: GoogleService, remote: Remote, rule: str = "FREQ=DAILY;COUNT=6", **fields: Any) -> str:
    """The user makes a series from 23 November on; its id."""
    made = google.user_insert(
        remote.calendar, **{"summary": "Series", **times(), "recurrence": [f"RRULE:{rule}"], **fields}
    )
    return str(made["id"])


def instance(master: str, day: int) -> str:
    """The id of the instance of `series` on that day."""
    return f"{master}_202611{day}T090000Z"


def rid(day: int) -> str:
    return f"2026-11-{day}T10:00:00+01:00"


def get(remote: Remote, remote_id: str) -> Item:
    item = remote.provider.get(remote.calendar, remote_id)
    assert item is not None
    return item


def content(item: Item | None) -> Content:
    assert item is not None
    assert item.content is not None, item.problem
    return item.content


def create(remote: Remote, made: Content, uid: str = "ours@example.org") -> Outcome:
    return remote.provider.create(remote.calendar, remote.provider.reserve(remote.calendar, uid), uid, made)


def update(remote: Remote, item: Item, changed: Content) -> Outcome:
    return remote.provider.update(
        remote.calendar, item.remote_id, item.uid or "", changed, expected=item.version, raw=item.raw
    )


def done(outcome: Outcome) -> Item:
    assert isinstance(outcome, Done), outcome
    assert outcome.echo is not None
    return outcome.echo


def since(remote: Remote, before: Listing) -> Listing:
    """What changed since a listing."""
    return listing(remote, before.cursor, before.versions())


def writes(google: GoogleService) -> list[Request]:
    """Requests that change events, those in batches included."""
    return [request for request in google.requests("* /calendar/*") if request.method != "GET"]


__all__ = [
    "Versions",
    "content",
    "create",
    "done",
    "get",
    "instance",
    "rid",
    "series",
    "since",
    "times",
    "update",
    "writes",
]
