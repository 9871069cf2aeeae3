"""The XML layer: what is read, cleaned, and refused."""

from __future__ import annotations

import pytest
from lxml import etree

from calhub.providers.caldav import wire
from calhub.providers.caldav.scheduling import silent

ROW = "<response><href>/a%40b.ics</href><propstat><prop><getetag>{}</getetag></prop>{}</propstat></response>"
OK = "<status>HTTP/1.1 200 OK</status>"


def read(*chunks: str | bytes) -> tuple[list[wire.Row], str | None]:
    answer = wire.Multistatus(chunk.encode() if isinstance(chunk, str) else chunk for chunk in chunks)
    return list(answer), answer.sync_token


def multistatus(inner: str) -> str:
    return f'<multistatus xmlns="DAV:">{inner}</multistatus>'


def test_rows_and_token() -> None:
    """Hrefs come as sent; the token may stand before or after the rows."""
    row = ROW.format("&quot;1&quot;", OK)

    for text in (multistatus(row + "<sync-token>t</sync-token>"), multistatus("<sync-token> t </sync-token>" + row)):
        rows, token = read(text)
        assert [(each.href, each.status, each.text(wire.ETAG)) for each in rows] == [("/a%40b.ics", 200, '"1"')]
        assert token == "t"


def test_token_property_is_not_the_token_of_the_answer() -> None:
    """A sync-token among the properties of a row belongs to that row."""
    row = f"<response><href>/</href><propstat><prop><sync-token>p</sync-token></prop>{OK}</propstat></response>"
    rows, token = read(multistatus(row))

    assert token is None
    assert rows[0].text(wire.tag("d:sync-token")) == "p"


def test_any_cut_of_the_stream_reads_the_same() -> None:
    """Chunk borders fall anywhere, also inside a character reference that has to go."""
    text = multistatus(ROW.format("a&#x1;&#11;&amp;&#13;\x02b", OK)).encode()

    for cut in range(1, len(text)):
        rows, _ = read(text[:cut], text[cut:])
        assert rows[0].text(wire.ETAG) == "a&\rb"


@pytest.mark.parametrize(
    "text",
    ["", "x", "<html/>", "<multistatus/>", multistatus("")[:-3], '<!DOCTYPE m><multistatus xmlns="DAV:"/>',
     multistatus("&undefined;")],
)  # fmt: skip
def test_what_is_no_whole_multistatus(text: str) -> None:
    """Anything but a complete multistatus without document type is refused."""
    with pytest.raises(wire.BadXml):
        read(text)


def test_entities_are_not_expanded() -> None:
    """Neither nested entities nor files get into an answer."""
    declared = '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY f SYSTEM "file:///etc/hostname">]>'
    with pytest.raises(wire.BadXml):
        read(declared + multistatus(ROW.format("&a;&f;", OK)))


@pytest.mark.parametrize("status", [404, 403])
def test_properties_that_failed_are_not_found(status: int) -> None:
    """A property counts only under a status of success."""
    rows, _ = read(multistatus(ROW.format("x", f"<status>HTTP/1.1 {status} X</status>")))

    assert rows[0].text(wire.ETAG) is None
    assert rows[0].statuses == {wire.ETAG: status}


def test_requests_escape_what_they_are_given() -> None:
    """Tokens, hrefs, UIDs and names cannot break out of their elements."""
    odd = "<x>&\"'</x>"

    for body in (
        wire.sync_collection(odd, bodies=True),
        wire.multiget([odd]),
        wire.query_uid(odd),
        wire.make_calendar("c:mkcalendar", odd, odd),
    ):
        assert odd in [each.text for each in etree.fromstring(body).iter()]


def test_conditions_of_an_error() -> None:
    """Preconditions are read by local name; other bodies have none."""
    body = b'<error xmlns="DAV:"><valid-sync-token/><c:x xmlns:c="urn:x"/></error>'

    assert wire.conditions(body) == {"valid-sync-token", "x"}
    assert wire.conditions(b"<html><body/></html>") == frozenset()
    assert wire.conditions(b"plain text") == frozenset()


def test_silent_participants_stay_within_a_line() -> None:
    """The parameter is put on participants only, and long lines are folded again."""
    long = "ATTENDEE;CN=" + "x" * 50 + ":mailto:a@b"
    text = "\r\n".join(["BEGIN:VEVENT", "ORGANIZER:mailto:o@b", long, "SUMMARY:ATTENDEE: none", "END:VEVENT", ""])

    lines = silent(text).split("\r\n")

    assert "ORGANIZER;SCHEDULE-AGENT=CLIENT:mailto:o@b" in lines
    assert "SUMMARY:ATTENDEE: none" in lines
    assert max(len(line.encode()) for line in lines) <= 75
    assert long.replace("ATTENDEE", "ATTENDEE;SCHEDULE-AGENT=CLIENT") in "\r\n".join(lines).replace("\r\n ", "")
