"""``agenda`` and ``search``: the right occurrences in the right days, and quickly from cold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Calhub, Folder

OCCURRENCE = ["uid", "recurrence_id", "calendar", "title", "start", "end", "all_day", "location", "status", "busy"]


@pytest.fixture
def week(calhub: Calhub) -> Calhub:
    """A calendar with a week's events: timed, all-day, across midnight, a series."""
    calhub("calendar", "add", "Privé", "--time-zone", "Europe/Paris")
    for title, start, *options in (
        ("Déjeuner 🍲", "2026-11-23T12:00", "--duration", "45m", "--location", "Café"),
        ("Nuit", "2026-11-23T22:00", "--end", "2026-11-25T06:00"),
        ("Fête", "2026-11-24", "--duration", "2d"),
        ("Gym", "2026-11-23T07:00", "--rrule", "FREQ=DAILY;COUNT=3"),
    ):
        added = calhub(
            "event", "add", "--calendar", "Privé", "--title", title, "--start", start, "--uid", title[:3], *options
        )
        assert added.code == 0, added
    return calhub


def test_agenda_shape(week: Calhub) -> None:
    """`agenda --json` prints occurrence shapes with the event's own offset."""
    found = week("agenda", "2026-11-23", "2026-11-24", "--json").json

    assert [each["title"] for each in found] == ["Gym", "Déjeuner 🍲", "Nuit"]
    assert list(found[0]) == OCCURRENCE
    assert found[1] == {
        "uid": "Déj", "recurrence_id": None, "calendar": "Privé", "title": "Déjeuner 🍲",
        "start": "2026-11-23T12:00:00+01:00", "end": "2026-11-23T12:45:00+01:00", "all_day": False,
        "location": "Café", "status": "confirmed", "busy": True,
    }  # fmt: skip
    assert found[0]["recurrence_id"] == "2026-11-23T07:00:00+01:00"


def test_agenda_is_grouped_by_local_day(week: Calhub) -> None:
    """What spans several days is on each of them, all-day first, with the part of the day it takes."""
    result = week("agenda", "2026-11-23", "+3d")

    assert result.out.split("\n") == [
        "Monday, 23 November 2026",
        "  07:00 - 08:00  Gym [Privé]",
        "  12:00 - 12:45  Déjeuner 🍲 @ Café [Privé]",
        "  from 22:00     Nuit [Privé]",
        "",
        "Tuesday, 24 November 2026",
        "  all day        Nuit [Privé]",
        "  all day        Fête [Privé]",
        "  07:00 - 08:00  Gym [Privé]",
        "",
        "Wednesday, 25 November 2026",
        "  all day        Fête [Privé]",
        "  until 06:00    Nuit [Privé]",
        "  07:00 - 08:00  Gym [Privé]",
        "",
    ]


