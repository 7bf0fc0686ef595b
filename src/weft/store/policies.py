"""
What the store asks of policies: who may set them, and with what they go (decision 0036).

A policy may be set before its resource is there; it goes when the resource goes, in the
same revision, so that a revert brings both back and no namesake inherits it.
"""

from __future__ import annotations

from collections.abc import Iterator

from weft.errors import Forbidden, Invalid, Problem
from weft.model.meta import Resource
from weft.model.policy import POLICIES, decode_policy
from weft.names import Key, Kind, bare_name, owner_of
from weft.store import ownership
from weft.store.change import Keep, Prune
from weft.store.naming import name_problems
from weft.store.state import MeshState


def going_with(state: MeshState, key: Key) -> list[str]:
    """The policies that go with a resource; with a mesh, all that is said of anything in it."""
    kept = state.collection(POLICIES)
    if not kept:
        return []
    if key.kind is Kind.MESH:
        return [name for name in sorted(kept) if Key.parse(name).mesh == key.mesh]
    return [str(key)] if str(key) in kept else []


def pruned(state: MeshState, step: Prune) -> Iterator[tuple[str, Resource]]:
    """The policies that no file names any more, with the resources, which carry the labels."""
    wanted = set(step.labels)
    for name in sorted(state.collection(POLICIES)):
        key = Key.parse(name)
        found = state.resource(key)
        if (
            key.mesh in step.meshes
            and name not in step.keep_policies
            and found is not None
            and wanted <= set(found.tags)
        ):
            yield name, found


def check(state: MeshState, step: Keep, caller: str | None, home: str) -> None:
    """Refuse what is no policy, or is set by one who may not change what it is about."""
    key = Key.parse(step.name)
    if problems := [each for part in (key.parent, key) if part for each in name_problems(part)]:
        raise Invalid(Problem("for", each.message) for each in problems)
    if step.document is not None:
        decode_policy(key.kind, step.document)
    if caller is None:
        return
    ownership.check_mesh(state, key.mesh, caller, home)
    found = state.resource(key)
    owner = owner_of(key.mesh, home) if found is None else ownership.resource_owner(found, home)
    if caller not in (owner, owner_of(key.mesh, home)):
        raise Forbidden(
            f"{key.kind.title} with name {key.shown} belongs to account {owner}; "
            f"account {caller} cannot set its policy"
        )
    if key.kind is Kind.MESH and caller != owner:
        raise Forbidden(f"only account {owner} sets policies of mesh {bare_name(key.mesh)}")
