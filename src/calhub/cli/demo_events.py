"""The events that the demo edits, and the edits another calendar program would make to their text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from calhub.testing.corpus import Sample, calendar_text, fold

ZONE: Final = "Europe/Berlin"
BUDGET: Final = "budget-review@demo.example"
LUNCH: Final = "team-lunch@demo.example"
DINNER: Final = "board-dinner@demo.example"
DENTIST: Final = "dentist@demo.example"
STANDUP: Final = "stand-up@demo.example"
NEWSLETTER: Final = "newsletter@demo.example"


def demo_events(monday: date) -> list[Sample]:
    """Six events in the week of ``monday``, known by the UIDs above."""
    return [
        _event(BUDGET, "Budget review", monday, 10, "LOCATION:Room 1"),
        _event(LUNCH, "Team lunch", monday + timedelta(days=1), 12, "LOCATION:Canteen"),
        _event(DINNER, "Board dinner 🍽", monday + timedelta(days=2), 19, "LOCATION:Chez Zoé"),
        _event(DENTIST, "Zahnarzt 🦷", monday + timedelta(days=3), 8, "X-PRACTICE;X-FLOOR=2:Dr. Müller"),
        _event(STANDUP, "Stand-up", monday, 9, "RRULE:FREQ=WEEKLY;COUNT=20;BYDAY=MO"),
        _event(NEWSLETTER, "Send the newsletter", monday + timedelta(days=4), 16, "STATUS:TENTATIVE"),
    ]


def set_line(name: str, value: str) -> Callable[[str], str]:
    """An edit: the master's property ``name`` becomes ``value``, added where it was not there."""
    line = fold(f"{name}:{value}")
    old = re.compile(rf"^{name}[:;].*\r?\n(?:[ \t].*\r?\n)*", re.MULTILINE)

    def change(text: str) -> str:
        before, begin, event = text.partition("BEGIN:VEVENT")
        edited, found = old.subn(lambda _: line, event, count=1)
        return before + begin + (edited if found else "\r\n" + line + event.lstrip("\r\n"))

    return change


def move_instance(
    uid: str, title: str, original: date, hour: int, new_day: date, new_hour: int
) -> Callable[[str], str]:
    """An edit: one instance of the series starts at another day and hour, as an override (RFC 5545 3.8.4.4)."""
    lines = [
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20261102T080000Z",
        f"RECURRENCE-ID;TZID={ZONE}:{original:%Y%m%d}T{hour:02d}0000",
        f"SUMMARY:{title}",
        f"DTSTART;TZID={ZONE}:{new_day:%Y%m%d}T{new_hour:02d}0000",
        f"DTEND;TZID={ZONE}:{new_day:%Y%m%d}T{new_hour + 1:02d}0000",
        "END:VEVENT",
    ]
    override = "".join(fold(line) for line in lines)
    return lambda text: text.replace("END:VCALENDAR", override + "END:VCALENDAR")


def _event(uid: str, title: str, day: date, hour: int, *lines: str) -> Sample:
    head = ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20261101T080000Z", f"SUMMARY:{title}"]
    times = [f"{name};TZID={ZONE}:{day:%Y%m%d}T{at:02d}0000" for name, at in (("DTSTART", hour), ("DTEND", hour + 1))]
    return Sample(uid, uid.partition("@")[0] + ".ics", calendar_text([ZONE], [*head, *times, *lines, "END:VEVENT"]))
