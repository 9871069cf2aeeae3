"""Discovery, rows as events, and listings: full, incremental, capped, and while somebody edits."""

from typing import Any

import pytest
from tests.providers.notion.conftest import FULL, NAMED, USUAL, Connect, text

from calhub.providers.base import ProviderError, Trait
from calhub.providers.notion.client import Notion
from calhub.providers.notion.listing import ORPHAN
from calhub.providers.notion.provider import NotionProvider
from calhub.providers.oauth import FixedToken
from calhub.providers.rest import Rest
from calhub.testing.contract_kit import Listing, Remote, Versions, listing
from calhub.testing.services.base import Request
from calhub.testing.services.notion import NEW, OLD, NotionService
from calhub.testing.services.notion.model import DataSource
from calhub.testing.world import VirtualClock


@pytest.fixture
def source(service: NotionService) -> DataSource:
    return service.add_database("Team", FULL)


def add(service: NotionService, source: DataSource, title: str = "Lunch", **values: Any) -> Any:
    return service.user_create(source, {"Title": text(title), "Date": {"start": "2026-11-23"}, **values})


def read(provider: NotionProvider, source: DataSource, before: Listing | None = None) -> Listing:
    """The next listing: from the cursor of the one before, with its versions known."""
    if before is None:
        return listing(Remote(provider, source.id))
    return listing(Remote(provider, source.id), before.cursor, before.versions())


def titles(found: Listing) -> set[str]:
    return {item.content["title"] for item in found.items.values() if item.content is not None}


# Discovery


@pytest.mark.parametrize("version", [OLD, NEW])
def test_discovers_what_has_a_date(service: NotionService, connect: Connect, source: DataSource, version: str) -> None:
    """Neither what has no date nor what is not shared or in the trash is a calendar."""
    service.add_database("Tasks", {"Name": {"title": {}}})
    hidden, trashed = service.add_database("Hidden", FULL), service.add_database("Trashed", FULL)
    service.database_of(hidden).shared = False
    trashed.in_trash = True

    (found,) = connect(version).discover()
    assert (found.id, found.name) == (source.database if version == OLD else source.id, "Team")
    assert found.access == "writer"


def test_second_data_source_is_a_calendar_of_its_own(service: NotionService, connect: Connect) -> None:
    service.add_database("First", FULL, sources=["Second"])

    assert [found.name for found in connect().discover()] == ["First", "Second"]


def test_wrong_token_needs_login(service: NotionService, connect: Connect) -> None:
    provider = connect()
    service.token = "ntn_another"
    with pytest.raises(ProviderError) as caught:
        provider.discover()

    assert caught.value.trait is Trait.LOGIN


def test_unshared_database_is_gone_but_not_empty(service: NotionService, connect: Connect, source: DataSource) -> None:
    page = add(service, source)
    provider = connect(table=source)
    service.database_of(source).shared = False

    for call in (lambda: list(provider.changes(source.id, None, Versions())), lambda: provider.get(source.id, page.id)):
        with pytest.raises(ProviderError) as caught:
            call()
        assert caught.value.trait is Trait.GONE


# Rows as events


@pytest.mark.parametrize(
    ("date", "times"),
    [
        ({"start": "2026-11-23"}, {"start": "2026-11-23", "end": "2026-11-24", "all_day": True}),
        (
            {"start": "2026-11-23", "end": "2026-11-25"},
            {"start": "2026-11-23", "end": "2026-11-26", "all_day": True},
        ),
        (
            {"start": "2026-11-23T10:00:00", "end": "2026-11-23T11:00:00", "time_zone": "Europe/Berlin"},
            {"start": "2026-11-23T09:00:00", "end": "2026-11-23T10:00:00", "time_zone": "UTC"},
        ),
        (
            {"start": "2026-11-23T10:00:00-05:00"},
            {"start": "2026-11-23T15:00:00", "end": "2026-11-23T15:00:00", "time_zone": "UTC"},
        ),
    ],
)
def test_times_of_a_row(service: NotionService, connect: Connect, date: Any, times: Any) -> None:
    """Notion's last day is inclusive; its offset is an instant, told in UTC since nobody knows the zone."""
    source = service.add_database("Team", USUAL)
    service.user_create(source, {"Title": text("Lunch"), "Date": date})
    (item,) = read(connect(table=source), source).items.values()

    assert item.content == {"title": "Lunch", **times}


def test_zone_property_tells_the_zone(service: NotionService, connect: Connect, source: DataSource) -> None:
    date = {"start": "2026-07-01T08:00:00Z", "end": "2026-07-01T09:00:00Z"}
    values: dict[str, Any] = {"Date": date, "Time zone": text("W. Europe Standard Time")}
    add(service, source, **values)
    (item,) = read(connect(table=source), source).items.values()
    assert item.content is not None

    assert item.content["time_zone"] == "Europe/Berlin"
    assert item.content["start"] == "2026-07-01T10:00:00"


