"""``rule``: which calendars are derived from which, and how."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from calhub.cli.context import session
from calhub.cli.failures import usage
from calhub.cli.output import Json, emit, note, table

if TYPE_CHECKING:
    from calhub.hub.database import Hub
    from calhub.hub.rules import Kind

app = typer.Typer(help="Rules: busy blocks and public calendars, derived from your events.")
add = typer.Typer(help="Add a rule, or give the one there is other options.")
app.add_typer(add, name="add")

Skip = Annotated[
    list[str] | None,
    typer.Option("--skip", metavar="WORDS", help="Pass over free,declined,tentative,cancelled,all-day,private."),
]
TitleMatch = Annotated[
    str | None, typer.Option("--title-match", metavar="REGEX", help="Only events whose title has a match.")
]
TitleNot = Annotated[
    str | None, typer.Option("--title-not", metavar="REGEX", help="No events whose title has a match.")
]
Category = Annotated[
    list[str] | None, typer.Option("--category", metavar="NAMES", help="Only events of one of these categories.")
]
Past = Annotated[
    str | None, typer.Option("--past", metavar="SPAN", help="Only what takes place from so long ago on: 7d.")
]
Future = Annotated[str | None, typer.Option("--future", metavar="SPAN", help="... and up to so far ahead: 365d.")]
Prefix = Annotated[str | None, typer.Option("--prefix", help="What every title begins with.")]
Color = Annotated[str | None, typer.Option("--color", help="The colour of the copies.")]
OnEdit = Annotated[
    Literal["restore", "keep"] | None,
    typer.Option("--on-edit", help="What happens to a copy that somebody edits or deletes; default: restore."),
]
Id = Annotated[int, typer.Argument(metavar="ID", help="The rule's id, as rule list shows it.")]


@add.command("mirror")
def mirror(
    context: typer.Context,
    calendars: Annotated[
        list[str],
        typer.Argument(help="SRC and DST: where the events are, and where the blocks go. Any number with --mesh."),
    ],
    both: Annotated[bool, typer.Option("--both", help="Also from DST to SRC.")] = False,
    mesh: Annotated[bool, typer.Option("--mesh", help="From each of the calendars named to each other one.")] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="FIELDS", help="Show these, too: title,location,description,..."),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="What blocks are called; {calendar}, {title} stand for the event's.")
    ] = None,
    prefix: Prefix = None,
    color: Color = None,
    private: Annotated[bool, typer.Option("--private", help="Mark the blocks as private.")] = False,
    alarms: Annotated[bool, typer.Option("--alarms", help="Keep the alarms.")] = False,
    skip: Skip = None,
    title_match: TitleMatch = None,
    title_not: TitleNot = None,
    category: Category = None,
    hours: Annotated[
        str | None, typer.Option("--hours", metavar="FROM-TO", help="Only at this time of day: 09:00-18:00.")
    ] = None,
    days: Annotated[str | None, typer.Option("--days", help="Only on these days: mon-fri, or sat,sun.")] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", help="Whose clock --hours and --days go by; default: that of SRC.")
    ] = None,
    past: Past = None,
    future: Future = None,
    buffer: Annotated[
        str | None, typer.Option("--buffer", metavar="SPAN", help="Block so much before and after, too: 15m.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="One block for events that overlap or meet.")] = False,
    on_edit: OnEdit = None,
    owner: Annotated[
        str | None,
        typer.Option("--owner", metavar="ADDRESS", help="Whose calendar DST is: no blocks for what they attend."),
    ] = None,
    json: Json = False,
) -> None:
    """Show in DST when SRC is busy, and nothing else unless told to.

    Free, declined and cancelled events make no block. Prints the rule; with --both or --mesh a list of rules. Where
    there is such a rule from SRC to DST already, these options take the place of its old ones.
    """
    given = _given(
        keep=keep, title=title, prefix=prefix, color=color, private=private, alarms=alarms, skip=skip,
        title_match=title_match, title_not=title_not, category=category, hours=hours, days=days, time_zone=time_zone,
        past=past, future=future, buffer=buffer, merge=merge, on_edit=on_edit, owner=owner,
    )  # fmt: skip
    pairs = _pairs(calendars, both, mesh)
    with session(context).hub() as hub:
        shapes = _add(hub, "mirror", pairs, given)
        emit(shapes if both or mesh else shapes[0], json, lambda: _tell(hub, shapes))


@add.command("publish")
def publish(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="Where the events are.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="The public calendar.")],
    category: Category = None,
    title_match: TitleMatch = None,
    title_not: TitleNot = None,
    skip: Skip = None,
    cutoff: Annotated[
        str | None, typer.Option("--cutoff", metavar="SPAN", help="Take away what ended so long ago: 90d.")
    ] = None,
    past: Past = None,
    future: Future = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--fields", metavar="FIELDS", help="What to show; default: title,location,description."),
    ] = None,
    show_as: Annotated[
        Literal["free", "busy"] | None, typer.Option("--show-as", help="How the events are shown; default: free.")
    ] = None,
    footer: Annotated[str | None, typer.Option("--footer", help="What every description ends with.")] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="What events are called; {calendar}, {title} stand for the event's.")
    ] = None,
    prefix: Prefix = None,
    color: Color = None,
    on_edit: OnEdit = None,
    json: Json = False,
) -> None:
    """Show the events of SRC in the public calendar DST, cleaned of what is not for the public.

    Private, confidential and cancelled events are never shown, nor who takes part and how to join. Prints the rule.
    Where there is such a rule from SRC to DST already, these options take the place of its old ones, and what was
    published before is rewritten.
    """
    given = _given(
        category=category, title_match=title_match, title_not=title_not, skip=skip, cutoff=cutoff, past=past,
        future=future, fields=fields, show_as=show_as, footer=footer, title=title, prefix=prefix, color=color,
        on_edit=on_edit,
    )  # fmt: skip
    with session(context).hub() as hub:
        shapes = _add(hub, "publish", [(source, target)], given)
        emit(shapes[0], json, lambda: _tell(hub, shapes))


def _given(**options: Any) -> dict[str, Any]:
    """The options that are there, as they are stored: words, and true for switches."""
    joined = {name: ",".join(value) if isinstance(value, list) else value for name, value in options.items()}
    # an option that may be repeated arrives as an empty list when it is not there
    return {name: value for name, value in joined.items() if value not in (None, False) and options[name] != []}


def _pairs(calendars: Sequence[str], both: bool, mesh: bool) -> list[tuple[str, str]]:
    """From where to where."""
    if both and mesh:
        raise usage("--both and --mesh exclude each other.", "A mesh goes both ways.")
    if len(calendars) < 2:
        raise usage("A rule needs two calendars.", "Write: calhub rule add mirror SRC DST")
    if len(calendars) > 2 and not mesh:
        raise usage("A rule goes from one calendar to one other.", "For more calendars than two give --mesh.")
    pairs = list(permutations(calendars, 2))
    return pairs if both or mesh else pairs[:1]


def _add(hub: Hub, kind: Kind, pairs: Iterable[tuple[str, str]], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    from calhub.rules import manage

    shapes, known = manage.add(hub, kind, pairs, given)
    for each in known:
        note(
            f"Rule {each['id']} from {each['source']} to {each['target']} was there already: it has these options now."
        )
    return shapes


def _tell(hub: Hub, shapes: Sequence[dict[str, Any]]) -> None:
    """The rules just made, and what they will do."""
    from calhub.rules.derive import preview

    _show(shapes)
    counted: Counter[str] = Counter(step.op for shape in shapes for step in preview(hub, shape["id"]))
    note(f"The next calhub sync {_counts(counted)}.")


def _counts(counted: Mapping[str, int]) -> str:
    words = [f"{name}s {_copies(counted[name])}" for name in ("create", "update", "delete") if counted[name]]
    return ", ".join(words) or "changes no copy"


def _copies(number: int) -> str:
    return f"{number} {'copy' if number == 1 else 'copies'}"


def _show(shapes: Sequence[dict[str, Any]]) -> None:
    rows = [
        (each["id"], each["kind"], each["source"], each["target"], _as_typed(each["options"]), each["copies"])
        for each in shapes
    ]
    columns = ("Id", "Kind", "From", "To", "Options", "Copies")
    table(columns, rows, empty="No rule yet: calhub rule add mirror SRC DST")


def _as_typed(options: Mapping[str, Any]) -> str:
    """Options as they were written on the command line."""
    words: list[str] = []
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All rules, with how many copies they have made."""
    from calhub.hub import rules

    with session(context).hub() as hub, hub.read() as conn:
        shapes = [rules.rule_shape(conn, each) for each in rules.rules(conn)]
    emit(shapes, json, lambda: _show(shapes))


