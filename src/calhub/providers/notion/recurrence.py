"""The text in the Recurrence property: a series' rule and exceptions, or which occurrence a row stands for. Pure.

The row of a series has lines of RFC 5545::

    RRULE:FREQ=WEEKLY;BYDAY=MO
    EXDATE;TZID=Europe/Berlin:20261130T100000
    DTSTART;TZID=Europe/Berlin:20261123T100000

DTSTART tells the zone, which Notion's dates do not, and what the exceptions refer to, in case somebody moves the date.
A person may as well type ``FREQ=WEEKLY``. The row of one occurrence has ``RECURRENCE-ID:`` with its recurrence id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from calhub.calendar import ical
from calhub.calendar.event import Content
from calhub.calendar.ical_time import Frame
from calhub.calendar.ical_write import HEADER, Labels, exdate_line, rdate_line, start_line
from calhub.calendar.lines import parse_line
from calhub.providers.notion.values import FLOATING

_SERIES: Final = ("RRULE", "RDATE", "EXDATE")
#: Days for which a series' occurrences have been written as rows: what is missing among them was deleted.
_ROWS: Final = "X-CALHUB-ROWS"
#: What the row of an occurrence looked like when it was written, and which of its fields are its own.
_WRITTEN: Final = "X-CALHUB-WRITTEN"
#: Only its form matters: the text is read together with the row's date.
_FRAME: Final = ("BEGIN:VEVENT", "UID:-", "DTSTAMP:20000101T000000Z")


@dataclass(frozen=True)
class Window:
    """Days from ``first`` to before ``last``."""

    first: date
    last: date

    @property
    def seconds(self) -> tuple[int, int]:
        """The same as timestamps, in UTC."""
        start, end = (int(datetime.combine(day, time(), UTC).timestamp()) for day in (self.first, self.last))
        return start, end


@dataclass(frozen=True)
class Written:
    """While the row of an occurrence looks like this, it follows its series in all fields but these."""

    digest: str
    fields: frozenset[str]

    def __str__(self) -> str:
        return " ".join([self.digest, *sorted(self.fields)])


@dataclass(frozen=True)
class Rule:
    """The text of one row, taken apart."""

    lines: tuple[str, ...] = ()  # of _SERIES and DTSTART
    instance: str | None = None  # the recurrence id of an occurrence, in any spelling
    written: Written | None = None
    rows: Window | None = None

    @property
    def is_series(self) -> bool:
        return self.instance is None and any(line.upper().startswith(_SERIES) for line in self.lines)


def parse(text: str) -> Rule:
    """Take a text apart; lines it does not know are left out."""
    lines: list[str] = []
    known: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        line = f"RRULE:{line}" if line.upper().startswith("FREQ=") else line
        name, _, value = line.partition(":")
        if name.upper().partition(";")[0] in (*_SERIES, "DTSTART"):
            lines.append(line)
        else:
            known[name.upper()] = value.strip()
    return Rule(
        tuple(lines), known.get("RECURRENCE-ID"), _read_written(known.get(_WRITTEN)), _read_window(known.get(_ROWS))
    )


def read(rule: Rule, times: Content) -> Content:
    """``rrule``, ``rdates`` and ``exdates`` of a series with the times they refer to.

    That is the text's DTSTART, or ``times`` where it has none. Raises `InvalidEvent`.
    """
    starts = [line for line in rule.lines if line.upper().startswith("DTSTART")] or [start_line(times, Labels())]
    others = [line for line in rule.lines if not line.upper().startswith("DTSTART")]
    text = "\r\n".join([*HEADER, *_FRAME, starts[0], *others, "END:VEVENT", "END:VCALENDAR", ""])
    found = ical.read_object(text).content
    names = ("rrule", "rdates", "exdates", "start", "all_day", "time_zone", "zones")
    return {name: found[name] for name in names if name in found}


def zone_of(rule: Rule) -> str | None:
    """The zone that the text's DTSTART is in, `FLOATING`, or None where it does not say."""
    for line in rule.lines:
        name, params, value = parse_line(line) or ("", {}, "")
        if name == "DTSTART" and "T" in value:
            return params.get("TZID") or ("UTC" if value.endswith("Z") else FLOATING)
    return None


def write(content: Content, rows: Window | None = None) -> str:
    """The text for a series; empty for a single event. ``rows``: the days whose occurrences have rows."""
    if not any(name in content for name in ("rrule", "rdates")):
        return ""
    frame, labels = Frame(content), Labels()
    lines = [f"RRULE:{content['rrule']}"] if "rrule" in content else []
    lines += [rdate_line(rid, frame, labels) for rid in content.get("rdates", ())]
    lines += [exdate_line(rid, frame, labels) for rid in content.get("exdates", ())]
    lines.append(start_line(content, labels))
    if rows is not None:
        lines.append(f"{_ROWS}:{rows.first.isoformat()}/{rows.last.isoformat()}")
    return "\n".join(lines)


def write_instance(rid: str, written: Written) -> str:
    """The text for the row of one occurrence."""
    return f"RECURRENCE-ID:{rid}\n{_WRITTEN}:{written}"


def _read_written(text: str | None) -> Written | None:
    digest, *fields = (text or "").split() or [""]
    return Written(digest, frozenset(fields)) if digest else None


def _read_window(text: str | None) -> Window | None:
    first, _, last = (text or "").partition("/")
    try:
        return Window(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError:
        return None
