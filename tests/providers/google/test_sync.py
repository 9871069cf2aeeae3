"""The engine over Google accounts: edits arrive on both sides, once, whatever breaks on the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.providers.google.conftest import account
from tests.providers.google.kit import instance, rid, series, times, writes
from tests.providers.google.world import GoogleWorld, shown

from calhub.calendar.event import Content
from calhub.providers.google.writing import Writer
from calhub.testing.contract_kit import EXAMPLES, Remote, event, listing
from calhub.testing.services.google import GoogleService
from calhub.testing.world import VirtualClock

SERIES: Content = event(
    rrule="FREQ=DAILY;COUNT=6", exdates=[rid(24)], overrides={rid(26): {"title": "Special", "location": "Cellar"}}
)


@pytest.fixture
def world(tmp_path: Path, clock: VirtualClock) -> Iterator[GoogleWorld]:
    made = GoogleWorld(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def tied(google: GoogleService, world: GoogleWorld, remote: Remote) -> Remote:
    """The calendar of ``remote``, tied to the world's."""
    return world.tie(google, remote)


def test_every_kind_of_event_goes_there_and_comes_back_unchanged(
    google: GoogleService, world: GoogleWorld, tied: Remote
) -> None:
    for name, content in {**EXAMPLES, "rich": SERIES}.items():
        world.put(name, **{"title": None, "end": None, "time_zone": None, **content})
    before = world.contents
    assert world.run().status == "ok"
    assert shown(tied) == before
    done = len(writes(google))
    world.run()
    assert (len(writes(google)), world.contents) == (done, before)


def test_a_second_pass_writes_nothing(google: GoogleService, world: GoogleWorld, tied: Remote) -> None:
    world.put("one", title="One")
    world.put("series", **SERIES)
    google.user_insert(tied.calendar, summary="Theirs", **times())
    master = series(google, tied)
    google.user_patch(tied.calendar, instance(master, 25), summary="Special")
    world.run()
    world.run()
    done, seq = len(writes(google)), world.seq
    world.run()
    assert (len(writes(google)), world.seq) == (done, seq)
    assert len(world.contents) == 4


def test_edits_of_both_sides_meet(google: GoogleService, world: GoogleWorld, tied: Remote) -> None:
    world.put("series", **SERIES)
    world.run()
    (master,) = listing(tied).items
    google.user_patch(tied.calendar, instance(master, 27), summary="Theirs")
    google.user_patch(tied.calendar, master, location="Room 4")
    world.edit("series", title="Ours")
    world.run()
    wanted = {
        **SERIES,
        "title": "Ours",
        "location": "Room 4",
        "overrides": {**SERIES["overrides"], rid(27): {"title": "Theirs"}},
    }
    assert world.contents["series"] == wanted
    assert shown(tied)["series"] == wanted


def test_two_calendars_of_one_event_at_google(google: GoogleService, world: GoogleWorld, tied: Remote) -> None:
    other = world.tie(google, account(google))
    master = series(google, tied)
    google.user_patch(tied.calendar, instance(master, 25), summary="Special")
    for _ in range(2):
        world.run()
    assert shown(other) == shown(tied)
    (copied,) = listing(other).items
    google.user_patch(other.calendar, instance(copied, 26), summary="From the other side")
    google.user_delete(other.calendar, instance(copied, 27))
    for _ in range(2):
        world.run()
    assert shown(other) == shown(tied)
    assert google.live(tied.calendar)[instance(master, 26)]["summary"] == "From the other side"
    google.user_delete(tied.calendar, master)
    for _ in range(2):
        world.run()
    assert shown(other) == {}
    other.provider.close()


def test_two_hundred_edits_take_few_requests(google: GoogleService, world: GoogleWorld, remote: Remote) -> None:
    tied = world.tie(google, remote, guard_share=1.0)
    for number in range(200):
        world.put(f"{number}", title=f"Event {number}")
    world.run()
    world.run()
    google.log.clear()
    for number in range(200):
        world.edit(f"{number}", title=f"Edited {number}")
    world.run()
    assert len(google.log) <= 10
    assert {body["summary"] for body in google.live(tied.calendar).values()} == {f"Edited {n}" for n in range(200)}


def test_a_calendar_that_is_gone_deletes_nothing_here(google: GoogleService, world: GoogleWorld, tied: Remote) -> None:
    google.user_insert(tied.calendar, summary="Theirs", **times())
    world.run()
    google.user_remove_calendar(tied.calendar)
    assert world.run().status == "failed"
    assert len(world.contents) == 1


@pytest.mark.parametrize("match", ["GET */instances", "PATCH *"])
def test_a_service_that_goes_away_in_the_middle_of_a_series_loses_nothing(
    google: GoogleService, world: GoogleWorld, tied: Remote, match: str
) -> None:
    """The service goes away after the series was made and before its exceptions were; then the process ends."""
    world.put("series", **SERIES)
    google.fail(match, "cut-before", times=9)
    google.fail(match, "cut-before", times=9, part=True)
    world.run()
    assert len(google.live(tied.calendar)) == 1
    assert shown(tied) == {}
    google.heal()
    world.reopen()
    world.run()
    assert world.contents == {"series": SERIES}
    assert shown(tied) == {"series": SERIES}


def test_a_process_killed_in_the_middle_of_a_series_loses_nothing(
    world: GoogleWorld, tied: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its intent stays open, and the next process finds a series that is half made."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    world.put("series", **SERIES)
    with monkeypatch.context() as patched:
        patched.setattr(Writer, "_write_instances", die)
        with pytest.raises(KeyboardInterrupt):
            world.run()
    world.reopen()
    world.run()
    assert world.contents == {"series": SERIES}
    assert shown(tied) == {"series": SERIES}
