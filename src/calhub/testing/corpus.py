"""Calendar objects that look like people's own, made from a number alone: the same number gives the same text.

A third are series (weekly and monthly, with EXDATE, RDATE, overrides and moved instances); the rest are single events.
Between them they have five zones, UTC, floating and all-day times, an end in another zone, attendees, alarms, X-
properties and parameters, accents, other scripts and emoji. The demo, the benchmarks and slow tests share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final

#: Where the corpus lies in time unless told otherwise: events spread a year to both sides.
AROUND: Final = date(2026, 11, 23)

_SUMMARIES: Final = (
    "Réunion budget", "Übergabe Station 3", "Zahnarzt 🦷", "Stand-up", "Żeglarstwo z Łukaszem", "会議：予算",
    "Lunch, then walk", "Elternabend", "Code review; part two", "Kaffe på hörnet ☕", "Sprint planning",
    "Concert 🎻 à l'Opéra", "Поезд в Тарту", "Yoga", "Call with São Paulo", "Geburtstag Jürgen 🎂", "Flight",
    "Quarterly numbers", "Handwerker", "Choir rehearsal",
)  # fmt: skip
_PLACES: Final = ("Room 4.12", "Café Größenwahn", "Gate B 22", "https://meet.example/abc", "Øresund Station", "家", "")
_WORDS: Final = (
    "agenda", "notes", "please", "bring", "the", "signed", "papers", "and", "a", "pen", "start", "on", "time", "bitte",
    "Unterlagen", "für", "später", "merci", "d'apporter", "vos", "idées", "naïve", "façade", "smörgåsbord", "budget",
    "door", "code", "follows", "by", "mail", "coöperate", "mitbringen", "Ärger", "straße", "déjà", "vu",
)  # fmt: skip
_PEOPLE: Final = (
    ("ana.souza@example.org", "Ana Souza"), ("bjorn@example.net", "Björn Ångström"), ("emi@example.jp", "山田 恵美"),
    ("chloe@example.com", "Chloé Lefèvre"), ("d.okafor@example.org", "Okafor, Dayo"),
)  # fmt: skip
_CATEGORIES: Final = ("work", "family", "Vereinsarbeit", "travel", "santé")
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

#: Zone -> (standard offset, daylight offset or "", start of daylight time, start of standard time).
_ZONES: Final[dict[str, tuple[str, str, str | None, str | None]]] = {
    "Europe/Berlin": (
        "+0100", "+0200",
        "19700329T020000;RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3",
        "19701025T030000;RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10",
    ),
    "America/New_York": (
        "-0500", "-0400",
        "20070311T020000;RRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3",
        "20071104T020000;RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11",
    ),
    "Australia/Sydney": (
        "+1000", "+1100",
        "20081005T020000;RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=10",
        "20080406T030000;RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=4",
    ),
    "Asia/Tokyo": ("+0900", "", None, None),
    "Asia/Kolkata": ("+0530", "", None, None),
}  # fmt: skip
_ZONE_NAMES: Final = tuple(_ZONES)


@dataclass(frozen=True)
class Sample:
    """One calendar object: its UID, the file name it may have, and its text with CRLF line ends."""

    uid: str
    file_name: str
    text: str


def samples(count: int, *, first: int = 0, around: date = AROUND, size: int = 1000) -> Iterator[Sample]:
    """``count`` objects from number ``first`` on, each of about ``size`` bytes (series with overrides more)."""
    for number in range(first, first + count):
        yield sample(number, around=around, size=size)


def sample(number: int, *, around: date = AROUND, size: int = 1000) -> Sample:
    """The object with this number; padded with a description to ``size`` bytes where shorter."""
    draft = _Draft(number, around)
    _KINDS[number % len(_KINDS)](draft)
    return Sample(draft.uid, f"{number:06d}.ics", draft.text(size))


def calendar_text(zones: Iterator[str] | list[str], components: list[str]) -> str:
    """A VCALENDAR with the VTIMEZONE of each zone named (those of the corpus), from unfolded lines."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//calhub//corpus//EN"]
    for zone in zones:
        lines += _vtimezone(zone)
    return "".join(fold(line) for line in [*lines, *components, "END:VCALENDAR"])


def fold(line: str) -> str:
    """The content line folded at 75 octets, never inside a character, with CRLF (RFC 5545 3.1)."""
    if len(line) <= 75 and (line.isascii() or len(line.encode()) <= 75):
        return line + "\r\n"
    parts: list[str] = []
    room, start = 75, 0
    for position, character in enumerate(line):
        octets = len(character.encode())
        if octets > room:
            parts.append(line[start:position])
            room, start = 74, position
        room -= octets
    return "\r\n ".join([*parts, line[start:]]) + "\r\n"


