"""An emulated service as a remote of a simulation: the real provider, without a network.

Users type in the service's own app (`calhub.testing.people`), and requests fail as they do on the way to a service.
Each HTTP request is a moment at which a process can be killed, or somebody else can edit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID

from calhub.calendar.event import Content
from calhub.calendar.fields import project
from calhub.calendar.frame import frame_of
from calhub.providers.base import Capabilities, Outcome, Provider, WriteRequest, write_one
from calhub.providers.layers import Layer, Retry
from calhub.testing.memory import Quirks, Request
from calhub.testing.people import Person
from calhub.testing.people.base import wall
from calhub.testing.services.base import Clock
from calhub.testing.services.direct import Direct
from calhub.testing.services.oauth import OAuth
from calhub.testing.simulation.emulators import HABITS, MAKERS, nobody_waits

#: How a fault of a simulation is planned at an emulator.
_FAULTS: Final[dict[str, dict[str, Any]]] = {
    "lost-before": {"how": "cut-before"},
    "lost-after": {"how": "cut-after"},
    "5xx-after-apply": {"how": "status-after", "status": 500},
    "503-after-apply": {"how": "status-after", "status": 503},
    "5xx": {"how": "status", "status": 503},
    "429": {"how": "status", "status": 429, "retry_after": 1},
    "truncated": {"how": "truncated"},
    "expired": {"how": "expired"},
}
#: What single texts there are; times go together, and a series has more.
_FIELDS: Final = ("title", "location", "description", "categories")


T = TypeVar("T")


@dataclass(frozen=True)
class _Row:
    uid: str
    content: Content
    version: str | None


class Emulated:
    """`calhub.testing.simulation.far.Far` over an emulator; what is there is read by a provider that leaves no trace.

    ``kind`` is that of a provider, ``habits`` are some of `HABITS`. Raises ValueError for one that is not.
    """

    faults: Sequence[str] = tuple(_FAULTS)
    lasting_cursors = False

    def __init__(self, kind: str, habits: Collection[str], clock: Clock) -> None:
        if unknown := set(habits) - set(HABITS[kind]):
            raise ValueError(f"Not a habit of {kind}: {min(unknown)}")
        self.emulator = MAKERS[kind](clock, habits)
        self.log: list[Request] = []
        self.hook: Callable[[str], None] | None = None
        self._tokens = _Tokens(self.emulator.oauth, self.emulator.scope)
        self._looker = self._connect(Direct(self.emulator.service))
        capabilities = self._looker.prepare(self.calendar, self.emulator.settings)
        self.quirks = Quirks(
            keeps=capabilities.keeps,
            drops_fields=self.emulator.own,
            rewrites_uid=True,
            no_conditional_writes=not capabilities.conditional_writes,
        )
        self._seen: tuple[int, dict[str, _Row]] = (-1, {})
        self._names = 0
        self._writes = False
        self._since = 0  # requests the service had had when the latest write began

    @property
    def calendar(self) -> str:
        return self.emulator.calendar

    @property
    def person(self) -> Person:
        return self.emulator.person

    @property
    def typed(self) -> frozenset[str]:
        return self.emulator.typed

    @property
    def calls(self) -> Sequence[str]:
        return tuple(self.emulator.calls)

    @property
    def outbox(self) -> Sequence[object]:
        return self.emulator.outbox()

    # For the hub.

    def provider(self) -> Provider:
        """A new process connects."""
        return _Watched(self._connect(Direct(self.emulator.service, self._around)), self)

    def _connect(self, transport: Direct) -> Provider:
        return Retry(self.emulator.connect(transport, self._tokens), sleep=nobody_waits, rng=Random(0))

    def _around(self, request: str, when: str) -> None:
        del request
        self._tell("within" if self._writes else "http", when)

    def _tell(self, what: str, when: str) -> None:
        if self.hook is not None:
            self.hook(f"{what}:{when}")

    def write(self, requests: Sequence[WriteRequest], send: Callable[[], T]) -> T:
        """Note the writes as the engine asked for them, and send them."""
        self._since = len(self.emulator.service.log)
        for each in requests:
            self.log.append(
                Request(order=len(self.log) + 1, method=each.op, calendar=self.calendar, remote_id=each.remote_id,
                        uid=each.uid, expected=each.expected, content=deepcopy(each.content))
            )  # fmt: skip
            self._tell(each.op, "before")
        self._writes = True
        try:
            answer = send()
        finally:
            self._writes = False
        self._tell(requests[-1].op, "after")
        return answer

    def name(self) -> str:
        """A fresh one."""
        self._names += 1
        return str(UUID(int=self._names))

    # What is there.

    def rows(self, calendar: str) -> Mapping[str, _Row]:
        """Items that the provider cannot read have no content."""
        changes = self.emulator.changes()
        if self._seen[0] != changes:
            pages = self._looker.changes(calendar, None, _Nothing())
            items = [item for page in pages for item in page.items]
            self._seen = (
                changes,
                {item.remote_id: _Row(item.uid or item.remote_id, item.content or {}, item.version) for item in items},
            )
        return self._seen[1]

    def contents(self, calendar: str) -> dict[str, Content]:
        return {row.uid: deepcopy(row.content) for row in self.rows(calendar).values() if row.content}

    def remote_id(self, calendar: str, uid: str) -> str | None:
        return next((name for name, row in self.rows(calendar).items() if row.uid == uid), None)

    def shown(self, content: Content) -> Content:
        kept = project(content, self.quirks.keeps - self.quirks.drops_fields)
        return deepcopy(kept)

    def writes(self) -> list[Request]:
        return self.log

    def told(self, calendar: str, cursor: str | None) -> None:  # noqa: ARG002 - a cursor says nothing by itself
        return None

    def looked(self, request: Request) -> bool:
        """The provider looks within the write: whatever is changed was read, found or made since that began."""
        del request
        sent = [each.name for each in self.emulator.service.log[self._since :]]
        for at, name in enumerate(sent):
            page = name.rpartition("/")[2]
            before = (each for each in sent[:at] if each.startswith("POST") or each.endswith(f"/{page}"))
            if name.startswith("PATCH") and next(before, None) is None:
                return False
        return True

    # What users do, and what goes wrong.

    def user_put(self, calendar: str, uid: str, content: Content) -> None:
        """By the gestures of the service's app: a new event, or what is different now. Raises KeyError."""
        before = self.contents(calendar).get(uid)
        times = _times(content)
        if before is None:
            days = 6 if "rrule" in content else 1
            self.person.add(days=days, title=content["title"], start=times["start"], end=times["end"])
            return
        title = before["title"]
        for key, fields in content.get("overrides", {}).items():
            changed = _changed(before.get("overrides", {}).get(key, {}), fields)
            if changed:
                self.person.edit_instance(title, _day(key), **changed)
        for key in content.get("exdates", []):
            if key not in before.get("exdates", []):
                self.person.cancel_instance(title, _day(key))
        changed = _changed(before, content)
        if times != _times(before):
            changed |= times
        if changed:
            self.person.edit(title, **changed)

    def user_delete(self, calendar: str, uid: str) -> None:
        self.person.delete(self.contents(calendar)[uid]["title"])

    def fail(self, call: str, how: str, *, times: int = 1, skip: int = 0) -> None:
        match, part = self.emulator.calls[call]
        self.emulator.service.fail(match, times=times, skip=skip, part=part, **_FAULTS[how])

    def mend(self, calendar: str) -> None:  # noqa: ARG002 - faults are the service's
        self.emulator.service.heal()


