"""Databases, data sources and pages as the emulator keeps them, and how each API version shows them.

notion: "Resources and identity", "Endpoints by version".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Final
from uuid import UUID

from calhub.testing.services.notion.errors import invalid
from calhub.testing.services.notion.values import COMPUTED, SHOWN, Property, add_option, empty

OLD: Final = "2022-06-28"
NEW: Final = "2025-09-03"
RENAMED: Final = "2026-03-11"
VERSIONS: Final = (OLD, NEW, RENAMED)
BOT: Final = {"object": "user", "id": "b0700000-0000-4000-8000-000000000000"}
PERSON: Final = {"object": "user", "id": "ada00000-0000-4000-8000-000000000000"}


def minute(moment: datetime) -> datetime:
    """Rounded to the nearest minute (notion: "Resources and identity", last_edited_time)."""
    return (moment + timedelta(seconds=30)).replace(second=0, microsecond=0)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def text_of(title: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": {"content": title, "link": None}, "plain_text": title, "href": None}]


@dataclass
class DataSource:
    """A table with its schema. Rows know it by its id."""

    id: str
    database: str
    title: str
    created: datetime
    properties: dict[str, Property] = field(default_factory=dict)  # by id
    in_trash: bool = False
    _ids: Iterator[str] = field(default_factory=lambda: map(_property_id, count(1)))  # none is given twice

    def find(self, name: str) -> Property:
        """By name or id (notion: "Property id is stable under rename"). Raises `Failed`."""
        for prop in self.properties.values():
            if name in (prop.name, prop.id):
                return prop
        raise invalid(f"{name} is not a property that exists.")

    def add(self, name: str, config: Any) -> Property:
        """A new property from its definition, ``{"rich_text": {}}``. Raises `Failed`."""
        if not isinstance(config, dict):
            raise invalid(f"body.properties.{name} should be an object.")
        kinds = [kind for kind in config if kind not in ("type", "name", "description", "id")]
        if len(kinds) != 1 or not isinstance(config[kinds[0]], dict):
            raise invalid(f"body.properties.{name} should define one type.")
        kind = kinds[0]
        if any(prop.name == name for prop in self.properties.values()):
            raise invalid(f"There is a property {name} already.")
        if kind == "title" and any(prop.type == "title" for prop in self.properties.values()):
            raise invalid("A data source has one title.")
        prop = Property("title" if kind == "title" else next(self._ids), name, kind)
        for option in config[kind].get("options", ()):
            if "," in option["name"]:
                raise invalid(f"Invalid select option, commas not allowed: {option['name']}")
            add_option(prop, option["name"])
        if kind == "status" and not prop.options:
            for word in ("Not started", "In progress", "Done"):
                add_option(prop, word)
        self.properties[prop.id] = prop
        return prop

    def schema(self) -> dict[str, Any]:
        return {prop.name: prop.shown() for prop in self.properties.values()}


def _property_id(number: int) -> str:
    """A short id, shown URL-encoded (notion: "responses give it URL-encoded")."""
    return f"p%3A{number}"


@dataclass
class Database:
    id: str
    title: str
    created: datetime
    sources: list[DataSource] = field(default_factory=list)
    shared: bool = True
    in_trash: bool = False


@dataclass
class Page:
    """A row, or with ``source`` None a page of its own. ``values`` are by property id, in the shape they are shown."""

    id: str
    number: int
    source: DataSource | None
    created_time: datetime
    last_edited_time: datetime
    last_edited_by: dict[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    in_trash: bool = False
    is_archived: bool = False
    title: str = ""


class Store:
    """Everything in the workspace."""

    def __init__(self) -> None:
        self.databases: dict[str, Database] = {}
        self.sources: dict[str, DataSource] = {}
        self.pages: dict[str, Page] = {}
        self.changes = 0  # of pages, so far
        self._numbers = count(1)
        self._random = Random(0)

    def _id(self) -> str:
        """A new id; the same ones each time, so that a run can be told again."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def add_database(self, title: str, now: datetime) -> Database:
        database = Database(self._id(), title, minute(now))
        self.databases[database.id] = database
        return database

    def add_source(self, database: Database, title: str, properties: dict[str, Any], now: datetime) -> DataSource:
        source = DataSource(self._id(), database.id, title, minute(now))
        for name, config in properties.items():
            source.add(name, config)
        if not any(prop.type == "title" for prop in source.properties.values()):
            raise invalid("Title is not provided.")
        database.sources.append(source)
        self.sources[source.id] = source
        return source

    def add_page(self, source: DataSource | None, now: datetime, by: dict[str, str]) -> Page:
        page = Page(self._id(), next(self._numbers), source, minute(now), minute(now), by)
        self.pages[page.id] = page
        return page

    def rows(self, source: DataSource) -> Iterator[Page]:
        return (page for page in self.pages.values() if page.source is source)

    def sees(self, source: DataSource) -> bool:
        """Whether the connection may see it: shared, and not in the trash."""
        database = self.databases[source.database]
        return database.shared and not database.in_trash and not source.in_trash


