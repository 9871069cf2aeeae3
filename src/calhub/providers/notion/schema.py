"""Which property of a data source holds which field: the table of fields, and its match with a schema. Pure.

A schema is what Notion calls ``properties`` of a data source or (2022-06-28) a database: name -> {"id", "type", ...}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

from calhub.providers.base import ProviderError, Trait

Schema: TypeAlias = Mapping[str, Mapping[str, Any]]

STATUSES: Final = ("confirmed", "tentative", "cancelled")
#: Compared in any case. A series that cannot be held is refused; dropping its rule would flatten it.
_SERIES: Final = frozenset({"rrule", "rdates", "exdates", "overrides"})


@dataclass(frozen=True, kw_only=True)
class Field:
    """One row of the table. ``name``: the property's usual name; ``types``: what it may be, what is made first."""

    key: str
    name: str
    types: tuple[str, ...]
    holds: frozenset[str] = frozenset()  # fields of the content
    usual: bool = True  # used without being named in the replica's settings
    note: str = ""


FIELDS: Final = (
    Field(key="title", name="Title", types=("title",), holds=frozenset({"title"}),
          note="the data source's title, whatever its name"),
    Field(key="date", name="Date", types=("date",), holds=frozenset({"start", "end", "all_day"}),
          note="to the minute; the end of an all-day event is inclusive in Notion; must be there"),
    Field(key="description", name="Description", types=("rich_text",), holds=frozenset({"description"}),
          note="plain text; formatting made in Notion stays until the text changes"),
    Field(key="location", name="Location", types=("rich_text",), holds=frozenset({"location"})),
    Field(key="status", name="Status", types=("select", "status"), holds=frozenset({"status"}),
          note="options Confirmed, Tentative, Cancelled; a property of type status must have them already"),
    Field(key="url", name="URL", types=("url", "rich_text"), holds=frozenset({"url"}), note="up to 2,000 characters"),
    Field(key="categories", name="Categories", types=("multi_select",), holds=frozenset({"categories"}),
          note="up to 100; those with a comma stay in the hub"),
    Field(key="attendees", name="Attendees", types=("rich_text",), holds=frozenset({"attendees"}),
          note="a line each, `Name <address> (accepted, optional)`; text, so nobody is notified"),
    Field(key="recurrence", name="Recurrence", types=("rich_text",), holds=_SERIES,
          note="rule and exceptions as in iCalendar; a changed occurrence is a row of its own"),
    Field(key="uid", name="UID", types=("rich_text",), note="ours; without it nothing is written"),
    Field(key="time_zone", name="Time zone", types=("rich_text",), holds=frozenset({"time_zone"}),
          note="Notion itself forgets the zone; without this property the hub's is kept for single events"),
    Field(key="busy", name="Busy", types=("checkbox",), holds=frozenset({"busy"}), usual=False,
          note="ticked is busy; only where it is named, since new rows are not ticked"),
    Field(key="privacy", name="Privacy", types=("select",), holds=frozenset({"privacy"}), usual=False,
          note="options Public, Private, Confidential; only where it is named"),
)  # fmt: skip
_BY_KEY: Final = {each.key: each for each in FIELDS}
#: Names of fields in the hub's words, for settings that use those.
_OTHER_KEYS: Final = {"start": "date", "rrule": "recurrence"}


@dataclass(frozen=True)
class Column:
    """A property that holds a field. ``options``: names of a select's or status' options as they are spelled there."""

    key: str
    id: str
    name: str
    type: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """The match of the fields with a schema. ``missing``: properties that may be made, field key -> name."""

    by_key: Mapping[str, Column]
    missing: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.by_key

    def __getitem__(self, key: str) -> Column:
        return self.by_key[key]

    @property
    def keeps(self) -> frozenset[str]:
        """Fields of a content that survive, those of properties yet to be made included."""
        held = [_BY_KEY[key].holds for key in (*self.by_key, *self.missing)]
        return _SERIES.union(*held)

    @cached_property
    def mark(self) -> str:
        """Differs where the rows mean something else, although nobody edited them."""
        return ",".join(sorted(f"{key}:{column.id}:{column.type}" for key, column in self.by_key.items()))

    @property
    def writable(self) -> bool:
        return "uid" in self.by_key or "uid" in self.missing


def has_date(schema: Schema) -> bool:
    """Whether this can be a calendar at all."""
    return any(prop["type"] == "date" for prop in schema.values())


def match(schema: Schema, names: Mapping[str, str], *, create: bool) -> Columns:
    """Find the properties. ``names``: field -> name or id of its property, from the replica's settings.

    With ``create`` what is not there is ``missing`` rather than left out. A usual name with another type is taken for
    somebody else's property. Raises `ProviderError` for names that cannot be meant, with trait GONE: this is no
    calendar, while others of the account are.
    """
    chosen = _chosen(names)
    found: dict[str, Column] = {}
    missing: dict[str, str] = {}
    for each in FIELDS:
        if not each.usual and each.key not in chosen:
            continue
        name = chosen.get(each.key, each.name)
        column = _column(schema, each, name)
        if column is None and each.key in ("title", "date") and each.key not in chosen:
            column = _only(schema, each)
        if column is not None and column.type not in each.types:
            if each.key in chosen:
                raise _unfit(column, each)
            continue
        if column is not None and _can_hold(column):
            found[each.key] = column
        elif column is None and create:
            missing[each.key] = name
    if "date" not in found or "title" not in found:
        raise ProviderError(
            "This Notion database has no date property that calhub can use.",
            "Name it: calhub replica set ID --property date=NAME", Trait.GONE,
        )  # fmt: skip
    return Columns(found, missing)


def definition(key: str) -> dict[str, Any]:
    """What makes the property of a field, for an update of the schema."""
    kind = _BY_KEY[key].types[0]
    if key == "status":
        return {kind: {"options": [{"name": word.capitalize()} for word in STATUSES]}}
    return {kind: {}}


def _chosen(names: Mapping[str, str]) -> dict[str, str]:
    chosen = {_OTHER_KEYS.get(key, key): name for key, name in names.items()}
    if unknown := chosen.keys() - _BY_KEY.keys():
        raise ProviderError(
            f"Notion has no property for {min(unknown)!r}.", f"Use one of: {', '.join(_BY_KEY)}.", Trait.GONE
        )
    return chosen


def _column(schema: Schema, wanted: Field, name: str) -> Column | None:
    for known, prop in schema.items():
        if name in (known, prop["id"]):
            config = prop.get(prop["type"]) or {}
            options = tuple(option["name"] for option in config.get("options", ()))
            return Column(wanted.key, prop["id"], known, prop["type"], options)
    return None


def _only(schema: Schema, wanted: Field) -> Column | None:
    """The one property of the type, where there is just one."""
    names = [name for name, prop in schema.items() if prop["type"] in wanted.types]
    return _column(schema, wanted, names[0]) if len(names) == 1 else None


def _can_hold(column: Column) -> bool:
    """Options of a status cannot be made by writing one (a to-do list's "Done" says nothing about an event)."""
    return column.type != "status" or _spelled(STATUSES[1:], column.options)


def _spelled(words: Iterable[str], options: Iterable[str]) -> bool:
    return {word.lower() for word in words} <= {option.lower() for option in options}


def _unfit(column: Column, wanted: Field) -> ProviderError:
    return ProviderError(
        f'The property "{column.name}" is of type {column.type}; {wanted.key} needs {" or ".join(wanted.types)}.',
        "Name another one with --property, or change its type in Notion.", Trait.GONE,
    )  # fmt: skip
