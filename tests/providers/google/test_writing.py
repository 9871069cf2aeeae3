"""Writing single events: only what changed, only if nobody else changed it, never twice, never with mail."""

import json
from typing import Any

import pytest
from tests.providers.google.kit import content, create, done, get, times, update, writes

from calhub.providers.base import Done, NotSent, ProviderError, Refused, Stale, Trait, Unknown, WriteRequest
from calhub.testing.contract_kit import EXAMPLES, Remote, event, listing
from calhub.testing.services.google import GoogleService

MEET = {
    "conferenceSolution": {"name": "Google Meet"},
    "entryPoints": [{"entryPointType": "video", "uri": "https://meet.google.com/abc", "label": "abc"}],
}
NATIVE: dict[str, Any] = {
    "summary": "Review",
    "description": "Bring <b>slides</b><br>and coffee",
    "colorId": "11",
    "conferenceData": MEET,
    "attachments": [{"fileUrl": "https://drive.google.com/1", "title": "Slides", "fileId": "1", "iconLink": "i"}],
    "reminders": {"useDefault": False, "overrides": [{"method": "popup", "minutes": 10}]},
    "eventType": "focusTime",
    "focusTimeProperties": {"chatStatus": "doNotDisturb"},
    "extendedProperties": {"private": {"other": "kept"}, "shared": {"x": "y"}},
    "guestsCanModify": True,
    "attendees": [{"email": "bob@example.org", "comment": "late", "additionalGuests": 2}],
}


def body_of(google: GoogleService) -> dict[str, Any]:
    """The body of the only write."""
    (request,) = writes(google)
    body: dict[str, Any] = request.json()
    return body


def test_a_patch_has_only_what_changed(google: GoogleService, remote: Remote) -> None:
    made = google.user_insert(remote.calendar, **NATIVE, **times())
    item = get(remote, made["id"])
    echo = done(update(remote, item, {**content(item), "title": "Other", "location": "Room 4"}))
    assert body_of(google) == {"summary": "Other", "location": "Room 4"}
    stored = google.live(remote.calendar)[made["id"]]
    assert {name: stored.get(name) for name in NATIVE} == {**NATIVE, "summary": "Other"}
    assert content(echo)["title"] == "Other"


def test_what_google_knows_is_read(google: GoogleService, remote: Remote) -> None:
    item = get(remote, google.user_insert(remote.calendar, **NATIVE, **times())["id"])
    assert content(item) == {
        "title": "Review",
        "description": "Bring slides\nand coffee",
        "color": "red",
        "start": "2026-11-23T10:00:00",
        "end": "2026-11-23T11:00:00",
        "time_zone": "Europe/Berlin",
        "conferences": [{"uri": "https://meet.google.com/abc", "label": "abc", "features": ["audio", "video"]}],
        "attachments": [{"uri": "https://drive.google.com/1", "name": "Slides"}],
        "alarms": [{"trigger": "-PT10M"}],
        "attendees": {"bob@example.org": {}},
        "organizer": {"email": "user@example.com"},
    }
    assert item.raw is not None
    assert json.loads(item.raw)["event"]["guestsCanModify"] is True


def test_html_is_patched_only_when_the_text_was_edited(google: GoogleService, remote: Remote) -> None:
    item = get(remote, google.user_insert(remote.calendar, **NATIVE, **times())["id"])
    echo = done(update(remote, item, {**content(item), "description": "1 < 2 <b>and</b> so on"}))
    assert body_of(google) == {"description": "1 &lt; 2 &lt;b&gt;and&lt;/b&gt; so on"}
    assert content(echo)["description"] == "1 < 2 <b>and</b> so on"


def test_an_attendee_is_added_and_nothing_about_the_others_is_lost(google: GoogleService, remote: Remote) -> None:
    item = get(remote, google.user_insert(remote.calendar, **NATIVE, **times())["id"])
    people = {**content(item)["attendees"], "cho@example.org": {"role": "optional"}}
    done(update(remote, item, {**content(item), "attendees": people}))
    assert body_of(google)["attendees"] == [
        {"email": "bob@example.org", "comment": "late", "additionalGuests": 2, "responseStatus": "needsAction"},
        {"email": "cho@example.org", "optional": True, "responseStatus": "needsAction"},
    ]
    assert google.outbox == []


