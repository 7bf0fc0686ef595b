"""The store: one revision a write, durable, readable at any point, revertible."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from weft.clock import ManualClock
from weft.errors import CannotStart, Conflict, NotFound, Unavailable
from weft.model.instance import Instance
from weft.names import Key
from weft.store.change import (
    Action,
    Author,
    Create,
    Delete,
    Deregister,
    Expect,
    Keep,
    Put,
    Register,
    Update,
)
from weft.store.store import Store

ME = Author("ana", "pytest")
MESH = Key.parse("mesh/m")
NODE = Key.parse("mesh/m/virtualNode/a")
SERVICE = Key.parse("mesh/m/virtualService/a.local")
LISTENING = {
    "listeners": [{"portMapping": {"port": 80, "protocol": "http"}}],
    "serviceDiscovery": {"dns": {"hostname": "a.local"}},
}
PROVIDED = {"provider": {"virtualNode": {"virtualNodeName": "a"}}}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, ManualClock()) as store:
        yield store


async def test_a_write_is_one_revision_however_many_resources_it_holds(store: Store) -> None:
    applied = await store.apply(
        [Create(SERVICE, PROVIDED), Create(NODE, LISTENING), Create(MESH, {})], ME
    )

    assert (applied.revision, store.state.revision) == (1, 1)
    assert store.state.resource(SERVICE) is not None


async def test_nothing_is_written_when_one_of_several_steps_is_refused(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.apply([Create(MESH, {}), Create(SERVICE, PROVIDED)], ME)

    assert store.state.revision == 0
    assert store.state.resource(MESH) is None


async def test_what_was_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    async with Store.open(tmp_path, ManualClock()) as store:
        await store.apply([Create(MESH, {}), Create(NODE, LISTENING)], ME)
        await store.apply([Register(Instance(NODE, "i", ((80, "127.0.0.1:1"),)))], ME)
        before = store.state.resource(NODE)

    async with Store.open(tmp_path, ManualClock()) as store:
        after = store.state.resource(NODE)
        assert after is not None
        assert before is not None
        assert (after.spec, after.metadata, after.sent) == (
            before.spec,
            before.metadata,
            before.sent,
        )
        assert store.state.instances(NODE) == (Instance(NODE, "i", ((80, "127.0.0.1:1"),)),)
        assert store.state.revision == 2


async def test_a_node_remembers_that_it_once_had_instances(tmp_path: Path) -> None:
    async with Store.open(tmp_path, ManualClock()) as store:
        await store.apply([Create(MESH, {}), Create(NODE, LISTENING)], ME)
        await store.apply([Register(Instance(NODE, "i", ((80, "127.0.0.1:1"),)))], ME)
        await store.apply([Deregister(NODE, "i")], ME)

    async with Store.open(tmp_path, ManualClock()) as store:
        assert store.state.instances_known(NODE)
        assert store.state.instances(NODE) == ()
        await store.apply([Delete(NODE)], ME)
        await store.apply([Create(NODE, LISTENING)], ME)
        assert not store.state.instances_known(NODE)


async def test_registering_the_same_instance_again_makes_no_revision(store: Store) -> None:
    await store.apply([Create(MESH, {}), Create(NODE, LISTENING)], ME)
    first = await store.apply([Register(Instance(NODE, "i", ((80, "127.0.0.1:1"),)))], ME)
    again = await store.apply([Register(Instance(NODE, "i", ((80, "127.0.0.1:1"),)))], ME)

    assert (first.revision, again.revision, again.changed) == (2, 2, False)


async def test_the_state_at_any_past_revision_can_be_read(store: Store) -> None:
    await store.apply([Create(MESH, {})], ME)
    await store.apply([Create(NODE, LISTENING)], ME)
    await store.apply([Update(NODE, {})], ME)
    await store.apply([Delete(NODE)], ME)

    specs = []
    for revision in range(5):
        found = (await store.state_at(revision)).resource(NODE)
        specs.append(found and found.sent)

    assert specs == [None, None, LISTENING, {}, None]
    with pytest.raises(NotFound, match="no revision 5"):
        await store.state_at(5)


async def test_the_log_says_who_what_and_where(store: Store) -> None:
    await store.apply([Create(MESH, {})], ME)
    await store.apply([Update(MESH, {"egressFilter": {"type": "ALLOW_ALL"}})], ME)

    (newest, _) = await store.changes(limit=10)

    assert (newest.revision, newest.author) == (2, ME)
    (entry,) = newest.entries
    assert (entry.id, entry.action) == ("mesh/m", Action.UPDATED)
    assert [(d.path, d.before, d.after) for d in entry.differences] == [
        ("spec.egressFilter", None, {"type": "ALLOW_ALL"})
    ]


async def test_registrations_are_revisions_that_lists_leave_out(store: Store) -> None:
    await store.apply([Create(MESH, {}), Create(NODE, LISTENING)], ME)
    await store.apply([Register(Instance(NODE, "i", ((80, "127.0.0.1:1"),)))], ME)

    assert [c.revision for c in await store.changes(limit=10)] == [1]
    assert [c.revision for c in await store.changes(limit=10, registry=True)] == [2, 1]


async def test_a_revert_is_the_inverse_as_a_new_revision(store: Store) -> None:
    await store.apply([Create(MESH, {}), Create(NODE, LISTENING)], ME)
    await store.apply([Put(NODE, {}), Put(MESH, {"egressFilter": {"type": "ALLOW_ALL"}})], ME)

    applied = await store.revert(2, ME)

    node, mesh = store.state.resource(NODE), store.state.resource(MESH)
    assert node is not None
    assert mesh is not None
    assert (applied.revision, node.sent, mesh.sent) == (3, LISTENING, {})
    assert node.metadata.version == 3
    assert (await store.change(3)).note == "revert 2"


async def test_a_revert_of_a_creation_deletes_and_of_a_deletion_creates(store: Store) -> None:
    await store.apply([Create(MESH, {})], ME)
    await store.apply([Create(NODE, LISTENING)], ME)
    await store.revert(2, ME)
    assert store.state.resource(NODE) is None

    await store.revert(3, ME)
    assert store.state.resource(NODE) is not None


async def test_a_revert_is_refused_when_a_later_change_is_in_the_way(store: Store) -> None:
    await store.apply([Create(MESH, {})], ME)
    await store.apply([Put(MESH, {"egressFilter": {"type": "ALLOW_ALL"}})], ME)
    await store.apply([Put(MESH, {"egressFilter": {"type": "DROP_ALL"}})], ME)

    with pytest.raises(Conflict, match="changed again in revision 3"):
        await store.revert(2, ME)

    assert store.state.revision == 3


async def test_watchers_see_every_revision_in_order(store: Store) -> None:
    watcher = store.watch()
    await store.apply([Create(MESH, {})], ME)
    await store.apply([Create(NODE, LISTENING)], ME)

    events = await watcher.next()

    assert [event.state.revision for event in events] == [1, 2]


async def test_concurrent_writes_are_taken_one_after_the_other(store: Store) -> None:
    await store.apply([Create(MESH, {})], ME)
    keys = [Key.parse(f"mesh/m/virtualNode/n{i}") for i in range(50)]

    applied = await asyncio.gather(*(store.apply([Create(key, {})], ME) for key in keys))

    assert sorted(a.revision for a in applied) == list(range(2, 52))


async def test_a_caller_that_leaves_does_not_split_memory_from_disk(tmp_path: Path) -> None:
    async with Store.open(tmp_path, ManualClock()) as store:
        task = asyncio.ensure_future(store.apply([Create(MESH, {})], ME))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store.apply([Create(Key.parse("mesh/other"), {})], ME)
        there = [each.key for each in store.state.resources()]

    async with Store.open(tmp_path, ManualClock()) as store:
        assert sorted(each.key for each in store.state.resources()) == sorted(there)


async def test_a_dry_run_says_what_would_happen_and_does_nothing(store: Store) -> None:
    applied = await store.apply([Create(MESH, {})], ME, dry_run=True)

    assert [each.action for each in applied.outcomes] == [Action.CREATED]
    assert store.state.revision == 0


async def test_a_data_directory_serves_one_process(tmp_path: Path, store: Store) -> None:
    with pytest.raises(CannotStart, match="in use by process"):
        async with Store.open(tmp_path, ManualClock()):
            pass


async def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "weft.db").write_bytes(b"not a database at all" * 100)

    with pytest.raises(CannotStart, match=r"weft\.db cannot be used"):
        async with Store.open(tmp_path, ManualClock()):
            pass


async def test_a_write_that_the_disk_refuses_is_not_made_and_says_why(
    tmp_path: Path, store: Store
) -> None:
    await store.apply([Create(MESH, {})], ME)
    with sqlite3.connect(tmp_path / "weft.db") as raw:
        raw.execute("DROP TABLE current")
    raw.close()

    with pytest.raises(Unavailable, match="was not made"):
        await store.apply([Create(NODE, LISTENING)], ME)

    assert store.state.revision == 1
    assert store.state.resource(NODE) is None


async def test_a_change_of_many_resources_leaves_others_their_turn(store: Store) -> None:
    steps = [Create(Key.parse(f"mesh/m/virtualNode/n{i}"), LISTENING) for i in range(500)]
    writing = asyncio.ensure_future(store.apply([Create(MESH, {}), *steps], ME))
    turns = 0
    while not writing.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns > 10
    assert (await writing).revision == 1


async def test_a_document_is_kept_with_resources_in_one_revision(tmp_path: Path) -> None:
    async with Store.open(tmp_path, ManualClock()) as store:
        stack = Keep("cloudformation/stacks", "shop/a//b", {"status": "CREATE_COMPLETE"})
        applied = await store.apply([Create(MESH, {}), stack], ME)
        assert [each.action for each in applied.kept] == [Action.CREATED]

    async with Store.open(tmp_path, ManualClock()) as store:
        assert store.state.revision == 1
        assert store.state.document("cloudformation/stacks", "shop/a//b") == stack.document
        await store.revert(1, ME)
        assert store.state.collection("cloudformation/stacks") == {}
        assert store.state.resource(MESH) is None


async def test_a_document_is_written_only_where_it_was_expected(store: Store) -> None:
    await store.apply([Keep("c", "a", {"x": 1}, Expect.ABSENT)], ME)

    with pytest.raises(Conflict):
        await store.apply([Create(MESH, {}), Keep("c", "a", {"x": 2}, Expect.ABSENT)], ME)
    with pytest.raises(NotFound):
        await store.apply([Keep("c", "b", None, Expect.PRESENT)], ME)
    same = await store.apply([Keep("c", "a", {"x": 1})], ME)

    assert (store.state.revision, same.changed) == (1, False)
    assert store.state.resource(MESH) is None
