"""Series with exceptions, in both directions, and what is left when something breaks on the way."""

from typing import Any

import pytest
from tests.providers.google.kit import content, create, done, get, instance, rid, series, times, update, writes

from calhub.calendar.event import Content
from calhub.providers.base import Done, Outcome, Refused, Stale, Unknown
from calhub.testing.contract_kit import Remote, Versions, event, listing
from calhub.testing.services.base import Request
from calhub.testing.services.google import GoogleService

MOVED = {"start": "2026-11-25T15:00:00", "end": "2026-11-25T16:30:00"}
DAILY = event(rrule="FREQ=DAILY;COUNT=6")
RICH: Content = event(
    rrule="FREQ=DAILY;COUNT=6",
    exdates=[rid(24)],
    overrides={rid(25): MOVED, rid(26): {"title": "Special", "location": "Cellar"}},
    categories=["work"],
)


@pytest.fixture(params=["plain", "resets", "keeps", "independent"])
def service(google: GoogleService, request: pytest.FixtureRequest) -> GoogleService:
    """What a change of a series does to its exceptions is not documented: all that it may be."""
    google.resets_exceptions = request.param == "resets"
    google.keeps_exceptions = request.param == "keeps"
    google.follows_master = request.param != "independent"
    return google


CHANGES: dict[str, Content] = {
    "title": {**RICH, "title": "Other"},
    "categories": {**RICH, "categories": ["home"]},
    "another instance": {**RICH, "overrides": {**RICH["overrides"], rid(27): {"title": "New"}}},
    "an instance as its series": {**RICH, "overrides": {rid(25): MOVED}},
    "no exceptions": DAILY,
    "an instance cancelled": {**RICH, "exdates": [rid(24), rid(25)], "overrides": {rid(26): {"title": "Special"}}},
    "an instance back": {**RICH, "exdates": []},
    "longer": {**RICH, "rrule": "FREQ=DAILY;COUNT=20"},
    "shorter": {**RICH, "rrule": "FREQ=DAILY;UNTIL=20261126T090000Z"},
    "an hour later": event(
        start="2026-11-23T11:00:00",
        end="2026-11-23T12:00:00",
        rrule="FREQ=DAILY;COUNT=6",
        overrides={"2026-11-26T11:00:00+01:00": {"title": "Special"}},
    ),
    "a single event": event(title="Once"),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=list(CHANGES))
def test_a_series_is_changed(service: GoogleService, remote: Remote, changed: Content) -> None:
    item = done(create(remote, RICH))
    assert content(item) == RICH
    wanted = {name: value for name, value in changed.items() if value != []}
    echo = done(update(remote, item, wanted))
    assert content(echo) == wanted
    assert content(get(remote, item.remote_id)) == wanted
    seen = listing(remote).items[item.remote_id]
    assert (seen.version, seen.content) == (echo.version, echo.content)
    assert service.outbox == []


def test_an_instance_cancelled_at_google_comes_back(google: GoogleService, remote: Remote) -> None:
    master = series(google, remote)
    google.user_patch(remote.calendar, instance(master, 25), summary="Special", **times(25, 15))
    google.user_delete(remote.calendar, instance(master, 25))
    item = get(remote, master)
    assert content(item)["exdates"] == [rid(25)]
    wanted = {name: value for name, value in content(item).items() if name != "exdates"}
    assert content(done(update(remote, item, wanted))) == wanted


def test_an_override_leaves_the_series_alone(google: GoogleService, remote: Remote) -> None:
    master = series(google, remote, colorId="3", guestsCanModify=True)
    item = get(remote, master)
    etag = google.live(remote.calendar)[master]["etag"]
    done(update(remote, item, {**content(item), "overrides": {rid(25): {"title": "Special"}}}))
    assert [(request.method, request.json()) for request in writes(google)] == [("PATCH", {"summary": "Special"})]
    live = google.live(remote.calendar)
    assert live[master]["etag"] == etag
    assert (live[instance(master, 25)]["summary"], live[instance(master, 25)]["colorId"]) == ("Special", "3")


def test_a_series_split_at_google_is_two(google: GoogleService, remote: Remote) -> None:
    """'This and following' is a shorter series and a new one (guide "Recurring events")."""
    master = series(google, remote)
    before = listing(remote)
    google.user_patch(remote.calendar, master, recurrence=["RRULE:FREQ=DAILY;UNTIL=20261124T225959Z"])
    rest = google.user_insert(
        remote.calendar, id=f"{master}r1", summary="Later", recurrence=["RRULE:FREQ=DAILY;COUNT=4"], **times(25, 12)
    )["id"]
    after = listing(remote, before.cursor, before.versions())
    assert content(after.items[master])["rrule"] == "FREQ=DAILY;UNTIL=20261124T225959Z"
    assert content(after.items[rest])["start"] == "2026-11-25T12:00:00"
    assert after.items[master].uid != after.items[rest].uid


