"""Which property holds which field."""

from typing import Any

import pytest

from calhub.calendar.event import FIELDS as ALL
from calhub.providers.base import ProviderError, Trait
from calhub.providers.notion.schema import FIELDS, STATUSES, Columns, match
from calhub.providers.notion.tables import FIELDS as DOCUMENTED


def schema(**types: str) -> dict[str, Any]:
    """Properties by name, with their id, as Notion shows them."""
    return {
        name.replace("_", " "): {"id": f"id-{name}", "type": kind, kind: {}} for name, kind in types.items()
    }  # fmt: skip


def names(columns: Columns) -> dict[str, str]:
    return {key: column.name for key, column in columns.by_key.items()}


def test_usual_names() -> None:
    usual = schema(**{field.name.replace(" ", "_"): field.types[0] for field in FIELDS if field.usual})

    columns = match(usual, {}, create=False)
    assert names(columns) == {field.key: field.name for field in FIELDS if field.usual}
    assert columns.writable


def test_title_and_the_only_date_have_any_name() -> None:
    assert names(match(schema(Name="title", When="date"), {}, create=False)) == {"title": "Name", "date": "When"}


def test_two_dates_have_to_be_told_apart() -> None:
    two = schema(Name="title", Start="date", Due="date")
    with pytest.raises(ProviderError) as caught:
        match(two, {}, create=False)
    assert caught.value.trait is Trait.GONE
    assert "--property date=NAME" in caught.value.hint

    assert names(match(two, {"start": "Due"}, create=False))["date"] == "Due"


def test_names_of_ones_own_and_ids() -> None:
    """A property id stays when somebody renames the property."""
    found = match(
        schema(Name="title", Date="date", Where="rich_text", Rule="rich_text"),
        {"location": "Where", "rrule": "id-Rule"},
        create=False,
    )

    assert names(found) == {"title": "Name", "date": "Date", "location": "Where", "recurrence": "Rule"}


def test_other_types_are_somebody_elses() -> None:
    """Unless they were named: then it is a mistake to be told."""
    here = schema(Name="title", Date="date", Location="place", URL="number")
    assert names(match(here, {}, create=True)) == {"title": "Name", "date": "Date"}
    with pytest.raises(ProviderError, match='"Location" is of type place'):
        match(here, {"location": "Location"}, create=False)


def test_unknown_field_is_refused() -> None:
    with pytest.raises(ProviderError, match="'colour'"):
        match(schema(Name="title", Date="date"), {"colour": "Colour"}, create=False)


@pytest.mark.parametrize(
    ("options", "held"),
    [(["Confirmed", "TENTATIVE", "cancelled"], True), (["Not started", "Done"], False), (["Tentative"], False)],
)
def test_status_must_have_the_options(options: list[str], held: bool) -> None:
    """They cannot be made by writing them; those of a to-do list mean something else."""
    here = schema(Name="title", Date="date", Status="status")
    here["Status"]["status"] = {"options": [{"name": name} for name in options]}

    assert ("status" in match(here, {}, create=False).keeps) == held


def test_what_would_be_made_is_kept() -> None:
    """Of the fields that are not usual only those named."""
    columns = match(schema(Name="title", Date="date"), {"busy": "Busy", "uid": "Key"}, create=True)

    assert columns.missing["uid"] == "Key"
    assert columns.missing["busy"] == "Busy"
    assert "privacy" not in columns.missing
    assert {"description", "busy", "time_zone", "attendees"} <= columns.keeps


def test_series_are_always_compared() -> None:
    """Without a place for the rule a series is refused: dropping the rule would flatten it."""
    assert {"rrule", "overrides"} <= match(schema(Name="title", Date="date"), {}, create=False).keeps


def test_table_names_every_field_once() -> None:
    documented = [name for field in DOCUMENTED for name in field.names.split(", ")]

    assert sorted(documented) == sorted(ALL)
    assert STATUSES[0] == "confirmed"
