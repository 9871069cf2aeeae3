"""Rounds of ``calendarView/delta`` (microsoft: Reading): a window, pages, tokens that can be forgotten."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, TypeAlias

from calhub.testing.services.graph.shape import View
from calhub.testing.services.graph.store import Event, Mailbox, occurrence_id

#: What is to be told: an event, or the instance of a day.
_Key: TypeAlias = tuple[int, date | None]
#: The rows as a JSON array, and the query of the link that goes on.
Page: TypeAlias = tuple[str, str]
DEFAULT_PAGE: Final = 10
LARGEST_PAGE: Final = 1000


@dataclass
class _Round:
    """A round under way. Rows are made when their page is: an edit in between shows in it, and again in the next."""

    calendar: str
    window: tuple[datetime, datetime]
    upto: int  # changes after this one belong to the next round
    keys: list[_Key]
    news: bool = True  # the keys are what changed; False: all that is in the window

    def still(self, event: Event, feed: dict[int, int]) -> bool:
        """Whether what the keys say of the event is certainly true yet."""
        return not self.news and feed.get(event.number, self.upto + 1) <= self.upto


@dataclass(frozen=True)
class _State:
    """What a delta token stands for."""

    calendar: str
    window: tuple[datetime, datetime]
    seq: int


@dataclass
class Rounds:
    """All tokens given out. They say nothing by themselves."""

    mailbox: Mailbox
    largest_page: int = LARGEST_PAGE
    _rounds: dict[str, tuple[_Round, int]] = field(default_factory=dict)
    _states: dict[str, _State] = field(default_factory=dict)
    _count: int = 0

    def forget(self) -> None:
        """Every token is unknown from now on."""
        self._rounds.clear()
        self._states.clear()

    def first(self, calendar: str, window: tuple[datetime, datetime], view: View) -> Page:
        found = _Round(calendar, window, self.mailbox.seq, self._everything(calendar, window), news=False)
        return self._page(found, 0, view)

    def next(self, token: str, view: View) -> Page | None:
        """A further page; None for an unknown token."""
        found = self._rounds.get(token)
        return None if found is None else self._page(*found, view)

    def again(self, token: str, view: View) -> Page | None:
        """The first page of what changed since a delta token; None for an unknown one."""
        state = self._states.get(token)
        if state is None:
            return None
        keys = self._changed(state)
        return self._page(_Round(state.calendar, state.window, self.mailbox.seq, keys), 0, view)

    def _page(self, found: _Round, at: int, view: View) -> Page:
        size = min(view.page_size or DEFAULT_PAGE, self.largest_page)
        rows = ",".join(self._row(key, found, view) for key in found.keys[at : at + size])
        self._count += 1
        token = f"t{self._count}"
        if at + size < len(found.keys):
            self._rounds[token] = found, at + size
            return f"[{rows}]", f"$skiptoken={token}"
        self._states[token] = _State(found.calendar, found.window, found.upto)
        return f"[{rows}]", f"$deltatoken={token}"

    def _everything(self, calendar: str, window: tuple[datetime, datetime]) -> list[_Key]:
        keys: list[_Key] = []
        for event in self.mailbox.listed(calendar):
            if event.pattern is not None:
                keys += [(event.number, day) for day in event.dates(*window)]
            elif event.overlaps(*window):
                keys.append((event.number, None))
        return keys

    def _changed(self, state: _State) -> list[_Key]:
        """Also what lies outside the window, as removed; a series as its instances, those it had before included."""
        feed = self.mailbox.calendars[state.calendar].feed
        keys: list[_Key] = []
        for number, seq in sorted(feed.items(), key=lambda pair: pair[1]):
            if seq <= state.seq:
                continue
            event = self.mailbox.events[number]
            days: set[date] = set()
            if event.pattern is not None:
                days |= set(event.pattern.dates(*state.window)) | event.exceptions.keys()
            for until, pattern in event.past:
                if until > state.seq:
                    days |= set(pattern.dates(*state.window))
            keys += [(number, day) for day in sorted(days)] or [(number, None)]
            if days and event.pattern is None:
                keys.append((number, None))
        return keys

    def _row(self, key: _Key, found: _Round, view: View) -> str:
        number, day = key
        event = self.mailbox.events[number]
        feed = self.mailbox.calendars[found.calendar].feed
        if not found.still(event, feed) and not self._visible(event, day, found):
            name = event.id(immutable=view.immutable)
            name = name if day is None else occurrence_id(name, day)
            return json.dumps({"id": name, "@removed": {"reason": "deleted"}})
        if day is not None and day not in event.exceptions:
            return view.thin(event, day)
        row = {"@odata.type": "#microsoft.graph.event", **view.row(event, day)}
        return json.dumps(row, ensure_ascii=False)

    def _visible(self, event: Event, day: date | None, found: _Round) -> bool:
        if event.deleted or event.calendar != found.calendar:
            return False
        if day is None:
            return event.pattern is None and event.overlaps(*found.window)
        if event.pattern is None or day in event.cancelled or not event.pattern.has(day):
            return False
        begin, end = event.span(day)
        return begin < found.window[1] and end > found.window[0]