def test_of_a_foreign_event_only_the_own_answer_is_written(google: GoogleService, remote: Remote) -> None:
    people = [{"email": "user@example.com", "self": True}, {"email": "bob@example.org"}]
    made = google.user_insert(
        remote.calendar, organizer={"email": "ann@example.org"}, attendees=people, attendeesOmitted=True, **times()
    )
    item = get(remote, made["id"])
    answered = {"user@example.com": {"status": "accepted"}}  # bob is not in it, as if he had not been shown
    done(update(remote, item, {**content(item), "attendees": answered}))
    assert body_of(google)["attendeesOmitted"] is True
    assert [person["email"] for person in body_of(google)["attendees"]] == ["user@example.com"]
    stored = google.live(remote.calendar)[made["id"]]["attendees"]
    assert [(person["email"], person["responseStatus"]) for person in stored] == [
        ("user@example.com", "accepted"), ("bob@example.org", "needsAction"),
    ]  # fmt: skip
    item = get(remote, made["id"])
    outcome = update(remote, item, {**content(item), "title": "Mine"})
    assert outcome == Refused("Only the organizer may change this about the event.")


def test_participants_are_mailed_only_with_invitations(google: GoogleService, remote: Remote) -> None:
    item = done(create(remote, EXAMPLES["attendees"]))
    assert google.outbox == []
    remote.provider.prepare(remote.calendar, {"invitations": True})
    done(update(remote, item, {**EXAMPLES["attendees"], "title": "Moved"}))
    assert sorted(address for _, address in google.outbox) == ["bob@example.org", "cho@example.org"]
    remote.provider.prepare(remote.calendar, {})
    assert remote.provider.delete(remote.calendar, item.remote_id, expected=None) == Done(None)
    assert len(google.outbox) == 2


def test_an_event_can_be_deleted_and_made_again_and_again(google: GoogleService, remote: Remote) -> None:
    seen = set()
    for _ in range(4):
        item = done(create(remote, event()))
        seen.add(item.remote_id)
        assert item.uid == "ours@example.org"
        assert create(remote, event()) == Stale()
        remote.provider.delete(remote.calendar, item.remote_id, expected=item.version)
    assert len(seen) == 4
    assert google.live(remote.calendar) == {}


@pytest.mark.parametrize("how", ["cut-after", "status-after", "truncated"])
def test_a_lost_answer_makes_no_second_event(google: GoogleService, remote: Remote, how: Any) -> None:
    google.fail("POST */events", how)
    assert isinstance(create(remote, event()), Unknown)
    found = remote.provider.find(remote.calendar, "ours@example.org")
    assert content(found) == event()
    assert create(remote, event()) == Stale()
    assert len(google.live(remote.calendar)) == 1


def test_a_request_that_never_left_was_not_sent(google: GoogleService, remote: Remote) -> None:
    google.__exit__()
    assert isinstance(create(remote, event()), NotSent)
    google.__enter__()


@pytest.mark.parametrize(
    ("status", "expected"),
    [(403, NotSent("Google wants fewer requests.", 9)), (429, NotSent("Google wants fewer requests.", 9)),
     (500, Unknown("Google Calendar failed with HTTP 500.")), (412, Stale())],
)  # fmt: skip
def test_refusals_are_told_apart(google: GoogleService, remote: Remote, status: int, expected: object) -> None:
    item = done(create(remote, event()))
    google.fail("PATCH *", "status", status=status, retry_after=9)
    assert update(remote, item, event(title="Other")) == expected


def test_a_reader_may_not_write(google: GoogleService, remote: Remote) -> None:
    item = done(create(remote, event()))
    google.calendars[remote.calendar].role = "reader"
    refused = Refused("The account may not write to this calendar.")
    assert update(remote, item, event(title="Other")) == refused
    assert create(remote, event(), "b@example.org") == refused
    assert remote.provider.delete(remote.calendar, item.remote_id, expected=item.version) == refused


def test_a_right_that_was_not_granted_needs_the_user(google: GoogleService, remote: Remote) -> None:
    google.oauth.revoke_all()
    google.oauth.user.denies = True
    with pytest.raises(ProviderError) as caught:
        create(remote, event())
    assert caught.value.trait is Trait.LOGIN


