"""What Notion holds of an event, for the documentation."""

from __future__ import annotations

from typing import Final

from calhub.calendar.event import FIELDS as ALL
from calhub.providers.fieldtable import Field
from calhub.providers.notion import schema

_HELD: Final = frozenset().union(*(each.holds for each in schema.FIELDS))


def _row(each: schema.Field) -> Field:
    kinds = " or ".join(kind.replace("_", " ") for kind in each.types)
    return Field(", ".join(sorted(each.holds)), f"`{each.name}` ({kinds})", note=each.note)


FIELDS: Final = (
    *(_row(each) for each in schema.FIELDS if each.holds),
    Field("end_time_zone", note="the end is told in the zone of the start; the hub's stays"),
    Field("following", note="a series with such a change is refused, and whole in the hub"),
    Field(", ".join(sorted(ALL - _HELD - {"end_time_zone", "following"})), note="in the hub only"),
)
