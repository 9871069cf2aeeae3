"""`calhub token`: made once, listed without what it is, ended."""

from __future__ import annotations

from tests.cli.conftest import Calhub


def test_token_is_shown_once(calhub: Calhub) -> None:
    made = calhub("token", "create", "--scope", "write", "--name", "phone", "--json").json

    assert sorted(made) == ["id", "scope", "token"]
    assert (made["scope"], made["token"].startswith("calhub_1_")) == ("write", True)
    (listed,) = calhub("token", "list", "--json").json
    assert {name: listed[name] for name in ("id", "name", "scope", "last_used", "revoked")} == {
        "id": 1, "name": "phone", "scope": "write", "last_used": None, "revoked": None,
    }  # fmt: skip
    assert made["token"] not in str(listed)


def test_token_for_a_script(calhub: Calhub) -> None:
    """Without --json the token alone is on standard output."""
    result = calhub("token", "create", "--scope", "read")

    assert result.out.strip().startswith("calhub_1_")
    assert "token revoke 1" in result.err


def test_revoking(calhub: Calhub) -> None:
    """For good; again is no error, another number is."""
    calhub("token", "create", "--scope", "read")

    first = calhub("token", "revoke", "1", "--json").json["revoked"]

    assert first is not None
    assert calhub("token", "revoke", "1", "--json").json["revoked"] == first
    assert calhub("token", "revoke", "2", "--json").code == 1
    assert calhub("token", "create", "--scope", "root", "--json").code == 2
