"""What must be true of a rule's copies, whatever made them. Pure.

Nothing here uses the code that derives copies: a fault there must show here. So each check looks at a property:
which events are chosen, when copies take place, what they say, and what they must not say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Any, Final, NamedTuple

from calhub.calendar.event import RECURRENCE_UNIT, TIME_UNIT, Content
from calhub.calendar.mark import PROPERTY
from calhub.calendar.recurrence import expand, is_recurring
from calhub.hub.jsontext import dumps
from calhub.hub.rules import Copy, Rule
from calhub.rules.options import Options

_FAR: Final = 1 << 40
#: So many instances of a series are compared, from its first one on.
_COMPARED: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STRUCTURE: Final = frozenset({*TIME_UNIT, *RECURRENCE_UNIT, "overrides", "zones", "extra", "following"})
#: Text that cleaning may have changed: markup, or something like an address.
_UNCLEAN: Final = re.compile(r"[<>&]|\w\.\w+/")
_ZONE_PARTS: Final = frozenset({"BEGIN", "END", "TZID", "DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "RRULE", "RDATE"})
_UNSAFE: Final = re.compile(
    r"<\s*(?:script|style|iframe|object|embed|img|form|input|link|meta)\b|<[^>]*\bon\w+\s*=|"
    r"href\s*=\s*[\"']?\s*(?:javascript|data):|"
    r"\b(?:meet\.google\.com|zoom\.us|teams\.microsoft\.com|teams\.live\.com|webex\.com)/",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be. ``uid`` names the event in ``calendar``; its texts are nowhere."""

    check: str
    calendar: str
    uid: str | None
    message: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A rule with all that the hub has of it. ``sources`` and ``targets`` are live events by UID, the former without
    those that rules made; ``me`` and ``theirs`` the addresses of the owners of source and target, ``zone`` the clock of
    its hours, ``pending`` the UIDs of sources that wait for the next derivation.
    """

    rule: Rule
    options: Options
    sources: Mapping[str, Content]
    targets: Mapping[str, Content]
    copies: Sequence[Copy]
    me: frozenset[str]
    theirs: frozenset[str]
    zone: tzinfo
    now_ts: int
    pending: frozenset[str]

    @property
    def buffer(self) -> int:
        return int(self.options.buffer.total_seconds())

    @property
    def window(self) -> tuple[int, int]:
        """From when to when the rule has been applied for certain."""
        start, end = self.options.window(self.now_ts)
        return start, end if self.rule.reached_ts is None else min(end, self.rule.reached_ts)

    @property
    def cutoff(self) -> int:
        """What ended before should not be shown any more; looked at once a day."""
        if self.options.cutoff is None:
            return -_FAR
        return self.now_ts - self.now_ts % 86400 - int(self.options.cutoff.total_seconds())

    def shown(self, copy: Copy) -> Content | None:
        """What the copy says: as the rule wrote it, where people may change copies; else as it is."""
        return copy.face if self.options.on_edit == "keep" else self.targets.get(copy.uid)


class Instance(NamedTuple):
    start: int
    end: int
    fields: Content


def check_rule(scene: Scene) -> Iterator[Finding]:
    """All findings about a rule's copies in the hub."""
    by_source: dict[str, list[Copy]] = {}
    for copy in scene.copies:
        by_source.setdefault(copy.source_uid, []).append(copy)
        if scene.shown(copy) is None:
            yield _finding(scene, "count", copy.uid, "The copy is missing; the next `calhub sync` restores it.")
    yield from _check_choice(scene, by_source)
    for source_uid, copies in by_source.items():
        source = scene.sources.get(source_uid)
        for copy in copies:
            content = scene.shown(copy)
            if content is not None:
                yield from _check_said(scene, copy.uid, content)
                if source is not None and source_uid not in scene.pending:
                    yield from _check_texts(scene, copy, content, source)
        if source is not None and source_uid not in scene.pending:
            yield from _check_instances(scene, source, copies)
    if scene.options.merge and not scene.pending:
        yield from _check_merged(scene)


# Which events have copies


def _check_choice(scene: Scene, by_source: Mapping[str, Sequence[Copy]]) -> Iterator[Finding]:
    rule = scene.rule
    for uid, content in scene.sources.items():
        if uid in scene.pending:
            continue
        copies = by_source.get(uid, ())
        reason = _why_never(scene, uid, content)
        if reason is not None:
            check = "private" if "privacy" in content and rule.kind == "publish" else "duplicates"
            yield from (_finding(scene, check, copy.uid, reason) for copy in copies)
        elif not copies and not scene.options.merge and _is_due(scene, content):
            message = f'The event is chosen by the rule, but has no copy in "{rule.target}".'
            yield Finding(check="count", calendar=rule.source, uid=uid, message=message)
    for uid, copies in by_source.items():
        if uid and uid not in scene.sources and uid not in scene.pending:
            yield from (
                _finding(scene, "count", copy.uid, "What it is a copy of is gone, or a copy itself.") for copy in copies
            )


