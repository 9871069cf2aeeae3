"""The mark of a copy: an event that a rule made in one calendar from an event of another.

A copy is known by its UID, which is made of the rule's key and a digest of the source's UID. Every service keeps the
UID (as such, or in a private property of the item), also when calhub's database is lost; and whatever makes a second
item of it, such as a person who drags a copy of it, gives the second one another UID. Where X- properties are
kept, the copy says the same in one of those, for other programs to see.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from calhub.calendar.event import Content

#: Holds the UID the copy was made with.
PROPERTY: Final = "X-CALHUB-COPY"

_UID: Final = re.compile(r"calhub-copy-([0-9a-f]{12})-[0-9a-f]{32}")


def rule_key(kind: str, source: str, target: str, again: int = 0) -> str:
    """What stands for a rule in its marks: of the names, so that the same rule made anew finds its copies again.

    ``again`` counts up where the key is taken, because a calendar was renamed since.
    """
    return _digest((kind, source, target, str(again) if again else ""), 12)


def copy_uid(key: str, source_uid: str, part: str = "") -> str:
    """The UID of the copy that the rule of this key makes of an event, or of a part of it. It tells of neither."""
    return f"calhub-copy-{key}-{_digest((key, source_uid, part), 32)}"


def is_copy(uid: str) -> bool:
    """Whether a rule, of this hub or of another one, made the event of this UID."""
    return _UID.fullmatch(uid) is not None


def made_by_rule(uid: str, content: Content) -> bool:
    """Whether a rule made this very event: its UID says so, or its property names that UID.

    A person's own duplicate of a copy has the property too, with the UID of the other one.
    """
    return is_copy(uid) or mark_of(content) == uid


def key_of(uid: str) -> str | None:
    """The key of the rule that made the copy of this UID; None where it is no copy."""
    found = _UID.fullmatch(uid)
    return found[1] if found else None


def marked(content: Content, uid: str) -> Content:
    """The content of a copy with the property that shows whose it is."""
    return content | {"extra": {PROPERTY: [f"{PROPERTY}:{uid}"]}}


def mark_of(content: Content) -> str | None:
    """The UID a copy says it was made with; None without the property."""
    lines = content.get("extra", {}).get(PROPERTY, [""])
    return lines[0].partition(":")[2] or None


def _digest(parts: tuple[str, ...], length: int) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]
