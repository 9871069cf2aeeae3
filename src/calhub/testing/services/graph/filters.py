"""The few ``$filter`` expressions that are known to work on events (microsoft: Resources and identity)."""

from __future__ import annotations

import re
from typing import Final

from calhub.testing.services.graph.checks import Bad
from calhub.testing.services.graph.store import Event

_TEXT: Final = r"'((?:[^']|'')*)'"
_EXTENDED: Final = re.compile(
    rf"singleValueExtendedProperties/Any\(ep: ep/id eq {_TEXT} and ep/value eq {_TEXT}\)", re.IGNORECASE
)
_UID: Final = re.compile(rf"iCalUId eq {_TEXT}")


def chosen(events: list[Event], expression: str | None) -> list[Event]:
    """The events that fit. Values of extended properties are compared without regard to case. Raises `Bad`."""
    if not expression:
        return events
    if found := _EXTENDED.fullmatch(expression):
        name, value = (text.replace("''", "'") for text in found.groups())
        return [each for each in events if each.extended.get(name.lower(), "\0").casefold() == value.casefold()]
    if found := _UID.fullmatch(expression):
        return [each for each in events if each.uid == found[1].replace("''", "'")]
    raise Bad("ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes.")
