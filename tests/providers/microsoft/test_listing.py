"""Reading: rounds of delta, the window, series put together, and deletions that are believed only when true."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.providers.microsoft.kit import Clock, meeting, moved, weekly

from calhub.providers.base import ProviderError, Trait
from calhub.providers.microsoft import MicrosoftProvider
from calhub.providers.microsoft.listing import Window
from calhub.testing.contract_kit import Remote, Versions, listing
from calhub.testing.services.base import Request
from calhub.testing.services.graph import Graph


def far(days: int) -> dict[str, Any]:
    return moved(meeting(), days)


def reads(graph: Graph) -> list[str]:
    """Requests since the last call, those inside batches aside."""
    names = [request.name for request in graph.log]
    graph.log.clear()
    return names


def test_nothing_new_is_one_request(graph: Graph, remote: Remote) -> None:
    """An incremental pass with nothing new asks once."""
    graph.user_event(remote.calendar, **meeting())
    graph.user_event(remote.calendar, **weekly())
    first = listing(remote)
    reads(graph)
    second = listing(remote, first.cursor, first.versions())

    assert len(reads(graph)) == 1
    assert not second.items
    assert not second.complete


def test_every_request_asks_for_immutable_ids(graph: Graph, remote: Remote) -> None:
    """Also parts of batches: an id of the other kind would be another item."""
    graph.user_event(remote.calendar, **weekly())
    first = listing(remote)
    listing(remote, first.cursor, first.versions())
    plain = [request for request in graph.log if not request.path.endswith("/$batch")]

    for request in [*plain, *graph.parts]:
        assert 'IdType="ImmutableId"' in (request.header("prefer") or "")


def test_a_series_is_one_item(graph: Graph, remote: Remote) -> None:
    """Master, a moved instance, a renamed one and a deleted one are one content."""
    name = graph.user_event(remote.calendar, **weekly())
    later = moved(meeting(), 8)
    graph.user_patch(graph.user_instance(name, "2026-11-30"), start=later["start"], end=later["end"])
    graph.user_patch(graph.user_instance(name, "2026-12-07"), subject="Last one")
    graph.user_delete(graph.user_instance(name, "2026-12-14"))
    (item,) = listing(remote).items.values()

    assert item.remote_id == name
    assert item.content == {
        "title": "Meeting",
        "start": "2026-11-23T10:00:00",
        "end": "2026-11-23T11:00:00",
        "time_zone": "Europe/Berlin",
        "rrule": "FREQ=WEEKLY;COUNT=6;BYDAY=MO",
        "exdates": ["2026-12-14T10:00:00+01:00"],
        "overrides": {
            "2026-11-30T10:00:00+01:00": {"start": "2026-12-01T10:00:00", "end": "2026-12-01T11:00:00"},
            "2026-12-07T10:00:00+01:00": {"title": "Last one"},
        },
    }


def test_each_edit_of_a_series_is_seen(graph: Graph, remote: Remote) -> None:
    """An instance changed, one deleted, the master changed: each time the series comes once, with a new version."""
    name = graph.user_event(remote.calendar, **weekly())
    result = listing(remote)
    edits: list[Callable[[], None]] = [
        lambda: graph.user_patch(graph.user_instance(name, "2026-11-30"), subject="Other"),
        lambda: graph.user_delete(graph.user_instance(name, "2026-12-07")),
        lambda: graph.user_patch(name, subject="All"),
    ]
    versions = [result.items[name].version]
    known, cursor = result.versions(), result.cursor
    for edit in edits:
        edit()
        result = listing(remote, cursor, known)
        known, cursor = result.versions(), result.cursor
        assert set(result.items) == {name}
        versions.append(result.items[name].version)

    assert len(set(versions)) == len(versions)


def test_a_deleted_series_is_gone(graph: Graph, remote: Remote) -> None:
    """Delta names only the instances, which nobody knows; the series is missed all the same."""
    name = graph.user_event(remote.calendar, **weekly())
    kept = graph.user_event(remote.calendar, **weekly())
    first = listing(remote)
    graph.user_delete(name)
    second = listing(remote, first.cursor, first.versions())

    assert second.gone(first.versions()) == {name}
    assert kept not in second.items


def test_leaving_the_window_is_no_deletion(graph: Graph, remote: Remote) -> None:
    """An event moved beyond the window is reported with its new time, and goes on being known."""
    name = graph.user_event(remote.calendar, **meeting())
    first = listing(remote)
    away = far(5000)
    graph.user_patch(name, start=away["start"], end=away["end"])
    second = listing(remote, first.cursor, first.versions())
    third = listing(remote, second.cursor, second.versions())

    assert second.gone(first.versions()) == set()
    assert (second.items[name].content or {})["start"] == "2040-08-01T10:00:00"
    assert third.items == {}
    assert third.gone(second.versions()) == set()


def test_a_full_listing_spares_what_is_out_of_sight(graph: Graph, remote: Remote) -> None:
    """Known events outside the window are present, changed ones are brought, unknown ones are not."""
    still, edited = graph.user_event(remote.calendar, **far(-900)), graph.user_event(remote.calendar, **far(-900))
    gone, unknown = graph.user_event(remote.calendar, **far(-900)), graph.user_event(remote.calendar, **far(-900))
    known = Versions({name: remote.provider.get(remote.calendar, name).version for name in (still, edited, gone)})  # type: ignore[union-attr]
    graph.user_patch(edited, subject="Edited")
    graph.user_delete(gone)
    result = listing(remote, None, known)

    assert result.gone(known) == {gone}
    assert set(result.items) == {edited}
    assert still in result.present
    assert unknown not in result.items


def test_the_window_moves_with_the_months(graph: Graph, remote: Remote, clock: Clock) -> None:
    """Next month a new round is made for the new window; what left it stays, what entered it comes."""
    leaving = graph.user_event(remote.calendar, **far(-360))
    entering = graph.user_event(remote.calendar, **far(1200))
    first = listing(remote)
    assert set(first.items) == {leaving}
    clock.now += timedelta(days=120)
    second = listing(remote, first.cursor, first.versions())

    assert second.complete
    assert set(second.items) == {entering}
    assert second.gone(first.versions()) == set()
    reads(graph)
    listing(remote, second.cursor, first.versions())
    assert len(reads(graph)) == 1


def test_the_settings_of_a_replica_set_the_window(graph: Graph, remote: Remote) -> None:
    """``past`` and ``future`` are days, as a number or written with a d."""
    near, other = graph.user_event(remote.calendar, **far(20)), graph.user_event(remote.calendar, **far(200))
    remote.provider.prepare(remote.calendar, {"past": 7, "future": "30d"})
    assert set(listing(remote).items) == {near}
    remote.provider.prepare(remote.calendar, {})

    assert set(listing(remote).items) == {near, other}


def test_a_window_is_whole_months() -> None:
    """Never narrower than asked for."""
    window = Window.around(datetime(2026, 3, 31, 12, tzinfo=UTC), timedelta(days=31), timedelta(days=31))

    assert (window.start, window.end) == ("2026-02-01T00:00:00Z", "2026-07-01T00:00:00Z")


@pytest.mark.parametrize("lost", ["410", "code"])
def test_an_expired_token_deletes_nothing(lost: str, graph: Graph, remote: Remote) -> None:
    """410, or another status with syncStateNotFound: a full round, in which only what is gone is gone."""
    kept, gone = graph.user_event(remote.calendar, **meeting()), graph.user_event(remote.calendar, **meeting())
    outside = graph.user_event(remote.calendar, **far(-900))
    first = listing(remote)
    known = first.versions()
    seen = remote.provider.get(remote.calendar, outside)
    assert seen is not None
    known[outside] = seen.version
    graph.user_delete(gone)
    if lost == "410":
        graph.rounds.forget()
    else:
        graph.codes[400] = "syncStateInvalid"
        graph.fail("GET */delta", "status", status=400)
    second = listing(remote, first.cursor, known)

    assert second.complete
    assert second.gone(known) == {gone}
    assert second.present == {kept, outside}


def test_a_token_that_expires_between_pages(graph: Graph, remote: Remote) -> None:
    """The round is begun anew and brings everything once."""
    names = {graph.user_event(remote.calendar, **meeting()) for _ in range(3)}
    graph.user_event(remote.calendar, **weekly())
    remote.provider.prepare(remote.calendar, {})
    small_pages(graph)
    seen: list[str] = []

    def forget_once(request: Request) -> None:
        if "skiptoken" in str(request.query) and not seen:
            seen.append("forgotten")
            graph.rounds.forget()

    graph.hook = forget_once
    result = listing(remote)

    assert seen
    assert names < set(result.items)
    assert len(result.items) == 4


def small_pages(graph: Graph, size: int = 2) -> None:
    """Graph may give fewer rows than asked for."""
    graph.rounds.largest_page = size


def test_edits_between_pages(graph: Graph, remote: Remote) -> None:
    """Something is edited, deleted and added while a round is under way: the next pass makes it right."""
    names = [graph.user_event(remote.calendar, **meeting(subject=f"{number}")) for number in range(6)]
    small_pages(graph)
    pages: list[int] = []

    def edit(request: Request) -> None:
        if "skiptoken" not in str(request.query):
            return
        pages.append(1)
        if len(pages) == 1:
            graph.user_patch(names[0], subject="edited early")
            graph.user_patch(names[5], subject="edited late")
            graph.user_delete(names[1])
            graph.user_delete(names[4])
            names.append(graph.user_event(remote.calendar, **meeting(subject="added")))

    graph.hook = edit
    first = listing(remote)
    graph.hook = None
    known = first.versions()
    second = listing(remote, first.cursor, known)
    titles = {**first.items, **second.items}
    gone = second.gone(known)
    shown = {str((item.content or {}).get("title")) for name, item in titles.items() if name not in gone}

    assert shown == {"edited early", "2", "3", "edited late", "added"}


def test_an_event_moved_to_another_calendar_is_gone_from_the_first(graph: Graph, remote: Remote) -> None:
    """Its immutable id lives on, but not in this calendar."""
    name = graph.user_event(remote.calendar, **meeting())
    first = listing(remote)
    graph.user_move(name, graph.default)
    second = listing(remote, first.cursor, first.versions())

    assert second.gone(first.versions()) == {name}
    assert set(listing(Remote(remote.provider, graph.default)).items) == {name}


def test_a_single_event_becomes_a_series_and_back(graph: Graph, remote: Remote) -> None:
    """The id stays, so it is a change of one item."""
    name = graph.user_event(remote.calendar, **meeting())
    first = listing(remote)
    graph.user_patch(name, recurrence=weekly()["recurrence"])
    second = listing(remote, first.cursor, first.versions())
    assert "rrule" in (second.items[name].content or {})
    graph.user_patch(name, recurrence=None)
    third = listing(remote, second.cursor, second.versions())

    assert third.items[name].content == first.items[name].content
    assert third.gone(second.versions()) == set()


def test_foreign_events_have_a_uid_of_their_own(graph: Graph, remote: Remote) -> None:
    """An event made in Outlook is found again by the UID that Graph gave it."""
    name = graph.user_event(remote.calendar, **meeting())
    (item,) = listing(remote).items.values()
    assert item.uid is not None
    found = remote.provider.find(remote.calendar, item.uid)

    assert found is not None
    assert found.remote_id == name


def test_throttled_parts_are_asked_again(graph: Graph, remote: Remote, clock: Clock) -> None:
    """Graph throttles single parts of a batch; they are waited for, and nothing is missing."""
    names = {graph.user_event(remote.calendar, **weekly()) for _ in range(5)}
    graph.fail("GET */events/*", "status", status=429, retry_after=2.5, times=3, part=True)

    assert set(listing(remote).items) == names
    assert 2.5 in clock.slept


def test_a_part_that_stays_throttled_fails_the_listing(graph: Graph, remote: Remote) -> None:
    """A listing with a hole would look like deletions, so there is none."""
    graph.user_event(remote.calendar, **weekly())
    graph.fail("GET */events/*", "status", status=429, retry_after=1, times=50, part=True)
    with pytest.raises(ProviderError) as caught:
        listing(remote)

    assert (caught.value.trait, caught.value.retry_after) == (Trait.RETRY, 1)


@pytest.mark.parametrize(
    ("status", "trait"),
    [(429, Trait.RETRY), (503, Trait.RETRY), (504, Trait.RETRY), (403, Trait.FATAL), (404, Trait.GONE)],
)
def test_failures_of_a_listing(status: int, trait: Trait, graph: Graph, remote: Remote) -> None:
    """What helps is said by the trait."""
    graph.fail("GET */delta", "status", status=status)
    with pytest.raises(ProviderError) as caught:
        listing(remote)

    assert caught.value.trait is trait


@pytest.mark.parametrize("how", ["cut-before", "truncated"])
def test_a_round_cut_short_yields_nothing(how: Any, graph: Graph, remote: Remote) -> None:
    """Half of a list is no list."""
    graph.user_event(remote.calendar, **meeting())
    graph.fail("GET */events", how)
    pages = remote.provider.changes(remote.calendar, None, Versions())
    with pytest.raises(ProviderError) as caught:
        next(pages)

    assert caught.value.trait is Trait.RETRY


def test_a_link_to_another_host_is_not_followed(graph: Graph, remote: Remote) -> None:
    """A cursor with a foreign address leads to a full listing; the token goes nowhere else."""
    graph.user_event(remote.calendar, **meeting())
    first = listing(remote)
    cursor = json.loads(first.cursor or "")
    result = listing(remote, json.dumps({**cursor, "link": "https://evil.example/delta?$deltatoken=1"}))

    assert result.complete
    assert len(result.items) == 1


def test_broken_events_are_problems_of_their_own(graph: Graph, remote: Remote) -> None:
    """An event whose recurrence nobody understands does not keep the others from coming."""
    good, bad = graph.user_event(remote.calendar, **meeting()), graph.user_event(remote.calendar, **weekly())
    graph.event(bad).props["recurrence"]["pattern"]["type"] = "lunar"
    result = listing(remote)

    assert result.items[good].content is not None
    assert result.items[bad].problem == "The recurrence of the series cannot be read."
    assert result.items[bad].raw is not None


def test_discovery(graph: Graph, provider: MicrosoftProvider) -> None:
    """All calendars over pages, with access, and the mailbox's zone for each."""
    graph.user_calendar("Holidays", can_edit=False)
    for number in range(120):
        graph.user_calendar(f"Project {number}")
    found = {entry.name: entry for entry in provider.discover()}

    assert len(found) == 122
    assert (found["Calendar"].access, found["Holidays"].access) == ("owner", "reader")
    assert found["Calendar"].time_zone == "Europe/Berlin"


def test_discovery_without_the_right_to_see_settings(graph: Graph, provider: MicrosoftProvider) -> None:
    """The time zone is a nicety; nobody needs to grant more for it."""
    graph.fail("GET */mailboxSettings/*", "status", status=403)

    assert [entry.time_zone for entry in provider.discover()] == [None]
