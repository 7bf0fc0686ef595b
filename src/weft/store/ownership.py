"""
Whose mesh, whose resource, and who may do what with it (app-mesh.md, 1.3; decision 0015).

A mesh is its owner's. Once shared, another account sees everything in it, creates
virtual nodes, services, routers and routes, and changes what it created; the
owner deletes anything and changes what is its own. Gateways are the owner's.
"""

from __future__ import annotations

from collections.abc import Iterator

from weft.errors import Forbidden
from weft.model.meta import Resource
from weft.names import Key, Kind, bare_name, owner_of
from weft.store.state import MeshState

SHARES = "appmesh/shares"
"""The collection of shares: a document for each mesh and account, by ``share_name``."""
_OWNERS_ALONE = frozenset({Kind.MESH, Kind.VIRTUAL_GATEWAY, Kind.GATEWAY_ROUTE})


def share_name(mesh: str, account: str) -> str:
    """The name of a share's document; neither part has a slash."""
    return f"{mesh}/{account}"


def shares(state: MeshState, mesh: str) -> Iterator[str]:
    """The accounts a mesh is shared with, sorted."""
    prefix = share_name(mesh, "")
    for name in sorted(state.collection(SHARES)):
        if name.startswith(prefix):
            yield name.removeprefix(prefix)


def is_shared(state: MeshState, mesh: str, account: str) -> bool:
    return state.document(SHARES, share_name(mesh, account)) is not None


def resource_owner(resource: Resource, home: str) -> str:
    """The account that created a resource."""
    return resource.metadata.owner or owner_of(resource.key.mesh, home)


def is_served(state: MeshState, resource: Resource, home: str) -> bool:
    """Whether its proxies get a configuration: no longer, once its creator has lost the mesh."""
    owner = resource.metadata.owner
    return (
        not owner
        or owner == owner_of(resource.key.mesh, home)
        or is_shared(state, resource.key.mesh, owner)
    )


def visible_meshes(state: MeshState, caller: str, home: str) -> list[str]:
    """The meshes an account owns or shares, by name and then by owner."""
    return sorted(
        (
            mesh
            for mesh in state.names(None, Kind.MESH)
            if owner_of(mesh, home) == caller or is_shared(state, mesh, caller)
        ),
        key=lambda mesh: (bare_name(mesh), owner_of(mesh, home)),
    )


def check_mesh(state: MeshState, mesh: str, caller: str, home: str) -> None:
    """Forbidden for an account that neither owns nor shares a mesh, whether or not there is one."""
    owner = owner_of(mesh, home)
    if owner != caller and not is_shared(state, mesh, caller):
        raise Forbidden(
            f"account {caller} has no access to mesh {bare_name(mesh)} of account {owner}",
            fix=f"leave meshOwner out, or have account {owner} share the mesh",
        )


def check_creation(state: MeshState, key: Key, caller: str, home: str) -> None:
    """Forbidden for a resource that this account may not create."""
    check_mesh(state, key.mesh, caller, home)
    owner = owner_of(key.mesh, home)
    if key.kind in _OWNERS_ALONE and owner != caller:
        raise Forbidden(
            f"only account {owner}, which owns mesh {bare_name(key.mesh)}, "
            f"can create a {key.kind} in it"
        )
    parent = state.resource(key.parent) if key.parent else None
    if parent is not None and key.parent_name and resource_owner(parent, home) != caller:
        raise Forbidden(
            f"{parent.key.kind.title} with name {parent.key.name} belongs to account "
            f"{resource_owner(parent, home)}; account {caller} cannot create a {key.kind} in it"
        )


def check_update(state: MeshState, resource: Resource, caller: str, home: str) -> None:
    """Forbidden for a resource that another account created."""
    check_mesh(state, resource.key.mesh, caller, home)
    if (owner := resource_owner(resource, home)) != caller:
        raise Forbidden(_not_yours(resource.key, owner, caller, "change"))


def check_deletion(state: MeshState, resource: Resource, caller: str, home: str) -> None:
    """Forbidden for a resource that another account created in a mesh that is not one's own."""
    key = resource.key
    check_mesh(state, key.mesh, caller, home)
    owner = resource_owner(resource, home)
    if caller not in (owner, owner_of(key.mesh, home)):
        raise Forbidden(_not_yours(key, owner, caller, "delete"))


def _not_yours(key: Key, owner: str, caller: str, what: str) -> str:
    return (
        f"{key.kind.title} with name {key.shown} belongs to account {owner}; "
        f"account {caller} cannot {what} it"
    )