def same_id(text: Any) -> str:
    """With or without dashes (notion: "Ids are UUIDs"). Raises `Failed` for anything else."""
    try:
        return str(UUID(str(text)))
    except ValueError:
        raise invalid(f"path failed validation: {text} should be a valid uuid.") from None


def show_database(database: Database, version: str) -> dict[str, Any]:
    common: dict[str, Any] = {
        "object": "database",
        "id": database.id,
        "created_time": stamp(database.created),
        "last_edited_time": stamp(database.created),
        "title": text_of(database.title),
        "description": [],
        "parent": {"type": "workspace", "workspace": True},
        "is_inline": False,
        "url": f"https://www.notion.so/{database.id.replace('-', '')}",
        **_trash(database.in_trash, version),
    }
    if version == OLD:
        return common | {"properties": database.sources[0].schema()}
    return common | {"data_sources": [{"id": source.id, "name": source.title} for source in database.sources]}


def show_source(source: DataSource, version: str) -> dict[str, Any]:
    return {
        "object": "data_source",
        "id": source.id,
        "created_time": stamp(source.created),
        "last_edited_time": stamp(source.created),
        "title": text_of(source.title),
        "description": [],
        "parent": {"type": "database_id", "database_id": source.database},
        "properties": source.schema(),
        **_trash(source.in_trash, version),
    }


def show_page(page: Page, version: str, only: frozenset[str] | None = None) -> dict[str, Any]:
    """``only``: ids of the properties asked for."""
    shown: dict[str, Any] = {
        "object": "page",
        "id": page.id,
        "created_time": stamp(page.created_time),
        "last_edited_time": stamp(page.last_edited_time),
        "created_by": BOT,
        "last_edited_by": page.last_edited_by,
        "cover": None,
        "icon": None,
        "parent": _parent(page, version),
        **_trash(page.in_trash, version),
        "is_archived": page.is_archived,
        "is_locked": False,
        "properties": {},
        "url": f"https://www.notion.so/{page.id.replace('-', '')}",
        "public_url": None,
    }
    if page.source is None:
        shown["properties"] = {"title": {"id": "title", "type": "title", "title": text_of(page.title)}}
        return shown
    for prop in page.source.properties.values():
        if only is None or prop.id in only:
            value = value_of(page, prop)
            # notion: "Long values: query/page responses truncate"
            value = value[:SHOWN] if prop.type in ("title", "rich_text", "people") else value
            shown["properties"][prop.name] = {"id": prop.id, "type": prop.type, prop.type: value}
    return shown


def value_of(page: Page, prop: Property) -> Any:
    if prop.type in COMPUTED:
        return stamp(getattr(page, prop.type)) if prop.type.endswith("_time") else None
    return page.values.get(prop.id, empty(prop))


def _parent(page: Page, version: str) -> dict[str, Any]:
    if page.source is None:
        return {"type": "workspace", "workspace": True}
    if version == OLD:
        return {"type": "database_id", "database_id": page.source.database}
    return {"type": "data_source_id", "data_source_id": page.source.id, "database_id": page.source.database}


def _trash(in_trash: bool, version: str) -> dict[str, Any]:
    """`archived` went away with 2026-03-11 (notion: "Resources and identity")."""
    return {"in_trash": in_trash} if version == RENAMED else {"archived": in_trash, "in_trash": in_trash}
