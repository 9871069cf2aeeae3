"""Changing a text: only the lines whose values change, all other bytes as they were.

The rule throughout: a line stays if it still reads as what is wanted; else it is rewritten in place with its unknown
parameters, or dropped; what no line says yet is inserted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from calhub.calendar.event import TIME_UNIT, Content
from calhub.calendar.ical_read import (
    Vevent,
    day_times,
    definitions,
    first_instance,
    instance_key,
    is_cancellation,
    is_detached,
    open_calendars,
    read_exdates,
    read_override,
    read_rdates,
    read_rule,
    read_series,
    read_vevent,
    recurrence_extra,
    slot,
    vevents,
    zone_table,
)
from calhub.calendar.ical_time import (
    SERIES_FIELDS,
    Duration,
    Frame,
    Moment,
    instance,
    instance_patch,
    parse_duration,
    read_end,
    read_moment,
    write_duration,
)
from calhub.calendar.ical_values import (
    component_text,
    extra_line,
    is_modelled,
    read_address,
    read_alarm,
    read_attachment,
    read_attendee,
    read_conference,
)
from calhub.calendar.ical_write import (
    SIMPLE,
    Labels,
    alarm_lines,
    attachment_line,
    attendee_line,
    conference_line,
    end_moment,
    exdate_line,
    field_lines,
    moment_line,
    organizer_line,
    override_ids,
    override_lines,
    rdate_line,
    recurrence_line,
    series_lines,
    stamp,
    start_line,
    zone_lines,
)
from calhub.calendar.lines import (
    Component,
    Params,
    chunks,
    escape,
    fold,
    kept_params,
    logical,
    make_line,
    parse_line,
    text_list,
    unfold,
)

Row = tuple[int, str, Params, str, str]  # number, name, params, raw value, logical line

#: Parameters that describe the old value (a rendering of it, its type) and go when it changes.
_VALUE_PARAMS = frozenset({"ALTREP", "VALUE", "ENCODING", "TZID", "CN", "DERIVED"})
_ATTENDEE_PARAMS = frozenset({"CN", "ROLE", "PARTSTAT", "CUTYPE", "RSVP"})


def patch_text(text: str, uid: str, content: Content, now: datetime) -> str:
    """``text``, which reads as another content, changed so that it reads as ``content``."""
    return _Patch(text, uid, content, now).run()


class _Patch:
    def __init__(self, text: str, uid: str, content: Content, now: datetime) -> None:
        self.text = chunks(text)
        self.lines = [logical(chunk) for chunk in self.text]
        self.newline = "\r\n" if "\r\n" in text else "\n" if "\n" in text else "\r"
        self.calendars = open_calendars(self.lines)
        self.table = zone_table(self.lines, self.calendars)
        self.events = vevents(self.lines, self.calendars)
        read_series(self.lines, self.events, self.table)  # so that the table knows each label of the text
        self.zone_labels = self.table.labels()
        self.labels = Labels(self.zone_labels)
        self.uid = uid
        self.content = content
        self.now = now
        # The text's lines are read as they will be once it says what the content says.
        self.frame = Frame(content, {**self.table.used, **content.get("zones", {})})
        self.edits: dict[int, list[str]] = {}
        self.inserts: dict[int, list[str]] = {}

    def run(self) -> str:
        masters = [event for event in self.events if event.recurrence_line is None]
        if bool(masters) == is_detached(self.content):
            self._replace_all()
        else:
            self._patch_series(masters, [event for event in self.events if event.recurrence_line is not None])
        self._patch_zones()
        return self._joined()

    # Editing

    def _replace(self, number: int, line: str | None) -> None:
        self.edits[number] = [] if line is None else [line]

    def _insert(self, number: int, lines: Iterable[str]) -> None:
        self.inserts.setdefault(number, []).extend(lines)

    def _drop(self, component: Component) -> None:
        for number in range(component.first, component.last + 1):
            self.edits[number] = []

    def _joined(self) -> str:
        out = []
        for number, chunk in enumerate(self.text):
            out += [fold(line, self.newline) for line in self.inserts.get(number, ())]
            if number in self.edits:
                out += [fold(line, self.newline) for line in self.edits[number]]
            else:
                out.append(chunk)
        return "".join(out)

    def _rows(self, component: Component, *names: str) -> list[Row]:
        found = []
        for number in component.rows:
            parsed = parse_line(self.lines[number])
            if parsed and parsed[0] in names:
                found.append((number, *parsed, self.lines[number]))
        return found

    def _rules(self, component: Component) -> list[Row]:
        """The RRULEs; empty ones (there are producers who write them) count for nothing."""
        return [row for row in self._rows(component, "RRULE") if row[3].strip()]

    @staticmethod
    def _gap(component: Component) -> int:
        """Where new properties go: after the last one, before sub-components."""
        return component.children[0].first if component.children else component.last

    # The series

    def _replace_all(self) -> None:
        """A master comes to loose instances, or goes: nothing of the old VEVENTs fits."""
        for event in self.events:
            self._drop(event.component)
        self._insert(self.calendars[0].last, series_lines(self.uid, self.content, self.now, self.labels))

    def _patch_series(self, masters: list[Vevent], overrides: list[Vevent]) -> None:
        winners: dict[str, Vevent] = {}
        losers = masters[1:]
        if not masters:
            # The earliest instance stands for the master, as in `read_series`.
            masters = [first_instance(overrides, self.table)]
            key = instance_key(masters[0], self.table)
            losers = [
                event for event in overrides if instance_key(event, self.table) == key and event is not masters[0]
            ]
        lost = {id(event) for event in losers}
        for event in overrides:
            if event is masters[0] or id(event) in lost:
                continue
            rid = self._recurrence_id(event)
            if rid in winners and event.rank < winners[rid].rank:
                losers.append(event)
            else:
                losers += [winners[rid]] if rid in winners else []
                winners[rid] = event
        for event in losers:
            self._drop(event.component)
        self._patch_master(masters[0], self._patch_overrides(winners))

    def _recurrence_id(self, event: Vevent) -> str:
        return self.frame.recurrence_id(slot(event, self.table, loose=is_detached(self.content)))

    def _patch_master(self, event: Vevent, cancelled: set[str]) -> None:
        before = read_vevent(self.lines, event, self.table)
        after = {key: value for key, value in self.content.items() if key not in SERIES_FIELDS}
        if is_detached(after):
            before["extra"] = before.get("extra", {}) | {"RECURRENCE-ID": [recurrence_extra(event)]}
        changed = self._patch_fields(event, before, after)
        if not is_detached(self.content):
            retyped = any(before.get(key) != after.get(key) for key in ("all_day", "time_zone"))
            changed |= self._patch_rule(event.component)
            changed |= self._patch_dates(event.component, "RDATE", retyped, set())
            changed |= self._patch_dates(event.component, "EXDATE", retyped, cancelled)
        if changed:
            self._touch(event.component)

    def _patch_rule(self, component: Component) -> bool:
        rows, wanted = self._rules(component)[:1], self.content.get("rrule")
        if rows and wanted is not None:
            number, name, _, value, _ = rows[0]
            if read_rule(value, self.frame) == wanted:
                return False
            self._replace(number, f"{name}:{wanted}")
        elif rows:
            self._replace(rows[0][0], None)
        elif wanted is not None:
            self._insert(self._gap(component), [f"RRULE:{wanted}"])
        return bool(rows) or wanted is not None

    def _patch_dates(self, component: Component, name: str, retyped: bool, covered: set[str]) -> bool:
        """RDATE or EXDATE: values that still say what is wanted stay, in whatever form and grouping they are.

        An exception beside an override of its instance goes: it means nothing here, but others hide the instance.
        """
        wanted = set(self.content.get(name.lower() + "s", ()))
        done, changed = set(covered), False
        for number, _, params, value, line in self._rows(component, name):
            values = {} if retyped else self._read_dates(name, params, value)
            kept = [text for text, rids in values.items() if wanted.issuperset(rids)]
            done.update(rid for text in kept for rid in values[text])
            if retyped or len(kept) < len(values):
                head = line[: len(line) - len(value)]
                self._replace(number, head + ",".join(kept) if kept else None)
                changed = True
        render = exdate_line if name == "EXDATE" else rdate_line
        new = [render(rid, self.frame, self.labels) for rid in sorted(wanted - done)]
        self._insert(self._gap(component), new)
        return changed or bool(new)

    def _read_dates(self, name: str, params: Params, value: str) -> dict[str, list[str]]:
        if name == "EXDATE":
            return read_exdates(params, value, self.frame, self.table, day_times(self.content, self.frame))
        found: dict[str, list[str]] = {}
        for rid, text in read_rdates(params, value, self.frame, self.table).items():
            found.setdefault(text, []).append(rid)
        return found

    def _patch_overrides(self, winners: dict[str, Vevent]) -> set[str]:
        """Make the overrides right; the recurrence ids that a cancelled VEVENT goes on to except."""
        content = self.content | {"zones": dict(self.frame.zones)}
        cancels = not is_detached(content) and content.get("status") != "cancelled"
        rids, exdates = override_ids(content), set(content.get("exdates", ()))
        wanted, cancelled = set(rids), set()
        for rid, event in winners.items():
            own = read_override(self.lines, event, self.table)
            if rid in wanted:
                self._patch_override(event, rid, own, content)
            elif cancels and is_cancellation(own) and rid in exdates:
                cancelled.add(rid)
            else:
                self._drop(event.component)
        for rid in rids:
            if rid not in winners:
                lines = override_lines(self.uid, content, rid, self.now, self.labels)
                self._insert(self.calendars[-1].last, lines)
        return cancelled

    def _patch_override(self, event: Vevent, rid: str, own: Content, content: Content) -> None:
        patch, wanted = instance_patch(content, rid, own), content.get("overrides", {}).get(rid, {})
        moved = read_moment(*event.one["RECURRENCE-ID"], self.table).is_date != self.frame.all_day
        if patch == wanted and not moved:
            return
        after = instance(content, rid)
        if all(patch.get(key, patch) == wanted.get(key, patch) for key in TIME_UNIT):
            # The same times, perhaps in another form: leave that.
            after = {key: value for key, value in after.items() if key not in TIME_UNIT}
            after |= {key: own[key] for key in TIME_UNIT if key in own}
        following = after.pop("following", False)
        if own.pop("following", False) != following or moved:
            [(number, *_, line), *_] = self._rows(event.component, "RECURRENCE-ID")
            kept = kept_params(line, _VALUE_PARAMS | {"RANGE"})
            self._replace(number, recurrence_line(rid, self.frame, self.labels, following, kept))
        self._patch_fields(event, own, after)
        self._touch(event.component)

    def _touch(self, component: Component) -> None:
        """DTSTAMP and LAST-MODIFIED (RFC 5545 3.8.7); SEQUENCE is the organizer's (RFC 5546 2.1.4)."""
        for name in ("DTSTAMP", "LAST-MODIFIED"):
            rows = self._rows(component, name)
            for row in rows:
                self._replace(row[0], f"{name}:{stamp(self.now)}")
            if not rows:
                self._insert(self._gap(component), [f"{name}:{stamp(self.now)}"])

    # One VEVENT

    def _patch_fields(self, event: Vevent, before: Content, after: Content) -> bool:
        """Change all that differs; whether anything did."""
        component = event.component
        if any(before.get(key) != after.get(key) for key in TIME_UNIT):
            self._patch_times(event, after)
        for key in sorted((before.keys() | after.keys()) - set(TIME_UNIT)):
            value = after.get(key)
            if before.get(key) == value:
                continue
            if key in SIMPLE:
                self._patch_simple(component, key, value)
            elif key == "organizer":
                self._patch_organizer(component, value)
            elif key == "attendees":
                self._patch_attendees(component, value or {})
            elif key == "categories":
                self._patch_categories(component, value or [])
            elif key == "attachments":
                self._patch_items(component, "ATTACH", value or [], read_attachment, attachment_line)
            elif key == "conferences":
                self._patch_items(component, "CONFERENCE", value or [], read_conference, conference_line)
            elif key == "extra":
                self._patch_extra(component, before.get(key, {}), value or {})
            elif key == "alarms":
                self._patch_alarms(component, value or [])
            elif key == "components":
                self._patch_components(component, value or [])
        return before != after

    def _patch_times(self, event: Vevent, after: Content) -> None:
        component = event.component
        [(number, _, _, _, line), *_] = self._rows(component, "DTSTART")
        start = Moment(after["start"], after.get("time_zone"))
        if read_moment(*event.one["DTSTART"], self.table) != start:
            self._replace(number, start_line(after, self.labels, kept_params(line, _VALUE_PARAMS)))
        ends, durations = self._rows(component, "DTEND"), self._rows(component, "DURATION")
        if self._reads_as_end(event, start, after):
            return
        for row in [*ends, *durations]:
            self._replace(row[0], None)
        if durations and not ends and (duration := self._duration(after, durations[0][3])):
            self._replace(durations[0][0], f"DURATION:{duration}")
        elif ends:
            kept = kept_params(ends[0][4], _VALUE_PARAMS)
            self._replace(ends[0][0], moment_line("DTEND", end_moment(after), self.labels, kept))
        else:
            self._insert(number + 1, [moment_line("DTEND", end_moment(after), self.labels)])

    def _reads_as_end(self, event: Vevent, start: Moment, after: Content) -> bool:
        """Whether the lines about the end, beside the new start, say what is wanted."""
        end = read_moment(*event.one["DTEND"], self.table) if "DTEND" in event.one else None
        if end is not None:
            return end == end_moment(after)
        duration = parse_duration(event.one["DURATION"][1]) if "DURATION" in event.one else None
        return read_end(start, None, duration, self.frame) == end_moment(after)

    def _duration(self, after: Content, old: str) -> str | None:
        """The length as a DURATION: in days where the old one was and it fits, else exact; None if neither fits."""
        start, end = Moment(after["start"], after.get("time_zone")), end_moment(after)
        days = (datetime.fromisoformat(end.wall) - datetime.fromisoformat(start.wall)).days
        seconds = int((self.frame.instant(end) - self.frame.instant(start)).total_seconds())
        choices = [Duration(0, seconds)]
        if start.is_date or parse_duration(old).days:
            choices.insert(0, Duration(days, 0))
        fitting = (each for each in choices if read_end(start, None, each, self.frame) == end)
        return next(map(write_duration, fitting), None)

    def _patch_simple(self, component: Component, key: str, value: Any) -> None:
        name, render = SIMPLE[key]
        rows = self._rows(component, name)
        if value is None:
            for row in rows:
                self._replace(row[0], None)
        elif rows:
            self._replace(rows[0][0], make_line(name, (), render(value), kept_params(rows[0][4], _VALUE_PARAMS)))
        else:
            self._insert(self._gap(component), field_lines(key, value))

    def _patch_organizer(self, component: Component, value: Content | None) -> None:
        rows = self._rows(component, "ORGANIZER")
        for row in rows[1:] if value else rows:
            self._replace(row[0], None)
        if value and rows:
            number, _, _, raw, line = rows[0]
            same = read_address(raw) == value["email"]
            kept = kept_params(line, _VALUE_PARAMS) if same else ()
            self._replace(number, organizer_line(value, kept, raw if same else None))
        elif value:
            self._insert(self._gap(component), field_lines("organizer", value))

    def _patch_attendees(self, component: Component, wanted: Content) -> None:
        seen = set()
        for number, name, params, raw, line in self._rows(component, "ATTENDEE"):
            if not is_modelled(name, params, raw):
                continue
            address = read_address(raw)
            if address not in wanted:
                self._replace(number, None)
            elif address not in seen and read_attendee(params) != wanted[address]:
                kept = kept_params(line, _ATTENDEE_PARAMS)
                self._replace(number, attendee_line(address, wanted[address], kept, raw))
            seen.add(address)
        new = [attendee_line(address, fields) for address, fields in wanted.items() if address not in seen]
        self._insert(self._gap(component), new)

    def _patch_categories(self, component: Component, words: Sequence[str]) -> None:
        missing = set(words)
        rows = self._rows(component, "CATEGORIES")
        for number, name, _, value, line in rows:
            own = text_list(value)
            kept = [word for word in own if word in words]
            missing -= set(kept)
            if len(kept) < len(own):
                head = line[: len(line) - len(value)] or name + ":"
                self._replace(number, head + ",".join(map(escape, kept)) if kept else None)
        if missing:
            self._insert(self._gap(component), field_lines("categories", sorted(missing)))

    def _patch_items(
        self,
        component: Component,
        name: str,
        wanted: Sequence[Content],
        read: Callable[[Params, str], Content],
        render: Callable[[Content], str],
    ) -> None:
        missing = list(wanted)
        for number, _, params, value, _ in self._rows(component, name):
            if not is_modelled(name, params, value):
                continue
            if (item := read(params, value)) in missing:
                missing.remove(item)
            else:
                self._replace(number, None)
        self._insert(self._gap(component), map(render, missing))

    def _patch_extra(self, component: Component, before: Content, wanted: Content) -> None:
        for name in sorted(before.keys() | wanted.keys()):
            missing = list(wanted.get(name, ()))
            if sorted(before.get(name, ())) == sorted(missing):
                continue
            rows = self._rules(component)[1:] if name == "RRULE" else self._rows(component, name)
            for number, _, params, value, line in rows:
                if is_modelled(name, params, value) and name in ("ATTENDEE", "ATTACH", "CONFERENCE"):
                    continue
                if (text := extra_line(name, line)) in missing:
                    missing.remove(text)
                else:
                    self._replace(number, None)
            self._insert(self._gap(component), missing)

    def _patch_alarms(self, component: Component, wanted: Sequence[Content]) -> None:
        missing = list(wanted)
        for child in component.children:
            alarm = read_alarm(self.lines, child)
            if alarm is not None and alarm in missing:
                missing.remove(alarm)
            elif alarm is not None:
                self._drop(child)
        self._insert(component.last, (line for alarm in missing for line in alarm_lines(alarm)))

    def _patch_components(self, component: Component, wanted: Sequence[str]) -> None:
        missing = list(wanted)
        for child in component.children:
            if read_alarm(self.lines, child) is not None:
                continue
            if (text := component_text(self.lines, child)) in missing:
                missing.remove(text)
            else:
                self._drop(child)
        self._insert(component.last, (line for text in missing for line in unfold(text) if line))

    # Zones

    def _patch_zones(self) -> None:
        """Give each label that is new in the text its VTIMEZONE, and private zones the rules they have now.

        A label that the text used without a VTIMEZONE goes on without (servers with zones by reference, RFC 7809).
        """
        known = definitions(self.lines, self.calendars)
        private: Content = self.content.get("zones", {})
        before = min(event.component.first for event in self.events)
        for zone, text in private.items():
            if zone in known and component_text(self.lines, known[zone]) != text:
                component = known[zone]
                self._drop(component)
                self._insert(component.first, zone_lines(zone, self.content))
            elif zone not in known and self.table.used.get(zone) != text:
                self._insert(before, zone_lines(zone, self.content))
        for zone in sorted(self.labels.asked - private.keys() - self.zone_labels.keys()):
            self._insert(before, zone_lines(zone, self.content))
