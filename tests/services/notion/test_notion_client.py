"""The emulator, checked by Notion's client library for Python (`notion-client`)."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from notion_client import APIResponseError, Client
from notion_client.errors import HTTPResponseError
from notion_client.helpers import iterate_paginated_api

from calhub.testing.services.notion import NEW, OLD, RENAMED, NotionService
from calhub.testing.services.notion.model import DataSource
from calhub.testing.world import VirtualClock

SCHEMA: dict[str, Any] = {
    "Name": {"title": {}},
    "Date": {"date": {}},
    "Notes": {"rich_text": {}},
    "Kind": {"select": {"options": [{"name": "Work"}]}},
    "State": {"status": {}},
    "Tags": {"multi_select": {}},
    "Who": {"people": {}},
    "Link": {"url": {}},
    "Done": {"checkbox": {}},
    "Made": {"created_time": {}},
}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def service(clock: VirtualClock) -> Iterator[NotionService]:
    with NotionService(clock=clock) as service:
        yield service


@pytest.fixture
def source(service: NotionService) -> DataSource:
    return service.add_database("Plans", SCHEMA)


Connect = Callable[..., Any]  # the library's results have no types


@pytest.fixture
def connect(service: NotionService) -> Iterator[Connect]:
    made: list[Client] = []

    def connect(version: str = NEW, auth: str | None = None) -> Client:
        client = Client(auth=auth or service.token, base_url=service.url, notion_version=version, retry=False)
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


def text(content: str) -> list[dict[str, Any]]:
    return [{"text": {"content": content}}]


def row(source: DataSource, name: str = "Lunch", **values: Any) -> dict[str, Any]:
    """The arguments of a create in the new model."""
    parent = {"type": "data_source_id", "data_source_id": source.id}
    return {"parent": parent, "properties": {"Name": {"title": text(name)}, **values}}


def refused(call: Callable[[], Any]) -> tuple[int, str]:
    """The status and code that the library understood."""
    with pytest.raises(HTTPResponseError) as caught:
        call()
    return caught.value.status, json.loads(caught.value.body)["code"]


def test_row_round_trip(connect: Connect, source: DataSource) -> None:
    """A row is created, read, changed by property and trashed."""
    client = connect()
    made = client.pages.create(
        **row(source, Date={"date": {"start": "2026-11-23T10:00:00", "time_zone": "Europe/Berlin"}})
    )
    client.pages.update(made["id"], properties={"Notes": {"rich_text": text("Bring bread")}})
    seen = client.pages.retrieve(made["id"])

    assert seen["properties"]["Name"]["title"][0]["plain_text"] == "Lunch"
    assert seen["properties"]["Date"]["date"] == {
        "start": "2026-11-23T10:00:00.000+01:00", "end": None, "time_zone": None,
    }  # fmt: skip
    assert seen["properties"]["Notes"]["rich_text"][0]["plain_text"] == "Bring bread"
    assert seen["parent"] == {
        "type": "data_source_id", "data_source_id": source.id, "database_id": source.database,
    }  # fmt: skip

    client.pages.update(made["id"], in_trash=True)
    assert client.data_sources.query(source.id)["results"] == []
    assert client.pages.retrieve(made["id"])["in_trash"] is True


def test_edits_are_dated_to_the_nearest_minute(connect: Connect, source: DataSource, clock: VirtualClock) -> None:
    clock.advance(seconds=29)
    made = connect().pages.create(**row(source))
    assert made["last_edited_time"] == "2026-11-21T08:00:00.000Z"
    clock.advance(seconds=1)

    changed = connect().pages.update(made["id"], properties={"Done": {"checkbox": True}})
    assert changed["last_edited_time"] == "2026-11-21T08:01:00.000Z"


def test_old_model(connect: Connect, source: DataSource) -> None:
    """With 2022-06-28 a database has the schema and the rows."""
    client = connect(OLD)
    database = client.databases.retrieve(source.database)
    assert set(database["properties"]) == set(SCHEMA)
    made = client.pages.create(parent={"database_id": source.database}, properties={"Name": {"title": text("Lunch")}})
    found = client.request(f"databases/{source.database}/query", "POST", body={})

    assert [page["id"] for page in found["results"]] == [made["id"]]
    assert made["parent"] == {"type": "database_id", "database_id": source.database}
    assert refused(lambda: client.data_sources.query(source.id)) == (400, "invalid_request_url")


def test_new_model(connect: Connect, source: DataSource) -> None:
    """From 2025-09-03 a database lists its data sources."""
    client = connect()
    database = client.databases.retrieve(source.database)
    assert database["data_sources"] == [{"id": source.id, "name": "Plans"}]
    assert "properties" not in database
    assert refused(lambda: client.request(f"databases/{source.database}/query", "POST", body={})) == (
        400, "invalid_request_url",
    )  # fmt: skip
    assert refused(lambda: client.data_sources.retrieve(source.database)) == (404, "object_not_found")


def test_second_data_source_breaks_the_old_model(connect: Connect, service: NotionService) -> None:
    source = service.add_database("Two", SCHEMA, sources=["Second"])
    old = connect(OLD)

    assert refused(lambda: old.databases.retrieve(source.database)) == (400, "validation_error")
    assert connect().data_sources.query(source.id)["results"] == []


def test_renamed_members(connect: Connect, source: DataSource) -> None:
    """`archived` is shown and taken until 2026-03-11 only."""
    made = connect().pages.create(**row(source))
    assert made["archived"] is False
    new = connect(RENAMED)
    assert "archived" not in new.pages.retrieve(made["id"])

    assert refused(lambda: new.pages.update(made["id"], archived=True)) == (400, "validation_error")
    assert new.pages.update(made["id"], in_trash=True)["in_trash"] is True


@pytest.mark.parametrize(
    "values",
    [
        {"Nothing": {"rich_text": text("x")}},
        {"Notes": {"title": text("x")}},
        {"Notes": {"rich_text": text("x" * 2001)}},
        {"Notes": {"rich_text": text("😀" * 1001)}},
        {"Notes": {"rich_text": text("x") * 101}},
        {"Date": {"date": {"start": "2026-11-23T10:00:00+01:00", "time_zone": "Europe/Berlin"}}},
        {"Date": {"date": {"start": "2026-11-23", "time_zone": "Europe/Berlin"}}},
        {"Date": {"date": {"start": "2026-11-23", "end": "2026-11-24T10:00:00Z"}}},
        {"Date": {"date": {"start": "2026-11-23", "end": "2026-11-22"}}},
        {"Date": {"date": {"start": "2026-11-23T10:00:00", "time_zone": "Mars/Base"}}},
        {"Date": {"date": {"start": "soon"}}},
        {"Kind": {"select": {"name": "a,b"}}},
        {"State": {"status": {"name": "Confirmed"}}},
        {"Tags": {"multi_select": [{"name": str(number)} for number in range(101)]}},
        {"Who": {"people": [{"id": "ann@example.org"}]}},
        {"Link": {"url": "x" * 2001}},
        {"Done": {"checkbox": "yes"}},
        {"Made": {"created_time": "2026-11-23T10:00:00Z"}},
    ],
)
def test_invalid_values_are_refused(connect: Connect, service: NotionService, source: DataSource, values: Any) -> None:
    """Nothing of a refused row is kept."""
    assert refused(lambda: connect().pages.create(**row(source, **values))) == (400, "validation_error")
    assert service.rows(source) == []


def test_unknown_option_is_made(connect: Connect, source: DataSource) -> None:
    made = connect().pages.create(**row(source, Kind={"select": {"name": "Play"}}))
    assert made["properties"]["Kind"]["select"]["name"] == "Play"
    schema = connect().data_sources.retrieve(source.id)

    assert [option["name"] for option in schema["properties"]["Kind"]["select"]["options"]] == ["Work", "Play"]


def test_clearing(connect: Connect, source: DataSource) -> None:
    """[] or null by type; a status goes back to its default."""
    client = connect()
    made = client.pages.create(
        **row(
            source,
            Notes={"rich_text": text("x")},
            Date={"date": {"start": "2026-11-23"}},
            State={"status": {"name": "Done"}},
        )
    )
    cleared = client.pages.update(
        made["id"], properties={"Notes": {"rich_text": []}, "Date": {"date": None}, "State": {"status": None}}
    )

    assert cleared["properties"]["Notes"]["rich_text"] == []
    assert cleared["properties"]["Date"]["date"] is None
    assert cleared["properties"]["State"]["status"]["name"] == "Not started"


def test_paging(connect: Connect, service: NotionService, source: DataSource) -> None:
    """Cursors lead through all rows, also when a row is taken away in between."""
    pages = [service.user_create(source, {"Name": text(str(number))}) for number in range(7)]
    client = connect()
    names = []
    for found in iterate_paginated_api(client.data_sources.query, data_source_id=source.id, page_size=3):
        names.append(found["properties"]["Name"]["title"][0]["plain_text"])
        if len(names) == 2:
            service.user_trash(pages[0])

    assert names == ["0", "1", "2", "3", "4", "5", "6"]
    assert refused(lambda: client.data_sources.query(source.id, start_cursor="x")) == (400, "validation_error")
    assert refused(lambda: client.data_sources.query(source.id, page_size=101)) == (400, "validation_error")


def test_row_cap_is_told_on_every_page(connect: Connect, service: NotionService, source: DataSource) -> None:
    service.row_cap = 4
    for number in range(6):
        service.user_create(source, {"Name": text(str(number))})
    first = connect().data_sources.query(source.id, page_size=3)
    last = connect().data_sources.query(source.id, page_size=3, start_cursor=first["next_cursor"])

    assert [page["request_status"]["incomplete_reason"] for page in (first, last)] == ["query_result_limit_reached"] * 2
    assert (len(last["results"]), last["has_more"]) == (1, False)


def test_filters_and_sorts(connect: Connect, service: NotionService, source: DataSource, clock: VirtualClock) -> None:
    old = service.user_create(source, {"Name": text("old"), "Notes": text("a"), "Date": {"start": "2026-11-23"}})
    clock.advance(minutes=10)
    new = service.user_create(source, {"Name": text("new"), "Notes": text("b"), "Done": True})
    since = {"timestamp": "last_edited_time", "last_edited_time": {"on_or_after": "2026-11-21T08:05:00.000Z"}}

    def ids(**body: Any) -> list[str]:
        found = connect().data_sources.query(source.id, **body)
        return [page["id"] for page in found["results"]]

    assert ids(filter=since) == [new.id]
    assert ids(filter={"property": "Notes", "rich_text": {"equals": "a"}}) == [old.id]
    assert ids(filter={"or": [{"property": "Notes", "rich_text": {"equals": word}} for word in "ab"]}) == [
        old.id,
        new.id,
    ]
    assert ids(filter={"property": "Date", "date": {"on_or_after": "2026-11-01"}}) == [old.id]
    assert ids(sorts=[{"timestamp": "last_edited_time", "direction": "descending"}]) == [new.id, old.id]
    assert refused(lambda: ids(filter={"property": "Notes", "date": {"after": "2026-11-01"}}))[0] == 400
    assert refused(lambda: ids(filter={"and": [{"and": [{"and": [since]}]}]}))[0] == 400


def test_long_values_are_shown_in_part(connect: Connect, service: NotionService, source: DataSource) -> None:
    page = service.user_create(source, {"Notes": text("x") * 60})
    client = connect()
    shown = client.pages.retrieve(page.id)
    notes = shown["properties"]["Notes"]
    items = list(
        iterate_paginated_api(client.pages.properties.retrieve, page_id=page.id, property_id=notes["id"], page_size=50)
    )

    assert (len(notes["rich_text"]), len(items)) == (25, 60)


def test_schema_changes(connect: Connect, source: DataSource) -> None:
    """Properties are added, renamed under the same id, and removed by null."""
    client = connect()
    client.data_sources.update(source.id, properties={"UID": {"rich_text": {}}, "Notes": {"name": "Remarks"}})
    changed = client.data_sources.update(source.id, properties={"Link": None})
    assert {"UID", "Remarks"} <= set(changed["properties"])
    assert "Link" not in changed["properties"]
    values: dict[str, Any] = {changed["properties"]["UID"]["id"]: {"rich_text": text("1")}}
    made = client.pages.create(**row(source, **values))

    assert made["properties"]["UID"]["rich_text"][0]["plain_text"] == "1"


def test_search_shows_what_is_shared(connect: Connect, service: NotionService, source: DataSource) -> None:
    hidden = service.add_database("Hidden", SCHEMA)
    service.database_of(hidden).shared = False
    only = {"property": "object", "value": "data_source"}

    assert [found["id"] for found in connect().search(filter=only)["results"]] == [source.id]
    assert refused(lambda: connect(OLD).search(filter=only)) == (400, "validation_error")
    assert refused(lambda: connect().data_sources.retrieve(hidden.id)) == (404, "object_not_found")


def test_door(connect: Connect, service: NotionService, source: DataSource, clock: VirtualClock) -> None:
    """Token, version, rights and budget are looked at first."""
    assert refused(lambda: connect(auth="ntn_wrong").users.me()) == (401, "unauthorized")
    assert refused(lambda: connect("2020-01-01").users.me()) == (400, "missing_version")
    assert connect(auth=service.oauth.access()).users.me()["type"] == "bot"
    service.read_only = True
    assert refused(lambda: connect().pages.create(**row(source))) == (403, "restricted_resource")
    assert connect().data_sources.query(source.id)["results"] == []

    service.budget = 3
    for _ in range(3):
        connect().users.me()
    with pytest.raises(APIResponseError) as caught:
        connect().users.me()
    assert caught.value.status == 429
    assert caught.value.headers["retry-after"] == "60"
    clock.advance(seconds=61)
    connect().users.me()


def test_a_503_may_mean_that_it_was_saved(connect: Connect, service: NotionService, source: DataSource) -> None:
    service.fail("POST */pages", "status-after", status=503)
    with pytest.raises(APIResponseError) as caught:
        connect().pages.create(**row(source))

    assert caught.value.additional_data is not None
    assert [page.id for page in service.rows(source)] == [caught.value.additional_data["committed_resource_id"]]
