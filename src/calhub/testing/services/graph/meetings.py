"""Mail that meetings cause (microsoft: Attendees and invitations), and the join block of online ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from calhub.testing.services.graph.store import Event

#: Changing these is nobody else's business.
_OWN: Final = frozenset({"categories", "showAs", "sensitivity", "isReminderOn", "reminderMinutesBeforeStart"})


@dataclass(frozen=True)
class Mail:
    kind: str  # invitation, update, cancellation, response
    to: str


@dataclass
class Outbox:
    """Everything that was mailed on behalf of the user."""

    mails: list[Mail] = field(default_factory=list)

    def created(self, event: Event) -> None:
        self._to("invitation", _people(event.props))

    def changed(self, event: Event, changes: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        """A write of nothing but attendees mails only those who are new or gone."""
        if not event.organizer or not changes.keys() - _OWN - {"singleValueExtendedProperties"}:
            return
        now, then = _people(event.props), _people(before)
        if changes.keys() <= {"attendees"}:
            self._to("invitation", now - then)
        else:
            self._to("update", now)
        self._to("cancellation", then - now)

    def deleted(self, event: Event) -> None:
        if event.organizer:
            self._to("cancellation", _people(event.props))
        elif not event.declined:
            self._to("response", {"organizer@example.com"})

    def answered(self, sends: bool) -> None:
        if sends:
            self._to("response", {"organizer@example.com"})

    def _to(self, kind: str, people: set[str]) -> None:
        self.mails += [Mail(kind, address) for address in sorted(people)]


def _people(props: Mapping[str, Any]) -> set[str]:
    return {each["emailAddress"]["address"].lower() for each in props.get("attendees", ())}


def keep_online(props: dict[str, Any], number: int) -> dict[str, Any]:
    """An online meeting gets its join block; a body written without it makes it none (microsoft: Writing)."""
    if not props.get("isOnlineMeeting"):
        return props
    url = f"https://teams.microsoft.com/l/meetup-join/19%3ameeting_{number}%40thread.v2/0?context=%7b%7d"
    content = (props.get("body") or {}).get("content") or "<html><body></body></html>"
    if props.get("onlineMeeting") is None:
        block = f'<div>{"_" * 80}</div><div class="me-email-text"><a href="{url}">Join the meeting now</a></div>'
        content = content.replace("</body>", f"{block}</body>")
        online = {"onlineMeeting": {"joinUrl": url}, "onlineMeetingProvider": "teamsForBusiness"}
        return {**props, **online, "body": {"contentType": "html", "content": content}}
    if url not in content:
        return {**props, "isOnlineMeeting": False, "onlineMeeting": None, "onlineMeetingProvider": "unknown"}
    return props
