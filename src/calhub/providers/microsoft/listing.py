"""What changed in a calendar: rounds of Graph's delta over a window of time (microsoft: Reading).

A round brings the single events, exceptions and occurrences in the window, but neither series masters nor our UID; both
are fetched by id, twenty at once. What a round calls removed may only have left the window, so a deletion is believed
when the event itself is not there any more.

The window is part of Graph's token, and moves on with the months. Then, as when the token has expired, a new round is
made, together with a list of the ids of all events. That list tells what exists outside the window, so that nothing
counts as deleted that is only out of sight.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from calhub.providers.base import Known, Page, ProviderError
from calhub.providers.microsoft.client import Expired, Graph
from calhub.providers.microsoft.inward import Row, etag, is_series, item_of
from calhub.providers.microsoft.kept import EXPAND
from calhub.providers.microsoft.places import Place

#: Rows asked for in a page of a round. Graph may give fewer.
PAGE: Final = "odata.maxpagesize=500"
_LISTED: Final = 1000  # ids in a page of the list of all events
_YIELDED: Final = 500  # items in a page for the engine
_ROUND_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class Window:
    """What is looked at, in whole months, so that it stays the same for a month. RFC 3339 UTC."""

    start: str
    end: str

    @classmethod
    def around(cls, now: datetime, past: timedelta, future: timedelta) -> Window:
        """Never less than from ``past`` before to ``future`` after ``now``."""
        first = (now - past).replace(day=1)
        last = (now + future).replace(day=1) + timedelta(days=62)
        return cls(f"{first:%Y-%m-%d}T00:00:00Z", f"{last.replace(day=1):%Y-%m-%d}T00:00:00Z")


@dataclass
class Round:
    """The rows of one round by id, the last of each; ``removed`` are ids without a row."""

    rows: dict[str, Row] = field(default_factory=dict)
    masters: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    link: str = ""

    def take(self, row: Row) -> None:
        name = row["id"]
        if "@removed" in row:
            self.rows.pop(name, None)
            self.removed.add(name)
            return
        self.removed.discard(name)
        if master := row.get("seriesMasterId"):
            self.masters.add(master)
        elif is_series(row):
            self.masters.add(name)
        else:
            self.rows[name] = row


@dataclass(frozen=True)
class _Sight:
    """One event in the list of all."""

    etag: str
    row: Row  # id and our properties


class Listing:
    """One call of `changes`."""

    def __init__(self, graph: Graph, place: Place, window: Window, known: Known) -> None:
        self._graph = graph
        self._place = place
        self._window = window
        self._known = known

    def pages(self, cursor: str | None) -> Iterator[Page]:
        link = self._link(cursor)
        if link is not None:
            try:
                found = self._round(link, {})
            except Expired:
                pass
            else:
                yield self._incremental(found)
                return
        yield from self._full()

    # The cursor: the link of the last round, and the window it was made for.

    def _link(self, cursor: str | None) -> str | None:
        """The link in a cursor; None where a full listing is needed."""
        try:
            document = json.loads(cursor or "")
            if [document["start"], document["end"]] != [self._window.start, self._window.end]:
                return None
            return self._graph.own(str(document["link"]))
        except (ValueError, TypeError, KeyError, ProviderError):
            return None

    def _cursor(self, link: str) -> str:
        return json.dumps({"link": link, "start": self._window.start, "end": self._window.end})

    # Rounds

    def _round(self, url: str, params: Mapping[str, str]) -> Round:
        """Raises `Expired` where Graph does not know the token."""
        found = Round()
        for page in self._graph.pages(url, params=dict(params), prefer=(PAGE,)):
            for row in page.get("value") or ():
                found.take(row)
            found.link = page.get("@odata.deltaLink") or found.link
        if not found.link:
            raise ProviderError("Microsoft Graph ended its list of changes without a token.", "Try again later.")
        return found

    def _first_round(self) -> Round:
        """A token can expire while its round is under way."""
        params = {"startDateTime": self._window.start, "endDateTime": self._window.end}
        for _ in range(_ROUND_ATTEMPTS):
            try:
                return self._round(self._place.delta(), params)
            except Expired as error:
                lost = error
        raise ProviderError(lost.message, "Try again later.")

    def _incremental(self, found: Round) -> Page:
        known = self._known
        moved = {name for name, row in found.rows.items() if known.version(name) != etag(row)}
        present = found.rows.keys() - moved
        removed = {name for name in found.removed if name in known}
        masters = found.masters - removed
        if found.removed - removed:
            # Perhaps instances of a series were deleted, or all of them: their ids do not say of which one.
            moved |= self._moved() - removed - masters
        rows = self._fetch([*moved, *removed, *masters], masters)
        items = [item_of(row) for row in rows.values()]
        same = {item.remote_id for item in items if item.version == known.version(item.remote_id)}
        gone = [name for name in (*moved, *removed, *masters) if name not in rows and name in known]
        return Page(
            items=[item for item in items if item.remote_id not in same],
            present=[*present, *same],
            removed=gone,
            cursor=self._cursor(found.link),
        )

    def _moved(self) -> set[str]:
        """Known events that are at another version now, or not there any more."""
        sights = self._all_events(expand="")
        return {name for name in self._known.ids() if name not in sights or not self._unmoved(name, sights[name].etag)}

    def _unmoved(self, name: str, tag: str) -> bool:
        return (self._known.version(name) or "").partition("#")[0] == tag

    # Full listings

    def _full(self) -> Iterator[Page]:
        found = self._first_round()
        sights = self._all_events()
        known = self._known
        inside = found.rows.keys() | found.masters
        outside = [name for name in known.ids() if name not in inside]
        present = [name for name in outside if name in sights and self._unmoved(name, sights[name].etag)]
        present += [name for name, row in found.rows.items() if known.version(name) == etag(row)]
        settled = set(present)
        total = len(inside) - len(settled & inside)
        ready, wanted = [], [name for name in outside if name not in settled]
        for name, row in found.rows.items():
            if name in settled:
                continue
            seen = sights.get(name)
            if seen is not None and seen.etag == etag(row):
                ready.append({**row, **seen.row})
            else:
                wanted.append(name)
        for some in _chunks(ready):
            yield Page(items=[item_of(row) for row in some], total=total)
        for names in _chunks([*wanted, *sorted(found.masters)]):
            items = [item_of(row) for row in self._fetch(names, found.masters).values()]
            same = [item.remote_id for item in items if item.version == known.version(item.remote_id)]
            yield Page(items=[item for item in items if item.remote_id not in same], present=same, total=total)
        yield Page(present=present, cursor=self._cursor(found.link), complete=True, total=total)

    def _all_events(self, expand: str = EXPAND) -> dict[str, _Sight]:
        """Every single event and every series of the calendar, whatever its time."""
        params: dict[str, str | int] = {"$select": "id,changeKey", "$top": _LISTED}
        params |= {"$expand": expand} if expand else {}
        sights = {}
        for page in self._graph.pages(self._place.events, params=params):
            for row in page.get("value") or ():
                own = {name: row[name] for name in ("singleValueExtendedProperties",) if name in row}
                sights[row["id"]] = _Sight(etag(row), own)
        return sights

    # Single events and series, whole

    def _fetch(self, names: Iterable[str], masters: Collection[str]) -> dict[str, Row]:
        """The events as they are now, a series with its exceptions; those that are not there are left out.

        ``masters``: names known to be series.
        """
        plain = sorted({name for name in names if name not in masters})
        rows = self._get(plain, self._place.read)
        series = {name for name, row in rows.items() if is_series(row)} | {name for name in names if name in masters}
        whole = self._get(sorted(series), self._place.read_series)
        return {name: row for name, row in rows.items() if name not in series} | whole

    def _get(self, names: list[str], url: Callable[[str], str]) -> dict[str, Row]:
        replies = self._graph.read_all([url(name) for name in names])
        return {name: reply.json for name, reply in zip(names, replies, strict=True) if reply.status < 300}


def _chunks(found: list[Any]) -> Iterator[list[Any]]:
    return (found[at : at + _YIELDED] for at in range(0, len(found), _YIELDED))
