"""The far end of `calhub.testing.memory`: a calendar service with everything that can go wrong, on purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Literal, get_args

from calhub.calendar import fields
from calhub.calendar.event import FIELDS, Content
from calhub.providers.base import (
    Done,
    Item,
    NotSent,
    Outcome,
    ProviderError,
    Refused,
    Stale,
    Trait,
    Unknown,
)

Method = Literal["discover", "changes", "get", "find", "create", "update", "delete", "create_calendar"]
How = Literal[
    "lost-before",  # never arrived; Unknown
    "lost-after",  # applied, the answer was lost; Unknown
    "5xx-after-apply",  # applied, answered by a server error; Unknown
    "twice",  # delivered twice; the answer is that of the second delivery
    "late",  # Unknown now, applied only after the next request has been answered
    "not-sent",
    "429",
    "refused",
    "stale",
    "5xx",  # not applied, and certain: NotSent
    "login",
    "gone",
]

WRITES: Final = frozenset({"create", "update", "delete"})


@dataclass(kw_only=True)
class Quirks:
    """What real services do to their clients. All off by default; may be changed at any time."""

    keeps: frozenset[str] = FIELDS  # declared: other fields exist at the service, but the provider cannot see them
    drops_fields: frozenset[str] = frozenset()  # undeclared: written values of these fields vanish silently
    rewrites_text: bool = False  # titles are trimmed, descriptions become HTML
    rewrites_uid: bool = False  # a created item gets a UID of the service's choosing
    idle_etag_moves: bool = False  # every listing gives each item a new version, content unchanged
    lists_late: bool = False  # a change appears in the incremental feed one listing late; full listings are current
    page_duplicates: bool = False  # the last row of a page is repeated on the next one
    page_drops_row: bool = False  # a full listing in several pages misses one row, as if rows had shifted
    expired_token: bool = False  # no cursor is ever accepted
    read_only: bool = False  # writes are refused, the calendar is listed as "reader"
    no_conditional_writes: bool = False  # the service overwrites whatever is there; the provider looks first
    no_deletion_feed: bool = False  # incremental listings do not mention deletions
    no_chosen_ids: bool = False  # the service names a created item itself
    exceptions_apart: bool = False  # an update of a series is one request for the master and one for each exception
    batch_writes: int = 1  # writes the provider takes in one call
    page_size: int | None = None  # rows a page; None = everything in one


@dataclass(frozen=True, kw_only=True)
class Request:
    """One line of the request log. ``order`` counts from 1 over all providers of the service."""

    order: int
    method: str
    calendar: str | None = None
    remote_id: str | None = None
    uid: str | None = None
    expected: str | None = None
    content: Content | None = None


@dataclass(frozen=True)
class Mail:
    """A message the service sent to a participant."""

    uid: str
    to: str


@dataclass
class _Row:
    uid: str
    content: Content
    version: str
    modified: str
    problem: str | None = None


@dataclass
class _Calendar:
    name: str
    color: str | None = None
    time_zone: str | None = None
    rows: dict[str, _Row] = field(default_factory=dict)
    feed: dict[str, int] = field(default_factory=dict)  # remote_id: seq of its latest change, deletions included
    horizon: int = 0  # what a late listing shows


@dataclass
class _Fault:
    call: str
    how: How
    skip: int
    times: int
    retry_after: float | None


class MemoryService:
    """The far end. ``user_*`` methods are what its users do in its own app: not logged, never failing.

    ``hook`` is called with ``"create:before"``, ``"create:after"`` and so on around every remote call; what it raises
    goes through to the caller as if the process had died there (``after``: applied, but nobody learned of it).
    """

    typed: ClassVar = FIELDS
    faults: ClassVar[tuple[str, ...]] = get_args(How)
    lasting_cursors: ClassVar = True
    calls: ClassVar = ("changes", "get", "find", "create", "update", "delete", "write", "read", "any")

    def __init__(self, *, quirks: Quirks | None = None, clock: Callable[[], datetime] | None = None) -> None:
        self.quirks = quirks or Quirks()
        self.log: list[Request] = []
        self.outbox: list[Mail] = []
        self.hook: Callable[[str], None] | None = None
        self.calendars: dict[str, _Calendar] = {}
        self.seq = 0
        self.epoch = 0
        self.lock = threading.RLock()
        self._clock = clock or (lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seq))
        self._names = 0
        self._faults: list[_Fault] = []
        self._late: list[Callable[[], object]] = []

    # What users do.

    def add_calendar(self, name: str, *, color: str | None = None, time_zone: str | None = None) -> str:
        """A new, empty calendar; returns its id."""
        calendar_id = self.name("cal")
        self.calendars[calendar_id] = _Calendar(name, color, time_zone)
        return calendar_id

    def user_put(self, calendar: str, uid: str, content: Content, *, remote_id: str | None = None) -> str:
        """A user creates the item, or replaces the one with this UID; returns its remote_id."""
        with self.lock:
            remote_id = remote_id or self.remote_id(calendar, uid) or self.name("item")
            self._store(calendar, remote_id, uid, content)
            return remote_id

    def user_edit(self, calendar: str, uid: str, **changed: Any) -> None:
        """A user sets fields of the item; None removes a field. Raises KeyError if there is no such item."""
        with self.lock:
            remote_id, row = self._row(calendar, uid)
            content = {k: v for k, v in {**row.content, **changed}.items() if v is not None}
            self._store(calendar, remote_id, uid, content)

    def user_delete(self, calendar: str, uid: str) -> None:
        """A user deletes the item. Raises KeyError if there is no such item."""
        with self.lock:
            self._remove(calendar, self._row(calendar, uid)[0])

    def user_break(self, calendar: str, uid: str, problem: str) -> None:
        """The item becomes unreadable, for the reason given, until it is put or edited again."""
        with self.lock:
            remote_id, row = self._row(calendar, uid)
            self._store(calendar, remote_id, uid, row.content, problem=problem)

    def contents(self, calendar: str) -> dict[str, Content]:
        """Copies of all items by UID, hidden fields included."""
        return {row.uid: deepcopy(row.content) for row in self.calendars[calendar].rows.values()}

    def rows(self, calendar: str) -> Mapping[str, _Row]:
        """All items by remote_id, hidden fields included."""
        return self.calendars[calendar].rows

    def remote_id(self, calendar: str, uid: str) -> str | None:
        """The remote_id of the item with this UID, or None."""
        return next((name for name, row in self.calendars[calendar].rows.items() if row.uid == uid), None)

    # What happens to services.

    def fail(self, call: str, how: How, *, times: int = 1, skip: int = 0, retry_after: float | None = None) -> None:
        """Plan a fault for the next ``times`` calls of the kind, after ``skip`` good ones.

        ``call`` is a method name, or ``"write"``, ``"read"``, ``"any"``. For calls that read, every ``how`` but
        ``login`` and ``gone`` is a passing `ProviderError`; for ``changes`` one call is one page.
        """
        self._faults.append(_Fault(call, how, skip, times, retry_after))

    def mend(self, calendar: str) -> None:
        """No more planned faults; late writes arrive, unreadable items can be read again."""
        with self.lock:
            self._faults.clear()
            self._arrive()
            for remote_id, row in list(self.calendars[calendar].rows.items()):
                if row.problem is not None:
                    self._store(calendar, remote_id, row.uid, row.content)

    def expire_cursors(self) -> None:
        """No cursor given out so far is accepted any more."""
        self.epoch += 1

    def snapshot(self) -> dict[str, _Calendar]:
        """A backup of the service, for `restore`."""
        return deepcopy(self.calendars)

    def restore(self, snapshot: dict[str, _Calendar]) -> None:
        """The service is restored from a backup: items and versions go back, cursors expire. Counters never go back."""
        with self.lock:
            self.calendars = deepcopy(snapshot)
            self.expire_cursors()

    def writes(self) -> list[Request]:
        """The part of the log that could have changed something."""
        return [request for request in self.log if request.method in WRITES]

    def told(self, calendar: str, cursor: str | None) -> Mapping[str, str | None] | None:
        """Versions of the items listed up to a cursor, None for deleted ones; None if the service lies about that."""
        epoch, _, position = (cursor or "").partition(":")
        if self.quirks.page_drops_row or epoch != str(self.epoch) or not position:
            return None
        place = self.calendars[calendar]
        listed = [remote_id for remote_id, order in place.feed.items() if order <= int(position)]
        rows = {remote_id: place.rows.get(remote_id) for remote_id in listed}
        return {remote_id: row.version if row is not None else None for remote_id, row in rows.items()}

    def looked(self, request: Request) -> bool:
        """Whether the item was read right before this write, the latest request."""
        before = [each for each in self.log[: request.order - 1] if each.remote_id == request.remote_id]
        return bool(before) and before[-1].method == "get"

    # What providers call.

    def name(self, kind: str) -> str:
        """A fresh name; never given twice, whatever is deleted or restored."""
        with self.lock:
            self._names += 1
            return f"{kind}-{self._names}"

    def read(self, method: Method, answer: Callable[[], Any], **logged: Any) -> Any:
        """Log the request and answer it. Raises `ProviderError` where a fault is planned."""
        with self.lock:
            self._begin(method, logged)
            fault = self._fault(method, "read")
            if fault is not None:
                raise _error(fault)
            result = answer()
            self._end(method)
            return result

    def write(self, method: Method, apply: Callable[[], Outcome], **logged: Any) -> Outcome:
        """Log the request and apply it, or let happen what was planned."""
        with self.lock:
            self._begin(method, logged)
            fault = self._fault(method, "write")
            outcome = apply() if fault is None else self._faulty(fault, apply)
            self._end(method)
            if fault is not None and fault.how == "late":
                self._late.append(apply)
            return outcome

    def shown(self, content: Content) -> Content:
        """What this service would keep of a content that was written to it, and show."""
        return self._rewritten(fields.project(deepcopy(content), self.quirks.keeps))

    def find_calendar(self, calendar: str) -> _Calendar:
        """The calendar, or a `ProviderError` with trait GONE."""
        if calendar not in self.calendars:
            raise ProviderError("The remote calendar does not exist any more.", "Choose another.", Trait.GONE)
        return self.calendars[calendar]

    def item(self, calendar: str, remote_id: str) -> Item | None:
        """The item as a provider may see it."""
        row = self.calendars[calendar].rows.get(remote_id)
        if row is None:
            return None
        content = None if row.problem else fields.project(deepcopy(row.content), self.quirks.keeps)
        return Item(
            remote_id=remote_id,
            version=row.version,
            uid=row.uid,
            content=content,
            problem=row.problem,
            modified=row.modified,
        )

    def apply_create(self, calendar: str, remote_id: str, uid: str, content: Content, *, notify: bool) -> Outcome:
        """Create, unless the id or the UID is taken (RFC 4791 5.3.2.1, no-uid-conflict)."""
        if self.quirks.read_only:
            return Refused("The calendar is read-only.")
        if remote_id in self.find_calendar(calendar).rows or self.remote_id(calendar, uid) is not None:
            return Stale()
        if self.quirks.no_chosen_ids:
            remote_id = self.name("own")
        if self.quirks.rewrites_uid:
            uid = self.name("uid")
        self._store(calendar, remote_id, uid, self.shown(content))
        self._mail(uid, content, notify)
        return Done(self.item(calendar, remote_id))

    def apply_update(
        self, calendar: str, remote_id: str, content: Content, expected: str | None, *, notify: bool
    ) -> Outcome:
        """Make the visible fields equal ``content``; fields outside ``quirks.keeps`` stay."""
        row = self.find_calendar(calendar).rows.get(remote_id)
        if self.quirks.read_only:
            return Refused("The calendar is read-only.")
        if row is None or (row.version != expected and expected is not None and not self.quirks.no_conditional_writes):
            return Stale()
        keeps = self.quirks.keeps
        patch = fields.diff(fields.project(row.content, keeps), self.shown(content))
        self._store(calendar, remote_id, row.uid, fields.apply(deepcopy(row.content), deepcopy(patch)))
        self._mail(row.uid, content, notify)
        return Done(self.item(calendar, remote_id))

    def apply_delete(self, calendar: str, remote_id: str, expected: str | None, *, notify: bool) -> Outcome:
        """Delete; already gone is `Done`."""
        row = self.find_calendar(calendar).rows.get(remote_id)
        if self.quirks.read_only:
            return Refused("The calendar is read-only.")
        if row is None:
            return Done(None)
        if row.version != expected and expected is not None and not self.quirks.no_conditional_writes:
            return Stale()
        self._remove(calendar, remote_id)
        self._mail(row.uid, row.content, notify)
        return Done(None)

    def touch(self, calendar: str) -> None:
        """Every item gets a new version, nothing else changes."""
        for remote_id, row in list(self.find_calendar(calendar).rows.items()):
            self._store(calendar, remote_id, row.uid, row.content, problem=row.problem)

    # Inside.

    def _row(self, calendar: str, uid: str) -> tuple[str, _Row]:
        remote_id = self.remote_id(calendar, uid)
        if remote_id is None:
            raise KeyError(uid)
        return remote_id, self.calendars[calendar].rows[remote_id]

    def _store(self, calendar: str, remote_id: str, uid: str, content: Content, *, problem: str | None = None) -> None:
        self.seq += 1
        modified = self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        place = self.calendars[calendar]
        place.rows[remote_id] = _Row(uid, deepcopy(content), f"v{self.seq}", modified, problem)
        place.feed[remote_id] = self.seq

    def _remove(self, calendar: str, remote_id: str) -> None:
        self.seq += 1
        del self.calendars[calendar].rows[remote_id]
        self.calendars[calendar].feed[remote_id] = self.seq

    def _rewritten(self, content: Content) -> Content:
        content = {name: value for name, value in content.items() if name not in self.quirks.drops_fields}
        if self.quirks.rewrites_text:
            if "title" in content:
                content["title"] = " ".join(content["title"].split())
            if "description" in content and not content["description"].startswith("<p>"):
                content["description"] = f"<p>{content['description']}</p>"
        return content

    def _mail(self, uid: str, content: Content, notify: bool) -> None:
        if notify:
            self.outbox.extend(Mail(uid, address) for address in sorted(content.get("attendees", {})))

    def _begin(self, method: str, logged: dict[str, Any]) -> None:
        self.log.append(Request(order=len(self.log) + 1, method=method, **deepcopy(logged)))
        if self.hook is not None:
            self.hook(f"{method}:before")

    def _end(self, method: str) -> None:
        if self.hook is not None:
            self.hook(f"{method}:after")
        self._arrive()

    def _arrive(self) -> None:
        late, self._late = self._late, []
        for apply in late:
            apply()

    def _fault(self, method: str, kind: str) -> _Fault | None:
        for fault in self._faults:
            if fault.call not in (method, kind, "any"):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                return None
            fault.times -= 1
            if fault.times == 0:
                self._faults.remove(fault)
            return fault
        return None

    def _faulty(self, fault: _Fault, apply: Callable[[], Outcome]) -> Outcome:
        match fault.how:
            case "lost-before" | "late":
                return Unknown("The connection broke.")
            case "lost-after" | "5xx-after-apply":
                apply()
                return Unknown("The service gave no usable answer.")
            case "twice":
                apply()
                return apply()
            case "not-sent" | "5xx" | "429":
                return NotSent("The service is busy.", fault.retry_after)
            case "refused":
                return Refused("The service does not like this event.")
            case "stale":
                return Stale()
            case "login" | "gone":
                raise _error(fault)


def _error(fault: _Fault) -> ProviderError:
    if fault.how == "login":
        return ProviderError("The password is not accepted any more.", "Sign in again.", Trait.LOGIN)
    if fault.how == "gone":
        return ProviderError("The remote calendar does not exist any more.", "Choose another.", Trait.GONE)
    return ProviderError("The service does not answer.", "Try later.", Trait.RETRY, fault.retry_after)
