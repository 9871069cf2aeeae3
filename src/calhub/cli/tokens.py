"""``token``: who may use the API."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from calhub.cli.context import session
from calhub.cli.output import Json, emit, note, table
from calhub.cli.times import local_text

app = typer.Typer(help="Tokens: who may use the API, and for what.")


@app.command("create")
def create(
    context: typer.Context,
    scope: Annotated[
        Literal["read", "write", "admin"],
        typer.Option("--scope", help="read; write: also events, sync and undo; admin: also accounts and settings."),
    ],
    name: Annotated[str, typer.Option("--name", help="What it is for, to know it again.")] = "",
    json: Json = False,
) -> None:
    """Make a token and print it, this once: only a hash of it is kept."""
    from calhub.hub import tokens

    here = session(context)
    with here.hub() as hub, hub.transaction() as conn:
        made = tokens.create(conn, here.home, scope, name, now=hub.now())

    def render() -> None:
        print(made["token"])
        note(f"It is not shown again. To take it back: calhub token revoke {made['id']}")

    emit(made, json, render)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All tokens, with when they were last used; not the tokens themselves."""
    from calhub.hub import tokens

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        found = tokens.tokens(conn)
    rows = [
        (each["id"], each["name"], each["scope"], *(local_text(each[at], here.zone) for at in _INSTANTS))
        for each in found
    ]
    columns = ("Id", "Name", "Scope", "Created", "Last used", "Revoked")
    emit(found, json, lambda: table(columns, rows, empty="No token yet: calhub token create --scope read"))


_INSTANTS = ("created", "last_used", "revoked")


@app.command("revoke")
def revoke(
    context: typer.Context,
    id: Annotated[int, typer.Argument(metavar="ID", help="The number the list shows.")],
    json: Json = False,
) -> None:
    """End a token, at once and for good."""
    from calhub.hub import tokens

    here = session(context)
    with here.hub() as hub, hub.transaction() as conn:
        shape = tokens.revoke(conn, here.home, id, now=hub.now())
    emit(shape, json, lambda: note(f"Token {id} is revoked."))
