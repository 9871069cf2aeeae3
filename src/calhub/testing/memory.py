"""A calendar service in memory, and the provider that talks to it.

:class:`MemoryService` is the far end: calendars, items, a change feed, a request log, an outbox and everything that can
go wrong with a service on purpose. :class:`MemoryProvider` is the near end and keeps the contract of
`calhub.providers.base` to the letter. Both are deterministic: ids and versions come from counters, time from the clock
that was handed in. Several providers may share one service; a new one stands for a restarted process.

    service = MemoryService()
    work = service.add_calendar("Work")
    service.user_put(work, "a@example.org", {"title": "Lunch", "start": "2026-11-21T12:00:00", "end": ...})
    service.fail("create", "lost-after")          # the next create is applied, its answer is lost
    provider = MemoryProvider(service)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from calhub.calendar import fields
from calhub.calendar.event import Content
from calhub.providers.base import (
    Capabilities,
    Done,
    Item,
    Known,
    OneByOne,
    Outcome,
    Page,
    RemoteCalendar,
    Stale,
    Unknown,
)
from calhub.testing.memory_service import How, Mail, MemoryService, Method, Quirks, Request

__all__ = ["How", "Mail", "MemoryProvider", "MemoryService", "Method", "Quirks", "Request"]


class MemoryProvider(OneByOne):
    """The near end: implements `calhub.providers.base.Provider` over a `MemoryService`."""

    def __init__(self, service: MemoryService) -> None:
        self.service = service
        self.requests = 0
        self.closed = False

    @property
    def capabilities(self) -> Capabilities:
        """As the quirks of the service are now."""
        quirks = self.service.quirks
        return Capabilities(
            conditional_writes=not quirks.no_conditional_writes,
            chosen_ids=not quirks.no_chosen_ids,
            deletion_feed=not quirks.no_deletion_feed,
            create_calendars=True,
            batch_writes=quirks.batch_writes,
            keeps=quirks.keeps,
        )

    def discover(self) -> list[RemoteCalendar]:
        service = self.service
        return list(self._read("discover", lambda: [self._remote(name) for name in service.calendars]))

    def changes(self, calendar: str, cursor: str | None, known: Known) -> Iterator[Page]:
        """A full listing commits its cursor with the last page, an incremental one with every page."""
        service = self.service
        since = self._since(cursor)
        with service.lock:
            place = service.find_calendar(calendar)
            if service.quirks.idle_etag_moves:
                service.touch(calendar)
            horizon = place.horizon if service.quirks.lists_late else service.seq
            place.horizon = service.seq
            names = sorted(place.rows)
            feed = sorted(place.feed.items(), key=lambda entry: entry[1])  # as of now: later changes come later
        if since is None:
            yield from self._full(calendar, names, known, self._cursor(horizon))
        else:
            positions = {name: seq for name, seq in feed if since < seq <= horizon}
            yield from self._incremental(calendar, positions, known, max(since, horizon))

    def get(self, calendar: str, remote_id: str) -> Item | None:
        def answer() -> Item | None:
            self.service.find_calendar(calendar)
            return self.service.item(calendar, remote_id)

        item: Item | None = self._read("get", answer, calendar=calendar, remote_id=remote_id)
        return item

    def find(self, calendar: str, uid: str) -> Item | None:
        def answer() -> Item | None:
            self.service.find_calendar(calendar)
            remote_id = self.service.remote_id(calendar, uid)
            return self.service.item(calendar, remote_id) if remote_id else None

        item: Item | None = self._read("find", answer, calendar=calendar, uid=uid)
        return item

    def reserve(self, calendar: str, uid: str) -> str:  # noqa: ARG002 - the contract offers both to derive a name from
        return self.service.name("item")

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        return self._write(
            "create",
            lambda: self.service.apply_create(calendar, remote_id, uid, content, notify=False),
            calendar=calendar,
            remote_id=remote_id,
            uid=uid,
            content=content,
        )

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        del raw  # the service patches by field itself
        row = self.service.find_calendar(calendar).rows.get(remote_id)
        if not self.service.quirks.exceptions_apart or row is None:
            return self._update(calendar, remote_id, uid, content, expected)
        now = fields.project(row.content, self.service.quirks.keeps)
        outcome: Outcome = Done(self.service.item(calendar, remote_id))
        for number, part in enumerate(_parts(fields.diff(now, content))):
            outcome = self._update(calendar, remote_id, uid, fields.apply(now, part), expected)
            if not isinstance(outcome, Done) or outcome.echo is None or outcome.echo.content is None:
                return Unknown("The series was written in part.") if number else outcome
            now, expected = outcome.echo.content, outcome.echo.version  # the service may have rewritten the rest
        return outcome

    def _update(self, calendar: str, remote_id: str, uid: str, content: Content, expected: str | None) -> Outcome:
        if self._moved(calendar, remote_id, expected):
            return Stale()
        return self._write(
            "update",
            lambda: self.service.apply_update(calendar, remote_id, content, expected, notify=False),
            calendar=calendar,
            remote_id=remote_id,
            uid=uid,
            expected=expected,
            content=content,
        )

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        if self._moved(calendar, remote_id, expected, gone_is_moved=False):
            return Stale()
        return self._write(
            "delete",
            lambda: self.service.apply_delete(calendar, remote_id, expected, notify=False),
            calendar=calendar,
            remote_id=remote_id,
            expected=expected,
        )

    def create_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> RemoteCalendar:
        def answer() -> RemoteCalendar:
            return self._remote(self.service.add_calendar(name, color=color, time_zone=time_zone))

        made: RemoteCalendar = self._read("create_calendar", answer)
        return made

    def delete_calendar(self, calendar: str) -> None:
        self.service.find_calendar(calendar)
        del self.service.calendars[calendar]

    def close(self) -> None:
        self.closed = True

    def _read(self, method: Method, answer: Callable[[], Any], **logged: Any) -> Any:
        self.requests += 1
        return self.service.read(method, answer, **logged)

    def _write(self, method: Method, apply: Callable[[], Outcome], **logged: Any) -> Outcome:
        self.requests += 1
        return self.service.write(method, apply, **logged)

    def _remote(self, calendar: str) -> RemoteCalendar:
        place = self.service.calendars[calendar]
        access: Literal["reader", "owner"] = "reader" if self.service.quirks.read_only else "owner"
        return RemoteCalendar(id=calendar, name=place.name, access=access, color=place.color, time_zone=place.time_zone)

    def _moved(self, calendar: str, remote_id: str, expected: str | None, *, gone_is_moved: bool = True) -> bool:
        """Look before writing, where the service does not look itself (not atomic: that is what the quirk is about)."""
        if not self.service.quirks.no_conditional_writes or expected is None:
            return False
        item = self.get(calendar, remote_id)
        return gone_is_moved if item is None else item.version != expected

    def _cursor(self, seq: int) -> str:
        return f"{self.service.epoch}:{seq}"

    def _since(self, cursor: str | None) -> int | None:
        """The feed position of a cursor, None if a full listing is needed."""
        epoch, _, seq = (cursor or "").partition(":")
        if self.service.quirks.expired_token or epoch != str(self.service.epoch) or not seq.isdecimal():
            return None
        return int(seq) if int(seq) <= self.service.seq else None

    def _pages(self, rows: list[str]) -> list[list[str]]:
        size = self.service.quirks.page_size or max(len(rows), 1)
        pages = [rows[at : at + size] for at in range(0, len(rows), size)] or [[]]
        if self.service.quirks.page_duplicates:
            pages = [pages[0], *([before[-1], *page] for before, page in pairwise(pages))]
        return pages

    def _full(self, calendar: str, rows: list[str], known: Known, cursor: str) -> Iterator[Page]:
        pages = self._pages(rows)
        if self.service.quirks.page_drops_row and len(pages) > 1:
            pages[1] = pages[1][1:]
        for number, page in enumerate(pages, start=1):
            items, present, _ = self._read("changes", partial(self._look, calendar, page, known), calendar=calendar)
            last = number == len(pages)
            yield Page(items=items, present=present, cursor=cursor if last else None, complete=last, total=len(rows))

    def _incremental(self, calendar: str, positions: dict[str, int], known: Known, end: int) -> Iterator[Page]:
        pages = self._pages(list(positions))
        for number, page in enumerate(pages, start=1):
            items, present, removed = self._read(
                "changes", partial(self._look, calendar, page, known), calendar=calendar
            )
            at = end if number == len(pages) else positions[page[-1]]
            if self.service.quirks.no_deletion_feed:
                removed = []
            yield Page(items=items, removed=removed, present=present, cursor=self._cursor(at))

    def _look(self, calendar: str, rows: list[str], known: Known) -> tuple[list[Item], list[str], list[str]]:
        """Changed items, names of unchanged ones, names of deleted ones, as they are now."""
        self.service.find_calendar(calendar)
        items, present, removed = [], [], []
        for name in rows:
            item = self.service.item(calendar, name)
            if item is None:
                removed.append(name)
            elif item.version is not None and item.version == known.version(name):
                present.append(name)
            else:
                items.append(item)
        return items, present, removed


def _parts(patch: fields.Patch) -> list[fields.Patch]:
    """A change of a series as the requests it takes: the master, then each exception."""
    exceptions = [path for path in patch if path[0] == "overrides"]
    master = {path: change for path, change in patch.items() if path not in exceptions}
    return [part for part in (master, *({path: patch[path]} for path in exceptions)) if part]
