"""A hub whose one calendar is tied to calendars at Google."""

from typing import Any

from tests.providers.google.conftest import signed_in
from tests.providers.tied import TiedWorld

from calhub.calendar.event import Content
from calhub.testing.contract_kit import Remote, listing
from calhub.testing.services.google import GoogleService

#: Requests whose answers may get lost.
BROKEN = ("POST */events", "PATCH *", "DELETE *", "POST /batch/*", "GET */instances", "GET */events")


class GoogleWorld(TiedWorld):
    """One hub; `tie` gives it accounts."""

    def tie(self, google: GoogleService, remote: Remote, **settings: Any) -> Remote:
        return self.attach(remote, signed_in(google), **settings)


def shown(remote: Remote) -> dict[str | None, Content | None]:
    """What is at Google, by UID."""
    return {item.uid: item.content for item in listing(remote).items.values()}