def test_rules_of_other_kinds_stay(google: GoogleService, remote: Remote) -> None:
    more = "RRULE:FREQ=WEEKLY;BYDAY=SA;COUNT=2"
    lines = [
        "RRULE:FREQ=DAILY;COUNT=6",
        more,
        "EXRULE:FREQ=WEEKLY;BYDAY=WE",
        "RDATE;TZID=Europe/Berlin:20261224T100000",
    ]
    master = google.user_insert(remote.calendar, recurrence=lines, **times())["id"]
    item = get(remote, master)
    assert (content(item)["rrule"], content(item)["rdates"]) == ("FREQ=DAILY;COUNT=6", ["2026-12-24T10:00:00+01:00"])
    done(update(remote, item, {**content(item), "rrule": "FREQ=DAILY;COUNT=9"}))
    assert google.live(remote.calendar)[master]["recurrence"] == ["RRULE:FREQ=DAILY;COUNT=9", *lines[1:]]


def test_a_length_of_its_own_for_one_date_is_refused(remote: Remote) -> None:
    made = event(rrule="FREQ=DAILY;COUNT=2", rdates=["2026-12-24T10:00:00+01:00/2026-12-24T13:00:00+01:00"])
    assert isinstance(create(remote, made), Refused)


def test_a_series_in_a_zone_of_its_own_is_refused(remote: Remote) -> None:
    zone = (
        "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0130\r\n"
        "TZOFFSETTO:+0130\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    )
    made = event(time_zone="Ours", zones={"Ours": zone})
    assert content(done(create(remote, made)))["start"] == "2026-11-23T08:30:00"
    assert isinstance(create(remote, {**made, "rrule": "FREQ=DAILY;COUNT=2"}, "b@example.org"), Refused)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Calcutta"])
def test_a_floating_series(google: GoogleService, remote: Remote, zone: str) -> None:
    google.calendars[remote.calendar].time_zone = zone
    made = event(
        time_zone=None,
        rrule="FREQ=DAILY;UNTIL=20261130T100000",
        exdates=["2026-11-24T10:00:00"],
        rdates=["2026-12-24T10:00:00"],
        overrides={"2026-11-25T10:00:00": {"start": "2026-11-25T15:00:00", "end": "2026-11-25T16:00:00"}},
    )
    item = done(create(remote, made))
    assert content(item) == made
    changed = {**made, "title": "Other", "overrides": {}}
    del changed["overrides"]
    assert content(done(update(remote, item, changed))) == changed


# Conditions


def test_an_edit_of_an_exception_makes_the_item_stale(google: GoogleService, remote: Remote) -> None:
    item = done(create(remote, RICH))
    google.user_patch(remote.calendar, instance(item.remote_id, 25), summary="Theirs")
    assert update(remote, item, {**RICH, "title": "Mine"}) == Stale()
    assert remote.provider.delete(remote.calendar, item.remote_id, expected=item.version) == Stale()
    assert content(get(remote, item.remote_id))["overrides"][rid(25)] == {**MOVED, "title": "Theirs"}


def test_an_exception_made_meanwhile_is_not_deleted_with_its_series(google: GoogleService, remote: Remote) -> None:
    master = series(google, remote)
    item = get(remote, master)
    google.user_patch(remote.calendar, instance(master, 25), summary="Theirs")
    assert remote.provider.delete(remote.calendar, master, expected=item.version) == Stale()


@pytest.mark.parametrize("wanted", [{}, {"title": "Ours"}], ids=["an instance", "the series too"])
def test_an_exception_made_while_we_write_is_not_taken_for_ours(
    google: GoogleService, remote: Remote, wanted: Content
) -> None:
    item = done(create(remote, RICH))
    before = listing(remote)

    def meanwhile(request: Request) -> None:
        if request.method == "PATCH":
            google.hook = None
            google.user_patch(remote.calendar, instance(item.remote_id, 27), summary="Theirs")

    google.hook = meanwhile
    mine = {**RICH, **wanted, "overrides": {**RICH["overrides"], rid(26): {"title": "Mine"}}}
    outcome = update(remote, item, mine)
    if wanted:
        assert isinstance(outcome, Unknown)
    else:
        assert content(done(outcome)) == mine
    seen = listing(remote, before.cursor, Versions({item.remote_id: _version(outcome)})).items[item.remote_id]
    assert content(seen)["overrides"][rid(27)] == {"title": "Theirs"}


def _version(outcome: Outcome) -> str | None:
    return outcome.echo.version if isinstance(outcome, Done) and outcome.echo else None


# Half-made series


@pytest.mark.parametrize("how", ["cut-before", "cut-after", "status-after"])
@pytest.mark.parametrize("match", ["POST */events", "GET */instances", "PATCH *", "POST /batch/*"])
def test_a_half_made_series_is_finished_by_the_next_try(
    google: GoogleService, remote: Remote, match: str, how: Any
) -> None:
    google.fail(match, how)
    google.fail(match, how, part=True)
    first = create(remote, RICH)
    if isinstance(first, Unknown):
        assert (
            remote.provider.get(remote.calendar, remote.provider.reserve(remote.calendar, "ours@example.org")) is None
        )
        assert remote.provider.find(remote.calendar, "ours@example.org") is None
        assert listing(remote).items == {}
    create(remote, RICH)
    third = create(remote, RICH)
    assert isinstance(third, Done | Stale)
    (item,) = listing(remote, None, Versions()).items.values()
    assert content(item) == RICH
    assert item.uid == "ours@example.org"