def test_a_copy_by_its_user_is_an_event_of_its_own(google: GoogleService, remote: Remote) -> None:
    item = done(create(remote, event(categories=["work"])))
    original = google.live(remote.calendar)[item.remote_id]
    copy = {name: value for name, value in original.items() if name not in ("id", "iCalUID", "etag")}
    made = google.user_insert(remote.calendar, **copy)
    seen = get(remote, made["id"])
    assert seen.uid == f"{made['id']}@google.com"
    assert "categories" not in content(seen)
    found = remote.provider.find(remote.calendar, "ours@example.org")
    assert found is not None
    assert found.remote_id == item.remote_id


# Batches


def requests_for(remote: Remote, count: int) -> list[WriteRequest]:
    uids = [f"{number}@example.org" for number in range(count)]
    return [
        WriteRequest(op="create", remote_id=remote.provider.reserve(remote.calendar, uid), uid=uid,
                     content=event(title=uid))
        for uid in uids
    ]  # fmt: skip


def test_fifty_writes_are_one_request(google: GoogleService, remote: Remote) -> None:
    made = [done(outcome) for outcome in remote.provider.write_batch(remote.calendar, requests_for(remote, 50))]
    assert [item.uid for item in made] == [f"{number}@example.org" for number in range(50)]
    google.log.clear()
    changed = [
        WriteRequest(op="update", remote_id=item.remote_id, uid=item.uid or "", content=event(title="New"),
                     expected=item.version, raw=item.raw)
        for item in made[:25]
    ]  # fmt: skip
    gone = [WriteRequest(op="delete", remote_id=item.remote_id, uid="", expected=item.version) for item in made[25:]]
    outcomes = remote.provider.write_batch(remote.calendar, [*changed, *gone])
    assert len(google.log) == 1
    assert [content(done(outcome))["title"] for outcome in outcomes[:25]] == ["New"] * 25
    assert outcomes[25:] == [Done(None)] * 25
    assert len(google.live(remote.calendar)) == 25


def test_each_part_of_a_batch_has_its_own_outcome(google: GoogleService, remote: Remote) -> None:
    first, second, third = (done(create(remote, event(), uid)) for uid in "abc")
    done(update(remote, second, event(title="Newer")))
    remote.provider.delete(remote.calendar, third.remote_id, expected=third.version)
    google.fail("POST */events", "status", status=429, part=True, retry_after=3)
    new, taken = (
        requests_for(remote, 2)[0],
        WriteRequest(op="create", remote_id=first.remote_id, uid="x", content=event()),
    )
    long = WriteRequest(op="create", remote_id="x" * 9, uid="u" * 2000, content=event())
    edits = [
        WriteRequest(op="update", remote_id=item.remote_id, uid=item.uid or "", content=event(title="Mine"),
                     expected=item.version, raw=item.raw)
        for item in (first, second, third)
    ]  # fmt: skip
    none = WriteRequest(op="delete", remote_id=third.remote_id, uid="c", expected=third.version)
    outcomes = remote.provider.write_batch(remote.calendar, [new, taken, *edits, none, long])
    assert outcomes[0] == NotSent("Google wants fewer requests.", 3)
    assert outcomes[1] == Stale()
    assert content(done(outcomes[2]))["title"] == "Mine"
    assert outcomes[3:6] == [Stale(), Stale(), Done(None)]
    assert isinstance(outcomes[6], Refused)


def test_a_batch_that_dies_half_way_leaves_nobody_guessing(google: GoogleService, remote: Remote) -> None:
    google.fail("POST */events", "cut-after", part=True, skip=2)
    outcomes = remote.provider.write_batch(remote.calendar, requests_for(remote, 5))
    assert {type(outcome) for outcome in outcomes} == {Unknown}
    assert len(google.live(remote.calendar)) == 3
    again = remote.provider.write_batch(remote.calendar, requests_for(remote, 5))
    assert [type(outcome) for outcome in again] == [Stale, Stale, Stale, Done, Done]
    assert len(listing(remote).items) == 5


def test_a_token_that_ends_inside_a_batch(google: GoogleService, remote: Remote) -> None:
    google.fail("POST */events", "expired", part=True, skip=2)
    outcomes = remote.provider.write_batch(remote.calendar, requests_for(remote, 5))
    assert {type(outcome) for outcome in outcomes} == {Done}
    assert len(google.live(remote.calendar)) == 5
