"""What the provider contract is tested with: a remote to run against, listings put together, example events.

Use it for tests of your own beside `calhub.testing.contract.ProviderContract`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from calhub.calendar.event import Content
from calhub.providers.base import Item, Page, Provider


class Versions(dict[str, str | None]):
    """What was last seen, remote_id: version; a `calhub.providers.base.Known`."""

    def version(self, remote_id: str) -> str | None:
        return self.get(remote_id)

    def ids(self) -> Iterator[str]:
        return iter(list(self))


@dataclass(frozen=True)
class Remote:
    """A provider with an empty, writable calendar.

    ``plant`` stores an iCalendar text (CRLF line ends) in the calendar behind the provider's back; ``mails`` tells how
    many messages the service has sent to participants. Both are optional: tests that need one are skipped without it.
    """

    provider: Provider
    calendar: str
    plant: Callable[[str], object] | None = None
    mails: Callable[[], int] | None = None


@dataclass
class Listing:
    """All pages of one call of `changes`, put together; broken page rules fail the test."""

    items: dict[str, Item] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    present: set[str] = field(default_factory=set)
    cursor: str | None = None
    complete: bool = False

    def gone(self, known: Versions) -> set[str]:
        """What of ``known`` is gone, by tombstone or by absence from a complete listing."""
        absent = set(known) - set(self.items) - self.present if self.complete else set()
        return (self.removed | absent) & set(known)

    def versions(self) -> Versions:
        return Versions({name: item.version for name, item in self.items.items()})


def listing(remote: Remote, cursor: str | None = None, known: Versions | None = None) -> Listing:
    """Run `changes` to its end."""
    result = Listing()
    for page in remote.provider.changes(remote.calendar, cursor, known if known is not None else Versions()):
        assert not result.complete, "a page came after the one that said the listing was complete"
        _take(result, page)
    assert result.cursor is not None, "the listing ended without a cursor"
    return result


def _take(result: Listing, page: Page) -> None:
    for item in page.items:
        assert (item.content is None) != (item.problem is None), "an item has either content or a problem"
        result.items[item.remote_id] = item
        result.removed.discard(item.remote_id)
    for name in page.removed:
        result.removed.add(name)
        result.items.pop(name, None)
    result.present.update(page.present)
    result.cursor = page.cursor or result.cursor
    result.complete = page.complete


def event(**fields: Any) -> Content:
    """An hour's meeting in Berlin; fields given replace or add, None removes."""
    content = {
        "title": "Meeting",
        "start": "2026-11-23T10:00:00",
        "end": "2026-11-23T11:00:00",
        "time_zone": "Europe/Berlin",
        **fields,
    }
    return {name: value for name, value in content.items() if value is not None}


def vevent(uid: str, *lines: str) -> str:
    """An iCalendar text with one event that has the lines given in addition."""
    return "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//calhub//contract//EN",
            "BEGIN:VEVENT",
            f"UID:{uid}",
            "DTSTAMP:20261101T120000Z",
            "DTSTART:20261123T100000Z",
            "DTEND:20261123T110000Z",
            *lines,
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
    )


#: One event of each kind that must survive a round trip.
EXAMPLES: Final[dict[str, Content]] = {
    "plain": event(),
    "full": event(
        description="Bring the slides.",
        location="Room 4",
        status="tentative",
        privacy="private",
        busy=False,
        categories=["planning", "work"],
        priority=5,
        url="https://example.org/agenda?a=1,2;b",
    ),
    "utc": event(time_zone="UTC"),
    "floating": event(time_zone=None),
    "all-day": event(start="2026-11-23", end="2026-11-25", time_zone=None, all_day=True),
    "two zones": event(end="2026-11-23T06:00:00", end_time_zone="America/New_York"),
    "letters": event(title="Größenwahn — ćevapčići 日本語 👩‍🚀", location="Łódź, ul. Piękna 5; m. 7"),
    "escapes": event(title="a\\b; c, d: \"e\" 'f'", description="one\ntwo\n\nfour \\n not a line"),
    "long": event(description="Wörter überall 😀 " * 300 + "end"),
    "attendees": event(
        organizer={"email": "ann@example.org", "name": "Ann"},
        attendees={
            "bob@example.org": {"name": "Bob, Jr.", "status": "accepted"},
            "cho@example.org": {"role": "optional", "rsvp": True},
        },
    ),
    "series": event(rrule="FREQ=DAILY;COUNT=5"),
    "series with exceptions": event(
        rrule="FREQ=WEEKLY;COUNT=6;BYDAY=MO,WE",
        exdates=["2026-11-25T10:00:00+01:00"],
        overrides={
            "2026-11-30T10:00:00+01:00": {
                "start": "2026-11-30T15:00:00",
                "end": "2026-11-30T16:30:00",
                "title": "Meeting, later",
            },
            "2026-12-02T10:00:00+01:00": {"location": "Cellar"},
        },
    ),
    "all-day series": event(
        start="2026-11-23",
        end="2026-11-24",
        time_zone=None,
        all_day=True,
        rrule="FREQ=WEEKLY;COUNT=4",
        exdates=["2026-11-30"],
        overrides={"2026-12-07": {"title": "Cleaning"}},
    ),
}
