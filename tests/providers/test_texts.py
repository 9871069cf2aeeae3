"""Many iCalendar texts, read by a second process: the same items in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from calhub.ops.apart import Apart
from calhub.providers.texts import Text, read_batches, read_item
from calhub.testing.corpus import samples

TASK = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTODO\r\nUID:t\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"


def batches(count: int) -> Iterator[list[Text]]:
    """Batches of events, of what is none, and of what cannot be read."""
    events = iter(samples(10 * count))
    for number in range(count):
        batch = [(each.file_name, f'"{number}"', each.text) for each, _ in zip(events, range(10), strict=False)]
        yield [*batch, (f"task-{number}", None, TASK), (f"bad-{number}", None, "BEGIN:VCALENDAR")]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 12])
def test_same_items_in_the_same_order(count: int) -> None:
    """However many batches: each comes with the items that reading its texts gives."""
    wanted = [(batch, [read_item(text) for text in batch]) for batch in batches(count)]

    assert list(read_batches(batches(count))) == wanted


def test_few_are_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process is started for many batches only, and then has the most of them."""
    seen: list[str] = []
    start, give = Apart.start, Apart.give

    def starting(self: Apart[Any, Any]) -> None:
        seen.append("start")
        start(self)

    def giving(self: Apart[Any, Any], job: Any) -> None:
        seen.append("give")
        give(self, job)

    monkeypatch.setattr(Apart, "start", starting)
    monkeypatch.setattr(Apart, "give", giving)

    assert len(list(read_batches(batches(2)))) == 2
    assert seen == []
    assert len(list(read_batches(batches(9)))) == 9
    assert seen[0] == "start"
    assert seen.count("give") == 5


def test_few_batches_wait() -> None:
    """What a slow service has sent is handed on before the next batches but three have come."""
    coming = batches(30)
    arrived = 0

    def counted() -> Iterator[list[Text]]:
        nonlocal arrived
        for batch in coming:
            arrived += 1
            yield batch

    for number, _ in enumerate(read_batches(counted()), 1):
        assert arrived - number <= 3
