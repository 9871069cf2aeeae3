"""``python -m bench.emulated KIND SIZE``: an emulated service with events in one calendar.

For each line it reads it prints credentials of a new sign-in; it runs until its standard input ends.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

from bench.corpus import MIDDLE
from calhub.testing.people import GooglePerson, OutlookPerson, Person
from calhub.testing.services.google import GoogleService
from calhub.testing.services.graph import Graph

KINDS = ("google", "microsoft")
#: The calendar that has the events.
NAME = "Bench"
_WEEKS = 10


def fill(person: Person, size: int) -> None:
    """Events over a year to both sides of today, every third a series, as in the corpus."""
    for number in range(size):
        day = MIDDLE + timedelta(days=number * 7919 % 720 - 360)
        person.add(
            weeks=1 if number % 3 else _WEEKS,
            title=f"Event {number}",
            location=f"Room {number % 40}",
            description="Bring the signed papers and a pen. " * 4,
            start=f"{day}T{8 + number % 10:02}:00:00",
            end=f"{day}T{9 + number % 10:02}:00:00",
        )


def main() -> None:
    kind, size = sys.argv[1], int(sys.argv[2])
    service: GoogleService | Graph
    if kind == "google":
        service = GoogleService()
        person: Person = GooglePerson(service, service.user_add_calendar(NAME))
    else:
        service = Graph()
        person = OutlookPerson(service, service.user_calendar(NAME))
    fill(person, size)
    with service:
        for _ in sys.stdin:
            print(json.dumps(service.credentials()), flush=True)


if __name__ == "__main__":
    main()
