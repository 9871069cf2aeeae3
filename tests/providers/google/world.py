"""A hub whose one calendar is tied to calendars at Google."""

from collections.abc import Callable
from typing import Any

from tests.providers.google.conftest import signed_in

from calhub.calendar.event import Content
from calhub.hub import accounts
from calhub.hub.accounts import Account
from calhub.providers.base import Provider
from calhub.providers.layers import Retry
from calhub.sync.report import RunReport
from calhub.testing.contract_kit import Remote, listing
from calhub.testing.services.google import GoogleService
from calhub.testing.world import World

#: Requests whose answers may get lost.
BROKEN = ("POST */events", "PATCH *", "DELETE *", "POST /batch/*", "GET */instances", "GET */events")


class GoogleWorld(World):
    """One hub; `tie` gives it accounts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.logins: dict[int, Callable[[], Provider]] = {}

    def tie(self, google: GoogleService, remote: Remote, **settings: Any) -> Remote:
        with self.hub.transaction() as conn:
            made = accounts.add_account(conn, f"google-{len(self.logins)}", "google", {}, self.hub.now())
            accounts.add_replica(
                conn, self.calendar.id, made.id, remote.calendar, "Work", self.hub.now(), direction="both",
                conflicts="merge", settings=settings,
            )  # fmt: skip
        self.logins[made.id] = signed_in(google)
        return remote

    def connect(self, account: Account) -> Provider:
        return Retry(self.logins[account.id](), sleep=lambda _: None)

    def run(self) -> RunReport:
        """One pass, and time for every retry to be due."""
        report = self.sync()[-1]
        self.clock.advance(hours=12)
        return report


def shown(remote: Remote) -> dict[str | None, Content | None]:
    """What is at Google, by UID."""
    return {item.uid: item.content for item in listing(remote).items.values()}
