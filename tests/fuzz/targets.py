"""What is fuzzed: each target takes any bytes and lets pass the errors that its callers know. Others are findings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from calhub.calendar.event import InvalidEvent
from calhub.calendar.ical import decode, patch_object, read_calendar, read_object, write_object
from calhub.calendar.lines import chunks, logical, unfold
from calhub.calendar.recurrence import expand, validate
from calhub.providers import vdir
from calhub.providers.caldav.wire import BadXml, Multistatus, conditions, tag

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def lines(data: bytes) -> None:
    """Both views of a text agree, whatever it is."""
    text = decode(data)
    assert "".join(chunks(text)) == text
    assert [line for line in map(logical, chunks(text)) if line] == [line for line in unfold(text) if line]


def item(data: bytes) -> None:
    """An item is refused, or can be checked, expanded, written anew and changed; what is not changed stays."""
    with suppress(InvalidEvent):
        vdir.text(data)
    try:
        reading = read_object(data)
    except InvalidEvent:
        return
    content, text = reading.content, decode(data)
    assert patch_object(text, reading.uid, content, now=NOW) is text
    try:
        validate(content)
    except InvalidEvent:
        return
    instances = list(expand(content, 0, 1 << 32, limit=50))
    assert [each.start_ts for each in instances] == sorted(each.start_ts for each in instances)
    list(expand(content, -(1 << 40), 1 << 40, limit=50))
    assert read_object(write_object(reading.uid, content, now=NOW)).content == content
    wanted = content | {"title": "Changed: by, the; fuzzer"}
    patched = patch_object(text, reading.uid, wanted, now=NOW)
    assert read_object(patched).content == read_object(write_object(reading.uid, wanted, now=NOW)).content


def feed(data: bytes) -> None:
    """A feed is refused before its first event, or each event is read or has a reason why not."""
    try:
        entries = read_calendar(data)
    except InvalidEvent:
        return
    for entry in entries:
        assert (entry.content is None) == bool(entry.problem)
        if entry.content is not None:
            read_object(entry.text)


def answer(data: bytes) -> None:
    """An answer is read row by row, or is no multistatus; in what pieces it arrives makes no difference."""
    whole, bytewise = (rows(data, size) for size in (len(data) or 1, 3))
    assert whole == bytewise
    conditions(data)


def rows(data: bytes, size: int) -> list[object]:
    found: list[object] = []
    multistatus = Multistatus(data[start : start + size] for start in range(0, len(data), size))
    try:
        for row in multistatus:
            names = (tag("d:getetag"), tag("d:current-user-principal"))
            found.append((row.href, row.status, row.statuses, [(row.text(name), row.hrefs(name)) for name in names]))
    except BadXml:
        return ["refused"]
    return [*found, multistatus.sync_token]


TARGETS: dict[str, Callable[[bytes], None]] = {each.__name__: each for each in (lines, item, feed, answer)}