def test_row_made_in_notion_is_known_by_its_id(service: NotionService, connect: Connect, source: DataSource) -> None:
    page = add(service, source)
    provider = connect(table=source)
    (item,) = read(provider, source).items.values()

    assert (item.remote_id, item.uid) == (page.id, page.id)
    assert provider.find(source.id, page.id) == item


def test_all_fields(service: NotionService, connect: Connect, source: DataSource) -> None:
    """Formatting and mentions count as their text; unknown options as none."""
    mention = {"type": "mention", "mention": {"type": "user"}, "plain_text": "@Ada"}
    add(
        service, source, Description=[*text("See "), mention], Location=text("Room 4"), URL="https://example.org",
        Status={"name": "tentative"}, Categories=[{"name": "work"}, {"name": "fun"}], Busy=False,
        Attendees=text("Ann <Ann@example.org> (accepted, optional)\nbob@example.org, cho@example.org; notes"),
        Privacy={"name": "Whatever"},
    )  # fmt: skip
    (item,) = read(connect(table=source, **NAMED), source).items.values()
    assert item.content is not None

    expected = {
        "description": "See @Ada", "location": "Room 4", "url": "https://example.org", "status": "tentative",
        "categories": ["fun", "work"], "busy": False,
        "attendees": {
            "ann@example.org": {"name": "Ann", "status": "accepted", "role": "optional"},
            "bob@example.org": {}, "cho@example.org": {},
        },
    }  # fmt: skip
    assert {name: item.content[name] for name in expected} == expected
    assert "privacy" not in item.content


def test_long_text_is_read_in_full(service: NotionService, connect: Connect, source: DataSource) -> None:
    """Pages show 25 pieces of a text; the others are asked for."""
    add(service, source, Description=text("x") * 90)
    (item,) = read(connect(table=source), source).items.values()

    assert item.content is not None
    assert item.content["description"] == "x" * 90


def test_row_without_date_is_no_event(service: NotionService, connect: Connect, source: DataSource) -> None:
    """Unless it was one: then it is a problem, not a deletion."""
    task = service.user_create(source, {"Title": text("Some day")})
    page = add(service, source)
    provider = connect(table=source)
    first = read(provider, source)
    assert set(first.items) == {page.id}
    service.user_edit(page, {"Date": None})
    second = read(provider, source, first)

    assert second.items[page.id].problem == "The row has no date any more."
    assert task.id not in second.items
    assert not second.gone(first.versions())


@pytest.mark.parametrize("rule", ["FREQ=SOMETIMES", "RRULE:FREQ=DAILY;COUNT=0"])
def test_unreadable_rule_is_a_problem(service: NotionService, connect: Connect, source: DataSource, rule: str) -> None:
    page = add(service, source, Recurrence=text(rule))
    good = add(service, source, "Good")
    found = read(connect(table=source), source).items

    assert found[page.id].problem
    assert found[good.id].content is not None


def test_row_in_another_table_is_not_ours(service: NotionService, connect: Connect, source: DataSource) -> None:
    other = service.add_database("Other", FULL)
    page = add(service, other)

    assert connect(table=source).get(source.id, page.id) is None


# Listings


def crowd(service: NotionService, source: DataSource, clock: VirtualClock, number: int = 120) -> list[Any]:
    """More rows than one answer shows, made some time ago."""
    pages = [add(service, source, f"Old {each}") for each in range(number)]
    clock.advance(minutes=30)
    return pages


def test_edits_in_one_minute_are_all_seen(
    service: NotionService, connect: Connect, source: DataSource, clock: VirtualClock
) -> None:
    """Equal times do not mean equal contents."""
    pages = crowd(service, source, clock)
    provider = connect(table=source)
    found, known = read(provider, source), Versions()
    for number in range(4):
        service.user_edit(pages[0], {"Title": text(f"Edit {number}")})
        known = Versions(known | found.versions())
        found = listing(Remote(provider, source.id), found.cursor, known)
        assert titles(found) == {f"Edit {number}"}
        clock.advance(seconds=7)


def test_overlap_brings_nothing_twice(
    service: NotionService, connect: Connect, source: DataSource, clock: VirtualClock
) -> None:
    pages = crowd(service, source, clock)
    provider = connect(table=source)
    first = read(provider, source)
    service.user_edit(pages[3], {"Title": text("New")})
    second = read(provider, source, first)
    known = Versions(first.versions() | second.versions())
    third = listing(Remote(provider, source.id), second.cursor, known)

    assert titles(second) == {"New"}
    assert (third.items, third.complete) == ({}, False)


