"""What a simulation asks of the services in it, be they in memory (`MemoryService`) or emulated (`Emulated`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from calhub.calendar.event import Content
from calhub.hub.accounts import Replica
from calhub.testing.memory import Quirks, Request


class Row(Protocol):
    """An item as it is at the service."""

    @property
    def uid(self) -> str: ...

    @property
    def content(self) -> Content: ...

    @property
    def version(self) -> str | None: ...


class Far(Protocol):
    """The far end of a remote. ``user_*`` methods are what its users do in its own app."""

    quirks: Quirks  # what the service is like
    log: list[Request]  # calls of its provider; of an emulator only the writes
    hook: Callable[[str], None] | None  # called with "update:before", "update:after" and so on around each of them

    @property
    def typed(self) -> frozenset[str]:
        """Fields into which its users can type."""

    @property
    def faults(self) -> Sequence[str]:
        """What can happen to a call."""

    @property
    def calls(self) -> Sequence[str]:
        """Calls to which it can happen."""

    @property
    def lasting_cursors(self) -> bool:
        """Whether a listing with nothing new gives the cursor that it was asked with."""

    @property
    def outbox(self) -> Sequence[object]:
        """Everything that was mailed."""

    def rows(self, calendar: str) -> Mapping[str, Row]:
        """All items by remote_id."""

    def contents(self, calendar: str) -> dict[str, Content]:
        """Copies of all items by UID."""

    def remote_id(self, calendar: str, uid: str) -> str | None: ...

    def shown(self, content: Content) -> Content:
        """What the service would keep of a content, and show."""

    def user_put(self, calendar: str, uid: str, content: Content) -> object:
        """Create or change an item. Raises KeyError where the app cannot do that."""

    def user_delete(self, calendar: str, uid: str) -> None: ...

    def fail(self, call: str, how: Any, *, times: int = 1, skip: int = 0) -> None:
        """Plan a fault for the next ``times`` calls of the kind, after ``skip`` good ones."""

    def mend(self, calendar: str) -> None:
        """No more planned faults."""

    def writes(self) -> list[Request]:
        """The part of the log that could have changed something."""

    def told(self, calendar: str, cursor: str | None) -> Mapping[str, str | None] | None:
        """Versions of all items that were listed up to a cursor, None for one that was deleted by then.

        None where the service does not say that of its cursors.
        """

    def looked(self, request: Request) -> bool:
        """Whether the item was read right before this write, where there are no conditional writes."""


@dataclass(frozen=True)
class Place:
    """A remote of a simulation: one calendar at a service."""

    service: Far
    calendar: str
    replica: Replica

    @property
    def rows(self) -> Mapping[str, Row]:
        return self.service.rows(self.calendar)

    @property
    def contents(self) -> dict[str, Content]:
        return self.service.contents(self.calendar)

    @property
    def writes(self) -> int:
        return len(self.service.writes())
