"""Where fuzzing starts: small inputs that are sound and nasty ones, and words that mean something to the readers."""

from __future__ import annotations

_ITEM = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:x
{before}BEGIN:VEVENT
UID:u@example.com
DTSTAMP:20260101T000000Z
{body}
END:VEVENT
{after}END:VCALENDAR
"""


def item(body: str, *, before: str = "", after: str = "") -> bytes:
    return _ITEM.format(body=body.strip(), before=before, after=after).replace("\n", "\r\n").encode()


_ZONE = """BEGIN:VTIMEZONE
TZID:Own
BEGIN:DAYLIGHT
DTSTART:19810329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
"""

_OVERRIDES = """BEGIN:VEVENT
UID:u@example.com
RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260119T100000
DTSTART;TZID=Europe/Berlin:20260120T120000
DURATION:PT90M
SUMMARY:Moved
END:VEVENT
BEGIN:VEVENT
UID:u@example.com
RECURRENCE-ID:20260202T090000Z
DTSTART:20260202T090000Z
STATUS:CANCELLED
END:VEVENT
"""

ITEMS = (
    item("DTSTART:20260101T100000Z\nDTEND:20260101T110000Z\nSUMMARY:a\\, b\\; c\\n\\\\d\nDESCRIPTION;ALTREP=\"x:y\":e"),
    item(
        "DTSTART;TZID=Europe/Berlin:20260105T100000\nDTEND;TZID=Europe/Berlin:20260105T110000\n"
        "RRULE:FREQ=WEEKLY;COUNT=9;BYDAY=MO\nEXDATE;VALUE=DATE:20260112\nRDATE;VALUE=PERIOD:20260107T090000Z/PT3H",
        after=_OVERRIDES,
    ),
    item("DTSTART;TZID=Own:20260329T023000\nDURATION:P1DT2H\nRRULE:FREQ=DAILY;UNTIL=20260401", before=_ZONE),
    item("DTSTART;VALUE=DATE:20240229\nDTEND;VALUE=DATE:20240301\nRRULE:FREQ=YEARLY;BYMONTHDAY=-1;BYSETPOS=1"),
    item("DTSTART:20260101T100000\nRRULE:FREQ=HOURLY;BYMINUTE=0,30;INTERVAL=7\nEXDATE:20260101T173000"),
    item("DTSTART:00020101T000000Z\nDTEND:99981231T000000Z\nRRULE:FREQ=YEARLY"),
    item("RECURRENCE-ID:20260202T090000Z\nDTSTART:20260202T090000Z\nX-ODD;P=\"1;2\";Q=^n^^^':v\nX-ODD:w"),
    item(
        "DTSTART:20260101T100000Z\nATTENDEE;CN=\"B, ob\";PARTSTAT=ACCEPTED:MAILTO:bob@example.com\nORGANIZER:x:y\n"
        "CATEGORIES:a,b\\,c\nCATEGORIES:d\nGEO:1;2\nATTACH;FMTTYPE=a/b:https://example.com/,;\nCLASS:X-SECRET\n"
        "CONFERENCE;VALUE=URI;FEATURE=VIDEO,AUDIO:tel:1\nPRIORITY:5\nTRANSP:TRANSPARENT\nSTATUS:TENTATIVE\n"
        "BEGIN:VALARM\nTRIGGER;RELATED=END:-PT15M\nACTION:EMAIL\nX-A:1\nEND:VALARM\n"
        "BEGIN:PARTICIPANT\nUID:p\nBEGIN:VLOCATION\nUID:l\nEND:VLOCATION\nEND:PARTICIPANT"
    ),
    b"BEGIN:VCALENDAR\rBEGIN:VEVENT\rUID:\rDTSTART:20260101\rSUMMARY:\xe4\r\r\n \xc3\r\n \xa4\rEND:VEVENT"
    b"\rEND:VCALENDAR",
    b"BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:t\nEND:VTODO\nEND:VCALENDAR\n",
)  # fmt: skip

ANSWERS = (
    b'<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:response>'
    b"<d:href>/a/b%20c.ics</d:href><d:propstat><d:prop><d:getetag>&quot;1&quot;</d:getetag><c:calendar-data>"
    b"BEGIN:VCALENDAR&#13;\n&#x0;&#11;END:VCALENDAR</c:calendar-data></d:prop><d:status>HTTP/1.1 200 OK</d:status>"
    b"</d:propstat></d:response><d:response><d:href>/gone</d:href><d:status>HTTP/1.1 404 Not Found</d:status>"
    b"</d:response><d:sync-token>t:1</d:sync-token></d:multistatus>",
    b'<D:multistatus xmlns:D="DAV:"><D:response><D:href>/</D:href><D:propstat><D:prop><D:current-user-principal>'
    b"<D:href> /me/ </D:href></D:current-user-principal><D:getetag/></D:prop></D:propstat><D:propstat><D:prop>"
    b"<D:owner/></D:prop><D:status>HTTP/1.1 403</D:status></D:propstat></D:response></D:multistatus>",
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c"><!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<d:multistatus xmlns:d="DAV:"><d:response><d:href>&b;&x;</d:href></d:response></d:multistatus>',
    b'<d:error xmlns:d="DAV:"><d:valid-sync-token/><x/></d:error>',
    b"<html><body>Sign in</body></html>",
)

WORDS = tuple(
    word.encode("latin-1")
    for word in (
        "\r", "\n", "\r\n ", "\n\t", "\0", "\xef\xbb\xbf", "\xc3", '"', ";", ":", ",", "\\", "^n", "=",
        "BEGIN:VEVENT\n", "END:VEVENT\n", "END:VCALENDAR\n", "BEGIN:VALARM\n", "BEGIN:", "END:",
        "RRULE:FREQ=SECONDLY\n", "RRULE:FREQ=MONTHLY;BYDAY=-5MO,1FR;BYSETPOS=-366\n", "EXRULE:FREQ=DAILY\n", "COUNT=0",
        "INTERVAL=999999999;", "UNTIL=00010101T000000Z;", "BYSECOND=60;", "BYWEEKNO=-53;", "WKST=SU;", "RSCALE=HEBREW;",
        "RECURRENCE-ID;RANGE=THISANDFUTURE:20260112T090000Z\n", "RECURRENCE-ID;VALUE=DATE:20260112\n",
        "STATUS:CANCELLED\n", "TZID:\n",
        "RDATE;VALUE=PERIOD:20260101T000000Z/-P1D\n", "EXDATE;VALUE=DATE:20260105,20260106\n", "DURATION:-P1W\n",
        "DURATION:P999999999W\n", "DTEND:99991231T235960Z\n", "DTSTART:00010101T000000\n",
        "DTSTART;VALUE=DATE:99991231\n",
        ";TZID=Europe/Berlin", ";TZID=Own", ";TZID=(UTC-23:59) Nowhere", ";TZID=Mars", ";VALUE=DATE", "TZID:\n",
        "TZOFFSETTO:+9999\n", "SEQUENCE:99999999999999999999\n", "UID:other\n", "UID:\n", "20260329T023000", "T246060",
        "<d:response>", "</d:response>", "<d:href/>", "&#1;", "&#x1F;", "&amp;", "&lt;", "&e;", "<![CDATA[", "]]>",
        "<!--",        "-->", "<?x ?>", "<!DOCTYPE a>", ' xmlns:d="x"', "HTTP/1.1 999", "\x0b", "\x80",
    )
)  # fmt: skip
