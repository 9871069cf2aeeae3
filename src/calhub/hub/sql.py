"""How the hub speaks SQL: as text, on the connections of Python's own driver.

SQLAlchemy describes the schema and migrates it; that is all it is loaded for, since loading it and putting statements
together by it takes longer than the rest of a pass with nothing to do. Rows are `sqlite3.Row`: by name and by place.
Names of tables and columns come from the code, never from input.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

Connection = sqlite3.Connection
Row = sqlite3.Row
IntegrityError = sqlite3.IntegrityError

Parameters = Sequence[Any] | Mapping[str, Any]


def value(conn: Connection, query: str, parameters: Parameters = ()) -> Any:
    """The first column of the first row; None where there is no row."""
    row = conn.execute(query, parameters).fetchone()
    return None if row is None else row[0]


def column(conn: Connection, query: str, parameters: Parameters = ()) -> list[Any]:
    """The first column of all rows."""
    return [row[0] for row in conn.execute(query, parameters)]


def first(conn: Connection, query: str, parameters: Parameters = ()) -> Row | None:
    """The first row, if there is one."""
    row: Row | None = conn.execute(query, parameters).fetchone()
    return row


def insert(conn: Connection, table: str, values: Mapping[str, Any]) -> int:
    """Insert a row and return its id."""
    places = ", ".join("?" * len(values))
    made = conn.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", tuple(values.values()))
    assert made.lastrowid is not None  # an insert of one row has one
    return made.lastrowid


def update(conn: Connection, table: str, row_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of the row with this id."""
    columns = ", ".join(f"{name} = ?" for name in values)
    conn.execute(f"UPDATE {table} SET {columns} WHERE id = ?", (*values.values(), row_id))


def within(name: str) -> str:
    """The condition that a column is among the values of one parameter, a JSON list: one statement for any number."""
    return f"{name} IN (SELECT value FROM json_each(?))"
