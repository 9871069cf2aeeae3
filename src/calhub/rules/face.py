"""What a copy shows of an event: nothing but times and what the rule was told to keep. Pure.

Fields are taken by name, never left out by name: a field that calhub learns to read tomorrow is in no copy.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import nh3

from calhub.calendar.event import RECURRENCE_UNIT, TIME_UNIT, Content
from calhub.calendar.fields import used_zones
from calhub.calendar.lines import parse_line, unfold
from calhub.rules.options import Options

#: What a public text may be made of.
_TAGS: Final = frozenset({"a", "b", "br", "em", "i", "li", "ol", "p", "strong", "u", "ul"})
#: Also a tag that nothing ends: a page that shows the text may end it.
_MARKUP: Final = re.compile(r"<[a-zA-Z/!?]")
#: Links that let one into a meeting (RFC 7986 CONFERENCE has a field of its own, but most stand in the text).
_MEETING: Final = re.compile(
    r"(?:https?://)?[\w.-]*\b(?:meet\.google\.com|zoom\.us|zoomgov\.com|teams\.microsoft\.com|teams\.live\.com|webex\.com|"
    r"whereby\.com|meet\.jit\.si|gotomeeting\.com|goto\.com|bluejeans\.com)/[^\s<>\"')\]]*",
    re.IGNORECASE,
)
#: What a private zone needs to tell the time; names and comments stay behind.
_ZONE_LINE: Final = re.compile(
    r"(?:BEGIN|END):(?:VTIMEZONE|STANDARD|DAYLIGHT)|(?:DTSTART|TZOFFSETFROM|TZOFFSETTO|RRULE|RDATE):.*"
)


def times(content: Content) -> Content:
    """When the event takes place, rule and exceptions included, but no overrides."""
    return {name: content[name] for name in (*TIME_UNIT, *RECURRENCE_UNIT, "zones") if name in content}


def fields(options: Options, instance: Content, calendar: str) -> Content:
    """What a copy of the instance says beside its times. ``calendar`` is the source's name."""
    told: Content = {name: instance[name] for name in options.keep if name in instance}
    if options.kind == "publish":
        told = _cleaned(told)
    title = instance.get("title", "")
    if options.title is not None:
        told["title"] = options.title.format(calendar=calendar, title=title)
    if options.prefix:
        told["title"] = options.prefix + told.get("title", "")
    if options.footer:
        told["description"] = "\n\n".join(text for text in (told.get("description"), options.footer) if text)
    if options.color is not None:
        told["color"] = options.color
    if options.private:
        told["privacy"] = "private"
    if not options.busy:
        told["busy"] = False
    return {name: value for name, value in told.items() if value != ""}


def patch(told: Content, master: Content, override: Content) -> Content:
    """The override of a copy whose instance says ``told`` where its master says ``master``; times as in it."""
    differing: Content = {name: told.get(name) for name in told.keys() | master.keys()}
    differing = {name: value for name, value in differing.items() if value != master.get(name)}
    moved = {name: override[name] for name in (*TIME_UNIT, "following") if name in override}
    return differing | moved


def _cleaned(told: Content) -> Content:
    texts: dict[str, Any] = {name: _clean(told[name]) for name in ("title", "description", "location") if name in told}
    url = told.get("url", "")
    if _MEETING.search(url) or not url.lower().startswith(("http://", "https://")):
        told = {name: value for name, value in told.items() if name != "url"}
    return told | texts


def _clean(text: str) -> str:
    """The text without ways into a meeting and, where it is HTML, without all that is not plain formatting."""
    if _MARKUP.search(text):
        text = nh3.clean(
            text, tags=set(_TAGS), attributes={"a": {"href"}}, url_schemes={"http", "https"}, link_rel=None
        )
        text = re.sub(rf'<a href="{_MEETING.pattern}">(.*?)</a>', r"\1", text, flags=re.IGNORECASE)
    return _MEETING.sub("", text).strip()


def with_bare_zones(content: Content) -> Content:
    """The content with private zones that say nothing but the time, under names that say nothing either."""
    used = {name: text for name, text in content.get("zones", {}).items() if name in used_zones(content)}
    result = {name: value for name, value in content.items() if name != "zones"}
    if not used:
        return result
    names = {name: f"calhub-zone-{hashlib.sha256(text.encode()).hexdigest()[:12]}" for name, text in used.items()}
    result = _renamed(result, names) | {"zones": {names[name]: _bare(text, names[name]) for name, text in used.items()}}
    if "overrides" in result:
        result["overrides"] = {rid: _renamed(each, names) for rid, each in result["overrides"].items()}
    return result


def _renamed(fields: Content, names: dict[str, str]) -> Content:
    zones = {name: names.get(fields[name], fields[name]) for name in ("time_zone", "end_time_zone") if name in fields}
    return fields | zones


def _bare(text: str, name: str) -> str:
    """A VTIMEZONE without names, comments and parameters."""
    lines = [f"{name}:{value}" for name, _, value in filter(None, map(parse_line, unfold(text)))]
    kept = [line for line in lines if _ZONE_LINE.fullmatch(line.upper())]
    return "\r\n".join([kept[0], f"TZID:{name}", *kept[1:]]) + "\r\n"
