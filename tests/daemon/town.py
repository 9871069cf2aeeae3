"""A hub that tells a receiver of changes, on a clock that is moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.daemon.receiver import Receiver

from calhub.daemon.delivery import Delivery
from calhub.hub import accounts, audit, endpoints, events, messages, retention
from calhub.hub.database import Hub, instant
from calhub.testing.world import plain


class Town:
    """A hub with the calendars Work and Home, somebody to be told, and the time of both."""

    def __init__(self, home: Path) -> None:
        self.now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        self.receiver = Receiver(lambda: self.now.timestamp())
        self.hub = Hub.open(home, clock=lambda: self.now)
        self.delivery = Delivery(self.hub, chance=lambda: 0.0)
        with self.hub.transaction() as conn:
            self.calendars = {name: accounts.add_calendar(conn, name, self.hub.now()).id for name in ("Work", "Home")}

    def close(self) -> None:
        self.receiver.close()
        self.hub.close()
        assert self.receiver.refused == []

    def add(self, url: str = "", calendars: list[str] | None = None, *, public_only: bool = False) -> int:
        """An endpoint at the receiver, which learns its secret."""
        url = url or self.receiver.url
        with self.hub.transaction() as conn:
            made = endpoints.add(conn, self.hub.home, url, calendars, public_only=public_only, now=self.hub.now())
        self.receiver.secrets.append(made["secret"])
        number: int = made["id"]
        return number

    def put(self, *uids: str, calendar: str = "Work", **content: Any) -> None:
        with self.hub.transaction() as conn:
            for uid in uids:
                events.put_event(conn, self.calendars[calendar], uid, plain(**content), now=self.hub.now())

    def delete(self, uid: str) -> None:
        with self.hub.transaction() as conn:
            events.delete_event(conn, events.find_event(conn, uid).id, now=self.hub.now())

    def go(self) -> None:
        """What the thread does now: cut, then send what is due, until nothing is."""
        self.delivery.cut()
        while due := self.delivery.due():
            for each in due:
                self.delivery.attempt(each)

    def pass_time(self, **time: float) -> None:
        self.now += timedelta(**time)

    def wait_for_next(self) -> float:
        """Move the clock to when the next message is due; returns by how many seconds."""
        with self.hub.read() as conn:
            due = messages.next_due(conn, [])
        assert due is not None
        before, self.now = self.now, datetime.fromisoformat(due)
        return (self.now - before).total_seconds()

    def shape(self, endpoint_id: int = 1) -> dict[str, Any]:
        with self.hub.read() as conn:
            return endpoints.shape(conn, endpoints.endpoint(conn, endpoint_id))

    def kept(self, state: messages.State | None = None) -> list[dict[str, Any]]:
        with self.hub.read() as conn:
            return messages.messages(conn, 1000, state=state)

    def enable(self, endpoint_id: int = 1) -> None:
        with self.hub.transaction() as conn:
            endpoints.enable(conn, endpoint_id, self.hub.now())

    def disable(self, endpoint_id: int = 1) -> None:
        with self.hub.transaction() as conn:
            endpoints.disable(conn, endpoint_id, endpoints.BY_HAND)

    def clean_up(self, *, keep_days: int = 0) -> None:
        with self.hub.transaction() as conn:
            retention.drop_expired(conn, keep_runs=0, before=instant(self.now - timedelta(days=keep_days)))

    def audited(self) -> list[str]:
        with self.hub.read() as conn:
            return [each["what"] for each in reversed(audit.entries(conn, 100)) if each["what"].startswith("webhook")]
