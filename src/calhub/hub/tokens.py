"""Tokens of the API: made once, shown once, kept as a hash.

A token is ``calhub_ID_SECRET`` with 256 random bits, so that a plain SHA-256 is as good as any slow hash. Whoever does
not want to send it signs requests instead, with a key derived from it (`signing_key`), which is kept sealed: a copy of
the database alone lets nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from calhub.hub import audit, sql
from calhub.hub.errors import NotFound
from calhub.hub.secrets import forget, seal, unseal
from calhub.hub.sql import Connection, Row

Scope = Literal["read", "write", "admin"]

#: Each scope includes those before it.
SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")

_PREFIX: Final = "calhub"
_SIGNING: Final = "signing key"


@dataclass(frozen=True)
class Token:
    """A token that may be used: not revoked."""

    id: int
    scope: Scope
    last_used: str | None


def signing_key(token: str) -> str:
    """The key with which requests are signed in the token's name: hexadecimal, used as text."""
    return hashlib.sha256(f"calhub-sign:{token}".encode()).hexdigest()


def create(conn: Connection, home: Path, scope: Scope, name: str, *, now: str) -> dict[str, Any]:
    """Make a token and return the design's shape; the token cannot be shown again."""
    token_id = int(sql.value(conn, "SELECT coalesce(max(id), 0) + 1 FROM token"))
    token = f"{_PREFIX}_{token_id}_{secrets.token_urlsafe(32)}"
    sealed = seal(home, _owner(token_id), _SIGNING, signing_key(token))
    row = {"id": token_id, "name": name, "scope": scope, "hash": _hash(token), "signing": sealed, "created": now}
    sql.insert(conn, "token", row)
    audit.note(conn, "token created", token=token_id, scope=scope)
    return {"id": token_id, "token": token, "scope": scope}


def tokens(conn: Connection) -> list[dict[str, Any]]:
    """All tokens, revoked ones too, without what they are."""
    rows = conn.execute("SELECT id, name, scope, created, last_used, revoked FROM token ORDER BY id")
    return [dict(row) for row in rows]


def revoke(conn: Connection, home: Path, token_id: int, *, now: str) -> dict[str, Any]:
    """End a token for good; doing so again changes nothing. Raises `NotFound`."""
    row = sql.first(conn, "SELECT signing FROM token WHERE id = ?", (token_id,))
    if row is None:
        raise NotFound(f"There is no token {token_id}.", "List them with: calhub token list")
    conn.execute("UPDATE token SET revoked = coalesce(revoked, ?) WHERE id = ?", (now, token_id))
    forget(home, _owner(token_id), _SIGNING, row["signing"])
    audit.note(conn, "token revoked", token=token_id)
    return next(each for each in tokens(conn) if each["id"] == token_id)


def by_token(conn: Connection, token: str) -> Token | None:
    """Whose token this is, if anybody's. Takes the same time for a wrong secret, however much of it is right."""
    row = _valid(conn, token.split("_")[1] if token.count("_") > 1 else "")
    known = "" if row is None else row["hash"]
    matches = hmac.compare_digest(known, _hash(token))
    return _token(row) if row is not None and matches else None


def by_id(conn: Connection, home: Path, token_id: str) -> tuple[Token, str] | None:
    """The token of this id and its signing key."""
    row = _valid(conn, token_id)
    if row is None:
        return None
    return _token(row), unseal(home, _owner(row["id"]), _SIGNING, row["signing"])


def note_use(conn: Connection, token_id: int, *, now: str) -> None:
    conn.execute("UPDATE token SET last_used = ? WHERE id = ?", (now, token_id))


def _valid(conn: Connection, token_id: str) -> Row | None:
    if not (token_id.isascii() and token_id.isdecimal() and len(token_id) < 19):
        return None
    return sql.first(conn, "SELECT * FROM token WHERE id = ? AND revoked IS NULL", (int(token_id),))


def _token(row: Row) -> Token:
    return Token(row["id"], cast(Scope, row["scope"]), row["last_used"])


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _owner(token_id: int) -> str:
    return f"token {token_id}"