@app.command("remove")
def remove(
    context: typer.Context,
    rule: Id,
    keep_copies: Annotated[bool, typer.Option("--keep-copies", help="Leave the copies where they are.")] = False,
    json: Json = False,
) -> None:
    """Remove a rule and its copies: from the hub at once, from the remotes with the next sync."""
    from calhub.hub import rules

    with session(context).hub() as hub, hub.transaction() as conn:
        old = rules.rule(conn, rule)
        deleted = rules.remove_rule(conn, rule, keep_copies=keep_copies, now=hub.now())
    what = "its copies stay" if keep_copies else f"deleted {_copies(deleted)}, at remotes with the next calhub sync"
    document = {"removed": rule, "deleted": deleted}
    emit(document, json, lambda: note(f"Removed rule {rule} from {old.source} to {old.target}; {what}."))


@app.command("preview")
def preview_(context: typer.Context, rule: Id, json: Json = False) -> None:
    """What a rule would do now, copy by copy, with the hub as it is. Changes nothing."""
    from calhub.rules import manage

    with session(context).hub() as hub:
        document = manage.preview_shape(hub, rule)

    def render() -> None:
        rows = [(step["op"], step["title"], ", ".join(step["fields"]), step["uid"]) for step in document["plan"]]
        table(("What", "Title", "Fields", "Copy"), rows, empty="")
        note(f"A sync now {_counts({name: document[name + 's'] for name in ('create', 'update', 'delete')})}.")

    emit(document, json, render)
