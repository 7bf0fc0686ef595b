"""
Whose mesh, whose resource, and who may do what with it (app-mesh.md, 1.3; decision 0020).

A mesh is its owner's. Once shared, another account sees everything in it, creates
virtual nodes, services, routers and routes, and changes what it created; the
owner deletes anything and changes what is its own. Gateways are the owner's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from weft.errors import Forbidden
from weft.model.meta import Resource
from weft.names import Key, Kind, ProxyId, bare_name, mesh_of, owner_of
from weft.store.state import MeshState

SHARES = "appmesh/shares"
"""The collection of shares: a document for each mesh and account, by ``share_name``."""
_OWNERS_ALONE = frozenset({Kind.MESH, Kind.VIRTUAL_GATEWAY, Kind.GATEWAY_ROUTE})


def share_name(mesh: str, account: str) -> str:
    """The name of a share's document; neither part has a slash."""
    return f"{mesh}/{account}"


def mesh_of_share(name: str) -> str:
    return name.partition("/")[0]


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


def share_needed(resource: Resource) -> str | None:
    """The share without which a resource's proxies get nothing: its creator must have the mesh."""
    owner = resource.metadata.owner
    return share_name(resource.key.mesh, owner) if owner else None


def no_longer_shared(resource: Resource) -> str:
    key = resource.key
    return (
        f"mesh {key.mesh} is not shared any more with account {resource.metadata.owner}, "
        f"which created {key.kind} {key.name}"
    )


def proxy_named(state: MeshState, text: str, home: str, caller: str | None = None) -> ProxyId:
    """
    The proxy id that an Envoy gives itself, with the mesh as keys have it.

    The account in it is the mesh's owner (``mesh/M@ACCOUNT/…``) or, in an ARN, the
    resource's; where there is none, the mesh is of the account that opens the stream. While all meshes are the control plane's own it does not matter, so
    that task definitions written for AWS go on working.
    """
    proxy = ProxyId.parse(text)
    name, _, owner = proxy.mesh.partition("@")
    account = text.split(":")[4] if text.startswith("arn:") else ""
    if not owner and not account:
        return replace(proxy, mesh=mesh_of(name, caller or home, home))
    wanted = mesh_of(name, owner or account, home)
    meshes = state.names(None, Kind.MESH)
    if owner:
        if state.resource(Key.of_mesh(wanted)) is not None:
            return replace(proxy, mesh=wanted)
    else:
        for mesh in [wanted, *(m for m in meshes if bare_name(m) == name and m != wanted)]:
            found = state.resource(proxy.key.within(mesh))
            if found is not None and resource_owner(found, home) == account:
                return replace(proxy, mesh=mesh)
    alone = not any("@" in mesh for mesh in meshes)
    return replace(proxy, mesh=name if alone else wanted)


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
