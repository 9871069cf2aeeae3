"""What Google Calendar has no place for, kept in private extended properties of the event: our UID and a JSON document.

Keys over 44 and values over 1024 characters are cut silently (extended-properties guide), so the document is told in
pieces, with a checksum. Private properties are seen on this copy of the event only. When a user duplicates an event,
they are copied along: they count only where ``calhub-id`` is the event's own id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

ID: Final = "calhub-id"
UID: Final = "calhub-uid"
CHECK: Final = "calhub-check"
PENDING: Final = "calhub-pending"
PIECE: Final = "calhub-"

VALUE_LIMIT: Final = 1024
#: Of the 32 kB that all copies of an event share; beyond it the longest fields stay in the hub only.
LIMIT: Final = 8000


def private(row: Mapping[str, Any]) -> Mapping[str, str]:
    """Our properties of an event, none if they came with a copy of another event."""
    found: Mapping[str, str] = row.get("extendedProperties", {}).get("private", {})
    return found if found.get(ID, "") in (row["id"], row.get("recurringEventId")) else {}


def read(row: Mapping[str, Any]) -> dict[str, Any]:
    """The document of an event; empty where there is none, or it is damaged."""
    found = private(row)
    check = found.get(CHECK)
    if check is None:
        return {}
    text = "".join(found.get(f"{PIECE}{number}", "") for number in range(1, len(found)))
    if str(crc32(text.encode())) != check:
        return {}
    document: dict[str, Any] = json.loads(text)
    return document


def write(event_id: str, uid: str, document: Mapping[str, Any]) -> dict[str, str]:
    """The properties that say this. ``event_id`` is the id of the event, for an instance that of its series."""
    kept = {ID: event_id} | ({UID: uid} if uid else {})
    text = _text(dict(document))
    if text:
        pieces = [text[start : start + VALUE_LIMIT] for start in range(0, len(text), VALUE_LIMIT)]
        kept |= {f"{PIECE}{number}": piece for number, piece in enumerate(pieces, 1)}
        kept[CHECK] = str(crc32(text.encode()))
    return kept


def patch(row: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, str | None]:
    """What turns the properties of an event into these; others in there are not ours and stay. So does the mark of a
    series whose exceptions are being written, which exceptions inherit."""
    found = row.get("extendedProperties", {}).get("private", {})
    marked = PENDING if not row.get("recurringEventId") else None
    ours = [name for name in found if name.startswith(PIECE) and name != marked]
    changed: dict[str, str | None] = {name: value for name, value in wanted.items() if found.get(name) != value}
    return changed | {name: None for name in ours if name not in wanted}


def _text(document: dict[str, Any]) -> str:
    while document:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))  # ASCII: a character is a byte
        if len(text) <= LIMIT:
            return text
        del document[max(document, key=lambda name: len(json.dumps(document[name])))]
    return ""
