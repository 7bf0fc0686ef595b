"""Credentials at rest and in memory: sealed, hashed, gone when revoked."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from weft.clock import ManualClock
from weft.errors import CannotStart, Conflict, ExpiredToken, Invalid, NotFound
from weft.identity import credentials as module
from weft.identity.caller import Caller, Right, Role
from weft.identity.credentials import Credential, Credentials, Wanted
from weft.identity.sealing import KEY_FILE, Seal
from weft.identity.wanted import wanted
from weft.names import ProxyId
from weft.store.store import Store

PROXY = ProxyId.parse("mesh/m/virtualNode/n")
CLOCK = ManualClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, CLOCK) as store:
        yield store


def wanting(name: str = "ci", role: Role = Role.VIEWER, lasts: timedelta | None = None) -> Wanted:
    proxies = frozenset({PROXY}) if role is Role.PROXY else frozenset()
    return Wanted(name, "123456789012", role, proxies, lasts)


async def test_a_credential_is_the_same_after_a_restart(store: Store, tmp_path: Path) -> None:
    before = await Credentials.open(store, tmp_path)
    issued = await before.create(wanting(role=Role.PROXY, lasts=timedelta(days=90)), "ana", CLOCK)
    after = await Credentials.open(store, tmp_path)
    assert after.of_key(issued.credential.id) == (issued.credential, issued.secret)
    assert after.of_token(issued.token) == issued.credential
    assert after.of_token(issued.token + "x") is None
    assert after.of_key("nobody") is None


async def test_a_revoked_credential_is_gone_from_disk_and_its_watchers_know(
    store: Store, tmp_path: Path
) -> None:
    credentials = await Credentials.open(store, tmp_path)
    told: list[Credential] = []
    credentials.watch(told.append)
    issued = await credentials.create(wanting(), "ana", CLOCK)
    await credentials.create(wanting("other"), "ana", CLOCK)
    assert await credentials.revoke(issued.credential.id) == issued.credential
    assert told == [issued.credential]
    assert credentials.of_key(issued.credential.id) is None
    assert credentials.of_token(issued.token) is None
    assert [each.name for each in credentials.all()] == ["other"]
    with sqlite3.connect(tmp_path / "weft.db") as database:
        assert database.execute("select name from credentials").fetchall() == [("other",)]
    database.close()
    with pytest.raises(NotFound, match="no credential 'ci'"):
        await credentials.revoke("ci")


async def test_a_name_is_taken_once(store: Store, tmp_path: Path) -> None:
    credentials = await Credentials.open(store, tmp_path)
    await credentials.create(wanting(), "ana", CLOCK)
    with pytest.raises(Conflict, match="a credential named ci already"):
        await credentials.create(wanting(), "ana", CLOCK)


async def test_there_is_an_end_to_how_many(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    credentials = await Credentials.open(store, tmp_path)
    await credentials.create(wanting(), "ana", CLOCK)
    with pytest.raises(module.LimitExceeded, match="which is the limit"):
        await credentials.create(wanting("second"), "ana", CLOCK)


async def test_credentials_make_no_revision(store: Store, tmp_path: Path) -> None:
    credentials = await Credentials.open(store, tmp_path)
    await credentials.create(wanting(), "ana", CLOCK)
    assert store.state.revision == 0


async def test_without_the_key_file_no_start_and_no_new_key(store: Store, tmp_path: Path) -> None:
    credentials = await Credentials.open(store, tmp_path)
    await credentials.create(wanting(), "ana", CLOCK)
    kept = (tmp_path / KEY_FILE).read_bytes()
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(CannotStart, match="is missing"):
        await Credentials.open(store, tmp_path)
    Seal.of(tmp_path, must_exist=False)
    with pytest.raises(CannotStart, match="does not open"):
        await Credentials.open(store, tmp_path)
    (tmp_path / KEY_FILE).write_bytes(kept)
    assert len(await Credentials.open(store, tmp_path)) == 1


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    Seal.of(tmp_path, must_exist=False)
    file = tmp_path / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with pytest.raises(CannotStart, match="read by others"):
        Seal.of(tmp_path, must_exist=True)


@pytest.mark.parametrize("content", ["", "c2hvcnQ=", "not base64!"])
def test_a_key_file_without_a_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / KEY_FILE).write_text(content)
    (tmp_path / KEY_FILE).chmod(0o600)
    with pytest.raises(CannotStart, match="does not hold a key"):
        Seal.of(tmp_path, must_exist=True)


def test_a_sealed_secret_belongs_to_its_owner(tmp_path: Path) -> None:
    seal = Seal.of(tmp_path, must_exist=False)
    sealed = seal.seal("secret", "me")
    assert "secret" not in sealed
    assert seal.seal("secret", "me") != sealed
    assert Seal.of(tmp_path, must_exist=True).open(sealed, "me") == "secret"
    with pytest.raises(CannotStart, match="the secret of you does not open"):
        seal.open(sealed, "you")


async def test_a_credential_ends_with_its_time(store: Store, tmp_path: Path) -> None:
    credentials = await Credentials.open(store, tmp_path)
    issued = await credentials.create(wanting(lasts=timedelta(seconds=10)), "ana", CLOCK)
    at = issued.credential.created_at
    assert issued.credential.caller(at + timedelta(seconds=9)).name == "ci"
    with pytest.raises(ExpiredToken, match="ci was good until 2026-01-01T00:00:10Z"):
        issued.credential.caller(at + timedelta(seconds=10))


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.ADMIN, set(Right)),
        (Role.OPERATOR, set(Right) - {Right.ADMINISTER}),
        (Role.VIEWER, {Right.READ, Right.NONE}),
        (Role.PROXY, {Right.NONE}),
    ],
)
def test_a_role_is_a_set_of_rights(role: Role, rights: set[Right]) -> None:
    caller = Caller(role=role, proxies=frozenset({PROXY}))
    assert {each for each in Right if caller.may(each)} == rights
    assert caller.may_be(PROXY) is (role is not Role.VIEWER)
    other = ProxyId.parse("mesh/m/virtualNode/other")
    assert caller.may_be(other) is (role in (Role.ADMIN, Role.OPERATOR))


def test_what_is_wanted_is_read_with_the_control_plane_s_account() -> None:
    made = wanted(
        {"name": "w", "role": "proxy", "proxies": [str(PROXY)], "expiresInSeconds": 60}, "1" * 12
    )
    assert made == Wanted("w", "1" * 12, Role.PROXY, frozenset({PROXY}), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"name": "a b", "role": "viewer"}, "name"),
        ({"name": "x" * 65, "role": "viewer"}, "name"),
        ({"name": "x", "role": None}, "role"),
        ({"name": "x", "role": []}, "role"),
        ({"name": "x", "role": "viewer", "account": 123456789012}, "account"),
        ({"name": "x", "role": "viewer", "proxies": [str(PROXY)]}, "proxies"),
        ({"name": "x", "role": "proxy"}, "proxies"),
        ({"name": "x", "role": "proxy", "proxies": "x"}, "proxies"),
        ({"name": "x", "role": "viewer", "expiresInSeconds": True}, "expiresInSeconds"),
        ({"name": "x", "role": "viewer", "expiresInSeconds": float("nan")}, "expiresInSeconds"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(document: dict[str, object], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        wanted(document, "1" * 12)
    assert path in [each.path for each in caught.value.problems]
