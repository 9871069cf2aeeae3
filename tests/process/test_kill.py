"""`calhub sync`, killed anywhere, ends like one that was not: a small share of what `make kill` does."""

from __future__ import annotations

from pathlib import Path

from tests.process.killing import rig, rounds


def test_sync_killed_anywhere_loses_nothing(tmp_path: Path) -> None:
    """Pulls and pushes killed by turns, each run until idle and compared item by item; the rig raises what is wrong."""
    with rig(tmp_path, pulled=1_000) as made:
        hits = [hit for _, _, found in rounds(made, seed=1, kills=4) for hit in found]

    assert len(hits) == 4
    assert any(hit.intents for hit in hits), "no kill hit a push under way"