def test_agenda_in_another_time_zone(week: Calhub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting time_zone moves days and times, but not all-day events."""
    monkeypatch.setenv("CALHUB_TIME_ZONE", "Pacific/Auckland")

    result = week("agenda", "2026-11-24", "2026-11-25")

    assert "  all day        Fête [Privé]" in result.out
    assert "  00:00 - 00:45  Déjeuner 🍲 @ Café [Privé]" in result.out


def test_time_zone_from_the_config_file(week: Calhub, home: Path) -> None:
    """config.toml in the home holds settings."""
    (home / "config.toml").write_text('time_zone = "Pacific/Auckland"\n')

    assert "00:00 - 00:45" in week("agenda", "2026-11-24", "2026-11-25").out


@pytest.mark.parametrize("text", ["time_zone = ", 'time_zone = "Mars/Base"', "\x00"])
def test_bad_config_file(week: Calhub, home: Path, text: str) -> None:
    """A config file that cannot be read, or names no zone, is a usage error with a way out."""
    (home / "config.toml").write_text(text)

    result = week("agenda", "--json")

    assert result.code == 2
    assert result.error["hint"]


def test_agenda_of_one_calendar(week: Calhub) -> None:
    """--calendar takes an id or an exact name."""
    week("calendar", "add", "Leer")

    assert week("agenda", "2026-11-23", "--calendar", "Leer", "--json").json == []
    assert len(week("agenda", "2026-11-23", "--calendar", "1", "--json").json) == 6


def test_agenda_without_a_hub(calhub: Calhub, home: Path) -> None:
    """A question to a home that does not exist yet finds nothing and makes nothing."""
    result = calhub("agenda", "--json")

    assert (result.code, result.json) == (0, [])
    assert not home.exists()


@pytest.mark.parametrize(
    "argv",
    [
        ("agenda", "soon"),
        ("agenda", "2026-02-30"),
        ("agenda", "2026-11-21T25:00"),
        ("agenda", "today", "2026-13-01"),
        ("agenda", "2026-11-23", "2026-11-23"),
        ("agenda", "2026-11-23", "2026-11-22"),
        ("agenda", "+999999w"),
        ("search", "x", "--from", "yesterdy"),
        ("search", "x", "--from", "2026-11-23", "--to", "2026-11-22"),
        ("search", "x", "--limit", "0"),
        ("search", "x", "--limit", "many"),
        ("search",),
    ],
)
def test_bad_times_and_limits(week: Calhub, argv: tuple[str, ...]) -> None:
    """Dates that are none, empty ranges and bad limits are usage errors."""
    result = week(*argv, "--json")

    assert result.code == 2
    assert result.error["message"]


@pytest.mark.parametrize("text", ["today", "tomorrow", "yesterday", "now", "+7d", "+2w", "0001-01-01", "9999-12-24"])
def test_times_people_type(week: Calhub, text: str) -> None:
    """Words, steps and the ends of the calendar are all understood."""
    assert week("agenda", text, "--json").code == 0


def test_unknown_calendar(week: Calhub) -> None:
    """A calendar that is not there fails and says which there are."""
    result = week("agenda", "--calendar", "Prive", "--json")

    assert result.code == 1
    assert "Privé" in result.error["hint"]


def test_search_finds_with_and_without_accents(week: Calhub) -> None:
    """`search` prints the occurrence of each hit."""
    found = week("search", "dejeuner", "--json").json

    assert [each["uid"] for each in found] == ["Déj"]
    assert list(found[0]) == OCCURRENCE
    assert week("search", "Café").out.startswith("2026-11-23  12:00 - 12:45  Déjeuner")


def test_search_in_a_range(week: Calhub) -> None:
    """With --from, the first occurrence from then on; without one there, no hit."""
    assert week("search", "gym", "--from", "2026-11-25", "--json").json[0]["start"].startswith("2026-11-25")
    assert week("search", "gym", "--from", "2026-11-26", "--json").json == []


@pytest.mark.parametrize("query", ["", " ", '"', "'", "*", "a OR", "NEAR(", "\\", "-", "title:x", "🍲"])
def test_search_takes_any_text(week: Calhub, query: str) -> None:
    """No query is an error, whatever the search engine's own syntax says."""
    assert week("search", "--json", "--", query).code == 0


def test_control_characters_do_not_reach_the_terminal(calhub: Calhub, work: Folder) -> None:
    """A remote event cannot move the cursor or colour the reader's terminal."""
    work.put("work", "evil", "Lunch \x1b[2J\x9b31m")
    calhub("sync")

    result = calhub("agenda", "2026-11-23", "+1d")

    assert "Lunch" in result.out
    assert "\x1b" not in result.out
    assert "\x9b" not in result.out


@pytest.mark.usefixtures("week")
def test_cold_agenda_imports_nothing_heavy(home: Path) -> None:
    """A cold `agenda` and `search` load neither SQLAlchemy nor rich nor any provider."""
    script = (
        "import sys; from calhub.cli.main import run;"
        f"codes = [run(['--home', {str(home)!r}, *words]) for words in"
        " (['agenda', '2026-11-23'], ['agenda', '2026-11-23', '--json'], ['search', 'gym'])];"
        "print(codes, [name for name in ('sqlalchemy', 'rich', 'alembic', 'httpx', 'structlog', 'cryptography',"
        " 'icalendar', 'keyring', 'calhub.sync', 'calhub.providers') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[0, 0, 0] []"
    assert json.loads(done.stdout.splitlines()[-2])
