"""Reading by sync token: nothing is missed, nothing is deleted by mistake."""

import pytest
from tests.providers.google.kit import content, create, done, instance, rid, series, since, times, update

from calhub.providers.base import ProviderError, Trait
from calhub.providers.google.listing import QUERY
from calhub.testing.contract_kit import Remote, Versions, event, listing
from calhub.testing.services.base import Request
from calhub.testing.services.google import GoogleService


def asked(google: GoogleService) -> list[str]:
    found = [request.name for request in google.log if "/events" in request.path or "/batch" in request.path]
    google.log.clear()
    return found


def test_a_pass_with_nothing_new_is_one_request(google: GoogleService, remote: Remote) -> None:
    for number in range(30):
        google.user_insert(remote.calendar, summary=str(number), **times())
    before = listing(remote)
    google.log.clear()
    assert not since(remote, before).items
    assert len(google.log) == 1


def test_a_dead_token_leads_to_a_full_listing_that_knows_what_it_knew(google: GoogleService, remote: Remote) -> None:
    kept, edited, gone = (google.user_insert(remote.calendar, summary=name, **times())["id"] for name in "abc")
    before = listing(remote)
    google.user_patch(remote.calendar, edited, summary="edited")
    google.user_delete(remote.calendar, gone)
    google.expire_sync_tokens(remote.calendar)
    after = since(remote, before)
    assert after.complete
    assert set(after.items) == {edited}
    assert after.present == {kept}
    assert after.gone(before.versions()) == {gone}


def test_pages_with_edits_in_between(google: GoogleService, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUERY, "maxResults", 2)
    ids = [google.user_insert(remote.calendar, summary=str(number), **times())["id"] for number in range(6)]
    master = series(google, remote)

    def between(_: Request) -> None:
        if len(google.log) == 3:
            google.hook = None
            google.user_patch(remote.calendar, ids[0], summary="edited")
            google.user_delete(remote.calendar, ids[5])
            google.user_patch(remote.calendar, instance(master, 25), summary="Special")

    google.hook = between
    found = listing(remote)
    assert google.hook is None
    assert {content(item)["title"] for item in found.items.values()} == {"edited", "1", "2", "3", "4", "Series"}
    assert content(found.items[master])["overrides"] == {rid(25): {"title": "Special"}}
    assert not since(remote, found).items


