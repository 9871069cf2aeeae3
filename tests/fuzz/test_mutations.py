"""Sound and nasty inputs, cut up and put together at random: the readers answer, or raise the errors they declare."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz import targets
from tests.fuzz.seeds import ANSWERS, ITEMS, WORDS, item


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with pieces dropped, doubled, moved, swapped for another seed's, and words put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 5))):
        at, to = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        piece = bytes(data[at:to])
        kind = draw(st.sampled_from(["word", "word", "drop", "double", "move", "other", "byte"]))
        if kind in ("word", "other"):
            words = (
                WORDS if kind == "word" else tuple(line + b"\n" for line in draw(st.sampled_from(seeds)).split(b"\n"))
            )
            if draw(st.booleans()):  # at the start of a line, where it means most
                at = data.rfind(b"\n", 0, at) + 1
            data[at:at] = draw(st.sampled_from(words))
        elif kind == "byte":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
        elif kind == "double":
            data[to:to] = piece[:2000]
        else:
            del data[at : min(to, at + draw(st.integers(1, 60)))]
            if kind == "move":
                position = draw(st.integers(0, len(data)))
                data[position:position] = piece
    return bytes(data)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(mutated(ITEMS) | st.binary(max_size=200))
def test_items_and_feeds(data: bytes) -> None:
    """Any bytes as a text, as an item, and as a feed."""
    for target in (targets.lines, targets.item, targets.feed):
        target(data)


@settings(max_examples=200, deadline=None, print_blob=True)
@given(mutated(ANSWERS) | st.binary(max_size=200))
def test_answers(data: bytes) -> None:
    """Any bytes as the answer of a WebDAV server."""
    targets.answer(data)


FOUND = (
    # A byte order mark in the middle, where files were put one after the other: one view of the text dropped it.
    item("DTSTART:20260101T100000Z\n\ufeffSUMMARY:a"),
    # The last hour of the calendar, in another zone.
    item("DTSTART;TZID=Asia/Tokyo:20260101T100000\nRRULE:FREQ=DAILY\nEXDATE:99991231T235960Z"),
    # One loose instance twice, named in its zone and without.
    item(
        "RECURRENCE-ID;TZID=Europe/Berlin:20260119T100000\nDTSTART;TZID=Europe/Berlin:20260120T120000\nEND:VEVENT\n"
        "BEGIN:VEVENT\nUID:u@example.com\nRECURRENCE-ID:20260119T100000\n"
        "DTSTART;TZID=Europe/Berlin:20260120T120000\nDURATION:PT90M"
    ),
    # A word that does not come back from upper case.
    item("DTSTART:20260101T100000Z\nATTENDEE;PARTSTAT=\u00b5;CUTYPE=\u00b5:mailto:a@b\nCONFERENCE;FEATURE=\u00b5:x:y"),
    # A line that begins with a blank once its control characters are gone.
    item("DTSTART:20260101T100000Z\nSUMMARY:a\n\0\tb").replace(b"UID:u@example.com\r\n", b""),
    # Two rules on an instance without a master.
    item("DTSTART:20260202T090000Z\nRECURRENCE-ID:20260202T090000Z\nRRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY"),
    # A letter that is two in upper case.
    item("DTSTART:20260101T100000Z\nX-\u00df:a\n\u017fUMMARY:b"),
)


@pytest.mark.parametrize("data", [*ITEMS, *FOUND])
def test_seeds_of_items(data: bytes) -> None:
    """The seeds themselves, and what was found earlier."""
    for target in (targets.lines, targets.item, targets.feed):
        target(data)


@pytest.mark.parametrize("data", ANSWERS)
def test_seeds_of_answers(data: bytes) -> None:
    targets.answer(data)
