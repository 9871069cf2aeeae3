"""Property values and plain values: what goes out comes back."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhub.calendar.event import Content
from calhub.calendar.frame import frame_of
from calhub.providers.notion import recurrence, values
from calhub.providers.notion.schema import Column
from calhub.testing.services.notion.values import Property, shown_date

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "UTC", None)
DATE = Property("d", "Date", "date")


@st.composite
def times(draw: st.DrawFn) -> Content:
    start = draw(st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1))).replace(second=0, microsecond=0)
    if draw(st.booleans()):
        days = draw(st.integers(1, 400))
        end = (start + timedelta(days=days)).date().isoformat()
        return {"start": start.date().isoformat(), "end": end, "all_day": True}
    zone = draw(st.sampled_from(ZONES))
    end = (start + timedelta(minutes=draw(st.integers(0, 3000)))).isoformat()
    return {"start": start.isoformat(), "end": end, **({"time_zone": zone} if zone else {})}


@given(times(), st.booleans())
def test_times_come_back(content: Content, with_zone: bool) -> None:
    """Through a service that checks them strictly and forgets the zone."""
    shown = shown_date(DATE, values.write_times(content, with_zone=with_zone))
    assert shown is not None
    again = values.read_times(shown, content.get("time_zone") or values.FLOATING)

    assert again == content or _skipped(content)


def _skipped(content: Content) -> bool:
    """Whether a time of the content is not on the clock of its zone."""
    frame = frame_of(content)
    walls = [datetime.fromisoformat(content[name]) for name in ("start", "end")]
    return any(frame.wall(frame.ts(wall)) != wall for wall in walls)


def test_hour_that_comes_twice_is_told_by_its_offset() -> None:
    """The first of the two (RFC 5545 3.3.5); with a zone Notion would have to choose."""
    content = {"start": "2026-10-25T02:30:00", "end": "2026-10-25T04:00:00", "time_zone": "Europe/Berlin"}

    assert values.write_times(content) == {"start": "2026-10-25T02:30:00+02:00", "end": "2026-10-25T04:00:00+01:00"}


@given(st.text(max_size=9000))
def test_pieces(text: str) -> None:
    parts = list(values.pieces(text))

    assert "".join(parts) == text
    assert all(0 < len(part.encode("utf-16-le", "surrogatepass")) // 2 <= values.PIECE for part in parts)


@pytest.mark.parametrize("letter", ["x", "😀"])
def test_pieces_are_as_few_as_can_be(letter: str) -> None:
    width = len(letter.encode("utf-16-le")) // 2
    assert len(list(values.pieces(letter * (2 * values.PIECE // width)))) == 2


PEOPLE: st.SearchStrategy[Content] = st.dictionaries(
    st.from_regex(r"[a-z0-9.+-]{1,12}@example\.org", fullmatch=True),
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.from_regex(r"[A-Za-zäöü.,'()-]{1,9}( [A-Za-z]{1,9})?", fullmatch=True),
            "role": st.sampled_from(["chair", "optional", "informational"]),
            "status": st.sampled_from(["accepted", "declined", "tentative"]),
            "kind": st.sampled_from(["group", "resource", "room"]),
            "rsvp": st.just(True),
        },
    ),
    max_size=6,
)


@given(PEOPLE)
def test_attendees_come_back(attendees: Content) -> None:
    lines = values.attendee_lines(attendees)

    assert (values.READ["attendees"](values.rich_text(lines)) or {}) == attendees


@pytest.mark.parametrize(
    ("options", "word", "written"),
    [
        ((), "tentative", {"name": "Tentative"}),
        (("TENTATIVE",), "tentative", {"name": "TENTATIVE"}),
        (("Confirmed",), None, {"name": "Confirmed"}),
        (("Todo",), None, None),
    ],
)
def test_options_in_their_spelling(options: tuple[str, ...], word: str | None, written: Any) -> None:
    assert values.write_word(Column("status", "s", "Status", "select", options), word, "confirmed") == written


@pytest.mark.parametrize("text", ["", "every Monday", "DTSTART:20261123T100000Z"])
def test_text_without_a_rule_is_no_series(text: str) -> None:
    assert not recurrence.parse(text).is_series


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("DTSTART;TZID=Europe/Berlin:20261123T100000", "Europe/Berlin"),
        ("DTSTART:20261123T100000Z", "UTC"),
        ("DTSTART:20261123T100000", values.FLOATING),
        ("DTSTART;VALUE=DATE:20261123", None),
        ("RRULE:FREQ=DAILY", None),
    ],
)
def test_zone_of_a_rule(text: str, zone: str | None) -> None:
    assert recurrence.zone_of(recurrence.parse(text)) == zone
