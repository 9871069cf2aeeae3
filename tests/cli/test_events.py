"""``event``: add, show, edit, delete, move; in the hub at once, or everywhere with --atomic."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Calhub, Folder

EVENT_KEYS = {
    "uid", "calendar", "title", "description", "location", "start", "end", "all_day", "time_zone", "rrule", "exdates",
    "overrides", "status", "privacy", "busy", "categories", "attendees", "organizer", "url", "rev", "updated",
    "remotes",
}  # fmt: skip


@pytest.fixture
def diary(calhub: Calhub) -> Calhub:
    """A calendar `diary` with a weekly series `gym` of four."""
    calhub("calendar", "add", "diary")
    add = ("event", "add", "--calendar", "diary", "--uid", "gym", "--title", "Gym", "--start", "2026-11-02T18:00")
    assert calhub(*add, "--rrule", "FREQ=WEEKLY;COUNT=4").code == 0
    return calhub


def starts(calhub: Calhub, title: str) -> list[str]:
    found = calhub("agenda", "2026-11-01", "2027-01-01", "--json").json
    return [each["start"][:16] for each in found if each["title"] == title]


def test_add_prints_the_event_shape(calhub: Calhub) -> None:
    """`event add --json` prints the event, with the options in their fields."""
    calhub("calendar", "add", "diary")

    event = calhub(
        "event", "add", "--calendar", "diary", "--title", "Réunion 🎯", "--start", "2026-11-23T10:00",
        "--duration", "90m", "--time-zone", "America/New_York", "--location", "Room 4", "--description", "a\nb",
        "--attendee", "Ann <ANN@example.org>", "--attendee", "bob@example.org", "--uid", "my-own", "--json",
    ).json  # fmt: skip

    assert event.keys() >= EVENT_KEYS
    assert (event["uid"], event["title"], event["description"]) == ("my-own", "Réunion 🎯", "a\nb")
    assert (event["start"], event["end"]) == ("2026-11-23T10:00:00-05:00", "2026-11-23T11:30:00-05:00")
    assert [each["email"] for each in event["attendees"]] == ["ann@example.org", "bob@example.org"]
    assert event["remotes"] == []
    assert event == calhub("event", "show", "my-own", "--json").json


@pytest.mark.parametrize(
    ("options", "start", "zone"),
    [
        (["--start", "2026-11-23T10:00"], "2026-11-23T10:00:00+01:00", "Europe/Paris"),
        (["--start", "2026-11-23T10:00", "--time-zone", "floating"], "2026-11-23T10:00:00", None),
        (["--start", "2026-11-23T10:00+02:00"], "2026-11-23T08:00:00Z", "UTC"),
        (["--start", "2026-11-23"], "2026-11-23", None),
        (["--start", "2026-11-23", "--all-day"], "2026-11-23", None),
    ],
)
def test_which_zone_a_start_is_in(calhub: Calhub, options: list[str], start: str, zone: str | None) -> None:
    """Without offset and --time-zone, a start is in the reader's zone; a date is all day."""
    calhub("calendar", "add", "diary")

    event = calhub("event", "add", "--calendar", "diary", "--title", "x", *options, "--json").json

    assert (event["start"], event["time_zone"]) == (start, zone)


def test_the_calendars_zone_comes_first(calhub: Calhub) -> None:
    """A calendar that has a time zone gives it to new events."""
    calhub("calendar", "add", "trip", "--time-zone", "Asia/Tokyo")

    event = calhub("event", "add", "--calendar", "trip", "--title", "x", "--start", "2026-11-23T10:00", "--json").json

    assert event["start"] == "2026-11-23T10:00:00+09:00"


