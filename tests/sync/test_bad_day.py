"""Bad days of the machine itself: no room left on the disk, an event of 50 MB."""

from __future__ import annotations

import re

from calhub.hub import sql
from calhub.testing.world import World


def test_full_disk_is_one_sentence_and_loses_nothing(world: World) -> None:
    """When the database cannot grow, the pass fails with a sentence, and goes on once there is room."""
    one = world.add_remote()
    one.put("a")
    world.sync()
    one.put("b", description="x" * 3_000_000)
    before = world.contents
    with world.hub.transaction() as conn:
        pages = sql.value(conn, "PRAGMA page_count")
        conn.execute(f"PRAGMA max_page_count = {pages + 5}")

    [report] = world.sync()

    assert report.status == "failed"
    assert re.search(r"full|room|space", report.errors[0]["message"])
    assert world.contents == before
    world.reopen()
    [report] = world.sync()
    assert report.status == "ok"
    assert world.contents == one.contents


def test_description_of_50_megabytes_arrives_whole(world: World) -> None:
    """A monstrous event does not stop the others, and arrives whole."""
    one, two = world.add_remote(), world.add_remote()
    one.put("monster", description="x" * 50_000_000)
    one.put("a")

    reports = world.sync()

    assert [report.status for report in reports] == ["ok", "ok"]
    assert two.contents["a"] == one.contents["a"]
    assert len(two.contents["monster"]["description"]) == 50_000_000
