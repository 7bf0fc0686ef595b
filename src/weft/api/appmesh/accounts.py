"""
Whose request it is and whose mesh it means.

A mesh is said by its name and, where it is not the caller's own, its ``meshOwner``;
inside, the two are one word (``names.mesh_of``), which never shows at this edge.
"""

from __future__ import annotations

from typing import Any

from weft.api.exchange import Call
from weft.errors import NotFound, Problem
from weft.names import Arn, Key, bare_name, mesh_of, owner_of
from weft.store.ownership import resource_owner, visible_meshes
from weft.store.rules import Missing, outermost
from weft.store.state import MeshState


def caller_account(call: Call) -> str:
    """The account that a request comes from: its credential's, else the control plane's own."""
    return call.caller.account


def mesh_named(
    name: str, owner: str | None, caller: str, home: str, found: list[Problem], *, at: str = ""
) -> str:
    """The mesh that a name and an owner say, as keys have it."""
    if "@" in name:
        place = f"{at}.meshName" if at else "meshName"
        found.append(Problem(place, "must be a name; its owner is said by meshOwner"))
    return mesh_of(name, owner or caller, home)


def mesh_said(call: Call, text: str, home: str) -> str:
    """The mesh that a request of Weft's own says: the caller's, or ``name@account`` of another."""
    return mesh_of(bare_name(text), owner_of(text, caller_account(call)), home)


def key_of_arn(state: MeshState, arn: Arn, home: str) -> Key:
    """
    The resource of an ARN, whose account is the resource's owner and not its mesh's.

    An account's own mesh comes first; then those that others share with it, by owner.
    NotFound when that account has no such resource.
    """
    account, name = arn.account, arn.key.mesh
    own = arn.key.within(mesh_of(name, account, home))
    found = state.resource(own)
    if found is not None and resource_owner(found, home) == account:
        return own
    for mesh in visible_meshes(state, account, home):
        key = arn.key.within(mesh)
        found = state.resource(key) if bare_name(mesh) == name else None
        if found is not None and resource_owner(found, home) == account:
            return key
    raise NotFound(str(Missing(outermost(state, own), home)))


def owner_given(value: Any, found: list[Problem], *, at: str = "") -> str | None:
    """A ``meshOwner``, checked for its form; None when it is not given."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) == 12 and value.isascii() and value.isdecimal():
        return value
    place = f"{at}.meshOwner" if at else "meshOwner"
    found.append(Problem(place, "must be an account of 12 digits"))
    return None
