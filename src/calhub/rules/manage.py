"""Rules made and looked at: what the command line and the API do alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from calhub.hub import rules
from calhub.hub.database import Hub
from calhub.hub.rules import Kind
from calhub.rules import options
from calhub.rules.derive import preview


def add(
    hub: Hub, kind: Kind, pairs: Iterable[tuple[str, str]], given: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Store all of the rules, or none of them. Returns their shapes, and of these the ones that were there already and
    have other options now. Raises `InvalidValue`, `NotFound`, `Ambiguous`.
    """
    options.read(kind, given)
    with hub.transaction() as conn:
        before = {each.id for each in rules.rules(conn)}
        made = [rules.add_rule(conn, kind, source, target, given, hub.now()) for source, target in pairs]
        shapes = [rules.rule_shape(conn, each) for each in made]
    return shapes, [each for each in shapes if each["id"] in before]


def preview_shape(hub: Hub, rule_id: int) -> dict[str, Any]:
    """What a rule would do now. Raises `NotFound`."""
    steps = preview(hub, rule_id)
    counted = Counter(step.op for step in steps)
    return {
        "rule": rule_id, "creates": counted["create"], "updates": counted["update"], "deletes": counted["delete"],
        "plan": [{"op": step.op, "uid": step.uid, "title": step.title, "fields": list(step.fields)} for step in steps],
    }  # fmt: skip