def _vtimezone(name: str) -> list[str]:
    standard, daylight, to_daylight, to_standard = _ZONES[name]
    lines = ["BEGIN:VTIMEZONE", f"TZID:{name}"]
    observances = [
        ("STANDARD", daylight or standard, standard, to_standard),
        ("DAYLIGHT", standard, daylight, to_daylight),
    ]
    for kind, before, after, onset in observances:
        if after:
            start, _, rule = (onset or "19700101T000000").partition(";")
            rules = [rule] if rule else []
            lines += [f"BEGIN:{kind}", f"DTSTART:{start}", *rules]
            lines += [f"TZOFFSETFROM:{before}", f"TZOFFSETTO:{after}", f"END:{kind}"]
    return [*lines, "END:VTIMEZONE"]


class _Draft:
    """The object under construction: master lines, further VEVENTs, and the zones they name."""

    def __init__(self, number: int, around: date) -> None:
        self.random = Random(number)
        self.uid = f"{number:06d}-{self.random.getrandbits(48):012x}@corpus.example"
        self.zone = self.random.choice(_ZONE_NAMES)
        day = around + timedelta(days=self.random.randint(-365, 365))
        self.start = datetime.combine(day, time(self.random.randint(7, 19), self.random.choice((0, 15, 30, 45))))
        self.length = timedelta(minutes=self.random.choice((15, 30, 45, 60, 90, 180)))
        self.title = f"{self.random.choice(_SUMMARIES)} {number}"
        self.lines: list[str] = []
        self.overrides: list[str] = []
        self.zones: list[str] = []

    def zoned(self, name: str, value: datetime, zone: str | None = None) -> str:
        zone = zone or self.zone
        if zone not in self.zones:
            self.zones.append(zone)
        return f"{name};TZID={zone}:{_local(value)}"

    def common(self, *, place: bool = True) -> None:
        self.lines.append(f"SUMMARY:{_escape(self.title)}")
        where = self.random.choice(_PLACES)
        if where and place:
            self.lines.append(f"LOCATION:{_escape(where)}")

    def times(self) -> None:
        self.lines += [self.zoned("DTSTART", self.start), self.zoned("DTEND", self.start + self.length)]

    def override(self, original: datetime, *lines: str) -> None:
        self.overrides += [*self._head(), self.zoned("RECURRENCE-ID", original), *lines, "END:VEVENT"]

    def _head(self) -> list[str]:
        stamp = f"202610{1 + self.random.randrange(28):02d}T080000Z"
        return ["BEGIN:VEVENT", f"UID:{self.uid}", f"DTSTAMP:{stamp}", f"LAST-MODIFIED:{stamp}", "SEQUENCE:0"]

    def text(self, size: int) -> str:
        event = [*self._head(), *self.lines]
        bare = len(calendar_text(self.zones, [*event, "END:VEVENT", *self.overrides]).encode())
        if bare + 20 < size:
            alarms = next((at for at, line in enumerate(event) if line == "BEGIN:VALARM"), len(event))
            event.insert(alarms, "DESCRIPTION:" + self._prose(size - bare - 16))
        return calendar_text(self.zones, [*event, "END:VEVENT", *self.overrides])

    def _prose(self, octets: int) -> str:
        words: list[str] = []
        while octets > 0:
            words.append(self.random.choice(_WORDS))
            octets -= len(words[-1].encode()) + 1
        return _escape(" ".join(words))


def _local(value: datetime) -> str:
    return value.strftime("%Y%m%dT%H%M%S")


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def _plain(draft: _Draft) -> None:
    draft.times()
    draft.common()


def _all_day(draft: _Draft) -> None:
    last = draft.start.date() + timedelta(days=draft.random.choice((1, 1, 1, 3, 10)))
    draft.lines += [f"DTSTART;VALUE=DATE:{draft.start:%Y%m%d}", f"DTEND;VALUE=DATE:{last:%Y%m%d}", "TRANSP:TRANSPARENT"]
    draft.common()


def _utc(draft: _Draft) -> None:
    draft.lines += [f"DTSTART:{_local(draft.start)}Z", f"DURATION:PT{int(draft.length.total_seconds()) // 60}M"]
    draft.common()
    draft.lines += [f"CATEGORIES:{','.join(draft.random.sample(_CATEGORIES, 2))}", "CLASS:PRIVATE", "PRIORITY:5"]


