"""In Notion, in a database whose properties have the usual names."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Unpack

from calhub.testing.people.base import ZONE, Entry, Fields, aware, excepted, is_day, rule_of, shifted, the, wall
from calhub.testing.services.notion import NotionService
from calhub.testing.services.notion.model import DataSource, Page

#: A database that can be a calendar both ways.
PROPERTIES: Final[dict[str, Any]] = {
    "Title": {"title": {}},
    "Date": {"date": {}},
    "Description": {"rich_text": {}},
    "Location": {"rich_text": {}},
    "Categories": {"multi_select": {}},
    "Recurrence": {"rich_text": {}},
    "UID": {"rich_text": {}},
}
_TEXTS: Final = {"title": "Title", "location": "Location", "description": "Description"}


class NotionPerson:
    """An instance of a series can be edited where it has a row of its own; others are cancelled in the rule's text."""

    def __init__(self, notion: NotionService, source: DataSource) -> None:
        self._notion = notion
        self._source = source

    def entries(self) -> list[Entry]:
        return sorted(self._entry(page) for page in self._notion.rows(self._source))

    def add(self, *, days: int = 1, weeks: int = 1, **fields: Unpack[Fields]) -> None:
        values = self._values(fields)
        if rule := rule_of(days, weeks):
            values["Recurrence"] = _text(rule)
        self._notion.user_create(self._source, values)

    def edit(self, event: str, **fields: Unpack[Fields]) -> None:
        self._notion.user_edit(self._find(event), self._values(fields))

    def edit_instance(self, event: str, day: str, **fields: Unpack[Fields]) -> None:
        self._notion.user_edit(self._row(event, day), self._values(fields))

    def cancel_instance(self, event: str, day: str) -> None:
        page = self._find(event)
        for row in self._rows_of(page):
            if self._instance(row).startswith(day):
                self._notion.user_trash(row)
        at = datetime.fromisoformat(self._entry(page).start)
        line = f"EXDATE;TZID={ZONE}:{day.replace('-', '')}T{at:%H%M%S}"
        self._notion.user_edit(page, {"Recurrence": _text(f"{self._recurrence(page)}\n{line}")})

    def delete(self, event: str) -> None:
        """With the rows of its instances: without it they would be no events any more."""
        master = self._find(event)
        for row in self._rows_of(master) or [master]:
            self._notion.user_trash(row)

    def _find(self, title: str) -> Page:
        rows = self._notion.rows(self._source)
        return the([row for row in rows if self._notion.text(row, "Title") == title and not self._instance(row)], title)

    def _row(self, event: str, day: str) -> Page:
        return the([row for row in self._rows_of(self._find(event)) if self._instance(row).startswith(day)], event)

    def _rows_of(self, master: Page) -> list[Page]:
        """All rows with its UID; none as long as it has no UID."""
        uid = self._notion.text(master, "UID")
        return [row for row in self._notion.rows(self._source) if uid and self._notion.text(row, "UID") == uid]

    def _recurrence(self, page: Page) -> str:
        return self._notion.text(page, "Recurrence")

    def _instance(self, page: Page) -> str:
        """Which instance of a series the row is; empty for a single event and for a series."""
        head, _, value = self._recurrence(page).partition("\n")[0].partition(":")
        return value if head == "RECURRENCE-ID" else ""

    def _entry(self, page: Page) -> Entry:
        shown, recurrence = self._notion.shown(page), self._recurrence(page)
        instance = bool(self._instance(page))
        start, end = _span(shown["Date"])
        return Entry(
            title=self._notion.text(page, "Title"),
            start=start,
            end=end,
            location=self._notion.text(page, "Location"),
            description=self._notion.text(page, "Description"),
            categories=tuple(sorted(option["name"] for option in shown["Categories"])),
            repeats=bool(recurrence) and not instance,
            instance=instance,
            cancelled=tuple(sorted(excepted(recurrence.splitlines()))),
        )

    def _values(self, fields: Fields) -> dict[str, Any]:
        values: dict[str, Any] = {_TEXTS[name]: _text(str(fields.get(name))) for name in _TEXTS if name in fields}
        if "categories" in fields:
            values["Categories"] = [{"name": name} for name in fields["categories"]]
        if "start" in fields:
            values["Date"] = _date(fields["start"], fields["end"])
        return values


def _text(content: str) -> list[dict[str, Any]]:
    return [{"text": {"content": content}}]


def _span(shown: dict[str, str | None]) -> tuple[str, str]:
    """Days are inclusive there, and what has no end is as long as it can be."""
    start = shown["start"] or ""
    end = shown["end"] or start
    if is_day(start):
        return start, shifted(end, 1)
    return wall(datetime.fromisoformat(start)), wall(datetime.fromisoformat(end))


def _date(start: str, end: str) -> dict[str, str]:
    if is_day(start):
        return {"start": start, "end": shifted(end, -1)}
    return {"start": aware(start).isoformat(), "end": aware(end).isoformat()}
