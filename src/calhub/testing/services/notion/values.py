"""Property values: what a client may write, and how it is shown afterwards.

A value is kept in the shape in which it is shown, without its ``id`` and ``type``. notion: "JSON shapes used by the
adapter", "Writing", "Time zones and all-day", "Limits and errors".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, available_timezones

from calhub.testing.services.notion.errors import invalid

PIECE: Final = 2000  # characters of one text (notion: "Limits and errors", size)
PIECES: Final = 100
OPTIONS: Final = 100
SHOWN: Final = 25  # pieces that a page shows; the rest is behind the property's own endpoint
#: Types whose values the service makes itself.
COMPUTED: Final = frozenset({"created_time", "last_edited_time", "formula", "unique_id"})
_LIMITED: Final = {"url": 2000, "email": 200, "phone_number": 200}
_ANNOTATIONS: Final = {
    "bold": False, "italic": False, "strikethrough": False, "underline": False, "code": False, "color": "default",
}  # fmt: skip
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_OFFSET: Final = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


@dataclass
class Property:
    """A column. ``options`` are those of a select, multi_select or status; ``groups`` come with a status only."""

    id: str
    name: str
    type: str
    options: list[dict[str, Any]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if self.type in ("select", "multi_select", "status"):
            config["options"] = self.options
        if self.type == "status":
            config["groups"] = []
        if self.type == "number":
            config["format"] = "number"
        return {"id": self.id, "name": self.name, "type": self.type, "description": None, self.type: config}


def empty(prop: Property) -> Any:
    """The value of a property nobody has written; a status has its default option."""
    if prop.type in ("title", "rich_text", "multi_select", "people"):
        return []
    if prop.type == "checkbox":
        return False
    return dict(prop.options[0]) if prop.type == "status" and prop.options else None


def written(prop: Property, value: Any, users: Mapping[str, str]) -> Any:
    """The value to keep for what a client sent: ``{"rich_text": [...]}``. May add options to the property.

    Raises `Failed` with a validation error. ``users`` are those that a people property may name.
    """
    if prop.type in COMPUTED:
        raise invalid(f"{prop.name} is read-only and cannot be written.")
    if not isinstance(value, dict) or prop.type not in value:
        raise invalid(f"{prop.name} is expected to be {prop.type}.")
    content = value[prop.type]
    if prop.type == "people":
        return _people(prop, content, users)
    writer = _WRITERS.get(prop.type)
    if writer is None:
        raise invalid(f"{prop.name} has a type that is not emulated: {prop.type}.")
    return writer(prop, content)


def rich_text(prop: Property, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise invalid(f"{prop.name}.{prop.type} should be an array.")
    if len(value) > PIECES:
        raise invalid(f"{prop.name}.{prop.type}.length should be ≤ {PIECES}, instead was {len(value)}.")
    return [piece for each in value if (piece := _piece(prop, each))["plain_text"]]


def _piece(prop: Property, piece: Any) -> dict[str, Any]:
    """One element; those of type text only, and mentions of users and dates as they were shown."""
    if not isinstance(piece, dict):
        raise invalid(f"{prop.name}.{prop.type} should hold rich text objects.")
    annotations = _ANNOTATIONS | piece.get("annotations", {})
    if piece.get("type") == "mention" and "mention" in piece:
        shown = {"type": "mention", "mention": piece["mention"], "plain_text": piece.get("plain_text", "@someone")}
        return shown | {"annotations": annotations, "href": None}
    text = piece.get("text")
    if not isinstance(text, dict) or not isinstance(text.get("content"), str):
        raise invalid(f"{prop.name}.{prop.type}[0].text.content should be a string.")
    units = len(text["content"].encode("utf-16-le")) // 2
    if units > PIECE:
        raise invalid(f"{prop.name}.{prop.type}[0].text.content.length should be ≤ `{PIECE}`, instead was `{units}`.")
    link = text.get("link")
    return {
        "type": "text",
        "text": {"content": text["content"], "link": link},
        "annotations": annotations,
        "plain_text": text["content"],
        "href": link["url"] if link else None,
    }


def shown_date(prop: Property, value: Any) -> dict[str, Any] | None:
    """The zone is told by an offset and is not shown (notion: "Time zones and all-day")."""
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("start"), str):
        raise invalid(f"{prop.name}.date.start should be defined.")
    zone, start, end = value.get("time_zone"), value["start"], value.get("end")
    if zone is not None and zone not in available_timezones():
        raise invalid(f"{prop.name}.date.time_zone should be a valid time zone, instead was `{zone}`.")
    if end is not None and bool(_DATE.fullmatch(start)) != bool(_DATE.fullmatch(end)):
        raise invalid(f"{prop.name}.date: start and end should both be dates or both be date-times.")
    moments = [_moment(prop, text, zone) for text in (start, end) if text is not None]
    if moments != sorted(moments):
        raise invalid(f"{prop.name}.date.end should not be before its start.")
    texts = [_spelled(text, zone) for text in (start, end) if text is not None]
    return {"start": texts[0], "end": texts[1] if end is not None else None, "time_zone": None}


def _moment(prop: Property, text: str, zone: str | None) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"{prop.name}.date should be a valid ISO 8601 date string, instead was `{text}`.") from None
    if zone is None:
        return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo("UTC"))
    if _DATE.fullmatch(text) or _OFFSET.search(text):
        raise invalid(f"{prop.name}.date: with a time_zone, times have neither offsets nor are they dates.")
    return moment.replace(tzinfo=ZoneInfo(zone))


def _spelled(text: str, zone: str | None) -> str:
    if _DATE.fullmatch(text):
        return date.fromisoformat(text).isoformat()
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone or "UTC"))
    return moment.isoformat(timespec="milliseconds")


def _option(prop: Property, value: Any) -> dict[str, Any]:
    """An option by name or id. An unknown name makes a new one, except for a status (notion: "Writing")."""
    if not isinstance(value, dict):
        raise invalid(f"{prop.name}: an option should be an object.")
    for option in prop.options:
        if option["name"] == value.get("name") or option["id"] == value.get("id"):
            return dict(option)
    name = value.get("name")
    if not isinstance(name, str) or not name.strip() or "," in name or len(name) > 100:
        raise invalid(f"{prop.name}: invalid option name {name!r}.")
    if prop.type == "status":
        raise invalid(f'Status option "{name}" does not exist.')
    return dict(add_option(prop, name))


def add_option(prop: Property, name: str) -> dict[str, Any]:
    option = {"id": str(uuid4()), "name": name, "color": "default"}
    prop.options.append(option)
    return option


def _select(prop: Property, value: Any) -> Any:
    return empty(prop) if value is None else _option(prop, value)


def _multi_select(prop: Property, value: Any) -> Any:
    if not isinstance(value, list) or len(value) > OPTIONS:
        raise invalid(f"{prop.name}.multi_select should be an array of at most {OPTIONS}.")
    return [_option(prop, each) for each in value]


def _checkbox(prop: Property, value: Any) -> Any:
    if not isinstance(value, bool):
        raise invalid(f"{prop.name}.checkbox should be a boolean.")
    return value


def _number(prop: Property, value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise invalid(f"{prop.name}.number should be a number or null.")
    return value


def _limited(prop: Property, value: Any) -> Any:
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= _LIMITED[prop.type]):
        raise invalid(f"{prop.name}.{prop.type} should be a text of at most {_LIMITED[prop.type]} characters or null.")
    return value


def _people(prop: Property, value: Any, users: Mapping[str, str]) -> Any:
    """By user id; e-mail addresses are not accepted."""
    if not isinstance(value, list):
        raise invalid(f"{prop.name}.people should be an array.")
    found = []
    for each in value:
        try:
            user = str(UUID(str(each.get("id"))))
        except ValueError:
            raise invalid(f"{prop.name}.people: id should be a valid uuid.") from None
        if user not in users:
            raise invalid(f"{prop.name}.people: there is no such user.")
        found.append({"object": "user", "id": user, "type": "person", "name": users[user]})
    return found


_WRITERS: Final[Mapping[str, Callable[[Property, Any], Any]]] = {
    "title": rich_text,
    "rich_text": rich_text,
    "date": shown_date,
    "select": _select,
    "status": _select,
    "multi_select": _multi_select,
    "checkbox": _checkbox,
    "number": _number,
    "url": _limited,
    "email": _limited,
    "phone_number": _limited,
}
