"""Keeping servers from sending invitations for events that we put there (RFC 6638)."""

from __future__ import annotations

import re
from typing import Final

_PARTICIPANT: Final = re.compile(r"^(ORGANIZER|ATTENDEE)(?=[;:])", re.IGNORECASE)


def silent(text: str) -> str:
    """The object with ``SCHEDULE-AGENT=CLIENT`` on its participants: the server is to leave messages to the client.

    Only for creating: adding it to an object that the server already schedules makes it send cancellations.
    """
    lines = text.split("\r\n")
    return "\r\n".join(_folded(_PARTICIPANT.sub(r"\1;SCHEDULE-AGENT=CLIENT", line), line) for line in lines)


def _folded(line: str, before: str) -> str:
    """A line that became longer than 75 octets (RFC 5545 section 3.1) is folded once more, after the parameter."""
    if line == before or len(line.encode()) <= 75:
        return line
    head = line[: line.index(";SCHEDULE-AGENT=CLIENT") + len(";SCHEDULE-AGENT=CLIENT")]
    return f"{head}\r\n {line[len(head) :]}"
