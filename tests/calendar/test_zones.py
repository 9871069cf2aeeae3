"""Time zones: labels, rules and VTIMEZONEs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from icalendar import Timezone

from calhub.calendar.event import InvalidEvent
from calhub.calendar.lines import fold
from calhub.calendar.zones import ZoneTable, canonical_zone, tzinfo, vtimezone

OWN = (
    "BEGIN:VTIMEZONE\r\nTZID:Own\r\n{}BEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
    "TZOFFSETFROM:+0330\r\nTZOFFSETTO:+0330\r\n{}END:STANDARD\r\nEND:VTIMEZONE\r\n"
)
BROKEN = OWN.format("", "").replace("TZOFFSETTO:+0330", "")


@pytest.mark.parametrize(
    ("tzid", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Oslo", "Europe/Oslo"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("US/Eastern", "America/New_York"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("Etc/UTC", "UTC"),
        ("GMT", "UTC"),
        ("tzone://Microsoft/Utc", "UTC"),
        ("/mozilla.org/20050126_1/Europe/Berlin", "Europe/Berlin"),
        ("/freeassociation.sourceforge.net/Tzfile/America/Argentina/Ushuaia", "America/Argentina/Ushuaia"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("GMT Standard Time", "Europe/London"),
        ("India Standard Time", "Asia/Kolkata"),
        ("Customized Time Zone", None),
        ("Factory", None),
        ("", None),
    ],
)
def test_labels(tzid: str, zone: str | None) -> None:
    """IANA names in any case, old ones, vendor paths and Windows names have one canonical name."""
    assert canonical_zone(tzid) == zone


def test_embedded_rules_are_used_only_for_unknown_names() -> None:
    """A known name wins; then X-LIC-LOCATION; then the VTIMEZONE itself; then the offset in the name."""
    located = OWN.format("X-LIC-LOCATION:Asia/Tehran\r\n", "")
    table = ZoneTable(lambda: {"Europe/Berlin": OWN, "Located": located, "Own": OWN.format("", "")})

    assert table.resolve("Europe/Berlin") == "Europe/Berlin"
    assert table.resolve("Located") == "Asia/Tehran"
    assert table.resolve("Own") == "Own"
    assert table.resolve("(UTC+05:30) Somewhere, Else") == "(UTC+05:30) Somewhere, Else"
    assert table.resolve("(UTC) Coordinated") == "UTC"
    assert table.resolve("Unheard of") is None
    assert list(table.used) == ["Own", "(UTC+05:30) Somewhere, Else"]
    offsets = [tzinfo(zone, table.used).utcoffset(datetime(2026, 1, 1)) for zone in table.used]
    assert [timedelta(hours=3, minutes=30), timedelta(hours=5, minutes=30)] == offsets


@pytest.mark.parametrize("text", ["junk", OWN.format("", "RRULE:FREQ=SECONDLY\r\n"), BROKEN])
def test_rules_that_cannot_be_used(text: str) -> None:
    """A VTIMEZONE that is broken, or made to loop, is refused, and its label is then no zone."""
    with pytest.raises(InvalidEvent):
        tzinfo("Own", {"Own": text})
    assert ZoneTable(lambda: {"Own": text}).resolve("Own") is None


def test_unknown_names_are_refused() -> None:
    """A name that is neither IANA nor private raises InvalidEvent, also one that looks like a path."""
    for name in ("Nowhere/Land", "../../etc/passwd", "", "Europe"):
        with pytest.raises(InvalidEvent):
            tzinfo(name, None)


@pytest.mark.parametrize(
    "name",
    ["Europe/Berlin", "Europe/Dublin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Jerusalem",
     "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"],
)  # fmt: skip
@pytest.mark.parametrize("year", [1995, 2026])
def test_a_written_vtimezone_says_what_the_zone_does(name: str, year: int) -> None:
    """Read by another library, the VTIMEZONE has the zone's offsets on each day from its first year on."""
    written = Timezone.from_ical("".join(map(fold, vtimezone(name, year))))
    assert isinstance(written, Timezone)
    rules, zone = written.to_tz(lookup_tzid=False), ZoneInfo(name)
    first = datetime(year, 1, 1, 12, tzinfo=UTC)

    for day in range(0, 365 * 12, 5):
        wall = (first + timedelta(days=day)).replace(tzinfo=None)
        assert rules.utcoffset(wall) == wall.replace(tzinfo=zone).utcoffset(), wall


def test_yearly_rules_are_written_as_rules() -> None:
    """Berlin's summer time is two yearly rules, not a list of dates."""
    lines = vtimezone("Europe/Berlin", 2026)

    assert {"RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU"} < set(lines)
    assert not any(line.startswith("RDATE") for line in lines)
