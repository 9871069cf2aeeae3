"""Filters and sorts of a query (notion: "Reading", "JSON shapes used by the adapter")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from calhub.testing.services.notion.errors import invalid
from calhub.testing.services.notion.model import Page
from calhub.testing.services.notion.values import Property

DEPTH: Final = 2  # levels of "and" and "or"
_TIMESTAMPS: Final = ("created_time", "last_edited_time")
_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "equals": lambda value, bound: value == bound,
    "before": lambda value, bound: value < bound,
    "after": lambda value, bound: value > bound,
    "on_or_before": lambda value, bound: value <= bound,
    "on_or_after": lambda value, bound: value >= bound,
}
_TEXT: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "equals": lambda value, wanted: value == wanted,
    "does_not_equal": lambda value, wanted: value != wanted,
    "contains": lambda value, wanted: wanted in value,
    "starts_with": lambda value, wanted: value.startswith(wanted),
}

Test = Callable[[Page], bool]


def compile_filter(document: Any, find: Callable[[str], Property], depth: int = 0) -> Test:
    """What a filter says of a page. ``find`` gives the property of a name or id. Raises `Failed`."""
    if not isinstance(document, dict):
        raise invalid("body.filter should be an object.")
    for word, combine in (("and", all), ("or", any)):
        if word in document:
            if depth >= DEPTH:
                raise invalid(f"body.filter is nested more than {DEPTH} levels.")
            tests = [compile_filter(each, find, depth + 1) for each in document[word]]
            return lambda page, tests=tests, combine=combine: combine(test(page) for test in tests)  # type: ignore[misc]
    if "timestamp" in document:
        return _timestamp(document)
    if "property" not in document:
        raise invalid("body.filter should name a property or a timestamp.")
    prop = find(document["property"])
    condition = document.get(prop.type)
    if not isinstance(condition, dict) or len(condition) != 1:
        raise invalid(f"body.filter: {prop.name} is {prop.type}, and one condition on it is expected.")
    ((word, wanted),) = condition.items()
    return _property(prop, word, wanted)


def _timestamp(document: Mapping[str, Any]) -> Test:
    name = document["timestamp"]
    condition = document.get(name)
    if name not in _TIMESTAMPS or not isinstance(condition, dict) or len(condition) != 1:
        raise invalid("body.filter: one condition on created_time or last_edited_time is expected.")
    ((word, wanted),) = condition.items()
    if word not in _ORDER:
        raise invalid(f"body.filter.{name} has no condition {word}.")
    bound, compare = _instant(wanted), _ORDER[word]
    return lambda page: compare(getattr(page, name), bound)


def _property(prop: Property, word: str, wanted: Any) -> Test:
    if word in ("is_empty", "is_not_empty"):
        return lambda page: (not page.values.get(prop.id)) == (word == "is_empty")
    if prop.type in ("title", "rich_text") and word in _TEXT and isinstance(wanted, str):
        test = _TEXT[word]
        return lambda page: test("".join(piece["plain_text"] for piece in page.values.get(prop.id) or ()), wanted)
    if prop.type == "date" and word in _ORDER:
        bound, compare = _instant(wanted), _ORDER[word]
        return lambda page: (found := page.values.get(prop.id)) is not None and compare(_instant(found["start"]), bound)
    if prop.type == "checkbox" and word == "equals":
        return lambda page: page.values.get(prop.id) == wanted
    if prop.type in ("select", "status") and word == "equals":
        return lambda page: (page.values.get(prop.id) or {}).get("name") == wanted
    raise invalid(f"body.filter: {prop.type} has no condition {word}.")


def _instant(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise invalid(f"body.filter: {text!r} is no ISO 8601 date.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ordered(pages: Sequence[Page], sorts: Any, find: Callable[[str], Property]) -> list[Page]:
    """The pages by the sorts given, otherwise by when they were made."""
    result = sorted(pages, key=lambda page: page.number)
    if not isinstance(sorts, list | None):
        raise invalid("body.sorts should be an array.")
    for sort in reversed(sorts or []):
        if sort.get("direction") not in ("ascending", "descending"):
            raise invalid("body.sorts: direction should be ascending or descending.")
        result.sort(key=_key(sort, find), reverse=sort["direction"] == "descending")
    return result


def _key(sort: Mapping[str, Any], find: Callable[[str], Property]) -> Callable[[Page], Any]:
    if sort.get("timestamp") in _TIMESTAMPS:
        return lambda page: getattr(page, sort["timestamp"])
    prop = find(str(sort.get("property")))
    return lambda page: str(page.values.get(prop.id))
