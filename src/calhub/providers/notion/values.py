"""Property values, as Notion shows and takes them, and the plain values of a content. Pure.

https://developers.notion.com/reference/page-property-values and /reference/request-limits
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from calhub.calendar.event import Content
from calhub.calendar.frame import EPOCH, frame_of
from calhub.calendar.zones import canonical_zone
from calhub.providers.notion.schema import STATUSES, Column

#: Characters of one rich text element and elements of one value. Counted in UTF-16 units, the larger of the ways to
#: count: the documentation does not say which it is.
PIECE: Final = 2000
PIECES: Final = 100
URL_LIMIT: Final = 2000
OPTIONS: Final = 100
OPTION_LIMIT: Final = 100
FLOATING: Final = "floating"
_DAY: Final = timedelta(days=1)
_PRIVACIES: Final = ("public", "private", "confidential")
_ATTENDEE: Final = re.compile(r"(?:(?P<name>.*?)\s*<)?(?P<address>[^\s<>(),;]+)>?(?:\s*\((?P<words>[^()]*)\))?")
_WORDS: Final = {
    "role": ("chair", "optional", "informational"),
    "status": ("accepted", "declined", "tentative", "delegated"),
    "kind": ("group", "resource", "room", "unknown"),
}


class Unreadable(ValueError):
    """A value that cannot be an event's; the message is one sentence for the user."""


# Reading. ``value`` is what the property shows under its type.


def plain(value: Any) -> str:
    """The text of a title or rich_text, as shown or as written. Mentions and equations count as they are shown."""
    return "".join(piece["plain_text"] if "plain_text" in piece else piece["text"]["content"] for piece in value or ())


def read_times(value: Mapping[str, Any], zone: str | None) -> Content:
    """The time fields. ``zone``: the zone to tell them in, `FLOATING`, or None where nobody knows (then UTC).

    Notion's all-day end is inclusive; ours is not. Seconds are kept as they come.
    """
    start, end = value["start"], value.get("end")
    try:
        if len(start) == 10:
            last = date.fromisoformat((end or start)[:10])
            return {"start": start, "end": (max(last, date.fromisoformat(start)) + _DAY).isoformat(), "all_day": True}
        zone = value.get("time_zone") or zone or "UTC"
        times: Content = {} if zone == FLOATING else {"time_zone": canonical_zone(zone) or "UTC"}
        # floating times are written as if they were UTC, and read so
        times["start"], times["end"] = (_wall(text, times) for text in (start, end or start))
    except (ValueError, OverflowError):
        raise Unreadable("The date cannot be read.") from None
    return times


def _wall(text: str, times: Content) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(microsecond=0).isoformat()
    return frame_of(times).wall((moment - EPOCH) // timedelta(seconds=1)).isoformat()


def _read_word(words: tuple[str, ...]) -> Callable[[Any], str | None]:
    """The option as our word; the first, which is the default, and unknown ones are None."""

    def read(value: Any) -> str | None:
        name = (value or {}).get("name", "").lower()
        return name if name in words[1:] else None

    return read


def _read_attendees(value: Any) -> Content | None:
    """One a line: ``Name <address> (accepted, optional)``; also several addresses in a line. Other text is ignored."""
    found: Content = {}
    for line in plain(value).splitlines():
        parts = [line] if "<" in line or "(" in line else re.split(r"[,;]", line)
        for part in parts:
            match = _ATTENDEE.fullmatch(part.strip())
            if match and ("@" in match["address"] or ":" in match["address"]):
                found[match["address"].lower()] = _read_attendee(match["name"], match["words"])
    return found or None


def _read_attendee(name: str | None, words: str | None) -> Content:
    record: Content = {"name": name.strip()} if name and name.strip() else {}
    for word in (words or "").lower().split(","):
        for key, known in _WORDS.items():
            if word.strip() in known and key not in record:
                record[key] = word.strip()
                break
        if word.strip() == "rsvp":
            record["rsvp"] = True
    return record


#: Field of a content -> its value from what the property shows; None = absent.
READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "title": lambda value: plain(value) or None,
    "description": lambda value: plain(value) or None,
    "location": lambda value: plain(value) or None,
    "url": lambda value: (value if isinstance(value, str) else plain(value)) or None,
    "categories": lambda value: sorted({option["name"] for option in value or ()}) or None,
    "attendees": _read_attendees,
    "status": _read_word(STATUSES),
    "privacy": _read_word(_PRIVACIES),
    "busy": lambda value: None if value else False,
}


