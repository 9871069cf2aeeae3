"""``webhook``: who is told of changes, and what became of the messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from calhub.cli.context import session
from calhub.cli.failures import FAILED, usage
from calhub.cli.output import Json, emit, note, table
from calhub.cli.times import local_text

Shape = dict[str, Any]

app = typer.Typer(help="Webhooks: addresses that calhub serve tells of changes.")

Id = Annotated[int, typer.Argument(metavar="ID", help="The number the list shows.")]


@app.command("add")
def add(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where messages are posted; may be in your own network.")],
    calendar: Annotated[
        list[str] | None, typer.Option("--calendar", help="Tell of this one only; may be repeated. Default: all.")
    ] = None,
    json: Json = False,
) -> None:
    """Have an address told of what happens from now on, and print its secret, this once."""
    from calhub.daemon import outgoing
    from calhub.hub import endpoints

    here = session(context)
    url = outgoing.accept(url, public_only=False)
    with here.hub() as hub, hub.transaction() as conn:
        made = endpoints.add(conn, here.home, url, calendar or None, public_only=False, now=hub.now())

    emit(made, json, lambda: _print_secret(made))
    note("Messages are sent by calhub serve. To try it now: calhub webhook test " + str(made["id"]))


def _print_secret(made: Mapping[str, Any]) -> None:
    print(made["secret"])
    note(f"Webhook {made['id']} signs with this secret. It is not shown again.")


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All webhooks, with what waits for them; not their secrets."""
    from calhub.hub import endpoints

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        found = [endpoints.shape(conn, each) for each in endpoints.endpoints(conn)]
    rows = [
        (
            each["id"], each["url"], "all" if each["calendars"] is None else ", ".join(each["calendars"]),
            each["state"], each["pending"] or "", each["dead"] or "", local_text(each["failing_since"], here.zone),
            each["reason"],
        )
        for each in found
    ]  # fmt: skip
    columns = ("Id", "URL", "Calendars", "State", "Pending", "Dead", "Failing since", "Reason")
    emit(found, json, lambda: table(columns, rows, empty="No webhook yet: calhub webhook add URL"))


@app.command("remove")
def remove(context: typer.Context, id: Id, json: Json = False) -> None:
    """Tell an address nothing any more, and forget all messages to it."""
    from calhub.hub import endpoints

    here = session(context)
    with here.hub() as hub, hub.transaction() as conn:
        endpoints.remove(conn, here.home, id)
    emit({"removed": id}, json, lambda: note(f"Removed webhook {id}."))


@app.command("rotate")
def rotate(context: typer.Context, id: Id, json: Json = False) -> None:
    """Give a webhook a new secret and print it, this once. For a day messages are signed with the old one, too."""
    from calhub.hub import endpoints

    here = session(context)
    with here.hub() as hub, hub.transaction() as conn:
        made = endpoints.rotate(conn, here.home, id, hub.clock())
    emit(made, json, lambda: _print_secret(made))


@app.command("enable")
def enable(context: typer.Context, id: Id, json: Json = False) -> None:
    """Go on telling a disabled webhook: first what waits, then what happened meanwhile."""
    from calhub.hub import endpoints

    with session(context).hub() as hub, hub.transaction() as conn:
        endpoints.enable(conn, id, hub.now())
        shape = endpoints.shape(conn, endpoints.endpoint(conn, id))
    emit(shape, json, lambda: note(f"Webhook {id} is active. {_about_dead(shape)}".strip()))


def _about_dead(shape: Shape) -> str:
    return f"{shape['dead']} dead messages: calhub webhook resend --dead" if shape["dead"] else ""


@app.command("disable")
def disable(context: typer.Context, id: Id, json: Json = False) -> None:
    """Send a webhook nothing until it is enabled again."""
    from calhub.hub import endpoints

    with session(context).hub() as hub, hub.transaction() as conn:
        endpoints.disable(conn, id, endpoints.BY_HAND)
        shape = endpoints.shape(conn, endpoints.endpoint(conn, id))
    emit(shape, json, lambda: note(f"Webhook {id} is disabled."))


@app.command("test")
def ping(context: typer.Context, id: Id, json: Json = False) -> None:
    """Send a message of the type ping now, and say what came of it. Exits with 1 unless that was a success."""
    from calhub.daemon import delivery

    with session(context).hub() as hub:
        found = delivery.ping(hub, id)

    def render() -> None:
        print(found["error"] or f"The answer was {found['status']}, after {found['duration_ms']} ms.")

    emit(found, json, render)
    if not found["ok"]:
        raise typer.Exit(FAILED)


@app.command("messages")
def messages(
    context: typer.Context,
    endpoint: Annotated[int | None, typer.Option("--endpoint", metavar="ID", help="Those to this webhook.")] = None,
    state: Annotated[
        Literal["pending", "delivered", "dead"] | None, typer.Option("--state", help="Only those in this state.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 100,
    json: Json = False,
) -> None:
    """Messages, newest first: those that wait, dead ones, and those delivered in the last day."""
    from calhub.hub import messages

    here = session(context)
    with here.hub() as hub, hub.read() as conn:
        found = messages.messages(conn, limit, endpoint_id=endpoint, state=state)
    rows = [
        (
            each["id"], each["webhook"], each["type"], each["state"], each["attempts"],
            *(local_text(each[at], here.zone) for at in ("created", "tried", "next_try")), each["error"],
        )
        for each in found
    ]  # fmt: skip
    columns = ("Id", "Webhook", "Type", "State", "Attempts", "Created", "Tried", "Next try", "Error")
    emit(found, json, lambda: table(columns, rows, empty="No message."))


@app.command("resend")
def resend(
    context: typer.Context,
    message: Annotated[str | None, typer.Argument(metavar="[MESSAGE]", help="Its id, as messages shows it.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All dead messages to active webhooks.")] = False,
    json: Json = False,
) -> None:
    """Have a message that waits or is dead sent now, under its id, by calhub serve."""
    from calhub.hub import endpoints
    from calhub.hub import messages as kept

    if (message is None) == (not dead):
        raise usage("Name a message, or give --dead.", "List them with: calhub webhook messages")
    with session(context).hub() as hub, hub.transaction() as conn:
        if message is not None:
            kept.resend(conn, message, hub.now())
            count = 1
        else:
            active = [each.id for each in endpoints.endpoints(conn) if each.state == "active"]
            count = sum(kept.resend_dead(conn, each, hub.now()) for each in active)
    emit({"resent": count}, json, lambda: note(f"To be sent again: {count}."))
