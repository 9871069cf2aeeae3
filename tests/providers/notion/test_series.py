"""Series: the rule in a property, changed occurrences as rows, and all occurrences as rows where that is asked for."""

from typing import Any

import pytest
from tests.providers.notion.conftest import FULL, USUAL, Connect, text

from calhub.calendar.event import Content
from calhub.providers.base import Done, Item, NotSent, Stale, Unknown
from calhub.providers.notion.listing import SURPLUS
from calhub.providers.notion.provider import NotionProvider
from calhub.testing.contract_kit import EXAMPLES, Remote, Versions, event, listing
from calhub.testing.services.notion import NotionService
from calhub.testing.services.notion.model import DataSource, Page
from calhub.testing.world import VirtualClock

WEEKLY = event(rrule="FREQ=WEEKLY;COUNT=5")
SECOND, THIRD = "2026-11-30T10:00:00+01:00", "2026-12-07T10:00:00+01:00"


@pytest.fixture
def source(service: NotionService) -> DataSource:
    return service.add_database("Team", FULL)


@pytest.fixture
def provider(connect: Connect, source: DataSource) -> NotionProvider:
    return connect(table=source)


@pytest.fixture
def spread(connect: Connect, source: DataSource) -> NotionProvider:
    """With a row for each occurrence of the coming weeks."""
    return connect(table=source, series="occurrences", past=30, future=60)


def made(provider: NotionProvider, source: DataSource, content: Content) -> Item:
    outcome = provider.create(source.id, "new", "a@example.org", content)
    assert isinstance(outcome, Done), outcome
    assert outcome.echo is not None
    return outcome.echo


def updated(provider: NotionProvider, source: DataSource, item: Item, content: Content) -> Item:
    outcome = provider.update(source.id, item.remote_id, "a@example.org", content, expected=item.version, raw=None)
    assert isinstance(outcome, Done), outcome
    assert outcome.echo is not None
    return outcome.echo


def seen(provider: NotionProvider, source: DataSource) -> Content:
    """The one event of the calendar, as a listing shows it, which is as `get` does."""
    (item,) = listing(Remote(provider, source.id)).items.values()
    assert provider.get(source.id, item.remote_id) == item
    assert item.content is not None, item.problem
    return item.content


def row_at(service: NotionService, source: DataSource, day: str) -> Page:
    (page,) = [page for page in service.rows(source) if service.shown(page)["Date"]["start"].startswith(day)]
    return page


# The series' own row


