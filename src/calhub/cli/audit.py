"""``audit``: who did what to this installation, and whether the log of it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from calhub.cli.context import session
from calhub.cli.failures import FAILED
from calhub.cli.output import Json, emit, table
from calhub.cli.times import local_text

app = typer.Typer(help="The audit log: who did what to this installation.")


@app.command("show")
def show(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 20,
    json: Json = False,
) -> None:
    """The last entries, newest first."""
    from calhub.hub import audit

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        found = audit.entries(conn, limit)
    rows = [
        (each["id"], local_text(each["at"], here.zone), each["actor"], each["what"], _told(each["facts"]))
        for each in found
    ]
    emit(found, json, lambda: table(("Entry", "When", "By", "What", ""), rows, empty="The log is empty."))


@app.command("verify")
def verify(
    context: typer.Context,
    expect: Annotated[
        str | None, typer.Option("--expect", metavar="HEAD", help="A head seen earlier, which must be part of the log.")
    ] = None,
    json: Json = False,
) -> None:
    """Check that no entry was changed, removed or moved. Exits with 1, and says where, when one was."""
    from calhub.hub import audit

    with session(context).hub() as hub, hub.read() as conn:
        found = audit.verify(conn, expect)

    def render() -> None:
        print(found["message"] or f"All {found['entries']} entries are as they were written. Head: {found['head']}")

    emit(found, json, render)
    if not found["ok"]:
        raise typer.Exit(FAILED)


def _told(facts: dict[str, object]) -> str:
    shown = {name: ", ".join(value) if isinstance(value, list) else value for name, value in facts.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items() if value is not None)
