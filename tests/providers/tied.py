"""A hub whose one calendar is tied to calendars of emulated services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from calhub.hub import accounts
from calhub.hub.accounts import Account
from calhub.providers.base import Provider
from calhub.providers.layers import Retry
from calhub.sync.report import RunReport
from calhub.testing.contract_kit import Remote
from calhub.testing.world import World


class TiedWorld(World):
    """One hub; `attach` gives it an account with a replica, and says how to sign in."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.logins: dict[int, Callable[[], Provider]] = {}

    def attach(self, kind: str, remote: Remote, login: Callable[[], Provider], **settings: Any) -> Remote:
        with self.hub.transaction() as conn:
            made = accounts.add_account(conn, f"{kind}-{len(self.logins)}", kind, {}, self.hub.now())
            accounts.add_replica(
                conn, self.calendar.id, made.id, remote.calendar, "Work", self.hub.now(), direction="both",
                conflicts="merge", settings=settings,
            )  # fmt: skip
        self.logins[made.id] = login
        return remote

    def connect(self, account: Account) -> Provider:
        return Retry(self.logins[account.id](), sleep=lambda _: None)

    def run(self) -> RunReport:
        """One pass, and time for every retry to be due."""
        report = self.sync()[-1]
        self.clock.advance(hours=12)
        return report