def _why_never(scene: Scene, uid: str, content: Content) -> str | None:
    if scene.rule.kind == "publish":
        return "It is a copy of a private event." if "privacy" in content else None
    if uid in scene.targets:
        return "It is a copy of an event that is in the calendar itself."
    if scene.theirs & content.get("attendees", {}).keys():
        return "It is a copy of an event in which the calendar's owner takes part."
    return None


def _is_due(scene: Scene, content: Content) -> bool:
    """Whether there must be a copy: some instance is chosen, in the time for which the rule makes copies."""
    options = scene.options
    first = scene.window[0] if options.past is not None else -_FAR
    last = scene.window[1] if options.future is not None else _FAR
    if options.cutoff is not None:
        first = max(first, scene.now_ts - int(options.cutoff.total_seconds()))
    in_parts = is_recurring(content) and (options.looks_at_clock or scene.buffer or not _taken(scene, _fields(content)))
    if in_parts:
        first, last = max(first, scene.window[0]), min(last, scene.window[1])
    return any(is_chosen(scene, each) for each in _instances(content, first, last))


def is_chosen(scene: Scene, instance: Instance) -> bool:
    """Whether the rule's filters let the instance through."""
    return _taken(scene, instance.fields) and _in_hours(scene, instance)


def _taken(scene: Scene, fields: Content) -> bool:
    options, title = scene.options, fields.get("title", "")
    answers = {who.get("status") for address, who in fields.get("attendees", {}).items() if address in scene.me}
    unwanted = {
        "free": fields.get("busy") is False,
        "declined": "declined" in answers,
        "cancelled": fields.get("status") == "cancelled",
        "tentative": "tentative" in answers or fields.get("status") == "tentative",
        "all-day": bool(fields.get("all_day")),
        "private": fields.get("privacy") in ("private", "confidential"),
    }
    if any(unwanted[word] for word in options.skip):
        return False
    if options.title_match and not options.title_match.search(title):
        return False
    if options.title_not and options.title_not.search(title):
        return False
    return not options.category or bool(options.category & {word.casefold() for word in fields.get("categories", ())})


def _in_hours(scene: Scene, instance: Instance) -> bool:
    options = scene.options
    if not options.looks_at_clock:
        return True
    zone = UTC if instance.fields.get("all_day") or not instance.fields.get("time_zone") else scene.zone
    begin, end = (
        (_EPOCH + timedelta(seconds=ts)).astimezone(zone).replace(tzinfo=None) for ts in (instance.start, instance.end)
    )
    midnight = datetime.combine(begin.date(), time.min)
    for day in (midnight + timedelta(days=number) for number in range(min((end - midnight).days, 7) + 1)):
        opens, closes = (day + timedelta(minutes=minutes) for minutes in options.hours)
        inside = opens <= begin < closes if begin == end else begin < closes and end > opens
        if day.weekday() in options.days and inside:
            return True
    return False


# When copies take place


def _check_instances(scene: Scene, source: Content, copies: Sequence[Copy]) -> Iterator[Finding]:
    """Copies take place when the chosen instances of their event do, and say there what the rule says."""
    shown = [content for copy in copies if (content := scene.shown(copy)) is not None]
    whole = any(copy.part == "" for copy in copies)
    if whole and len(copies) > 1:
        yield _finding(scene, "series", copies[0].uid, "Beside the copy of the series there are copies of instances.")
        return
    first, last = scene.window[0], scene.window[1] - 2 * scene.buffer
    instances = _instances(source, -_FAR if whole else first, scene.window[1])
    if whole and len(instances) < _COMPARED:
        first = -_FAR
    elif len(instances) >= _COMPARED:  # too many from the beginning on: those in the window then
        instances = _instances(source, first, scene.window[1])
        last = min(last, instances[-1].start - scene.buffer) if len(instances) >= _COMPARED else last
    chosen = [_widened(scene, each) for each in instances if is_chosen(scene, each)]
    copied = [each for content in shown for each in _instances(content, first, last)]
    wanted, found = (
        sorted((each for each in some if first <= each.start < last), key=_when) for some in (chosen, copied)
    )
    extra = Counter(map(_when, found)) - Counter(map(_when, wanted))
    missing = Counter(map(_when, wanted)) - Counter(map(_when, found))
    yield from _differing_times(scene, copies[0], source, instances, extra, missing)
    if not extra and not missing:
        wrong = {name for want, have in zip(wanted, found, strict=True) for name in _misstated(scene, want, have)}
        if wrong:
            message = f"The copy does not say what the rule keeps: {', '.join(sorted(wrong))}."
            yield _finding(scene, "properties", copies[0].uid, message)


