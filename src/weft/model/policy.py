"""
Weft's own policies: what App Mesh could not be told, said beside it and never in its specs.

A policy belongs to an App Mesh resource, which it names; it is kept as a document of the
collection ``policies`` under that resource's key. Nothing in it holds unless it is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from weft.errors import Invalid, Problem
from weft.model.codec import decode_as
from weft.model.listener import HttpTimeout
from weft.model.mesh import EgressFilter
from weft.model.schema import Model
from weft.model.virtual_router import GrpcRetryPolicy
from weft.names import Kind

POLICIES = "policies"
"""The collection of policies, by the keys of what they are about."""


def _switch(value: Any) -> Any:
    return {"on": True, "off": False}.get(value, value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_switch)]
"""True or false, also written as on and off."""


class MeshPolicy(Model):
    """What holds for a whole mesh."""

    amazonaws: Switch | None = None
    """Whether ``*.amazonaws.com`` at port 443 may be called although the filter is DROP_ALL;
    App Mesh's own exception, and on unless it is set."""
    reroute: Switch | None = None
    """Whether targets without a live instance leave a split, and failed requests go to another
    target; off unless it is set, as in App Mesh."""


class RoutePolicy(Model):
    """What holds for one route, whatever holds for its mesh."""

    reroute: Switch | None = None


class VirtualServicePolicy(Model):
    """Timeouts and retries of a virtual service that a virtual node provides, without routes."""

    retry_policy: GrpcRetryPolicy | None = None
    timeout: HttpTimeout | None = None


class VirtualNodePolicy(Model):
    """What one virtual node may call outside the mesh, whatever its mesh says."""

    egress_filter: EgressFilter | None = None


Policy = MeshPolicy | RoutePolicy | VirtualServicePolicy | VirtualNodePolicy

KINDS: Mapping[Kind, type[Model]] = {
    Kind.MESH: MeshPolicy,
    Kind.ROUTE: RoutePolicy,
    Kind.VIRTUAL_SERVICE: VirtualServicePolicy,
    Kind.VIRTUAL_NODE: VirtualNodePolicy,
}
"""Which kinds of resource can have a policy, and what it may set."""


def settable(kind: Kind) -> str:
    """The settings of a kind, for messages."""
    return ", ".join(field.alias or name for name, field in KINDS[kind].model_fields.items())


def decode_policy(kind: Kind, sent: Any, *, at: str = "") -> Model:
    """A policy for a resource of this kind, or Invalid with every problem and its place."""
    model = KINDS.get(kind)
    if model is None:
        kinds = ", ".join(KINDS)
        raise Invalid([Problem(at or "for", f"a {kind} has no policy; these have: {kinds}")])
    found: Model = decode_as(model, sent, at=at)
    return found


def document_of(policy: Model) -> dict[str, Any] | None:
    """A policy as it is kept: only what is set; None where nothing is."""
    return policy.model_dump(by_alias=True, exclude_none=True, mode="json") or None
