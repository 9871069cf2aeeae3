"""What a service holds of an event, as data: from it the tables of the documentation are written (``make docs``)."""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One row. ``there``: the service's own property; ``beside``: what of it is kept where only calhub looks.

    Both empty: the field stays in the hub. All texts are Markdown.
    """

    names: str  # fields of content (calendar/event.py), with commas
    there: str = ""
    beside: str = ""
    note: str = ""
