"""What an override with ``following`` (RFC 5545 RANGE=THISANDFUTURE) does to instances after its own."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import NamedTuple

from calhub.calendar.event import Content
from calhub.calendar.frame import FIRST_TS, LAST_TS, Frame


class Reach(NamedTuple):
    """One such override, in the terms of its series."""

    patch: Content
    series: Frame
    frame: Frame  # in which the instances are from here on ...
    end_frame: Frame
    length: int | None  # and how long, in seconds; None: as long as they were
    seconds: int  # how far its own instance is moved
    clock: Frame  # by which later ones are moved ...
    shift: timedelta | None  # ... so far; None: by ``seconds``, exactly

    @classmethod
    def of(
        cls,
        patch: Content,
        own: tuple[int, int],
        moved: tuple[int, int],
        frames: tuple[Frame, Frame, Frame],
        *,
        exact: bool,
    ) -> Reach:
        """From where its instance was and is; ``frames`` are those of the series, and of the moved start and end.

        Later instances are moved by as much on the clock of the series, or, where that is of another form (zoned,
        floating, all-day), on the new one; with ``exact``, as a sub-daily rule counts, by as many seconds.
        """
        series, frame, end_frame = frames
        length = None if moved[1] - moved[0] == own[1] - own[0] else moved[1] - moved[0]
        alike = (frame.all_day, frame.floating) == (series.all_day, series.floating)
        seconds, clock, shift = moved[0] - own[0], series if alike else frame, None
        if not alike or (seconds and not exact):
            shift = clock.wall(moved[0]) - _on(clock, series.wall(own[0]))
        return cls(patch, series, frame, end_frame, length, seconds, clock, shift)

    def place(self, slot: int, end: int) -> tuple[int, int] | None:
        """Start and end of an instance, given those by the series; None where it is cancelled or beyond all years."""
        if self.patch.get("status") == "cancelled":
            return None
        start = slot + self.seconds
        if self.shift is not None:
            try:
                start = self.clock.ts(_on(self.clock, self.series.wall(slot)) + self.shift)
            except (OverflowError, ValueError):
                return None
        end = start + (end - slot if self.length is None else self.length)
        return (start, end) if FIRST_TS <= start <= end <= LAST_TS else None


def _on(clock: Frame, wall: datetime) -> datetime:
    return datetime.combine(wall, time.min) if clock.all_day else wall