def test_an_access_token_that_ends_between_pages(
    google: GoogleService, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(QUERY, "maxResults", 2)
    for number in range(6):
        google.user_insert(remote.calendar, summary=str(number), **times())
    google.fail("GET */events", "expired", skip=1)
    assert len(listing(remote).items) == 6
    assert len(google.requests("POST /token")) == 2


def test_one_instance_that_changes_brings_its_series(google: GoogleService, remote: Remote) -> None:
    master = series(google, remote)
    before = listing(remote)
    google.user_patch(remote.calendar, instance(master, 24), **times(24, 15))
    google.user_delete(remote.calendar, instance(master, 26))
    after = since(remote, before)
    assert list(after.items) == [master]
    assert content(after.items[master])["exdates"] == [rid(26)]
    assert content(after.items[master])["overrides"] == {
        rid(24): {"start": "2026-11-24T15:00:00", "end": "2026-11-24T16:00:00"}
    }
    google.user_patch(remote.calendar, instance(master, 27), summary="Special")
    again = since(remote, after)
    found = content(again.items[master])
    assert (found["exdates"], list(found["overrides"])) == ([rid(26)], [rid(24), rid(27)])
    assert not since(remote, again).items


def test_a_series_without_exceptions_is_not_fetched_again(google: GoogleService, remote: Remote) -> None:
    masters = [series(google, remote) for _ in range(5)]
    before = listing(remote)
    for master in masters:
        google.user_patch(remote.calendar, master, summary="edited")
    asked(google)
    assert len(since(remote, before).items) == 5
    assert len(asked(google)) == 1


def test_many_series_are_fetched_in_batches(google: GoogleService, remote: Remote) -> None:
    masters = [series(google, remote) for _ in range(60)]
    before = listing(remote)
    for master in masters:
        google.user_patch(remote.calendar, instance(master, 24), summary="Special")
    asked(google)
    assert set(since(remote, before).items) == set(masters)
    assert len(asked(google)) == 1 + 2 + 2


def test_an_instance_without_its_series_is_an_item(google: GoogleService, remote: Remote) -> None:
    lone = {"recurringEventId": "elsewhere", "originalStartTime": times()["start"], "iCalUID": "s@example.org"}
    for day in (23, 24):
        google.user_insert(remote.calendar, id=f"elsewhere_202611{day}T090000Z", summary=str(day), **times(day), **lone)
    found = listing(remote)
    assert [item.uid for item in found.items.values()] == [f"s@example.org/{name}" for name in found.items]
    assert [content(item)["title"] for item in found.items.values()] == ["23", "24"]
    first = found.items["elsewhere_20261123T090000Z"]
    echo = done(update(remote, first, {**content(first), "title": "edited", "categories": ["work"]}))
    assert echo.uid == first.uid
    google.user_delete(remote.calendar, "elsewhere_20261124T090000Z")
    after = since(remote, found)
    assert [(item.uid, content(item)["title"]) for item in after.items.values()] == [(first.uid, "edited")]
    assert after.gone(found.versions()) == {"elsewhere_20261124T090000Z"}


def test_a_series_that_is_deleted_is_gone_with_its_exceptions(google: GoogleService, remote: Remote) -> None:
    master = series(google, remote)
    google.user_patch(remote.calendar, instance(master, 24), summary="Special")
    before = listing(remote)
    google.user_delete(remote.calendar, master)
    after = since(remote, before)
    assert (after.gone(before.versions()), after.items) == ({master}, {})
    assert remote.provider.get(remote.calendar, master) is None


def test_notes_about_a_person_are_no_events(google: GoogleService, remote: Remote) -> None:
    home = google.user_insert(remote.calendar, summary="Home", eventType="workingLocation", **times())["id"]
    focus = google.user_insert(remote.calendar, summary="Focus", eventType="focusTime", **times())["id"]
    assert set(listing(remote).items) == {focus}
    assert remote.provider.get(remote.calendar, home) is None


def test_own_writes_to_a_series_are_not_news(remote: Remote) -> None:
    before = listing(remote)
    made = event(rrule="FREQ=DAILY;COUNT=5", exdates=[rid(24)], overrides={rid(25): {"title": "Special"}})
    echo = done(create(remote, made))
    echo = done(update(remote, echo, {**made, "title": "Other"}))
    known = Versions({echo.remote_id: echo.version})
    assert not listing(remote, before.cursor, known).items


def test_a_calendar_that_is_gone_never_looks_empty(google: GoogleService, remote: Remote) -> None:
    made = google.user_insert(remote.calendar, **times())["id"]
    before = listing(remote)
    google.user_remove_calendar(remote.calendar)
    for call in (
        lambda: listing(remote),
        lambda: since(remote, before),
        lambda: remote.provider.get(remote.calendar, made),
        lambda: remote.provider.find(remote.calendar, "x@example.org"),
        lambda: create(remote, event()),
    ):
        with pytest.raises(ProviderError) as caught:
            call()
        assert caught.value.trait is Trait.GONE


@pytest.mark.parametrize("status", [403, 429, 503])
def test_throttled_reads_may_be_tried_again(google: GoogleService, remote: Remote, status: int) -> None:
    google.fail("GET */events", "status", status=status, retry_after=7)
    with pytest.raises(ProviderError) as caught:
        listing(remote)
    assert (caught.value.trait, caught.value.retry_after) == (Trait.RETRY, 7)
    assert listing(remote).complete


def test_consent_that_was_taken_back_needs_its_user(google: GoogleService, remote: Remote) -> None:
    listing(remote)
    google.oauth.revoke_all()
    with pytest.raises(ProviderError) as caught:
        listing(remote)
    assert caught.value.trait is Trait.LOGIN


def test_calendars_are_discovered_with_their_roles(google: GoogleService, remote: Remote) -> None:
    for number, role in enumerate(["reader", "freeBusyReader", "writer", "writerWithoutPrivateAccess"] * 70):
        google.user_add_calendar(f"Calendar {number}", role=role, time_zone="Asia/Calcutta")
    google.user_add_calendar(None)
    found = remote.provider.discover()
    assert len(found) == 282
    assert [entry.access for entry in found[1:5]] == ["reader", "freebusy", "writer", "writer"]
    assert (found[0].name, found[0].color, found[0].time_zone) == ("Work", "#ac725e", "Europe/Berlin")
    assert found[1].time_zone == "Asia/Kolkata"
    assert found[-1].name == found[-1].id
