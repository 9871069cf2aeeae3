"""``python -m bench.emulated KIND SIZE``: an emulated service with events in one calendar; `Emulated` talks to it.

It reads lines of JSON and answers each with one: null asks for the credentials of a new sign-in, ``[old, new]`` for an
event to be renamed by a user, and for the webhooks that come of it to be sent. It runs until its standard input ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from subprocess import Popen
from typing import Any

from bench.corpus import MIDDLE
from bench.server import process
from calhub.testing.people import GooglePerson, OutlookPerson, Person
from calhub.testing.services.google import GoogleService
from calhub.testing.services.graph import Graph

KINDS = ("google", "microsoft")
#: The calendar that has the events.
NAME = "Bench"
_WEEKS = 10


class Emulated:
    """A service that runs in a process of its own."""

    def __init__(self, process: Popen[bytes]) -> None:
        self._process = process

    def sign_in(self) -> str:
        """Credentials of a sign-in of its own: a refresh token is good for one account."""
        return json.dumps(self._ask(None))

    def rename(self, old: str, new: str) -> None:
        """As a user does in the service's app. Whoever asked to be told of changes has been told."""
        self._ask([old, new])

    def _ask(self, wish: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wish).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("The emulated service ended")
        return json.loads(answer)


@contextmanager
def emulated(kind: str, size: int) -> Iterator[Emulated]:
    """Started with ``size`` events, ended with the block."""
    with process([sys.executable, "-m", "bench.emulated", kind, str(size)]) as started:
        yield Emulated(started)


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
        for line in sys.stdin:
            match json.loads(line):
                case [old, new]:
                    person.edit(old, title=new)
                    service.deliver()
                    print("null", flush=True)
                case _:
                    print(json.dumps(service.credentials()), flush=True)


if __name__ == "__main__":
    main()