def _differing_times(
    scene: Scene, copy: Copy, source: Content, instances: Sequence[Instance], extra: Counter[Any], missing: Counter[Any]
) -> Iterator[Finding]:
    private = [_widened(scene, each) for each in instances if "privacy" in each.fields]
    if "private" in scene.options.skip and {_when(each) for each in private} & extra.keys():
        yield _finding(scene, "private", copy.uid, "It shows when a private instance takes place.")
    elif extra or missing:
        check = "series" if is_recurring(source) else "times"
        message = f"Its times are not those of its event: {extra.total()} too many, {missing.total()} missing."
        yield _finding(scene, check, copy.uid, message)


def _check_merged(scene: Scene) -> Iterator[Finding]:
    """Merged copies cover just the time that chosen events take, and never meet."""
    first, last = scene.window[0] + 2 * scene.buffer, scene.window[1] - 2 * scene.buffer
    for all_day in (False, True):
        chosen = [
            _widened(scene, each)
            for uid, content in scene.sources.items()
            if _why_never(scene, uid, content) is None
            for each in _instances(content, *scene.window)
            if bool(each.fields.get("all_day")) is all_day and is_chosen(scene, each)
        ]
        blocks: list[tuple[int, int, str]] = []
        for copy in scene.copies:
            content = scene.shown(copy)
            if content is not None and bool(content.get("all_day")) is all_day:
                blocks += [(each.start, each.end, copy.uid) for each in _instances(content, *scene.window)]
        yield from _check_apart(scene, sorted(blocks))
        covered = _covered(((each.start, each.end) for each in chosen), first, last)
        if covered != _covered(((start, end) for start, end, _ in blocks), first, last):
            message = f'The merged blocks do not cover the time that "{scene.rule.source}" is busy.'
            yield Finding(check="times", calendar=scene.rule.target, uid=None, message=message)


def _check_apart(scene: Scene, blocks: Sequence[tuple[int, int, str]]) -> Iterator[Finding]:
    for (_, end, _), (start, _, uid) in pairwise(blocks):
        if start <= end:
            yield _finding(scene, "duplicates", uid, "It meets another block, though the rule merges them.")