def test_nothing_new_is_one_request(
    service: NotionService, connect: Connect, source: DataSource, clock: VirtualClock
) -> None:
    """However many rows were made in the last minute before the last listing: the overlap ends once all is quiet."""
    [add(service, source, f"Row {each}") for each in range(250)]
    provider = connect(table=source)
    found = read(provider, source)
    known = found.versions()
    requests = []
    for _ in range(4):
        clock.advance(minutes=3)
        before = provider.requests
        found = listing(Remote(provider, source.id), found.cursor, known)
        requests.append(provider.requests - before)
        assert found.items == {}

    assert requests[-1] == 1
    edited = add(service, source, "New")
    assert set(listing(Remote(provider, source.id), found.cursor, known).items) == {edited.id}


def test_deletions_show_within_the_hour(
    service: NotionService, connect: Connect, source: DataSource, clock: VirtualClock
) -> None:
    pages = crowd(service, source, clock)
    provider = connect(table=source)
    first = read(provider, source)
    service.user_trash(pages[5])
    assert read(provider, source, first).gone(first.versions()) == set()
    clock.advance(hours=1)

    assert read(provider, source, first).gone(first.versions()) == {pages[5].id}


def test_deletions_show_at_once_where_all_fits_one_answer(
    service: NotionService, connect: Connect, source: DataSource
) -> None:
    kept, gone = add(service, source, "Kept"), add(service, source, "Gone")
    provider = connect(table=source)
    first = read(provider, source)
    service.user_trash(gone)
    before = provider.requests
    second = read(provider, source, first)

    assert second.gone(first.versions()) == {gone.id}
    assert second.present == {kept.id}
    assert provider.requests == before + 1


def test_more_rows_than_a_query_shows(
    service: NotionService, connect: Connect, source: DataSource, clock: VirtualClock
) -> None:
    """Listed in windows by when they were made, none twice."""
    service.row_cap = 110
    for number in range(300):
        add(service, source, f"Row {number}")
        clock.advance(seconds=20)
    found = read(connect(table=source), source)

    assert found.complete
    assert len(found.items) == 300


def test_too_many_rows_of_one_minute_are_an_error(service: NotionService, connect: Connect, source: DataSource) -> None:
    """Never a listing that looks complete."""
    service.row_cap = 110
    for number in range(120):
        add(service, source, f"Row {number}")
    with pytest.raises(ProviderError, match="more than 10,000"):
        read(connect(table=source), source)


def test_edit_while_paging_is_not_lost(
    service: NotionService, connect: Connect, source: DataSource, clock: VirtualClock
) -> None:
    """A row of the first page that is edited while the second is read comes with the next listing."""
    pages = crowd(service, source, clock)

    def edit(request: Request) -> None:
        if b"start_cursor" in request.body:
            service.hook = None
            service.user_edit(pages[0], {"Title": text("Edited meanwhile")})
            service.user_edit(pages[110], {"Title": text("Seen at once")})

    service.hook = edit
    provider = connect(table=source)
    first = read(provider, source)
    assert "Seen at once" in titles(first)

    assert titles(read(provider, source, first)) == {"Edited meanwhile"}


def test_clock_skew_is_no_matter(service: NotionService, source: DataSource, clock: VirtualClock) -> None:
    """Here it is an hour later than at Notion."""
    here = VirtualClock(clock())
    here.advance(hours=1)
    provider = NotionProvider(Notion(Rest(service.api_root, FixedToken(service.token)), NEW), clock=here)
    provider.prepare(source.id, {})
    pages = crowd(service, source, clock)
    found = read(provider, source)
    for number in range(3):
        service.user_edit(pages[number], {"Title": text(f"Edit {number}")})
        found = listing(Remote(provider, source.id), found.cursor, found.versions())
        assert f"Edit {number}" in titles(found)
        clock.advance(minutes=1)
        here.advance(minutes=1)
    provider.close()


def test_changed_schema_means_a_full_listing(service: NotionService, connect: Connect, clock: VirtualClock) -> None:
    """Rows may mean something else without having been edited."""
    source = service.add_database("Team", USUAL)
    crowd(service, source, clock)
    first = read(connect(table=source), source)
    with service.lock:
        source.add("Time zone", {"rich_text": {}})

    assert read(connect(table=source), source, first).complete


def test_slow_queries_come_in_smaller_pages(
    service: NotionService, connect: Connect, source: DataSource, clock: VirtualClock
) -> None:
    crowd(service, source, clock)
    service.fail("POST */query", "status", status=504, times=2)
    found = read(connect(table=source), source)

    assert len(found.items) == 120
    assert b'"page_size":25' in service.requests("POST */query")[-1].body


def test_occurrence_without_its_series_is_reported(
    service: NotionService, connect: Connect, source: DataSource
) -> None:
    """It never turns into an event of its own."""
    page = add(service, source, UID=text("a"), Recurrence=text("RECURRENCE-ID:2026-11-30"))
    provider = connect(table=source)

    assert read(provider, source).items[page.id].problem == ORPHAN
    found = provider.get(source.id, page.id)
    assert found is not None
    assert found.problem == ORPHAN