def test_rule_is_text_as_in_icalendar(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    made(provider, source, {**WEEKLY, "exdates": [THIRD]})
    (page,) = service.rows(source)

    assert service.text(page, "Recurrence").splitlines() == [
        "RRULE:FREQ=WEEKLY;COUNT=5",
        "EXDATE;TZID=Europe/Berlin:20261207T100000",
        "DTSTART;TZID=Europe/Berlin:20261123T100000",
    ]


def test_zone_of_a_series_survives_without_a_property_for_it(service: NotionService, connect: Connect) -> None:
    """A rule means something else in another zone."""
    source = service.add_database("Team", USUAL)
    made(connect(table=source), source, WEEKLY)

    assert seen(connect(table=source), source) == WEEKLY


@pytest.mark.parametrize("typed", ["FREQ=WEEKLY;COUNT=5", "RRULE:FREQ=WEEKLY;COUNT=5;INTERVAL=1"])
def test_rule_typed_by_a_person(
    service: NotionService, provider: NotionProvider, source: DataSource, typed: str
) -> None:
    """An edit of something else leaves it as it was typed."""
    date = {"start": "2026-11-23T10:00:00", "end": "2026-11-23T11:00:00", "time_zone": "Europe/Berlin"}
    values = {"Title": text("Meeting"), "Date": date, "Time zone": text("Europe/Berlin"), "Recurrence": text(typed)}
    page = service.user_create(source, values)
    (item,) = listing(Remote(provider, source.id)).items.values()
    assert item.content == WEEKLY
    updated(provider, source, item, {**WEEKLY, "title": "Other"})

    assert service.text(page, "Recurrence") == typed
    assert service.text(page, "Title") == "Other"


def test_moved_series_takes_its_exceptions_along(
    service: NotionService, provider: NotionProvider, source: DataSource
) -> None:
    """Somebody moves the row's date in Notion by an hour; a row that has fallen behind is to be written anew."""
    content = {**WEEKLY, "exdates": [THIRD], "overrides": {SECOND: {"title": "Special"}}}
    item = made(provider, source, content)
    page = service.store.pages[item.remote_id]
    service.user_edit(page, {"Date": {"start": "2026-11-23T11:00:00+01:00", "end": "2026-11-23T12:00:00+01:00"}})
    expected = {
        **content,
        "start": "2026-11-23T11:00:00",
        "end": "2026-11-23T12:00:00",
        "exdates": [THIRD.replace("T10", "T11")],
        "overrides": {SECOND.replace("T10", "T11"): {"title": "Special"}},
    }

    assert seen(provider, source) == expected
    moved = list(provider.changes(source.id, None, Versions()))[-1]
    assert moved.outdated == [item.remote_id]
    updated(provider, source, moved.items[0], expected)
    assert seen(provider, source) == expected
    assert list(provider.changes(source.id, None, Versions()))[-1].outdated == []


# Changed occurrences


def test_changed_occurrence_is_a_row(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    content = EXAMPLES["series with exceptions"]
    made(provider, source, content)
    titles = sorted(service.text(page, "Title") for page in service.rows(source))
    assert titles == ["Meeting", "Meeting", "Meeting, later"]
    cellar = row_at(service, source, "2026-12-02")
    assert service.text(cellar, "Location") == "Cellar"
    assert seen(provider, source) == content
    service.user_edit(cellar, {"Location": text("Roof"), "Title": text("Party")})
    overrides = seen(provider, source)["overrides"]

    assert overrides["2026-12-02T10:00:00+01:00"] == {"location": "Roof", "title": "Party"}


def test_rows_of_occurrences_come_and_go(service: NotionService, provider: NotionProvider, source: DataSource) -> None:
    item = made(provider, source, WEEKLY)
    item = updated(provider, source, item, {**WEEKLY, "overrides": {SECOND: {"title": "Special"}}})
    assert len(service.rows(source)) == 2
    writes = len(service.requests("PATCH *"))
    item = updated(provider, source, item, {**WEEKLY, "overrides": {SECOND: {"title": "Other"}}})
    assert len(service.requests("PATCH *")) == writes + 1, "one row changed, one request"
    updated(provider, source, item, WEEKLY)

    assert [service.text(page, "Title") for page in service.rows(source)] == ["Meeting"]
    assert seen(provider, source) == WEEKLY


def test_cancelled_row_is_a_cancelled_occurrence(
    service: NotionService, provider: NotionProvider, source: DataSource
) -> None:
    made(provider, source, {**WEEKLY, "overrides": {SECOND: {"title": "Special"}}})
    service.user_edit(row_at(service, source, "2026-11-30"), {"Status": {"name": "Cancelled"}})

    assert seen(provider, source) == {**WEEKLY, "exdates": [SECOND]}


def test_edit_of_an_occurrence_comes_with_the_increment(
    service: NotionService, provider: NotionProvider, source: DataSource, clock: VirtualClock
) -> None:
    """Of a series of which only one row was edited, the others are fetched."""
    item = made(provider, source, {**WEEKLY, "overrides": {SECOND: {"title": "Special"}}})
    for number in range(120):
        service.user_create(source, {"Title": text(str(number)), "Date": {"start": "2026-11-23"}})
    clock.advance(minutes=30)
    first = listing(Remote(provider, source.id))
    service.user_edit(row_at(service, source, "2026-11-30"), {"Title": text("Edited")})
    second = listing(Remote(provider, source.id), first.cursor, first.versions())

    assert not second.complete
    assert list(second.items) == [item.remote_id]
    content = second.items[item.remote_id].content
    assert content is not None
    assert content["overrides"] == {SECOND: {"title": "Edited"}}


def test_copy_of_an_occurrence_is_reported(
    service: NotionService, provider: NotionProvider, source: DataSource, clock: VirtualClock
) -> None:
    """A person duplicates a row, and the UID with it."""
    content = {**WEEKLY, "overrides": {SECOND: {"title": "Special"}}}
    item = made(provider, source, content)
    original = row_at(service, source, "2026-11-30")
    values = {name: value for name, value in service.shown(original).items() if name in ("Title", "UID", "Recurrence")}
    clock.advance(minutes=5)
    copy = service.user_create(source, {**values, "Date": {"start": "2026-12-24"}})
    found = listing(Remote(provider, source.id)).items

    assert found[copy.id].problem == SURPLUS
    assert found[item.remote_id].content == content


def test_deleted_series_takes_all_its_rows(
    service: NotionService, provider: NotionProvider, source: DataSource
) -> None:
    item = made(provider, source, EXAMPLES["series with exceptions"])
    assert provider.delete(source.id, item.remote_id, expected=item.version) == Done(None)

    assert service.rows(source) == []


@pytest.mark.parametrize(("skip", "outcome"), [(0, NotSent), (1, Unknown), (2, Unknown)])
def test_broken_off_create_goes_on(
    service: NotionService, provider: NotionProvider, source: DataSource, skip: int, outcome: type
) -> None:
    """What is there is found by its UID, and written to the end from there."""
    content = EXAMPLES["series with exceptions"]
    service.fail("POST */pages", "status", status=429, skip=skip)
    assert isinstance(provider.create(source.id, "new", "a@example.org", content), outcome)
    found = provider.find(source.id, "a@example.org")
    if found is None:
        made(provider, source, content)
    else:
        assert provider.create(source.id, "new", "a@example.org", content) == Stale()
        updated(provider, source, found, content)

    assert seen(provider, source) == content
    assert len(service.rows(source)) == 3


@pytest.mark.parametrize("how", ["cut-after", "status-after"])
def test_deleted_series_takes_all_its_rows_when_an_answer_is_lost(
    service: NotionService, spread: NotionProvider, source: DataSource, how: Any
) -> None:
    """Nobody is left with rows of occurrences whose series is gone."""
    item = made(spread, source, WEEKLY)
    service.fail("PATCH *", how)

    assert spread.delete(source.id, item.remote_id, expected=item.version) == Done(None)
    assert service.rows(source) == []


# All occurrences as rows


def test_occurrences_in_the_window_have_rows(
    service: NotionService, spread: NotionProvider, source: DataSource
) -> None:
    """The window starts at the month, 30 days back, and reaches 60 days and a month ahead."""
    content = event(rrule="FREQ=WEEKLY", exdates=[THIRD])
    item = made(spread, source, content)
    days = [service.shown(page)["Date"]["start"][:10] for page in service.rows(source)]

    assert days == [
        "2026-11-23", "2026-11-30", "2026-12-14", "2026-12-21", "2026-12-28", "2027-01-04", "2027-01-11", "2027-01-18",
        "2027-01-25",
    ]  # fmt: skip
    assert item.content == content
    assert seen(spread, source) == content


def test_edit_of_one_occurrence_is_an_override(
    service: NotionService, spread: NotionProvider, source: DataSource
) -> None:
    made(spread, source, WEEKLY)
    service.user_edit(row_at(service, source, "2026-12-07"), {"Title": text("Special")})
    moved = {"start": "2026-12-01T15:00:00+01:00", "end": "2026-12-01T16:00:00+01:00"}
    service.user_edit(row_at(service, source, "2026-11-30"), {"Date": moved})

    assert seen(spread, source) == {
        **WEEKLY,
        "overrides": {
            SECOND: {"start": "2026-12-01T15:00:00", "end": "2026-12-01T16:00:00"},
            THIRD: {"title": "Special"},
        },
    }


def test_deleted_row_is_a_cancelled_occurrence(
    service: NotionService, spread: NotionProvider, source: DataSource
) -> None:
    made(spread, source, WEEKLY)
    service.user_trash(row_at(service, source, "2026-12-07"))

    assert seen(spread, source) == {**WEEKLY, "exdates": [THIRD]}


def test_edit_of_the_series_row_is_no_edit_of_its_occurrences(
    service: NotionService, spread: NotionProvider, source: DataSource
) -> None:
    """They have fallen behind; written anew, they follow."""
    item = made(spread, source, WEEKLY)
    service.user_edit(service.store.pages[item.remote_id], {"Title": text("Other")})
    content = {**WEEKLY, "title": "Other"}
    assert seen(spread, source) == content
    (page,) = [page for page in spread.changes(source.id, None, Versions()) if page.complete]
    assert page.outdated == [item.remote_id]
    updated(spread, source, page.items[0], content)
    (page,) = [page for page in spread.changes(source.id, None, Versions()) if page.complete]

    assert page.outdated == []
    assert {service.text(row, "Title") for row in service.rows(source)} == {"Other"}


def test_window_moves_on_by_the_month(
    service: NotionService, spread: NotionProvider, source: DataSource, clock: VirtualClock
) -> None:
    content = event(rrule="FREQ=WEEKLY")
    made(spread, source, content)

    def outdated() -> list[Item]:
        pages = list(spread.changes(source.id, None, Versions()))
        return [item for item in pages[-1].items if item.remote_id in pages[-1].outdated]

    assert outdated() == []
    clock.advance(days=10)
    (item,) = outdated()
    assert item.content == content
    updated(spread, source, item, content)
    days = sorted(service.shown(page)["Date"]["start"][:10] for page in service.rows(source))

    assert (days[0], days[-1]) == ("2026-11-23", "2027-03-01")
    assert outdated() == []
    assert seen(spread, source) == content


@pytest.mark.parametrize("settings", [{}, {"series": "master"}])
def test_choice_can_be_taken_back(
    service: NotionService, spread: NotionProvider, source: DataSource, settings: dict[str, Any]
) -> None:
    made(spread, source, WEEKLY)
    spread.prepare(source.id, settings)
    page = list(spread.changes(source.id, None, Versions()))[-1]
    assert page.outdated == [item.remote_id for item in page.items]
    updated(spread, source, page.items[0], WEEKLY)

    assert len(service.rows(source)) == 1
    assert seen(spread, source) == WEEKLY


@pytest.mark.parametrize("at", range(4))
def test_crash_between_rows_deletes_no_occurrence(
    service: NotionService, spread: NotionProvider, source: DataSource, at: int, clock: VirtualClock
) -> None:
    """Rows that are not written yet, or no more, are not taken for deleted ones."""
    item = made(spread, source, event(rrule="FREQ=WEEKLY"))
    clock.advance(days=60)
    service.fail("* */pages*", "cut-before", skip=1 + at)
    outcome = spread.update(
        source.id, item.remote_id, "a@example.org", event(rrule="FREQ=WEEKLY"), expected=item.version, raw=None
    )

    assert isinstance(outcome, Unknown)
    assert seen(spread, source) == event(rrule="FREQ=WEEKLY")