@pytest.mark.parametrize(
    "options",
    [
        ["--start", "tomorrow-ish"],
        ["--start", "2026-02-30T10:00"],
        ["--start", "2026-11-23T10:00", "--end", "2026-11-23T09:00"],
        ["--start", "2026-11-23T10:00", "--duration", "soon"],
        ["--start", "2026-11-23T10:00", "--end", "2026-11-23T11:00", "--duration", "1h"],
        ["--start", "2026-11-23T10:00", "--time-zone", "Mars/Base"],
        ["--start", "2026-11-23T10:00", "--rrule", "FREQ=SOMETIMES"],
        ["--start", "2026-11-23T10:00", "--attendee", "not an address"],
        ["--start", "2026-11-23T10:00", "--uid", " "],
        ["--start", "2026-11-23T10:00", "--title", " "],
        [],
    ],
)
def test_add_with_bad_values(calhub: Calhub, options: list[str]) -> None:
    """A value that cannot be is a usage error, and nothing is added."""
    calhub("calendar", "add", "diary")

    result = calhub("event", "add", "--calendar", "diary", "--title", "x", *options, "--json")

    assert result.code == 2
    assert result.error["message"]
    assert calhub("agenda", "2026-11-01", "2026-12-01", "--json").json == []


def test_add_to_an_unknown_calendar(calhub: Calhub) -> None:
    """A calendar that is not there is not made by the way."""
    result = calhub("event", "add", "--calendar", "nope", "--title", "x", "--start", "2026-11-23", "--json")

    assert result.code == 1
    assert calhub("calendar", "list", "--json").json == []


def test_add_with_a_taken_uid(diary: Calhub) -> None:
    """`event add` never replaces an event."""
    result = diary(
        "event", "add", "--calendar", "diary", "--uid", "gym", "--title", "x", "--start", "2026-11-23", "--json"
    )

    assert result.code == 2
    assert diary("event", "show", "gym", "--json").json["title"] == "Gym"


def test_edit_changes_what_is_named(diary: Calhub) -> None:
    """`event edit` leaves every other field, and an empty value clears one."""
    diary("event", "edit", "gym", "--location", "Hall")

    event = diary("event", "edit", "gym", "--title", "Swim", "--json").json
    cleared = diary("event", "edit", "gym", "--location", "", "--json").json

    assert (event["title"], event["location"]) == ("Swim", "Hall")
    assert cleared["location"] is None


def test_edit_one_occurrence(diary: Calhub) -> None:
    """--occurrence changes one instance, named in any spelling of its instant."""
    event = diary(
        "event", "edit", "gym", "--occurrence", "2026-11-09T17:00:00Z", "--start", "2026-11-09T20:00", "--json"
    ).json

    assert list(event["overrides"]) == ["2026-11-09T18:00:00+01:00"]
    assert starts(diary, "Gym") == ["2026-11-02T18:00", "2026-11-09T20:00", "2026-11-16T18:00", "2026-11-23T18:00"]


def test_edit_following(diary: Calhub) -> None:
    """--following ends the series there and prints the new one that goes on."""
    event = diary("event", "edit", "gym", "--following", "2026-11-16T18:00", "--title", "Yoga", "--json").json

    assert event["uid"] != "gym"
    assert starts(diary, "Gym") == ["2026-11-02T18:00", "2026-11-09T18:00"]
    assert starts(diary, "Yoga") == ["2026-11-16T18:00", "2026-11-23T18:00"]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--title", "x", "--occurrence", "2026-11-10T18:00"],
        ["--title", "x", "--occurrence", "never"],
        ["--title", "x", "--following", "2027-11-16T18:00"],
        ["--title", "x", "--occurrence", "2026-11-09T18:00", "--following", "2026-11-09T18:00"],
        ["--rrule", "FREQ=DAILY", "--occurrence", "2026-11-09T18:00"],
        ["--start", "someday"],
    ],
)
def test_edit_with_bad_values(diary: Calhub, options: list[str]) -> None:
    """An instance that is not there, options that exclude each other, or none at all: usage errors without effect."""
    before = diary("event", "show", "gym", "--json").json

    result = diary("event", "edit", "gym", *options, "--json")

    assert result.code == 2
    assert result.error["message"]
    assert diary("event", "show", "gym", "--json").json == before


def test_delete(diary: Calhub) -> None:
    """`event delete` prints what it deleted; afterwards the event is not there."""
    result = diary("event", "delete", "gym", "--json")

    assert (result.code, result.json) == (0, {"deleted": ["gym"]})
    assert diary("event", "show", "gym", "--json").code == 1


