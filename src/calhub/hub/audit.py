"""The audit log: who did what to this installation, in entries that nobody can change afterwards unseen.

An entry holds the SHA-256 of the entry before it together with its own text, and ``meta`` keeps the last one's as the
*head*: an edit, a removal, another order and a cut-off end all break the chain somewhere (`verify`). Whoever can write
to the database can forge all of it anew; so keep the head that ``audit verify`` prints elsewhere, and ask for it later.

Entries are written in the transaction of what they tell of. They name things, and never hold secrets or what is in an
event.
"""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from typing import Any, Final

from calhub.hub import sql
from calhub.hub.jsontext import dumps, loads
from calhub.hub.sql import Connection, Row

#: On whose behalf things happen here: ``command line``, ``token 3``, ``address 127.0.0.1``; empty for calhub itself.
actor: ContextVar[str] = ContextVar("calhub_actor", default="")

_HEAD: Final = "audit"  # of meta: "NUMBER HASH"

Fact = str | int | bool | None | list[str]


def note(conn: Connection, what: str, **facts: Fact) -> None:
    """Add an entry, at the hub's time; ``conn`` is in a transaction of `Hub.transaction`."""
    head = sql.value(conn, "SELECT value FROM meta WHERE key = ?", (_HEAD,))
    number, _, previous = (head or "0 ").partition(" ")
    row = {
        "id": int(number) + 1,
        "at": sql.value(conn, "SELECT hub_now()"),
        "actor": actor.get(),
        "what": what,
        "facts": dumps(facts),
    }
    row["hash"] = _hash(previous, row)
    sql.insert(conn, "audit", row)
    conn.execute("UPDATE meta SET value = ? WHERE key = ?", (f"{row['id']} {row['hash']}", _HEAD))


def last(conn: Connection) -> int:
    """The number of the newest entry; 0 where there is none."""
    return int(sql.value(conn, "SELECT coalesce(max(id), 0) FROM audit"))


def entries(conn: Connection, limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """The last entries, or those before the one with this number; newest first."""
    query = "SELECT id, at, actor, what, facts, hash FROM audit WHERE ? IS NULL OR id < ? ORDER BY id DESC LIMIT ?"
    return [{**dict(row), "facts": loads(row["facts"])} for row in conn.execute(query, (before, before, limit))]


def verify(conn: Connection, expect: str | None = None) -> dict[str, Any]:
    """Check the whole chain: ``{"ok", "entries", "head", "entry", "message"}``.

    ``entry`` is the number of the first that is not as it was written or is missing, ``message`` says which. ``expect``
    is a head seen earlier, which must still be part of the chain.
    """
    number, previous, seen = 0, "", False
    for row in conn.execute("SELECT id, at, actor, what, facts, hash FROM audit ORDER BY id"):
        if row["id"] != number + 1:
            return _broken(number, previous, number + 1, f"{_range(number + 1, row['id'] - 1)} missing.")
        if row["hash"] != _hash(previous, row):
            said = f"Entry {row['id']} is not as it was written, or not in its place."
            return _broken(number, previous, row["id"], said)
        number, previous = row["id"], row["hash"]
        seen = seen or previous == expect
    found = _head_problem(conn, number, previous)
    if found is not None:
        return _broken(number, previous, *found)
    if expect is not None and not seen:
        return _broken(number, previous, None, "No entry has the expected head: this is another log, or an older one.")
    return {"ok": True, "entries": number, "head": previous, "entry": None, "message": None}


def _head_problem(conn: Connection, number: int, previous: str) -> tuple[int, str] | None:
    """What is wrong with the head, and where, after a chain that is sound up to its last entry."""
    head = sql.value(conn, "SELECT value FROM meta WHERE key = ?", (_HEAD,))
    if head is None:
        return number + 1, "The head is gone, so that entries at the end may be, too."
    last, _, digest = head.partition(" ")
    if not last.isdecimal():
        return number + 1, "The head cannot be read, so that entries at the end may be missing."
    if int(last) > number:
        return number + 1, f"{_range(number + 1, int(last))} missing at the end."
    if int(last) < number:
        return int(last) + 1, f"The log ended with entry {last}; what follows was not added by calhub."
    return None if digest == previous else (number, f"Entry {number} is not the one that the log ended with.")


def _broken(number: int, previous: str, entry: int | None, message: str) -> dict[str, Any]:
    return {"ok": False, "entries": number, "head": previous, "entry": entry, "message": message}


def _range(first: int, last: int) -> str:
    return f"Entry {first} is" if last <= first else f"Entries {first} to {last} are"


def _hash(previous: str, row: dict[str, Any] | Row) -> str:
    text = dumps([previous, row["id"], row["at"], row["actor"], row["what"], row["facts"]])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
