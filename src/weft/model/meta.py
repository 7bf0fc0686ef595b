"""What the mesh remembers of every resource besides its spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from weft.model.mesh import MeshSpec
from weft.model.virtual_gateway import GatewayRouteSpec, VirtualGatewaySpec
from weft.model.virtual_node import VirtualNodeSpec
from weft.model.virtual_router import RouteSpec, VirtualRouterSpec
from weft.model.virtual_service import VirtualServiceSpec
from weft.names import Key

Spec = (
    MeshSpec
    | VirtualNodeSpec
    | VirtualServiceSpec
    | VirtualRouterSpec
    | RouteSpec
    | VirtualGatewaySpec
    | GatewayRouteSpec
)

Tags = tuple[tuple[str, str], ...]
"""Key and value pairs in the order they were given."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """App Mesh's ResourceMetadata, less what follows from the key (the ARN, the mesh's owner)."""

    uid: str
    version: int
    """App Mesh's ``metadata.version``: 1 at creation, one more with every write."""
    created_at: datetime
    last_updated_at: datetime
    owner: str = ""
    """The account that created it; empty for the owner of the mesh."""


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One App Mesh resource as it stands at some revision."""

    key: Key
    spec: Spec
    """The spec as we understand it."""
    sent: Mapping[str, Any] = field(repr=False)
    """The spec as it was sent, for echoing; nulls left out."""
    metadata: Metadata
    tags: Tags = ()
