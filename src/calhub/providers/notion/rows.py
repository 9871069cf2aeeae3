"""One row of a data source: read as an event's fields, and written as property values. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from calhub.calendar.event import Content
from calhub.calendar.recurrence import times_of
from calhub.providers.base import ProviderError, Trait
from calhub.providers.notion import recurrence, values
from calhub.providers.notion.client import Json, is_trashed, normal_id
from calhub.providers.notion.recurrence import Rule
from calhub.providers.notion.schema import Columns
from calhub.providers.notion.values import KEEP, READ

_TIME_KEYS: Final = ("date", "time_zone", "recurrence", "uid")


@dataclass(frozen=True)
class Row:
    """A row as it was shown. ``shown``: field -> what its property shows, for those that have one."""

    id: str
    modified: str
    created: str
    shown: Mapping[str, Any]
    columns: Columns

    @property
    def uid(self) -> str:
        """Ours, or for a row that somebody made in Notion its id."""
        return values.plain(self.shown.get("uid")).strip() or self.id

    @property
    def is_dated(self) -> bool:
        return bool(self.shown.get("date"))

    @cached_property
    def rule(self) -> Rule:
        return recurrence.parse(values.plain(self.shown.get("recurrence")))

    def zone(self, otherwise: str | None = None) -> str | None:
        """The zone its times are meant in: that of its own property, or the one given."""
        return values.plain(self.shown.get("time_zone")).strip() or otherwise

    def content(self, zone: str | None = None) -> Content:
        """Its fields and times as a single event. Raises `Unreadable`."""
        return content_of(self.shown, self.zone(zone))


class SchemaChanged(ProviderError):
    """A property is not there any more. What it held is not deleted; the next pass takes the schema as it is."""

    def __init__(self) -> None:
        message = "The properties of the Notion database have just been changed."
        super().__init__(message, "The next sync goes on with the new ones.", Trait.GONE)


def read_row(page: Json, columns: Columns) -> Row:
    """Raises `SchemaChanged`."""
    by_id = {value["id"]: value for value in page["properties"].values()}
    shown = {}
    for key, column in columns.by_key.items():
        value = by_id.get(column.id)
        if value is None or value["type"] != column.type:
            raise SchemaChanged
        shown[key] = value[column.type]
    return Row(normal_id(page["id"]) or page["id"], page["last_edited_time"], page["created_time"], shown, columns)


def is_row_of(page: Json, table: str) -> bool:
    """Whether the page is (still) a row of the table, and not in the trash."""
    parent = page.get("parent") or {}
    homes = {normal_id(str(parent.get(name, ""))) for name in ("data_source_id", "database_id")}
    return not is_trashed(page) and normal_id(table) in homes


def content_of(shown: Mapping[str, Any], zone: str | None) -> Content:
    """A single event from what the properties show, or from what is to be written to them."""
    content = values.read_times(shown["date"], zone)
    for key, value in shown.items():
        if key not in _TIME_KEYS and (found := READ[key](value)) is not None:
            content[key] = found
    return content


def wanted(content: Content, columns: Columns, *, with_zone: bool = True) -> dict[str, Any]:
    """Field -> value to write, for a row that is to show the single event; recurrence and UID apart."""
    found: dict[str, Any] = {"date": values.write_times(content, with_zone=with_zone)}
    for key, column in columns.by_key.items():
        if key not in ("date", "recurrence", "uid") and (value := values.write(column, content)) is not KEEP:
            found[key] = value
    return found


def changed(row: Row, target: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``target`` that says something else than the row does. Formatting of equal texts is left alone."""
    return {key: value for key, value in target.items() if _meaning(key, value) != _meaning(key, row.shown.get(key))}


def _meaning(key: str, value: Any) -> Any:
    if key == "date":
        times = values.read_times(value, "UTC") if value else None
        return times and (times.get("all_day"), *times_of(times))
    if key in ("recurrence", "uid", "time_zone"):
        return values.plain(value)
    return READ[key](value)


def properties(target: Mapping[str, Any], columns: Columns) -> Json:
    """As the API takes them: by the ids of the properties, which stay when somebody renames one."""
    return {columns[key].id: {columns[key].type: value} for key, value in target.items()}


def digest(*parts: Any) -> str:
    """A short text that differs where the parts do."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]
