"""Specs of the kind that a key promises, or nothing."""

from __future__ import annotations

from typing import TypeVar

from weft.model.mesh import MeshSpec
from weft.model.schema import Model
from weft.model.virtual_gateway import VirtualGatewaySpec
from weft.model.virtual_node import VirtualNodeSpec
from weft.model.virtual_router import VirtualRouterSpec
from weft.model.virtual_service import VirtualServiceSpec
from weft.names import Key, Kind
from weft.resolve.reading import Reading

S = TypeVar("S", bound=Model)


def _spec(reading: Reading, key: Key, model: type[S]) -> S | None:
    resource = reading.resource(key)
    return resource.spec if resource and isinstance(resource.spec, model) else None


def mesh(reading: Reading, name: str) -> MeshSpec:
    """The mesh's spec; a mesh that says nothing has an empty one."""
    return _spec(reading, Key.of_mesh(name), MeshSpec) or MeshSpec()


def virtual_node(reading: Reading, mesh: str, name: str) -> VirtualNodeSpec | None:
    return _spec(reading, Key(mesh, Kind.VIRTUAL_NODE, name), VirtualNodeSpec)


def virtual_service(reading: Reading, mesh: str, name: str) -> VirtualServiceSpec | None:
    return _spec(reading, Key(mesh, Kind.VIRTUAL_SERVICE, name), VirtualServiceSpec)


def virtual_router(reading: Reading, mesh: str, name: str) -> VirtualRouterSpec | None:
    return _spec(reading, Key(mesh, Kind.VIRTUAL_ROUTER, name), VirtualRouterSpec)


def virtual_gateway(reading: Reading, mesh: str, name: str) -> VirtualGatewaySpec | None:
    return _spec(reading, Key(mesh, Kind.VIRTUAL_GATEWAY, name), VirtualGatewaySpec)
