"""For any content: writing and patching give texts that read as that content."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from calhub.calendar.event import Content
from calhub.calendar.ical import patch_object, read_calendar, read_object, write_calendar, write_object
from calhub.calendar.ical_time import Frame, Moment, instance, instance_patch
from calhub.calendar.ical_values import in_order
from calhub.calendar.lines import chunks, fold, logical, unfold

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC", None)

text = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), min_size=1, max_size=120)
word = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=20)
uri = st.from_regex(r"https://example\.com/[a-z0-9,;?=%]{0,90}", fullmatch=True)
address = st.from_regex(r"[a-z.+]{1,20}@[a-z]{1,9}\.example", fullmatch=True)
param = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), min_size=1, max_size=40)
trigger = st.sampled_from(["-PT15M", "PT0S", "-P1D", "P1DT2H3M4S", "2026-01-01T00:00:00Z"])
plain = st.dictionaries(st.sampled_from(["X-ONE", "X-TWO"]), st.just(None), max_size=2).map(
    lambda names: {name: [f"{name}:b;c", f"{name};P=1:a"] for name in names}
)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Content]:
    return st.fixed_dictionaries({}, optional=fields)


attendee = optional(
    name=param,
    role=st.sampled_from(["chair", "optional", "informational"]),
    status=st.sampled_from(["accepted", "declined", "tentative", "delegated"]),
    kind=st.sampled_from(["group", "room", "resource", "unknown"]),
    rsvp=st.just(True),
)
alarm = st.builds(
    lambda when, rest, end: {"trigger": when} | rest | ({"related": "end"} if end and "P" in when else {}),
    trigger,
    optional(action=st.sampled_from(["email", "audio"]), description=text.filter(lambda value: value != "Reminder")),
    st.booleans(),
)
details = optional(
    title=text,
    description=text,
    location=text,
    url=uri,
    color=word,
    status=st.sampled_from(["tentative", "cancelled"]),
    privacy=st.sampled_from(["private", "confidential"]),
    busy=st.just(False),
    priority=st.integers(1, 9),
    geo=st.fixed_dictionaries({"latitude": st.floats(-90, 90), "longitude": st.floats(-180, 180)}),
    categories=st.sets(word, min_size=1, max_size=4).map(sorted),
    attendees=st.dictionaries(address, attendee, min_size=1, max_size=4),
    organizer=st.builds(lambda email, name: {"email": email} | name, address, optional(name=param)),
    alarms=st.lists(alarm, min_size=1, max_size=3).map(in_order),
    attachments=st.lists(
        st.builds(lambda link, rest: {"uri": link} | rest, uri, optional(media_type=st.just("a/b"), name=param)),
        min_size=1,
        max_size=3,
    ).map(in_order),
    conferences=st.lists(
        st.builds(lambda link, rest: {"uri": link} | rest, uri, optional(label=param, features=st.just(["video"]))),
        min_size=1,
        max_size=2,
    ).map(in_order),
    extra=plain.filter(bool),
    components=st.just(["BEGIN:PARTICIPANT\r\nUID:p\r\nEND:PARTICIPANT\r\n"]),
)


@st.composite
def times(draw: st.DrawFn) -> Content:
    """Canonical time fields; the end is never before the start."""
    if draw(st.booleans()):
        day = draw(st.dates(date(1971, 1, 1), date(2040, 1, 1)))
        end = day + timedelta(days=draw(st.integers(1, 9)))
        return {"start": day.isoformat(), "end": end.isoformat(), "all_day": True}
    zone = draw(st.sampled_from(ZONES))
    wall = draw(st.datetimes(datetime(1971, 1, 1), datetime(2040, 1, 1))).replace(microsecond=0).isoformat()
    fields: Content = {"start": wall} | ({"time_zone": zone} if zone else {})
    # The end by its instant, so that the hour a clock shows twice is met as well.
    length = timedelta(minutes=draw(st.integers(0, 3000)))
    return Frame(fields).times(Moment(wall, zone), length)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """Canonical content of single events and series, with exceptions and overrides."""
    content = draw(times()) | draw(details)
    frame = Frame(content)
    if not draw(st.booleans()):
        return content
    content["rrule"] = draw(st.sampled_from(["FREQ=DAILY;COUNT=9", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE"]))
    step = timedelta(hours=24 if frame.all_day else draw(st.sampled_from([1, 24])))
    start = frame.instant(Moment(frame.start, frame.zone))
    slots = sorted({frame.recurrence_id(_moment(frame, start + step * number)) for number in range(1, 7)})
    kinds = [draw(st.sampled_from(["", "rdates", "exdates", "override"])) for _ in slots]
    for key in ("rdates", "exdates"):
        if found := [rid for rid, kind in zip(slots, kinds, strict=True) if kind == key]:
            content[key] = found
    overrides = {}
    for rid in (rid for rid, kind in zip(slots, kinds, strict=True) if kind == "override"):
        own = draw(details) | (draw(times()) if draw(st.booleans()) else frame.times(frame.slot(rid)))
        if content.get("status") != "cancelled" and own.get("status") == "cancelled":
            del own["status"]  # that would be an exdate
        overrides[rid] = instance_patch(content, rid, own)
    return content | ({"overrides": overrides} if overrides else {})


def _moment(frame: Frame, instant: datetime) -> Moment:
    moment = frame.at(instant, frame.zone)
    return Moment(moment.wall[:10]) if frame.all_day else moment


@settings(max_examples=150, deadline=None)
@given(contents())
def test_what_is_written_reads_the_same(content: Content) -> None:
    """read_object(write_object(uid, c)).content == c."""
    written = write_object("u", content, now=NOW)

    assert read_object(written).content == content
    assert read_object(written.encode()).uid == "u"
    assert all(len(line.encode()) <= 75 for line in written.split("\r\n"))


@settings(max_examples=150, deadline=None)
@given(contents(), contents())
def test_what_is_patched_reads_as_wanted(before: Content, after: Content) -> None:
    """From any content to any other; a second pass changes nothing, and patching back gives the first content."""
    text = write_object("u", before, now=NOW)
    patched = patch_object(text, "u", after, now=NOW)

    assert read_object(patched).content == after
    assert patch_object(patched, "u", after, now=NOW) is patched
    assert read_object(patch_object(patched, "u", before, now=NOW)).content == before


@settings(max_examples=50, deadline=None)
@given(st.lists(contents(), max_size=4), st.none() | text)
def test_a_calendar_of_many_reads_the_same(many: list[Content], name: str | None) -> None:
    """read_calendar(write_calendar(objects)) gives the objects back, in their order."""
    pieces = write_calendar(((str(number), content) for number, content in enumerate(many)), name=name, now=NOW)
    entries = list(read_calendar("".join(pieces).encode()))

    assert [(entry.uid, entry.content) for entry in entries] == [(str(n), c) for n, c in enumerate(many)]


@given(st.text(st.sampled_from("a:;\r\n \té\x00"), max_size=40))
def test_both_views_of_a_text_agree(raw: str) -> None:
    """Chunks put together are the text, and each reads as `unfold` has it, whatever the line ends are."""
    assert "".join(chunks(raw)) == raw
    assert [line for line in map(logical, chunks(raw)) if line] == [line for line in unfold(raw) if line]


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=300))
def test_folding_is_undone_by_unfolding(line: str) -> None:
    """A folded line unfolds to itself, with no physical line over 75 octets."""
    line = "X:" + line.replace("\ufeff", "")

    assert unfold(fold(line)) == [line, ""]
    assert all(len(part.encode()) <= 75 for part in fold(line).split("\r\n"))


def test_two_private_zones_with_one_label_stay_apart() -> None:
    """In one file each keeps its own rules, the second under another label."""
    zone = "BEGIN:VTIMEZONE\r\nTZID:Own\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:{0}\r\n"
    zone += "TZOFFSETTO:{0}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    base = {"start": "2026-01-01T10:00:00", "end": "2026-01-01T10:00:00", "time_zone": "Own"}
    offsets = {"a": "+0100", "b": "+0200", "c": "+0100"}
    objects = [(uid, base | {"zones": {"Own": zone.format(offset)}}) for uid, offset in offsets.items()]

    entries = list(read_calendar("".join(write_calendar(objects, name=None, now=NOW)).encode()))

    read = [(entry.content or {})["zones"] for entry in entries]
    assert [name for zones in read for name in zones] == ["Own", "Own (2)", "Own"]
    assert all(offsets[uid] in text for uid, zones in zip(offsets, read, strict=True) for text in zones.values())


def bare(content: Content) -> Content:
    return {name: value for name, value in content.items() if name in ("start", "end", "all_day", "time_zone")}


@settings(max_examples=150, deadline=None)
@given(contents(), st.data())
def test_an_edit_of_one_field_changes_that_field_alone(content: Content, data: st.DataObject) -> None:
    """Parse, edit one field, write, parse: the difference is that field; patched into the text, so are the lines."""
    edit = data.draw(details.filter(bool), label="edit")
    name = data.draw(st.sampled_from(sorted(edit)), label="field")
    assume(name != "status")  # of a series and its instances together: a cancelled instance may be an exception
    wanted = content | {name: edit[name]}
    text = write_object("u", content, now=NOW)

    for written in (write_object("u", wanted, now=NOW), patch_object(text, "u", wanted, now=NOW)):
        read = read_object(written).content
        overrides = {rid: instance(read, rid) for rid in read.get("overrides", {})}
        assert {key: value for key, value in read.items() if key not in (name, "overrides")} == {
            key: value for key, value in content.items() if key not in (name, "overrides")
        }
        assert read[name] == edit[name]
        assert overrides == {rid: instance(wanted, rid) for rid in wanted.get("overrides", {})}


NASTY = "\r".join(
    [
        "\ufeffbegin:vcalendar", "version:2.0", "X-WR-CALNAME:no colon after this", "prose of a broken fold",
        "begin:vevent", "uid;x-a=\"1:2\":u", "dtstart;tzid=\"W. Europe Standard Time\":20260105T100000",
        "dtend;tzid=Europe/Berlin;value=date-time:20260105T110000", "summary;language=en:a\\, b\\; c\\N\\x \t",
        "summary:a second one", "description:", "rrule:freq=weekly;byday=mo;x-odd=1;", "exdate:20260112T090000Z,",
        "exdate;tzid=\"(UTC+01:00) Amsterdam\":20260119T100000", "attendee;cn=\"O'Neil, ^'B^'\":MAILTO:B@Example.COM",
        "attendee:", "x-odd;p=\";\";q=:1", "x-odd:1", "geo:91;0", "priority:10", "class:", "status:odd",
        "attach;encoding=base64;value=binary:AAAA", "begin:valarm", "trigger:whenever", "end:valarm",
        "begin:x-own", "begin:x-inner", "end:x-inner", "end:x-own", "end:vevent", "end:vcalendar",
    ]
)  # fmt: skip


#: What the lines begin with that an edit of a field may change.
LINES: dict[str, str | tuple[str, ...]] = {
    "title": "summary", "description": "description", "privacy": "class", "priority": "priority", "geo": "geo",
    "attendees": "attendee", "rrule": "rrule", "exdates": "exdate", "end": "dtend",
    "extra": ("x-odd", "attach", "attendee:"),
}  # fmt: skip


@pytest.mark.parametrize("newline", ["\r", "\n", "\r\n", "\r\r\n"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "New"), ("description", "New"), ("location", "New"), ("url", "https://example.com/;,"),
        ("categories", ["a", "b,c"]), ("busy", False), ("privacy", "private"), ("priority", 1),
        ("attendees", {"b@example.com": {"name": "O'Neil", "status": "accepted"}}),
        ("alarms", [{"trigger": "-PT15M"}]), ("rrule", "FREQ=DAILY;COUNT=3"),
        ("exdates", ["2026-01-12T10:00:00+01:00"]), ("rdates", ["2026-01-13T10:00:00+01:00"]),
        ("overrides", {"2026-01-26T10:00:00+01:00": {"title": "Once", "following": True}}),
        ("end", "2026-01-05T12:00:00"), ("geo", {"latitude": 1.5, "longitude": -2.25}), ("extra", None),
    ],
)  # fmt: skip
def test_a_nasty_text_survives_an_edit_of_one_field(newline: str, field: str, value: Any) -> None:
    """Lower case, odd line ends, broken lines, doubled properties: one field changes, all lines about others stay."""
    text = NASTY.replace("\r", newline)
    content = read_object(text).content
    wanted = {key: kept for key, kept in (content | {field: value}).items() if kept is not None}
    patched = patch_object(text, "u", wanted, now=NOW)
    assert read_object(patched).content == wanted
    kept = set(re.split(r"[\r\n]+", patched))
    gone = [line for line in re.split(r"[\r\n]+", text) if line not in kept]

    assert all(line.startswith(LINES.get(field, "-")) for line in gone), gone
    assert patch_object(patched, "u", wanted, now=NOW) is patched