# Writing. Results are what goes under the property's type; `KEEP` = leave the property as it is.


class _Keep:
    """The value cannot be held there: it stays in the hub only."""


KEEP: Final = _Keep()


def rich_text(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": {"content": piece}} for piece in pieces(text)]


def pieces(text: str) -> Iterator[str]:
    """Parts of at most `PIECE` UTF-16 units; no character is cut in two."""
    start = units = 0
    for at, letter in enumerate(text):
        width = 2 if ord(letter) > 0xFFFF else 1
        if units + width > PIECE:
            yield text[start:at]
            start, units = at, 0
        units += width
    if start < len(text):
        yield text[start:]


def write_times(times: Content, *, with_zone: bool = True) -> dict[str, Any]:
    """The date value. A wall time that the zone has twice is told by its offset; ``with_zone=False``: all of them."""
    if times.get("all_day"):
        start = date.fromisoformat(times["start"])
        last = max(start, date.fromisoformat(times["end"]) - _DAY) if "end" in times else start
        return {"start": start.isoformat(), "end": last.isoformat() if last > start else None}
    ends = times.get("end", times["start"])
    walls = [times["start"], *([ends] if ends != times["start"] else [])]
    zone, frame = times.get("time_zone"), frame_of(times)
    moments = [frame.ts(datetime.fromisoformat(wall)) for wall in walls]
    named = with_zone and zone not in (None, "UTC") and all(
        frame.wall(ts).isoformat() == wall and not _twice(times, wall)
        for ts, wall in zip(moments, walls, strict=True)
    )  # fmt: skip
    if named:
        texts = walls
    else:
        where = UTC if frame.floating else frame.zone
        texts = [datetime.fromtimestamp(ts, UTC).astimezone(where).isoformat() for ts in moments]
    value = {"start": texts[0], "end": texts[1] if len(texts) > 1 else None}
    return value | {"time_zone": zone} if named else value


def _twice(times: Content, wall: str) -> bool:
    local = datetime.fromisoformat(wall).replace(tzinfo=frame_of(times).zone)
    return local.utcoffset() != local.replace(fold=1).utcoffset()


def write_text(column: Column, text: str | None) -> Any:
    """A text for a title, rich_text or url; None or nothing clears it."""
    if column.type == "url":
        return KEEP if text and len(text) > URL_LIMIT else text or None
    parts = rich_text(text or "")
    return parts if len(parts) <= PIECES else KEEP


def write_word(column: Column, word: str | None, default: str) -> Any:
    """An option by our word, in its spelling there. The default one is written only where it exists."""
    for option in column.options:
        if option.lower() == (word or default):
            return {"name": option}
    return {"name": word.capitalize()} if word else None


def write_categories(words: list[str] | None) -> Any:
    held = [word for word in words or () if word.strip() and "," not in word and len(word) <= OPTION_LIMIT]
    return [{"name": word} for word in held[:OPTIONS]]


def attendee_lines(attendees: Mapping[str, Content] | None) -> str:
    return "\n".join(_attendee_line(address, record) for address, record in sorted((attendees or {}).items()))


def _attendee_line(address: str, record: Content) -> str:
    name = re.sub(r"[<>\s]+", " ", record.get("name", "")).strip()
    words = [record[key] for key in _WORDS if record.get(key)] + (["rsvp"] if record.get("rsvp") else [])
    return (f"{name} <{address}>" if name else address) + (f" ({', '.join(words)})" if words else "")


def write(column: Column, content: Content) -> Any:
    """The value for the property of a field, from the content; dates, recurrence and UID apart."""
    value = content.get(column.key)
    match column.key:
        case "status":
            return write_word(column, value, STATUSES[0])
        case "privacy":
            return write_word(column, value, _PRIVACIES[0])
        case "categories":
            return write_categories(value)
        case "attendees":
            return write_text(column, attendee_lines(value))
        case "busy":
            return value is not False
        case "time_zone":
            return rich_text("" if content.get("all_day") else value or FLOATING)
        case _:
            return write_text(column, value)
