"""Secrets at rest: never in clear, bound to account and name, lost with their key."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import keyring
import pytest

from calhub.hub.errors import HubError
from calhub.hub.secrets import forget, seal, unseal

if TYPE_CHECKING:
    from .conftest import MemoryKeychain

SECRET = "correct horse battery staple é"


def everything_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_key_file(tmp_path: Path) -> None:
    """Without a keychain a secret comes back, is not in clear on disk, and the key is the owner's only."""
    sealed = seal(tmp_path, "home", "password", SECRET)
    (tmp_path / "hub.db").write_text(sealed)

    assert sealed.startswith("aesgcm:")
    assert unseal(tmp_path, "home", "password", sealed) == SECRET
    assert SECRET.encode() not in everything_below(tmp_path)
    assert base64.b64encode(SECRET.encode())[:20] not in everything_below(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hub.db", "key"]
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_key_is_made_once(tmp_path: Path) -> None:
    """A second secret uses the same key; the same secret is sealed differently each time."""
    first = seal(tmp_path, "home", "password", SECRET)
    key = (tmp_path / "key").read_bytes()
    second = seal(tmp_path, "home", "password", SECRET)

    assert (tmp_path / "key").read_bytes() == key
    assert first != second
    assert unseal(tmp_path, "home", "password", first) == unseal(tmp_path, "home", "password", second)


@pytest.mark.parametrize(("account", "name"), [("work", "password"), ("home", "token"), ("hom", "e/password")])
def test_bound_to_account_and_name(tmp_path: Path, account: str, name: str) -> None:
    """A sealed value copied to another account or name does not open."""
    sealed = seal(tmp_path, "home", "password", SECRET)

    with pytest.raises(HubError) as caught:
        unseal(tmp_path, account, name, sealed)
    assert "account login" in caught.value.hint


def test_altered_values_do_not_open(tmp_path: Path) -> None:
    """No single altered byte goes unnoticed, nor does rubbish."""
    sealed = seal(tmp_path, "home", "password", SECRET)
    box = base64.b64decode(sealed.removeprefix("aesgcm:"))
    wrong = [box[:place] + bytes([box[place] ^ 1]) + box[place + 1 :] for place in range(len(box))]
    spelled = ["aesgcm:" + base64.b64encode(one).decode() for one in wrong]

    for value in [*spelled, sealed[:-8], "aesgcm:", "aesgcm:???", "keyring:nothing", SECRET, ""]:
        with pytest.raises(HubError) as caught:
            unseal(tmp_path, "home", "password", value)
        assert SECRET not in caught.value.message + caught.value.hint


def test_lost_or_broken_key(tmp_path: Path) -> None:
    """Without its key a secret is lost, and no new key is made in its place; a broken key file says so."""
    sealed = seal(tmp_path, "home", "password", SECRET)
    (tmp_path / "key").unlink()
    with pytest.raises(HubError, match="missing"):
        unseal(tmp_path, "home", "password", sealed)
    assert not (tmp_path / "key").exists()

    (tmp_path / "key").write_text("too short")
    with pytest.raises(HubError, match="does not hold a key"):
        unseal(tmp_path, "home", "password", sealed)
    (tmp_path / "key").write_bytes(b"\xff" * 40)
    with pytest.raises(HubError):
        seal(tmp_path, "home", "password", SECRET)
    (tmp_path / "key").unlink()
    seal(tmp_path, "work", "password", SECRET)
    with pytest.raises(HubError, match="cannot be opened"):
        unseal(tmp_path, "home", "password", sealed)


@pytest.mark.parametrize("spell", [lambda raw: base64.b64encode(raw).decode(), lambda raw: raw.hex()])
def test_key_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keychain: MemoryKeychain, spell: object
) -> None:
    """CALHUB_KEY, in base64 or hex, is used before a keychain and before a key file."""
    assert callable(spell)
    monkeypatch.setenv("CALHUB_KEY", spell(b"\x01\xfe" * 16))
    sealed = seal(tmp_path, "home", "password", SECRET)

    assert unseal(tmp_path, "home", "password", sealed) == SECRET
    assert keychain.entries == {}
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("CALHUB_KEY", spell(b"\x02\xfe" * 16))
    with pytest.raises(HubError, match="cannot be opened"):
        unseal(tmp_path, "home", "password", sealed)
    monkeypatch.setenv("CALHUB_KEY", "secret phrase")
    with pytest.raises(HubError, match="CALHUB_KEY") as caught:
        unseal(tmp_path, "home", "password", sealed)
    assert "secret phrase" not in caught.value.message + caught.value.hint


def test_keychain(tmp_path: Path, keychain: MemoryKeychain) -> None:
    """A real keychain keeps the secret itself; the hub has a reference that only this account and name opens."""
    sealed = seal(tmp_path, "home", "password", SECRET)
    moved = tmp_path / "moved"

    assert sealed.startswith("keyring:")
    assert SECRET not in sealed
    assert list(tmp_path.iterdir()) == []
    assert list(keychain.entries.values()) == [SECRET]
    assert unseal(moved, "home", "password", sealed) == SECRET  # the home may have moved since
    with pytest.raises(HubError):
        unseal(tmp_path, "work", "password", sealed)
    assert seal(tmp_path, "home", "password", "new") == sealed
    assert unseal(tmp_path, "home", "password", sealed) == "new"


def test_forget(tmp_path: Path, keychain: MemoryKeychain) -> None:
    """Forgetting removes the keychain's entry; again, or for encrypted values, it does nothing."""
    sealed = seal(tmp_path, "home", "password", SECRET)
    other = seal(tmp_path, "work", "password", SECRET)
    forget(tmp_path, "home", "password", sealed)
    forget(tmp_path, "home", "password", sealed)
    forget(tmp_path, "home", "password", "aesgcm:xyz")

    with pytest.raises(HubError):
        unseal(tmp_path, "home", "password", sealed)
    assert unseal(tmp_path, "work", "password", other) == SECRET
    assert len(keychain.entries) == 1


def test_locked_keychain(tmp_path: Path, keychain: MemoryKeychain) -> None:
    """A keychain that refuses is passed by: the key file does as well."""
    keychain.locked = True
    sealed = seal(tmp_path, "home", "password", SECRET)

    assert sealed.startswith("aesgcm:")
    assert unseal(tmp_path, "home", "password", sealed) == SECRET


@pytest.mark.parametrize("how", ["priority", "name"])
def test_false_keychains_are_not_used(
    tmp_path: Path, keychain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A backend of low priority or one that stores plain text is no keychain."""
    if how == "priority":
        monkeypatch.setattr(type(keychain), "priority", 0.5)
    else:
        keyring.set_keyring(type("PlaintextKeyring", (type(keychain),), {})())

    assert seal(tmp_path, "home", "password", SECRET).startswith("aesgcm:")
    assert keychain.entries == {}
