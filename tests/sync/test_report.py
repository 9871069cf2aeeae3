"""What is told of a pass, and to whom."""

from __future__ import annotations

from calhub.sync.report import RunReport


def test_the_log_hears_nothing_of_what_is_in_events() -> None:
    """Why a single event failed may say what is in it; why the pass did is for whoever looks after calhub."""
    report = RunReport(account="dav", calendar="Work", remote="work", replica_id=1)
    report.fail("u", 'The title "Therapy" is too long.')
    assert (report.facts()["errors"], report.facts()["reason"]) == (1, None)
    assert "Therapy" not in str(report.facts())

    report.fail(None, "The server is gone.")
    assert report.facts()["reason"] == "The server is gone."