def test_delete_one_occurrence_and_following(diary: Calhub) -> None:
    """--occurrence takes one instance out of the series, --following ends it before one."""
    diary("event", "delete", "gym", "--occurrence", "2026-11-09T18:00+01:00")
    diary("event", "delete", "gym", "--following", "2026-11-23T18:00+01:00")

    assert starts(diary, "Gym") == ["2026-11-02T18:00", "2026-11-16T18:00"]


@pytest.mark.parametrize(
    "argv", [("show", "x"), ("edit", "x", "--title", "y"), ("delete", "x"), ("move", "x", "diary"), ("show", "")]
)
def test_unknown_uid(diary: Calhub, argv: tuple[str, ...]) -> None:
    """A UID that no event has fails with a sentence."""
    result = diary("event", *argv, "--json")

    assert result.code == 1
    assert result.error["hint"]


def test_move(diary: Calhub) -> None:
    """`event move` prints the event in its new calendar and leaves none behind."""
    diary("calendar", "add", "archive")

    event = diary("event", "move", "gym", "archive", "--json").json

    assert (event["uid"], event["calendar"]) == ("gym", "archive")
    assert diary("agenda", "2026-11-01", "2027-01-01", "--calendar", "diary", "--json").json == []


def test_uid_in_two_calendars_needs_the_calendar(diary: Calhub) -> None:
    """A UID in two calendars is a usage error that names them; with --calendar it works."""
    diary("calendar", "add", "archive")
    diary("event", "add", "--calendar", "archive", "--uid", "gym", "--title", "Other", "--start", "2026-11-23")

    result = diary("event", "show", "gym", "--json")
    moved = diary("event", "move", "gym", "archive", "--calendar", "diary", "--json")

    assert result.code == 2
    assert "archive" in result.error["hint"]
    assert "diary" in result.error["hint"]
    assert diary("event", "show", "gym", "--calendar", "archive", "--json").json["title"] == "Other"
    assert moved.code == 2


def test_edits_reach_the_remote_at_the_next_sync(calhub: Calhub, work: Folder) -> None:
    """A queued edit is in the hub at once and at the remote after `sync`."""
    calhub("event", "add", "--calendar", "work", "--uid", "a", "--title", "Later", "--start", "2026-11-23T10:00")

    assert work.names("work") == []
    assert calhub("sync").code == 0
    assert "SUMMARY:Later" in work.text("work", "a")
    assert calhub("event", "show", "a", "--json").json["remotes"][0]["account"] == "disk"


def test_atomic_writes_before_the_command_returns(calhub: Calhub, work: Folder) -> None:
    """With --atomic each edit is at the remote when the command is done."""
    add = (
        "event",
        "add",
        "--calendar",
        "work",
        "--uid",
        "a",
        "--title",
        "Now",
        "--start",
        "2026-11-23T10:00",
        "--atomic",
    )

    assert calhub(*add, "--rrule", "FREQ=DAILY;COUNT=4").code == 0
    assert "SUMMARY:Now" in work.text("work", "a")
    assert calhub("event", "edit", "a", "--title", "New", "--atomic").code == 0
    assert "SUMMARY:New" in work.text("work", "a")
    assert calhub("event", "edit", "a", "--following", "2026-11-25T10:00", "--title", "Split", "--atomic").code == 0
    assert len(work.names("work")) == 2
    assert calhub("event", "delete", "a", "--atomic").code == 0
    assert "a" not in work.names("work")


def test_atomic_with_the_service_away(calhub: Calhub, work: Folder) -> None:
    """With --atomic and no service, the command fails and the event stays as it was."""
    work.put("work", "a", "Before")
    calhub("sync")
    work.path.rename(work.path.with_name("unplugged"))

    result = calhub("event", "edit", "a", "--title", "After", "--atomic", "--json")

    assert result.code == 1
    assert result.error["hint"]
    assert calhub("event", "show", "a", "--json").json["title"] == "Before"


def test_events_as_text(diary: Calhub) -> None:
    """Without --json an event is shown as lines of name and value."""
    out = diary("event", "show", "gym").out

    assert "Gym" in out
    assert "FREQ=WEEKLY;COUNT=4" in out
