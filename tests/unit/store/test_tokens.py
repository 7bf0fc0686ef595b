"""Client tokens: the first answer again, for a day, as durable as the write itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from weft.clock import ManualClock
from weft.errors import Conflict, Forbidden, Invalid, NotFound
from weft.names import Key
from weft.store.change import Applied, Author, Create, Delete, Step, Update
from weft.store.store import Store
from weft.store.tokens import LIFE, Token

ME = Author("ana", "pytest")
MESH = Key.parse("mesh/m")
NODE = Key.parse("mesh/m/virtualNode/a")
HOME, OTHER = "000000000000", "1" * 12


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, clock) as store:
        await store.apply([Create(MESH, {})], ME)
        yield store


async def write(
    store: Store, step: Step, said: str = "a", *, token: str = "t", account: str = HOME
) -> Applied:
    assert isinstance(step, Create | Update)
    given = Token(account, type(step).__name__, step.key, token, said)
    return await store.apply([step], ME, caller=account, token=given)


async def test_the_same_request_again_is_answered_as_it_was(
    store: Store, clock: ManualClock
) -> None:
    first = await write(store, Create(NODE, {}))
    await store.apply([Update(NODE, {"backends": []})], ME)
    clock.advance(LIFE - timedelta(seconds=1))

    again = await write(store, Create(NODE, {}))

    assert again.revision == first.revision
    assert store.state.revision == first.revision + 1
    (before,), (after,) = first.outcomes, again.outcomes
    assert before.resource is not None
    assert after.resource is not None
    assert (after.action, after.resource.sent) == (before.action, before.resource.sent)
    assert after.resource.metadata == before.resource.metadata


async def test_an_update_repeated_does_not_count_twice(store: Store) -> None:
    await write(store, Create(NODE, {}))
    for _ in range(3):
        applied = await write(store, Update(NODE, {"backends": []}), token="u")
    found = store.state.resource(NODE)
    assert found is not None
    assert (found.metadata.version, applied.revision) == (2, store.state.revision)


async def test_another_request_with_the_token_is_a_conflict(store: Store) -> None:
    await write(store, Create(NODE, {}))
    await write(store, Update(NODE, {}), token="u")
    revision = store.state.revision

    for step in (Create(NODE, {}), Update(NODE, {})):
        with pytest.raises(Conflict, match="Try the request again with a new client token"):
            await write(store, step, "b", token="t" if isinstance(step, Create) else "u")
    assert store.state.revision == revision
    with pytest.raises(Invalid):
        await write(store, Update(NODE, {"x": 1}), "c", token="u")


async def test_a_token_is_of_one_account_operation_and_resource(store: Store) -> None:
    await write(store, Create(NODE, {}))
    await write(store, Update(NODE, {}), "b")
    await write(store, Create(Key.parse("mesh/m/virtualNode/b"), {}), "c")
    with pytest.raises(Forbidden):
        await write(store, Create(NODE, {}), account=OTHER)


async def test_a_refused_request_does_not_use_its_token_up(store: Store) -> None:
    with pytest.raises(NotFound):
        await write(store, Update(NODE, {}))
    await store.apply([Create(NODE, {})], ME)
    await write(store, Update(NODE, {"backends": []}), "b")


async def test_after_a_day_a_token_is_new_again(store: Store, clock: ManualClock) -> None:
    await write(store, Create(NODE, {}))
    await write(store, Update(NODE, {}), "a", token="u")
    clock.advance(LIFE)

    with pytest.raises(Conflict, match="already exists"):
        await write(store, Create(NODE, {}))
    await write(store, Update(NODE, {}), "b", token="u")
    found = store.state.resource(NODE)
    assert found is not None
    assert found.metadata.version == 3


async def test_old_tokens_do_not_pile_up(store: Store, clock: ManualClock) -> None:
    for i in range(100):
        await write(store, Update(MESH, {}), token=f"t{i}")
    clock.advance(LIFE)
    for i in range(64):
        await write(store, Update(MESH, {}), token=f"later{i}")

    with store._database._engine.connect() as connection:
        assert connection.scalar(text("select count(*) from tokens")) == 64


async def test_what_takes_the_name_of_a_deleted_resource_has_no_tokens_yet(store: Store) -> None:
    first = await write(store, Create(NODE, {}))
    await store.apply([Delete(NODE)], ME)

    again = await write(store, Create(NODE, {}))

    assert again.revision == store.state.revision == first.revision + 2


async def test_tokens_outlive_a_restart(tmp_path: Path) -> None:
    async with Store.open(tmp_path, ManualClock()) as store:
        await store.apply([Create(MESH, {})], ME)
        first = await write(store, Create(NODE, {}))
    async with Store.open(tmp_path, ManualClock()) as store:
        assert (await write(store, Create(NODE, {}))).revision == first.revision


async def test_of_many_at_once_all_get_the_one_answer(store: Store) -> None:
    answers = await asyncio.gather(*(write(store, Create(NODE, {})) for _ in range(10)))

    assert {applied.revision for applied in answers} == {store.state.revision}
