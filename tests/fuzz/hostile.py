"""Input made to exhaust a reader, by name: what one item, feed or answer may hold at worst.

Run as ``python -m tests.fuzz.hostile NAME``, so that a limit on the process counts for one case alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from calhub.calendar.event import InvalidEvent
from calhub.calendar.ical import patch_object, read_calendar, read_object
from calhub.calendar.recurrence import expand, validate
from calhub.providers.caldav.wire import BadXml, Multistatus, error_body

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FAR = 1 << 40
MANY = 300_000
HEAD = "UID:u\nDTSTAMP:20260101T000000Z\nDTSTART:20260101T090000Z\nDTEND:20260101T100000Z\n"
EVERY_SECOND = (
    f"BYHOUR={','.join(map(str, range(24)))};BYMINUTE={','.join(map(str, range(60)))};"
    f"BYSECOND={','.join(map(str, range(60)))}"
)
EVERY_DAY = f"BYYEARDAY={','.join(map(str, range(1, 367)))}"


def calendar(*events: str, before: str = "") -> str:
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{before}{''.join(map(event, events))}END:VCALENDAR\n"


def event(body: str) -> str:
    return f"BEGIN:VEVENT\n{body}END:VEVENT\n"


def zone(label: str, rule: str) -> str:
    return (
        f"BEGIN:VTIMEZONE\nTZID:{label}\nBEGIN:STANDARD\nDTSTART:19700101T000000\nRRULE:{rule}\n"
        "TZOFFSETFROM:+0000\nTZOFFSETTO:+0100\nEND:STANDARD\n"
        "BEGIN:DAYLIGHT\nDTSTART:19700601T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0000\nEND:DAYLIGHT\nEND:VTIMEZONE\n"
    )


def responses(inner: str) -> str:
    return f'<d:multistatus xmlns:d="DAV:">{inner}</d:multistatus>'


#: Texts of items and feeds.
TEXTS: dict[str, Callable[[], str]] = {
    "very many carriage returns": lambda: "\r" * MANY,
    "very many carriage returns in an event": lambda: calendar(HEAD + "X-A:1" + "\r" * MANY + "X-B:2\n"),
    "very many folds": lambda: calendar(HEAD + "SUMMARY:" + "a\n " * MANY + "\n"),
    "very many folds of nothing": lambda: calendar(HEAD + "SUMMARY:" + "\n " * MANY + "\n"),
    "a fold of many blanks": lambda: calendar(HEAD + "SUMMARY:" + "\n\t" * 5 + " " * MANY + "\n"),
    "a line without end": lambda: "BEGIN:VCALENDAR\n" + "A" * (4 * MANY),
    "a parameter without end": lambda: calendar(HEAD + 'X-A;P="1";' + "a" * MANY + ":v\n"),
    "very many quotes": lambda: calendar(HEAD + "X-A;P=" + '"' * MANY + ":v\n"),
    "very many parameters": lambda: calendar(HEAD + "ATTENDEE" + ';P="1"' * MANY + ":mailto:a@b\n"),
    "very many backslashes": lambda: calendar(HEAD + "CATEGORIES:" + "\\" * MANY + "\n"),
    "very many categories": lambda: calendar(HEAD + "CATEGORIES:" + "a\\,," * MANY + "\n"),
    "very many components, each in the last": lambda: "BEGIN:X\n" * MANY,
    "as deep in an event": lambda: calendar(HEAD + "BEGIN:X\n" * 100_000 + "END:X\n" * 100_000),
    "very many exceptions": lambda: calendar(HEAD + "RRULE:FREQ=DAILY\nEXDATE:" + ",".join(dates(30_000)) + "\n"),
    "whole days except every second": lambda: calendar(
        HEAD + f"RRULE:FREQ=DAILY;{EVERY_SECOND}\nEXDATE;VALUE=DATE:" + ",".join(d[:8] for d in dates(9000)) + "\n"
    ),
    "very many added dates": lambda: calendar(HEAD + "RDATE:" + ",".join(dates(30_000)) + "\n"),
    "overrides for all that follow": lambda: calendar(
        HEAD + "RRULE:FREQ=DAILY;COUNT=99999\n",
        *(
            HEAD.replace("20260101T09", "20260101T07") + f"RECURRENCE-ID;RANGE=THISANDFUTURE:{text}\n"
            for text in dates(3000)
        ),
    ),
    "many versions of one instance": lambda: calendar(*[HEAD + "RECURRENCE-ID:20260101T090000Z\n"] * 20_000),
    "many masters under one UID, the first large": lambda: calendar(
        HEAD + "ATTENDEE:mailto:a@b\n" * 30_000, *[HEAD] * 30_000
    ),
    "many zones, many events": lambda: calendar(
        *(HEAD.replace("UID:u", f"UID:{n}") + f"X-A;TZID=zone {n}:1\n" for n in range(700)),
        before="".join(zone(f"zone {n}", "FREQ=YEARLY") for n in range(700)),
    ),
    "a zone that changes each second": lambda: calendar(
        HEAD + "X-A;TZID=own:1\n", before=zone("own", f"FREQ=YEARLY;{EVERY_DAY};{EVERY_SECOND}")
    ),
    "a zone whose rule hides its frequency": lambda: calendar(
        HEAD + "X-A;TZID=own:1\n", before=zone("own", "FREQ=SECONDLY;X-A=FREQ=YEARLY")
    ),
    "a zone with many changes": lambda: calendar(
        HEAD + "X-A;TZID=own:1\n", before=zone("own", "FREQ=YEARLY\nRDATE:" + ",".join(d[:15] for d in dates(20_000)))
    ),
}

#: Rules; each is looked at in a far window, and from the start for as many instances as an agenda takes.
RULES = (
    "FREQ=SECONDLY",
    "FREQ=SECONDLY;COUNT=999999999",
    "FREQ=SECONDLY;INTERVAL=999999999",
    "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30;COUNT=3",
    "FREQ=SECONDLY;BYSECOND=1;BYSETPOS=2",
    "FREQ=MINUTELY;BYYEARDAY=366;BYDAY=MO;BYHOUR=3;BYMINUTE=7",
    f"FREQ=HOURLY;COUNT=999999999;{EVERY_SECOND}",
    f"FREQ=DAILY;COUNT=999999999;{EVERY_SECOND}",
    f"FREQ=WEEKLY;{EVERY_SECOND};BYSETPOS=-1",
    f"FREQ=YEARLY;{EVERY_DAY};{EVERY_SECOND}",
    f"FREQ=YEARLY;{EVERY_DAY};{EVERY_SECOND};BYSETPOS=-1,1",
    f"FREQ=YEARLY;COUNT=999999999;{EVERY_DAY};{EVERY_SECOND}",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
    "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2;BYSETPOS=366",
    "FREQ=YEARLY;INTERVAL=999999999;COUNT=999999999",
)

#: Answers of a WebDAV server.
ANSWERS: dict[str, Callable[[], str]] = {
    "a billion laughs": lambda: (
        '<!DOCTYPE x [<!ENTITY a0 "ha">'
        + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 30))
        + "]>"
        + responses("<d:response><d:href>&a29;</d:href></d:response>")
    ),
    "very many elements, each in the last": lambda: "<a>" * MANY,
    "very many attributes": lambda: "<a " + " ".join(f'b{n}=""' for n in range(MANY)) + "/>",
    "very many references": lambda: responses("<d:response><d:href>" + "&#1;" * MANY + "</d:href></d:response>"),
    "a reference of very many zeros": lambda: responses("&#" + "0" * MANY + ";"),
    "very many empty responses": lambda: responses("<d:response/>" * MANY),
    "very many properties": lambda: responses(
        "<d:response><d:href>/a</d:href><d:propstat><d:prop>" + "<d:a/>" * MANY + "</d:prop></d:propstat></d:response>"
    ),
    "a status without end": lambda: responses(
        "<d:response><d:href>/a</d:href><d:status>" + " " * MANY + "HTTP/" + "1" * MANY + "</d:status></d:response>"
    ),
}


def dates(count: int) -> Iterator[str]:
    for n in range(count):
        yield f"{2026 + n // 302400}{1 + n // 25200 % 12:02}{1 + n // 900 % 28:02}T09{n // 60 % 15:02}{n % 60:02}Z"


def read_text(text: str) -> None:
    """All that is done with an item, and with a feed."""
    data = text.encode()
    try:
        reading = read_object(data)
        validate(reading.content)
        list(expand(reading.content, -FAR, FAR))
        patch_object(text, reading.uid, reading.content | {"title": "changed"}, now=NOW)
    except InvalidEvent:
        pass
    try:
        for entry in read_calendar(data):
            assert entry.content is not None or entry.problem
    except InvalidEvent:
        pass


def read_rule(rule: str) -> None:
    content = {"start": "1970-01-01T09:00:00", "end": "1970-01-01T10:00:00", "rrule": rule}
    content["time_zone"] = "Australia/Lord_Howe"
    for start, end in ((1 << 31, (1 << 31) + 86400), (-FAR, FAR)):
        assert len(list(expand(content, start, end))) <= 10_000


def read_answer(text: str) -> None:
    data = text.encode()
    try:
        for row in Multistatus(data[start : start + 65536] for start in range(0, len(data), 65536)):
            row.text("{DAV:}a")
            row.hrefs("{DAV:}a")
    except BadXml:
        pass
    error_body(data)


CASES: dict[str, Callable[[], None]] = {
    **{name: lambda make=make: read_text(make()) for name, make in TEXTS.items()},  # type: ignore[misc]
    **{rule: lambda rule=rule: read_rule(rule) for rule in RULES},  # type: ignore[misc]
    **{name: lambda make=make: read_answer(make()) for name, make in ANSWERS.items()},  # type: ignore[misc]
}

if __name__ == "__main__":
    CASES[sys.argv[1]]()
