"""What a rule may be told, and the one sentence for what it may not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from calhub.hub.errors import InvalidValue
from calhub.hub.rules import Kind
from calhub.rules.options import read


@pytest.mark.parametrize(
    ("kind", "given", "sentence"),
    [
        ("mirror", {"fields": ["title"]}, "A mirror rule has no option --fields."),
        ("publish", {"merge": True}, "A publish rule has no option --merge."),
        ("publish", {"fields": ["attendees"]}, "--fields: 'attendees' is none of categories, color, "),
        ("mirror", {"keep": ["extra"]}, "--keep: 'extra' is none of alarms, attachments, "),
        ("mirror", {"skip": "free,busy"}, "--skip: 'busy' is none of free, declined, "),
        ("mirror", {"title_match": "("}, "--title-match: "),
        ("mirror", {"hours": "18:00-09:00"}, "--hours: '18:00-09:00' is no stretch of a day like 09:00-18:00."),
        ("mirror", {"hours": "09:00-24:30"}, "--hours: "),
        ("mirror", {"days": "monday"}, "--days: 'monday' names no days; write mon-fri or sat,sun."),
        ("mirror", {"time_zone": "Mars/Base"}, "--time-zone: 'Mars/Base' is no time zone like Europe/Paris."),
        ("mirror", {"buffer": "soon"}, "--buffer: 'soon' is no length of time like 15m, 2h or 90d."),
        ("mirror", {"title": "{description}"}, "--title: "),
        ("mirror", {"title": "{"}, "--title: "),
        ("mirror", {"on_edit": "ask"}, "--on-edit: 'ask' is none of restore, keep."),
        ("publish", {"show_as": "away"}, "--show-as: 'away' is none of free, busy."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(kind: Kind, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        read(kind, given)

    assert caught.value.message.startswith(sentence)
    assert "--help" in caught.value.hint


def test_words_are_read() -> None:
    given = {"hours": "08:30-24:00", "days": "fri-mon,wed", "buffer": "1h", "past": "2w", "skip": "all-day, private"}
    options = read("mirror", given)

    assert options.hours == (510, 1440)
    assert options.days == {4, 5, 6, 0, 2}
    assert options.buffer == timedelta(hours=1)
    assert options.past == timedelta(days=14)
    assert options.skip == {"free", "declined", "cancelled", "all-day", "private"}