def _floating(draft: _Draft) -> None:
    draft.lines += [f"DTSTART:{_local(draft.start)}", f"DTEND:{_local(draft.start + draft.length)}"]
    draft.common()
    draft.lines += ["STATUS:TENTATIVE", "X-MOOD;X-SCALE=ten:7"]


def _meeting(draft: _Draft) -> None:
    draft.times()
    draft.common()
    owner, *guests = draft.random.sample(_PEOPLE, 4)
    draft.lines.append(f'ORGANIZER;CN="{owner[1]}":mailto:{owner[0]}')
    answers = ("ACCEPTED", "DECLINED", "TENTATIVE", "NEEDS-ACTION")
    for address, name in guests:
        part = f"ROLE={draft.random.choice(('REQ', 'OPT'))}-PARTICIPANT;PARTSTAT={draft.random.choice(answers)}"
        draft.lines.append(f'ATTENDEE;CN="{name}";{part};X-SEEN=yes:mailto:{address}')
    draft.lines.append("URL:https://meet.example/room?id=1,2;3")


def _reminded(draft: _Draft) -> None:
    draft.times()
    draft.common()
    draft.lines += ["X-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC", "GEO:52.52;13.405"]
    draft.lines += ["BEGIN:VALARM", "ACTION:DISPLAY", "DESCRIPTION:Soon 🔔", "TRIGGER:-PT15M", "END:VALARM"]
    draft.lines += ["BEGIN:VALARM", "ACTION:AUDIO", "TRIGGER;RELATED=END:PT0S", "X-SOUND:bell", "END:VALARM"]


def _journey(draft: _Draft) -> None:
    there = draft.random.choice([zone for zone in _ZONE_NAMES if zone != draft.zone])
    draft.lines += [draft.zoned("DTSTART", draft.start), draft.zoned("DTEND", draft.start + timedelta(hours=30), there)]
    draft.common()
    draft.lines.append("ATTACH;FMTTYPE=application/pdf:https://files.example/ticket.pdf")


def _weekly(draft: _Draft) -> None:
    draft.times()
    count = draft.random.choice((8, 26, 52))
    draft.lines.append(f"RRULE:FREQ=WEEKLY;COUNT={count};BYDAY={_WEEKDAYS[draft.start.weekday()]}")
    for week in (2, 5):
        draft.lines.append(draft.zoned("EXDATE", draft.start + timedelta(weeks=week)))
    draft.common()


def _weekly_moved(draft: _Draft) -> None:
    draft.times()
    draft.lines.append(f"RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY={_WEEKDAYS[draft.start.weekday()]}")
    draft.common()
    original = draft.start + timedelta(weeks=4)
    moved = original + timedelta(days=1, hours=1)
    draft.override(
        original,
        draft.zoned("DTSTART", moved),
        draft.zoned("DTEND", moved + draft.length),
        f"SUMMARY:{_escape(draft.title)} (moved)",
    )


def _monthly(draft: _Draft) -> None:
    week = (draft.start.day - 1) // 7 + 1
    ordinal = -1 if week > 4 else week
    second = draft.start + timedelta(weeks=4)
    if (second + timedelta(weeks=1)).month == second.month if ordinal == -1 else (second.day - 1) // 7 + 1 != ordinal:
        second += timedelta(weeks=1)
    draft.times()
    draft.lines.append(f"RRULE:FREQ=MONTHLY;COUNT=24;BYDAY={ordinal}{_WEEKDAYS[draft.start.weekday()]}")
    draft.lines.append(draft.zoned("EXDATE", second))
    draft.lines.append(draft.zoned("RDATE", draft.start + timedelta(days=3)))
    draft.common()


def _yearly(draft: _Draft) -> None:
    day = draft.start.replace(day=min(draft.start.day, 28), year=draft.start.year - 5).date()
    draft.lines += [f"DTSTART;VALUE=DATE:{day:%Y%m%d}", f"DTEND;VALUE=DATE:{day + timedelta(days=1):%Y%m%d}"]
    draft.lines += ["RRULE:FREQ=YEARLY", f"EXDATE;VALUE=DATE:{day.year + 2}{day:%m%d}"]
    draft.common(place=False)


_KINDS: Final[tuple[Callable[[_Draft], None], ...]] = (
    _plain, _weekly, _all_day, _meeting, _weekly_moved, _utc, _reminded, _monthly, _floating, _journey, _yearly, _plain,
)  # fmt: skip
