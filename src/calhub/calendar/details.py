"""The fields of an edit that say nothing about time: texts, people, how the event is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.utils import getaddresses
from typing import Any, Final

from calhub.calendar.event import Content, InvalidEvent

_ADDRESS: Final = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

#: Fields with a default that content leaves out.
_DEFAULTS: Final[Mapping[str, Any]] = {"status": "confirmed", "privacy": "public", "busy": True}
_TEXTS: Final = ("url", "color")
_PERSON: Final[Mapping[str, Any]] = {"name": None, "role": "required", "status": "needs-action"}


def set_details(content: Content, details: Mapping[str, Any]) -> None:
    """Set the fields named, as the event shape spells them; the default of a field, or None, clears it.

    Known are ``status``, ``privacy``, ``busy`` (whose values are the caller's to check), ``url``, ``color``,
    ``categories`` and ``attendees``, a list of ``{"email", "name", "role", "status"}``; who stays keeps what the shape
    does not tell.
    """
    for name, value in details.items():
        if name == "attendees":
            _set_people(content, value or ())
            continue
        content.pop(name, None)
        if name == "categories":
            words = sorted(set(filter(None, (texts(categories=each).get(name) for each in value or ()))))
            content |= {name: words} if words else {}
        elif name in _TEXTS:
            content |= texts(**{name: value})
        elif value not in (None, _DEFAULTS[name]):
            content[name] = value


def texts(**texts: str | None) -> Content:
    result = {}
    for name, text in texts.items():
        if text is not None and _CONTROL.search(text):
            raise InvalidEvent(f"The {name} has control characters.")
        if text and text.strip():
            result[name] = text.replace("\r\n", "\n") if name == "description" else " ".join(text.split())
    return result


def set_attendees(content: Content, attendees: Iterable[str]) -> None:
    """Replace the attendees, if any are given."""
    given = [text.strip() for text in attendees]
    if not given:
        return
    known = content.get("attendees", {})
    content.pop("attendees", None)
    result = {}
    for text in filter(None, given):
        people = getaddresses([re.sub(r"(?i)\bmailto:", "", text)])
        name, address = people[0] if len(people) == 1 else ("", "")
        if not _ADDRESS.fullmatch(address) or _CONTROL.search(name):
            raise InvalidEvent("An attendee is not an address such as ann@example.org or Ann <ann@example.org>.")
        address = address.lower()
        result[address] = known.get(address, {}) | ({"name": name} if name else {})
    if result:
        content["attendees"] = dict(sorted(result.items()))


def _set_people(content: Content, people: Iterable[Mapping[str, Any]]) -> None:
    """Replace the attendees by those of the event shape."""
    known = content.pop("attendees", {})
    given: Content = {}
    for person in people:
        one: Content = {}
        set_attendees(one, [str(person["email"])])
        for address, plain in one.get("attendees", {}).items():
            kept = {name: value for name, value in known.get(address, {}).items() if name not in _PERSON}
            said = {name: person.get(name) for name in _PERSON}
            said |= {"name": texts(name=said["name"]).get("name")}
            given[address] = (
                kept | plain | {name: value for name, value in said.items() if value not in (None, "", _PERSON[name])}
            )
    if given:
        content["attendees"] = dict(sorted(given.items()))