def _times(content: Content) -> dict[str, str]:
    """As `Person` has them."""
    frame = frame_of(content)
    spelt = {name: frame.spell(frame.read(content[name])) for name in ("start", "end")}
    return {name: wall(datetime.fromisoformat(text)) for name, text in spelt.items()}


def _day(recurrence_id: str) -> str:
    return wall(datetime.fromisoformat(recurrence_id))[:10]


def _changed(before: Content, after: Content) -> dict[str, Any]:
    """Texts that are others now; an empty one has been cleared."""
    return {name: after.get(name, "") for name in _FIELDS if after.get(name) != before.get(name)}


class _Watched(Layer):
    """Notes each write, as the engine asked for it, and calls the hook around it."""

    def __init__(self, inner: Provider, far: Emulated) -> None:
        super().__init__(inner)
        self._far = far

    def prepare(self, calendar: str, settings: Mapping[str, Any]) -> Capabilities:
        """One write at a time: which of two threads comes first is not for a seed to say."""
        return replace(super().prepare(calendar, settings), parallel_writes=1)

    def reserve(self, calendar: str, uid: str) -> str:
        """Ids that are drawn by chance are the same ones each time here."""
        return super().reserve(calendar, uid) if self.capabilities.chosen_ids else self._far.name()

    def create(self, calendar: str, remote_id: str, uid: str, content: Content) -> Outcome:
        request = WriteRequest(op="create", remote_id=remote_id, uid=uid, content=content)
        return self._far.write([request], lambda: write_one(self.inner, calendar, request))

    def update(
        self, calendar: str, remote_id: str, uid: str, content: Content, *, expected: str | None, raw: str | None
    ) -> Outcome:
        request = WriteRequest(op="update", remote_id=remote_id, uid=uid, content=content, expected=expected, raw=raw)
        return self._far.write([request], lambda: write_one(self.inner, calendar, request))

    def delete(self, calendar: str, remote_id: str, *, expected: str | None) -> Outcome:
        request = WriteRequest(op="delete", remote_id=remote_id, uid="", expected=expected)
        return self._far.write([request], lambda: write_one(self.inner, calendar, request))

    def write_batch(self, calendar: str, requests: Sequence[WriteRequest]) -> list[Outcome]:
        return self._far.write(requests, lambda: self.inner.write_batch(calendar, requests))


class _Tokens:
    """`calhub.providers.oauth.Tokens` of somebody who has signed in for good."""

    def __init__(self, oauth: OAuth, scope: str) -> None:
        self._oauth = oauth
        self._scope = scope
        self._token: str | None = None

    def current(self) -> str:
        if self._token is None:
            self._token = self._oauth.access(self._scope)
        return self._token

    def refused(self, token: str) -> None:
        if token == self._token:
            self._token = None


class _Nothing:
    """`calhub.providers.base.Known` of a hub that has seen nothing."""

    def version(self, remote_id: str) -> None:  # noqa: ARG002 - whatever it is
        return None

    def __contains__(self, remote_id: object) -> bool:
        return False

    def ids(self) -> Any:
        return iter(())
