"""The emulator of Microsoft Graph, driven by Microsoft's own client library."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import pytest
from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator
from kiota_abstractions.authentication.base_bearer_token_authentication_provider import (
    BaseBearerTokenAuthenticationProvider,
)
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.headers_collection import HeadersCollection
from msgraph.generated.models.calendar import Calendar
from msgraph.generated.models.date_time_time_zone import DateTimeTimeZone
from msgraph.generated.models.day_of_week import DayOfWeek
from msgraph.generated.models.event import Event
from msgraph.generated.models.event_type import EventType
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.patterned_recurrence import PatternedRecurrence
from msgraph.generated.models.recurrence_pattern import RecurrencePattern
from msgraph.generated.models.recurrence_pattern_type import RecurrencePatternType
from msgraph.generated.models.recurrence_range import RecurrenceRange
from msgraph.generated.models.recurrence_range_type import RecurrenceRangeType
from msgraph.generated.models.single_value_legacy_extended_property import SingleValueLegacyExtendedProperty
from msgraph.generated.models.subscription import Subscription
from msgraph.generated.users.item.calendars.item.calendar_view.delta.delta_request_builder import DeltaRequestBuilder
from msgraph.generated.users.item.events.item.instances.instances_request_builder import InstancesRequestBuilder
from msgraph.graph_request_adapter import GraphRequestAdapter, options
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory

from calhub.testing.services.base import Receiver, Request, Response
from calhub.testing.services.graph import Graph
from calhub.testing.world import VirtualClock

T = TypeVar("T")
Ask = Callable[[Callable[[GraphServiceClient], Awaitable[T]]], T]
PROPERTY = "String {6f9619ff-8b86-d011-b42d-00c04fc964ff} Name shelf"


class _Token(AccessTokenProvider):
    def __init__(self, token: str) -> None:
        self._token = token

    async def get_authorization_token(self, uri: str, additional_authentication_context: Any = None) -> str:  # noqa: ARG002
        return self._token

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator([])


@pytest.fixture
def graph() -> Iterator[Graph]:
    with Graph(clock=VirtualClock()) as service:
        yield service


@pytest.fixture
def calendar(graph: Graph) -> str:
    return graph.user_calendar("Work")


@pytest.fixture
def ask(graph: Graph) -> Ask[Any]:
    """Run a coroutine with a client that is signed in."""

    async def run(call: Callable[[GraphServiceClient], Awaitable[T]]) -> T:
        # the library wraps the transport and does not close it
        async with httpx.AsyncHTTPTransport() as transport, httpx.AsyncClient(transport=transport) as http:
            provider = BaseBearerTokenAuthenticationProvider(_Token(graph.oauth.access()))
            # the factory's client has the middleware that makes /me of the address the library starts from
            adapter = GraphRequestAdapter(
                provider, GraphClientFactory.create_with_default_middleware(client=http, options=options)
            )
            adapter.base_url = graph.root
            return await call(GraphServiceClient(request_adapter=adapter))

    return lambda call: asyncio.run(run(call))


def meeting(subject: str = "Meeting", *, weekly: bool = False) -> Event:
    event = Event(subject=subject, is_reminder_on=False)
    event.start = DateTimeTimeZone(date_time="2026-11-23T10:00:00", time_zone="W. Europe Standard Time")
    event.end = DateTimeTimeZone(date_time="2026-11-23T11:00:00", time_zone="W. Europe Standard Time")
    if weekly:
        pattern = RecurrencePattern(
            type=RecurrencePatternType.Weekly, interval=1, days_of_week=[DayOfWeek.Monday],
            first_day_of_week=DayOfWeek.Sunday,
        )  # fmt: skip
        bounds = RecurrenceRange(
            type=RecurrenceRangeType.Numbered, start_date=datetime(2026, 11, 23).date(), number_of_occurrences=3
        )
        event.recurrence = PatternedRecurrence(pattern=pattern, range=bounds)
    return event


def headers(**values: str) -> RequestConfiguration[Any]:
    made = HeadersCollection()
    for name, value in values.items():
        made.add(name.replace("_", "-"), value)
    return RequestConfiguration(headers=made)


def test_calendars(ask: Ask[Any]) -> None:
    """The default calendar is there; one can be made and deleted."""

    async def call(client: GraphServiceClient) -> tuple[list[str | None], list[str | None]]:
        made = await client.me.calendars.post(Calendar(name="Fresh"))
        assert made is not None
        listed = await client.me.calendars.get()
        await client.me.calendars.by_calendar_id(str(made.id)).delete()
        left = await client.me.calendars.get()
        assert listed is not None
        assert left is not None
        return [each.name for each in listed.value or ()], [each.name for each in left.value or ()]

    assert ask(call) == (["Calendar", "Fresh"], ["Calendar"])


def test_an_event_from_creation_to_deletion(ask: Ask[Any], calendar: str) -> None:
    """Times come back in UTC, with the zone they were made in beside them; a deleted event is not found."""

    async def call(client: GraphServiceClient) -> None:
        events = client.me.calendars.by_calendar_id(calendar).events
        made = await events.post(meeting())
        assert made is not None
        assert made.start is not None
        assert (made.start.date_time, made.start.time_zone) == ("2026-11-23T09:00:00.0000000", "UTC")
        assert made.original_start_time_zone == "W. Europe Standard Time"
        assert made.type == EventType.SingleInstance
        one = client.me.events.by_event_id(str(made.id))
        etag = made.additional_data["@odata.etag"]
        patched = await one.patch(Event(subject="New"), headers(If_Match=etag))
        assert patched is not None
        assert patched.subject == "New"
        with pytest.raises(ODataError) as stale:
            await one.patch(Event(subject="Newer"), headers(If_Match=etag))
        assert stale.value.response_status_code == 412
        assert stale.value.error is not None
        assert stale.value.error.code == "ErrorIrresolvableConflict"
        await one.delete()
        with pytest.raises(ODataError) as gone:
            await one.get()
        assert gone.value.response_status_code == 404

    ask(call)


def test_a_series_and_its_instances(ask: Ask[Any], calendar: str) -> None:
    """Instances are listed with their original start; a changed one is an exception; a deleted one is named."""

    async def call(client: GraphServiceClient) -> list[EventType | None]:
        master = await client.me.calendars.by_calendar_id(calendar).events.post(meeting(weekly=True))
        assert master is not None
        assert master.type == EventType.SeriesMaster
        one = client.me.events.by_event_id(str(master.id))
        query = InstancesRequestBuilder.InstancesRequestBuilderGetQueryParameters(
            start_date_time="2026-11-01T00:00:00Z", end_date_time="2027-01-01T00:00:00Z"
        )
        found = await one.instances.get(RequestConfiguration(query_parameters=query))
        assert found is not None
        rows = found.value or []
        assert [row.original_start for row in rows] == [datetime(2026, 11, day, 9, tzinfo=UTC) for day in (23, 30)] + [
            datetime(2026, 12, 7, 9, tzinfo=UTC)
        ]
        await client.me.events.by_event_id(str(rows[1].id)).patch(Event(subject="Other"))
        await client.me.events.by_event_id(str(rows[2].id)).delete()
        again = await one.instances.get(RequestConfiguration(query_parameters=query))
        assert again is not None
        return [row.type for row in again.value or ()]

    assert ask(call) == [EventType.Occurrence, EventType.Exception]


def test_delta(ask: Ask[Any], graph: Graph, calendar: str) -> None:
    """A round ends in a link; the next one brings what changed since, deletions included."""
    single, gone = (graph.user_event(calendar, **wire()) for _ in range(2))

    async def call(client: GraphServiceClient) -> list[tuple[str | None, bool]]:
        query = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(
            start_date_time="2026-11-01T00:00:00Z", end_date_time="2027-01-01T00:00:00Z"
        )
        delta = client.me.calendars.by_calendar_id(calendar).calendar_view.delta
        ids = 'IdType="ImmutableId"'
        asked = headers(Prefer=ids)
        asked.query_parameters = query
        first = await delta.get(asked)
        assert first is not None
        assert [row.id for row in first.value or ()] == [single, gone]
        graph.user_patch(single, subject="New")
        graph.user_delete(gone)
        second = await delta.with_url(str(first.odata_delta_link)).get(headers(Prefer=ids))
        assert second is not None
        return [(row.id, "@removed" in row.additional_data) for row in second.value or ()]

    assert ask(call) == [(single, False), (gone, True)]


def test_extended_properties(ask: Ask[Any], graph: Graph, calendar: str) -> None:
    """Kept, shown only when asked for, and searchable whatever the case."""

    async def call(client: GraphServiceClient) -> None:
        event = meeting()
        event.single_value_extended_properties = [SingleValueLegacyExtendedProperty(id=PROPERTY, value="Top")]
        events = client.me.calendars.by_calendar_id(calendar).events
        made = await events.post(event)
        assert made is not None
        assert made.single_value_extended_properties is None
        query = f"$expand=singleValueExtendedProperties($filter=id eq '{PROPERTY}')"
        shown = await events.with_url(f"{graph.root}/me/calendars/{calendar}/events?{query}").get()
        assert shown is not None
        (row,) = shown.value or []
        assert row.single_value_extended_properties is not None
        assert row.single_value_extended_properties[0].value == "Top"

    ask(call)


def test_a_transaction_is_taken_once(ask: Ask[Any], calendar: str) -> None:
    """The same transactionId again is refused, whatever the event says."""

    async def call(client: GraphServiceClient) -> str:
        events = client.me.calendars.by_calendar_id(calendar).events
        first, second = meeting(), meeting("Other")
        first.transaction_id = second.transaction_id = "t-1"
        await events.post(first)
        with pytest.raises(ODataError) as caught:
            await events.post(second)
        assert caught.value.error is not None
        return str(caught.value.error.code)

    assert ask(call) == "ErrorDuplicateTransactionId"


def test_a_subscription(ask: Ask[Any], graph: Graph) -> None:
    """Made after a handshake with the address."""

    def answer(request: Request) -> Response:
        return Response(headers={"Content-Type": "text/plain"}, body=(request.param("validationToken") or "").encode())

    async def call(client: GraphServiceClient) -> Subscription | None:
        with Receiver(reply=answer) as receiver:
            wanted = Subscription(
                change_type="updated", notification_url=f"{receiver.url}/x", resource="/me/events",
                expiration_date_time=datetime(2026, 11, 24, tzinfo=UTC), client_state="s",
            )  # fmt: skip
            return await client.subscriptions.post(wanted)

    made = ask(call)
    assert made is not None
    assert made.id in graph.subscriptions.rows


def wire(**props: Any) -> dict[str, Any]:
    """An event as JSON."""
    zone = "W. Europe Standard Time"
    times = {"start": "2026-11-23T10:00:00", "end": "2026-11-23T11:00:00"}
    return {"subject": "M", **{n: {"dateTime": at, "timeZone": zone} for n, at in times.items()}, **props}


# Strictness that a typed client cannot show.


def post(graph: Graph, calendar: str, body: Any) -> tuple[int, str]:
    bearer = {"Authorization": f"Bearer {graph.oauth.access()}"}
    url = f"{graph.root}/me/calendars/{calendar}/events"
    answer = httpx.post(url, json=body, headers=bearer, trust_env=False)
    return answer.status_code, answer.json().get("error", {}).get("code", "")


EARLY = "ErrorCalendarEndDateIsEarlierThanStartDate"
ALL_DAY = {"isAllDay": True, "start": {"dateTime": "2026-11-23T00:00:00", "timeZone": "UTC"}}
WEEKLY = {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]}
NO_END = {"type": "noEnd", "startDate": "2026-11-23"}


@pytest.mark.parametrize(
    ("props", "code"),
    [
        ({"iCalUId": "mine"}, "RequestBodyRead"),
        ({"nonsense": 1}, "RequestBodyRead"),
        ({"showAs": "away"}, "ErrorPropertyValidationFailure"),
        ({"start": {"dateTime": "2026-11-23T10:00:00Z", "timeZone": "UTC"}}, "ErrorPropertyValidationFailure"),
        ({"start": {"dateTime": "2026-11-23T10:00:00", "timeZone": "Mars"}}, "TimeZoneNotSupportedException"),
        (
            {"start": {"dateTime": "2026-11-24T10:00:00", "timeZone": "UTC"}},
            "ErrorCalendarEndDateIsEarlierThanStartDate",
        ),
        ({**ALL_DAY, "end": {"dateTime": "2026-11-23T00:00:00", "timeZone": "UTC"}}, "ErrorPropertyValidationFailure"),
        ({**ALL_DAY, "end": {"dateTime": "2026-11-24T10:00:00", "timeZone": "UTC"}}, "ErrorPropertyValidationFailure"),
        ({"recurrence": {"pattern": {**WEEKLY, "interval": 0}, "range": NO_END}}, "ErrorPropertyValidationFailure"),
        ({"recurrence": {"pattern": {**WEEKLY, "dayOfMonth": 0}, "range": NO_END}}, "ErrorPropertyValidationFailure"),
        (
            {"recurrence": {"pattern": WEEKLY, "range": {**NO_END, "startDate": "2026-11-22"}}},
            "ErrorPropertyValidationFailure",
        ),
        ({"singleValueExtendedProperties": [{"id": "Name x", "value": "1"}]}, "ErrorPropertyValidationFailure"),
    ],
)
def test_refusals(props: dict[str, Any], code: str, graph: Graph, calendar: str) -> None:
    """What the service would not take is not taken here."""
    assert post(graph, calendar, wire(**props)) == (400, code)


def test_a_batch_is_checked_part_by_part(graph: Graph) -> None:
    """At most twenty, relative addresses, a Content-Type with a body, failed dependencies."""
    bearer = {"Authorization": f"Bearer {graph.oauth.access()}"}
    parts: list[dict[str, Any]] = [
        {"id": "1", "method": "GET", "url": "/me/events/none"},
        {"id": "2", "method": "GET", "url": "/me/calendars", "dependsOn": ["1"]},
        {"id": "3", "method": "POST", "url": "/me/calendars", "body": {"name": "x"}},
        {"id": "4", "method": "GET", "url": "/me/calendars"},
    ]

    def send(requests: list[dict[str, Any]]) -> httpx.Response:
        return httpx.post(f"{graph.root}/$batch", json={"requests": requests}, headers=bearer, trust_env=False)

    statuses = {each["id"]: each["status"] for each in send(parts).json()["responses"]}
    assert statuses == {"1": 400, "2": 424, "3": 400, "4": 200}
    assert send([{**parts[3], "id": str(number)} for number in range(21)]).status_code == 400
    assert send([parts[3], parts[3]]).status_code == 400


def test_without_a_token_there_is_nothing(graph: Graph) -> None:
    """401 with Graph's code; a token from the identity platform opens the door."""
    closed = httpx.get(f"{graph.root}/me/calendars", trust_env=False)
    assert (closed.status_code, closed.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    given = graph.credentials()
    form = {"grant_type": "refresh_token", "client_id": given["client_id"], "refresh_token": given["refresh_token"]}
    token = httpx.post(f"{given['authority']}/common/oauth2/v2.0/token", data=form, trust_env=False).json()
    bearer = {"Authorization": f"Bearer {token['access_token']}"}

    assert httpx.get(f"{graph.root}/me/calendars", headers=bearer, trust_env=False).status_code == 200
    assert token["refresh_token"] != given["refresh_token"]