def _covered(spans: Iterable[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    """The stretches of ``[first, last)`` in which there is something."""
    result: list[tuple[int, int]] = []
    for start, end in sorted((max(start, first), min(end, last)) for start, end in spans):
        if start >= end:
            continue
        if result and start <= result[-1][1]:
            result[-1] = result[-1][0], max(end, result[-1][1])
        else:
            result.append((start, end))
    return result


def _instances(content: Content, first: int, last: int) -> list[Instance]:
    found = []
    for each in expand(content, first, last, limit=_COMPARED):
        fields = _fields(content, each.patch)
        fields = {name: value for name, value in fields.items() if name != "all_day"}
        found.append(
            Instance(each.start_ts, each.end_ts, fields | ({"all_day": True} if len(each.start) == 10 else {}))
        )
    return found


def _fields(content: Content, patch: Content | None = None) -> Content:
    fields = {**content, **(patch or {})}
    return {name: value for name, value in fields.items() if value is not None and name != "overrides"}


def _widened(scene: Scene, instance: Instance) -> Instance:
    buffer = 0 if instance.fields.get("all_day") else scene.buffer
    return Instance(instance.start - buffer, instance.end + buffer, instance.fields)


def _when(instance: Instance) -> tuple[int, int]:
    return instance.start, instance.end


# What copies say


def _misstated(scene: Scene, wanted: Instance, found: Instance) -> set[str]:
    """Names of fields in which the copy's instance does not say what the rule makes of the event's."""
    options, event = scene.options, wanted.fields
    says = {name: event[name] for name in options.keep if name in event}
    unsure = set()
    if options.kind == "publish":
        unsure = {name for name, value in says.items() if isinstance(value, str) and _UNCLEAN.search(value)}
        says = {name: value.strip() if isinstance(value, str) else value for name, value in says.items()}
    if options.title is not None:
        says["title"] = options.title.format(calendar=scene.rule.source, title=event.get("title", ""))
        unsure -= {"title"}
    says["title"] = options.prefix + says.get("title", "")
    if options.footer:
        says["description"] = (
            f"{says['description']}\n\n{options.footer}" if says.get("description") else options.footer
        )
    says |= {"color": options.color} if options.color is not None else {}
    says |= {"privacy": "private"} if options.private else {}
    says |= {} if options.busy else {"busy": False}
    has = {name: value for name, value in found.fields.items() if name not in _STRUCTURE}
    says = {name: value for name, value in says.items() if value != ""}
    return {name for name in says.keys() | has.keys() if says.get(name) != has.get(name)} - unsure


def _allowed(options: Options) -> frozenset[str]:
    """The fields a copy may have beside its times."""
    own = {
        "title": options.title is not None or bool(options.prefix),
        "description": bool(options.footer),
        "color": options.color is not None,
        "privacy": options.private,
        "busy": not options.busy,
    }
    return options.keep | {name for name, holds in own.items() if holds}


def _check_said(scene: Scene, uid: str, content: Content) -> Iterator[Finding]:
    """What can be told from the copy alone."""
    options, allowed = scene.options, _allowed(scene.options)
    faces = _faces(content)
    names = {name for face in faces for name in face} - _STRUCTURE - allowed
    if names:
        yield _finding(scene, "fields", uid, f"The copy has what the rule does not keep: {', '.join(sorted(names))}.")
    if content.get("extra") != {PROPERTY: [f"{PROPERTY}:{uid}"]} or any("extra" in face for face in faces[1:]):
        yield _finding(scene, "fields", uid, "The copy has other properties than its mark.")
    if not all(_bare(name, text) for name, text in content.get("zones", {}).items()):
        yield _finding(scene, "fields", uid, "The copy's time zone says more than the time.")
    if options.kind == "publish":
        if any("privacy" in face for face in faces):
            yield _finding(scene, "public", uid, "The copy is not public.")
        if any(_UNSAFE.search(text) for face in faces for text in _leaves(_without(face, _STRUCTURE))):
            yield _finding(scene, "fields", uid, "The copy has unsafe markup, or a link into a meeting.")
    if options.cutoff is not None and next(expand(content, scene.cutoff, _FAR), None) is None:
        yield _finding(scene, "cutoff", uid, "The copy is older than the rule's cutoff.")


def _bare(name: str, text: str) -> bool:
    """Whether a private zone tells the time and nothing else."""
    parts = {line.partition(":")[0] for line in text.split("\r\n") if line}
    return name.startswith("calhub-zone-") and f"TZID:{name}\r\n" in text and parts <= _ZONE_PARTS


def _check_texts(scene: Scene, copy: Copy, content: Content, source: Content) -> Iterator[Finding]:
    """No text of the event is in its copy but what the rule keeps."""
    options = scene.options
    kept = options.keep | ({"title"} if options.title and "{title" in options.title else set())
    faces = [source, *source.get("overrides", {}).values()]
    told = [options.title or "", options.prefix, options.footer, options.color or "", scene.rule.source]
    told += ["private", *(text for face in faces for text in _leaves({name: face.get(name) for name in kept}))]
    hidden = {text for face in faces for text in _leaves(_without(face, _STRUCTURE | kept))}
    hidden |= {copy.source_uid, *source.get("zones", {})}
    hidden |= {line.partition(":")[2] for face in faces for line in _leaves(face.get("extra"))}
    visible = [text for face in _faces(content) for text in _leaves(_without(face, _STRUCTURE))]
    wide, narrow = dumps(visible), dumps(told)
    leaked = {text for text in hidden if text.strip() and _inside(text, wide) and not _inside(text, narrow)}
    if leaked:
        yield _finding(scene, "leak", copy.uid, "The copy has text of its event that the rule does not keep.")


def _faces(content: Content) -> list[Content]:
    """The master and the overrides, but for those that only end the series."""
    ends = {"following": True, "status": "cancelled"}
    return [content, *(patch for patch in content.get("overrides", {}).values() if patch != ends)]


def _inside(text: str, texts: str) -> bool:
    return dumps(text)[1:-1] in texts


def _without(fields: Content, names: frozenset[str]) -> Content:
    return {name: value for name, value in fields.items() if name not in names}


def _leaves(value: Any) -> Iterator[str]:
    """All texts in a value, keys of records included where they are people's own (addresses, names of zones)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from [key] if "@" in key else []
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)


def _finding(scene: Scene, check: str, uid: str, message: str) -> Finding:
    return Finding(check=check, calendar=scene.rule.target, uid=uid, message=message)
