"""The emulator of Google Calendar, driven by Google's own client library."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest

from calhub.testing.services.base import Receiver
from calhub.testing.services.google import GoogleService
from calhub.testing.world import VirtualClock

TIMES = {
    "start": {"dateTime": "2026-11-23T10:00:00", "timeZone": "Europe/Berlin"},
    "end": {"dateTime": "2026-11-23T11:00:00", "timeZone": "Europe/Berlin"},
}


@pytest.fixture
def google() -> Iterator[GoogleService]:
    with GoogleService(clock=VirtualClock()) as service:
        yield service


@pytest.fixture
def calendar(google: GoogleService) -> str:
    return google.user_add_calendar("Work")


@pytest.fixture
def client(google: GoogleService) -> Iterator[Any]:
    """The client library, signed in by a refresh token; it fetches its access token by itself."""
    given = google.credentials()
    credentials = Credentials(  # type: ignore[no-untyped-call]  # the library has no types here
        None, refresh_token=given["refresh_token"], token_uri=given["token_uri"], client_id=given["client_id"],
        client_secret=given["client_secret"],
    )  # fmt: skip
    options = {"api_endpoint": google.root + "/"}
    with build("calendar", "v3", credentials=credentials, client_options=options, static_discovery=True) as service:
        yield service


def reason(caught: pytest.ExceptionInfo[HttpError]) -> tuple[int, str]:
    details = caught.value.error_details
    return caught.value.status_code, details[0]["reason"]


def test_calendars_come_in_pages(google: GoogleService, client: Any) -> None:
    made = [google.user_add_calendar(f"Calendar {number}") for number in range(5)]
    first = client.calendarList().list(maxResults=3).execute()
    second = client.calendarList().list(maxResults=3, pageToken=first["nextPageToken"]).execute()
    assert [entry["id"] for entry in first["items"] + second["items"]] == made
    assert "nextPageToken" not in second
    assert second["items"][0]["accessRole"] == "owner"


def test_an_event_is_written_conditionally(google: GoogleService, calendar: str, client: Any) -> None:
    events = client.events()
    made = events.insert(calendarId=calendar, body={"summary": "One", **TIMES, "id": "abc123"}).execute()
    assert (made["id"], made["iCalUID"], made["start"]["dateTime"]) == (
        "abc123", "abc123@google.com", "2026-11-23T10:00:00+01:00",
    )  # fmt: skip
    request = events.patch(calendarId=calendar, eventId="abc123", body={"summary": "Two"})
    request.headers["If-Match"] = made["etag"]
    assert request.execute()["summary"] == "Two"
    request = events.patch(calendarId=calendar, eventId="abc123", body={"summary": "Three"})
    request.headers["If-Match"] = made["etag"]
    with pytest.raises(HttpError) as caught:
        request.execute()
    assert reason(caught) == (412, "conditionNotMet")
    assert google.live(calendar)["abc123"]["summary"] == "Two"


def test_a_deleted_id_stays_taken(calendar: str, client: Any) -> None:
    events = client.events()
    events.insert(calendarId=calendar, body={**TIMES, "id": "abc123"}).execute()
    events.delete(calendarId=calendar, eventId="abc123").execute()
    assert events.get(calendarId=calendar, eventId="abc123").execute()["status"] == "cancelled"
    with pytest.raises(HttpError) as caught:
        events.delete(calendarId=calendar, eventId="abc123").execute()
    assert reason(caught) == (410, "deleted")
    with pytest.raises(HttpError) as caught:
        events.insert(calendarId=calendar, body={**TIMES, "id": "abc123"}).execute()
    assert reason(caught) == (409, "duplicate")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({**TIMES, "end": TIMES["start"]}, "timeRangeEmpty"),
        ({"start": TIMES["start"]}, "required"),
        ({**TIMES, "end": {"date": "2026-11-24"}}, "invalid"),
        ({"start": {"dateTime": "2026-11-23T10:00:00"}, "end": {"dateTime": "2026-11-23T11:00:00"}}, "required"),
        ({**TIMES, "start": {**TIMES["start"], "timeZone": "W. Europe Standard Time"}}, "invalid"),
        ({**TIMES, "id": "ABC-xyz"}, "invalid"),
        ({**TIMES, "id": "abc123", "iCalUID": "x@example.org"}, "invalid"),
        ({**TIMES, "recurrence": ["DTSTART:20261123T100000"]}, "invalid"),
        ({**TIMES, "recurrence": ["RRULE:FREQ=DAILY;UNTIL=20261130"]}, "invalid"),
        ({**TIMES, "reminders": {"overrides": [{"method": "sms", "minutes": 5}]}}, "invalid"),
        ({**TIMES, "eventType": "fromGmail"}, "invalid"),
        ({**TIMES, "attendees": [{"email": "nobody"}]}, "invalid"),
    ],
)
def test_what_cannot_be_stored_is_refused(calendar: str, client: Any, body: dict[str, Any], expected: str) -> None:
    with pytest.raises(HttpError) as caught:
        client.events().insert(calendarId=calendar, body=body).execute()
    assert reason(caught) == (400, expected)


def test_a_listing_with_edits_in_between_misses_nothing(google: GoogleService, calendar: str, client: Any) -> None:
    ids = [google.user_insert(calendar, summary=f"{number}", **TIMES)["id"] for number in range(5)]
    page = client.events().list(calendarId=calendar, maxResults=2).execute()
    seen = {item["id"]: item["summary"] for item in page["items"]}
    google.user_patch(calendar, ids[0], summary="edited")
    made = google.user_insert(calendar, summary="new", **TIMES)["id"]
    google.user_delete(calendar, ids[4])
    while "nextPageToken" in page:
        page = client.events().list(calendarId=calendar, maxResults=2, pageToken=page["nextPageToken"]).execute()
        seen |= {item["id"]: item["summary"] for item in page["items"]}
    assert seen == {ids[0]: "edited", ids[1]: "1", ids[2]: "2", ids[3]: "3", made: "new"}
    again = client.events().list(calendarId=calendar, syncToken=page["nextSyncToken"]).execute()
    assert again["items"] == []


def test_a_sync_token_brings_changes_and_tombstones(google: GoogleService, calendar: str, client: Any) -> None:
    ids = [google.user_insert(calendar, summary=f"{number}", **TIMES)["id"] for number in range(3)]
    token = client.events().list(calendarId=calendar).execute()["nextSyncToken"]
    google.user_patch(calendar, ids[0], summary="edited")
    google.user_delete(calendar, ids[1])
    items = client.events().list(calendarId=calendar, syncToken=token).execute()["items"]
    assert [(item["id"], item["status"]) for item in items] == [(ids[0], "confirmed"), (ids[1], "cancelled")]
    assert set(items[1]) == {"id", "status", "kind", "etag"}
    with pytest.raises(HttpError) as caught:
        client.events().list(calendarId=calendar, syncToken=token, timeMin="2026-01-01T00:00:00Z").execute()
    assert reason(caught) == (400, "badRequest")
    google.expire_sync_tokens(calendar)
    with pytest.raises(HttpError) as caught:
        client.events().list(calendarId=calendar, syncToken=token).execute()
    assert reason(caught) == (410, "fullSyncRequired")


def test_an_instance_becomes_an_exception(calendar: str, client: Any) -> None:
    events = client.events()
    series = events.insert(calendarId=calendar, body={**TIMES, "recurrence": ["RRULE:FREQ=DAILY;COUNT=4"]}).execute()
    found = events.instances(calendarId=calendar, eventId=series["id"]).execute()["items"]
    assert [item["start"]["dateTime"][:10] for item in found] == [f"2026-11-{day}" for day in (23, 24, 25, 26)]
    start = "2026-11-24T10:00:00+01:00"
    one = events.instances(calendarId=calendar, eventId=series["id"], originalStart=start).execute()["items"][0]
    assert one["id"] == f"{series['id']}_20261124T090000Z"
    moved = {"start": {"dateTime": "2026-11-24T15:00:00+01:00"}, "end": {"dateTime": "2026-11-24T16:00:00+01:00"}}
    one = events.patch(calendarId=calendar, eventId=one["id"], body={"summary": "Later", **moved}).execute()
    assert (one["recurringEventId"], one["originalStartTime"]["dateTime"]) == (series["id"], start)
    events.delete(calendarId=calendar, eventId=f"{series['id']}_20261125T090000Z").execute()
    rows = events.list(calendarId=calendar).execute()["items"]
    assert [row["status"] for row in rows] == ["confirmed", "confirmed", "cancelled"]
    assert rows[2]["originalStartTime"]["dateTime"] == "2026-11-25T10:00:00+01:00"
    assert len(events.instances(calendarId=calendar, eventId=series["id"]).execute()["items"]) == 3
    assert len(events.list(calendarId=calendar, iCalUID=series["iCalUID"], showDeleted=True).execute()["items"]) == 3


def test_mail_goes_out_only_when_asked_for(google: GoogleService, calendar: str, client: Any) -> None:
    body = {**TIMES, "attendees": [{"email": "Bob@example.org"}]}
    quiet = client.events().insert(calendarId=calendar, body=body, sendUpdates="none").execute()
    assert quiet["attendees"] == [{"email": "bob@example.org", "responseStatus": "needsAction"}]
    assert google.outbox == []
    loud = client.events().insert(calendarId=calendar, body=body, sendUpdates="all").execute()
    assert google.outbox == [(loud["id"], "bob@example.org")]


def test_shared_fields_belong_to_the_organizer(google: GoogleService, calendar: str, client: Any) -> None:
    invited = google.user_insert(calendar, summary="Theirs", organizer={"email": "ann@example.org"}, **TIMES)
    with pytest.raises(HttpError) as caught:
        client.events().patch(calendarId=calendar, eventId=invited["id"], body={"summary": "Mine"}).execute()
    assert reason(caught) == (403, "forbiddenForNonOrganizer")
    body = {"reminders": {"useDefault": False}}
    client.events().patch(calendarId=calendar, eventId=invited["id"], body=body).execute()
    google.calendars[calendar].role = "reader"
    with pytest.raises(HttpError) as caught:
        client.events().patch(calendarId=calendar, eventId=invited["id"], body=body).execute()
    assert reason(caught) == (403, "requiredAccessLevel")


def test_extended_properties_are_cut_silently(calendar: str, client: Any) -> None:
    properties = {"private": {"k": "v" * 2000, "k" * 45: "v"}}
    made = client.events().insert(calendarId=calendar, body={**TIMES, "extendedProperties": properties}).execute()
    assert made["extendedProperties"]["private"] == {"k": "v" * 1024}
    rows = client.events().list(calendarId=calendar, privateExtendedProperty="k=" + "v" * 1024).execute()["items"]
    assert [row["id"] for row in rows] == [made["id"]]


def test_a_batch_answers_each_part(google: GoogleService, calendar: str, client: Any) -> None:
    answers: dict[str, Any] = {}
    batch = BatchHttpRequest(
        lambda name, body, error: answers.update({name: error or body}), google.url + "/batch/calendar/v3"
    )
    for number in range(3):
        body = {"id": f"part{number}", **TIMES}
        batch.add(client.events().insert(calendarId=calendar, body=body), request_id=f"r{number}")
    batch.add(client.events().get(calendarId=calendar, eventId="nothere"), request_id="missing")
    client._http.request(google.root + "/users/me/calendarList")  # signs in; a batch inherits nothing by itself here
    batch.execute(http=client._http)
    assert [answers[f"r{number}"]["id"] for number in range(3)] == ["part0", "part1", "part2"]
    assert answers["missing"].status_code == 404
    assert len(google.requests("POST /batch/*")) == 1


def test_a_channel_is_told_of_changes(google: GoogleService, calendar: str, client: Any) -> None:
    with Receiver() as receiver:
        body = {"id": "channel-1", "type": "web_hook", "address": receiver.url + "/hook", "token": "secret"}
        made = client.events().watch(calendarId=calendar, body=body).execute()
        google.user_insert(calendar, **TIMES)
        assert [message.status for message in google.deliver()] == [200, 200]
        states = [request.header("x-goog-resource-state") for request in receiver.log]
        assert states == ["sync", "exists"]
        assert receiver.log[1].header("x-goog-channel-token") == "secret"
        client.channels().stop(body={"id": "channel-1", "resourceId": made["resourceId"]}).execute()
        google.user_insert(calendar, **TIMES)
        assert google.deliver() == []
    with pytest.raises(HttpError) as caught:
        client.channels().stop(body={"id": "channel-1", "resourceId": made["resourceId"]}).execute()
    assert caught.value.status_code == 404


def test_the_client_library_refreshes_and_is_told_when_consent_is_gone(
    google: GoogleService, calendar: str, client: Any
) -> None:
    client.events().list(calendarId=calendar).execute()
    google.expire_tokens()
    client.events().list(calendarId=calendar).execute()
    assert len(google.requests("POST /token")) == 2
    google.oauth.revoke_all()
    with pytest.raises(RefreshError, match="invalid_grant"):
        client.events().list(calendarId=calendar).execute()


def test_an_unknown_parameter_or_scope_is_refused(google: GoogleService, calendar: str) -> None:
    headers = {"Authorization": "Bearer " + google.oauth.access("https://www.googleapis.com/auth/calendar")}
    url = f"{google.root}/calendars/{calendar}/events"
    assert httpx.get(url, params={"sync_token": "x"}, headers=headers).status_code == 400
    headers = {"Authorization": "Bearer " + google.oauth.access("openid")}
    answer = httpx.get(url, headers=headers)
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (403, "insufficientPermissions")
