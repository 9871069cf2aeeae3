"""Items from iCalendar texts, for services that store those."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final

from calhub.ops.apart import Apart
from calhub.providers.base import Item

Text = tuple[str, str | None, str]  # remote id, version, iCalendar text

#: With so many batches a second process is started; it gets the next but one, when it is up.
_MANY: Final = 3
#: Batches it has at most, being read or waiting.
_AHEAD: Final = 3


def read_item(text: Text) -> Item | None:
    """The item a text shows, with a problem if it cannot be kept; None if it is something else than an event."""
    from calhub.calendar import ical  # most passes bring nothing to be read

    remote_id, version, raw = text
    try:
        reading = ical.read_object(raw)
    except ical.NotAnEvent:
        return None
    except ical.InvalidEvent as error:
        return Item(remote_id=remote_id, version=version, uid=None, raw=raw, problem=str(error))
    return Item(
        remote_id=remote_id,
        version=version,
        uid=reading.uid,
        content=reading.content,
        raw=raw,
        modified=reading.modified,
    )


def read_items(texts: Sequence[Text]) -> Iterator[Item | None]:
    """The item of each text."""
    return map(read_item, texts)


def read_batches(
    batches: Iterable[Sequence[Text]],
) -> Generator[tuple[Sequence[Text], list[Item | None]], None, None]:
    """Each batch with its items, in order. Of many batches, those to come are read by a second process meanwhile."""
    given: list[Sequence[Text]] = []
    with Apart[Sequence[Text], Item | None](__name__, read_items.__name__) as helper:
        for number, batch in enumerate(batches, 1):
            if number <= _MANY + 1:
                if number == _MANY:
                    helper.start()
                yield batch, list(read_items(batch))
                continue
            given.append(batch)
            helper.give(batch)
            if len(given) > _AHEAD:
                yield given.pop(0), list(helper.take())
        for batch in given:
            yield batch, list(helper.take())
