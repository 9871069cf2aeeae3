"""A hub whose one calendar is tied to calendars of emulated services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from calhub.providers.base import Provider
from calhub.providers.layers import Retry
from calhub.sync.report import RunReport
from calhub.testing.contract_kit import Remote
from calhub.testing.world import World


class TiedWorld(World):
    """One hub; `attach` gives it an account with a replica, and says how to sign in."""

    def attach(self, remote: Remote, login: Callable[[], Provider], **settings: Any) -> Remote:
        self.add_replica(remote.calendar, lambda: Retry(login(), sleep=lambda _: None), settings=settings)
        return remote

    def run(self) -> RunReport:
        """One pass, and time for every retry to be due."""
        report = self.sync()[-1]
        self.clock.advance(hours=12)
        return report
