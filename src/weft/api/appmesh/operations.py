"""The 38 operations of the App Mesh API (botocore ``appmesh/2019-01-25``), a row each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from weft.names import Kind

PREFIX = "/v20190125"


class Verb(Enum):
    """What an operation does; one handler each."""

    CREATE = "create"
    DESCRIBE = "describe"
    UPDATE = "update"
    DELETE = "delete"
    LIST = "list"
    LIST_TAGS = "list tags"
    TAG = "tag"
    UNTAG = "untag"


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    method: str
    path: str
    """Below the prefix. The parent of a child of a router or gateway is in the singular there."""
    verb: Verb
    kind: Kind | None = None
    """None for the tag operations, which take any kind by its ARN."""
    query: tuple[str, ...] = ()


_MESH = "/meshes/{meshName}"
_NODES = _MESH + "/virtualNodes"
_ROUTERS = _MESH + "/virtualRouters"
_SERVICES = _MESH + "/virtualServices"
_GATEWAYS = _MESH + "/virtualGateways"
_ROUTES = _MESH + "/virtualRouter/{virtualRouterName}/routes"
_GATEWAY_ROUTES = _MESH + "/virtualGateway/{virtualGatewayName}/gatewayRoutes"
_NODE = _NODES + "/{virtualNodeName}"
_ROUTER = _ROUTERS + "/{virtualRouterName}"
_SERVICE = _SERVICES + "/{virtualServiceName}"
_GATEWAY = _GATEWAYS + "/{virtualGatewayName}"
_ROUTE = _ROUTES + "/{routeName}"
_GATEWAY_ROUTE = _GATEWAY_ROUTES + "/{gatewayRouteName}"
_OWNED = ("meshOwner",)
_PAGED = ("limit", "nextToken")
_OWNED_PAGED = ("limit", "meshOwner", "nextToken")
_ARN = ("resourceArn",)

# fmt: off
OPERATIONS = (
    Operation("CreateMesh", "PUT", "/meshes", Verb.CREATE, Kind.MESH),
    Operation("DescribeMesh", "GET", _MESH, Verb.DESCRIBE, Kind.MESH, _OWNED),
    Operation("UpdateMesh", "PUT", _MESH, Verb.UPDATE, Kind.MESH),
    Operation("DeleteMesh", "DELETE", _MESH, Verb.DELETE, Kind.MESH),
    Operation("ListMeshes", "GET", "/meshes", Verb.LIST, Kind.MESH, _PAGED),
    Operation("CreateVirtualNode", "PUT", _NODES, Verb.CREATE, Kind.VIRTUAL_NODE, _OWNED),
    Operation("DescribeVirtualNode", "GET", _NODE, Verb.DESCRIBE, Kind.VIRTUAL_NODE, _OWNED),
    Operation("UpdateVirtualNode", "PUT", _NODE, Verb.UPDATE, Kind.VIRTUAL_NODE, _OWNED),
    Operation("DeleteVirtualNode", "DELETE", _NODE, Verb.DELETE, Kind.VIRTUAL_NODE, _OWNED),
    Operation("ListVirtualNodes", "GET", _NODES, Verb.LIST, Kind.VIRTUAL_NODE, _OWNED_PAGED),
    Operation("CreateVirtualRouter", "PUT", _ROUTERS, Verb.CREATE, Kind.VIRTUAL_ROUTER, _OWNED),
    Operation("DescribeVirtualRouter", "GET", _ROUTER, Verb.DESCRIBE, Kind.VIRTUAL_ROUTER, _OWNED),
    Operation("UpdateVirtualRouter", "PUT", _ROUTER, Verb.UPDATE, Kind.VIRTUAL_ROUTER, _OWNED),
    Operation("DeleteVirtualRouter", "DELETE", _ROUTER, Verb.DELETE, Kind.VIRTUAL_ROUTER, _OWNED),
    Operation("ListVirtualRouters", "GET", _ROUTERS, Verb.LIST, Kind.VIRTUAL_ROUTER, _OWNED_PAGED),
    Operation("CreateRoute", "PUT", _ROUTES, Verb.CREATE, Kind.ROUTE, _OWNED),
    Operation("DescribeRoute", "GET", _ROUTE, Verb.DESCRIBE, Kind.ROUTE, _OWNED),
    Operation("UpdateRoute", "PUT", _ROUTE, Verb.UPDATE, Kind.ROUTE, _OWNED),
    Operation("DeleteRoute", "DELETE", _ROUTE, Verb.DELETE, Kind.ROUTE, _OWNED),
    Operation("ListRoutes", "GET", _ROUTES, Verb.LIST, Kind.ROUTE, _OWNED_PAGED),
    Operation("CreateVirtualService", "PUT", _SERVICES, Verb.CREATE, Kind.VIRTUAL_SERVICE, _OWNED),
    Operation("DescribeVirtualService", "GET", _SERVICE, Verb.DESCRIBE, Kind.VIRTUAL_SERVICE, _OWNED),
    Operation("UpdateVirtualService", "PUT", _SERVICE, Verb.UPDATE, Kind.VIRTUAL_SERVICE, _OWNED),
    Operation("DeleteVirtualService", "DELETE", _SERVICE, Verb.DELETE, Kind.VIRTUAL_SERVICE, _OWNED),
    Operation("ListVirtualServices", "GET", _SERVICES, Verb.LIST, Kind.VIRTUAL_SERVICE, _OWNED_PAGED),
    Operation("CreateVirtualGateway", "PUT", _GATEWAYS, Verb.CREATE, Kind.VIRTUAL_GATEWAY, _OWNED),
    Operation("DescribeVirtualGateway", "GET", _GATEWAY, Verb.DESCRIBE, Kind.VIRTUAL_GATEWAY, _OWNED),
    Operation("UpdateVirtualGateway", "PUT", _GATEWAY, Verb.UPDATE, Kind.VIRTUAL_GATEWAY, _OWNED),
    Operation("DeleteVirtualGateway", "DELETE", _GATEWAY, Verb.DELETE, Kind.VIRTUAL_GATEWAY, _OWNED),
    Operation("ListVirtualGateways", "GET", _GATEWAYS, Verb.LIST, Kind.VIRTUAL_GATEWAY, _OWNED_PAGED),
    Operation("CreateGatewayRoute", "PUT", _GATEWAY_ROUTES, Verb.CREATE, Kind.GATEWAY_ROUTE, _OWNED),
    Operation("DescribeGatewayRoute", "GET", _GATEWAY_ROUTE, Verb.DESCRIBE, Kind.GATEWAY_ROUTE, _OWNED),
    Operation("UpdateGatewayRoute", "PUT", _GATEWAY_ROUTE, Verb.UPDATE, Kind.GATEWAY_ROUTE, _OWNED),
    Operation("DeleteGatewayRoute", "DELETE", _GATEWAY_ROUTE, Verb.DELETE, Kind.GATEWAY_ROUTE, _OWNED),
    Operation("ListGatewayRoutes", "GET", _GATEWAY_ROUTES, Verb.LIST, Kind.GATEWAY_ROUTE, _OWNED_PAGED),
    Operation("ListTagsForResource", "GET", "/tags", Verb.LIST_TAGS, None, (*_PAGED, *_ARN)),
    Operation("TagResource", "PUT", "/tag", Verb.TAG, None, _ARN),
    Operation("UntagResource", "PUT", "/untag", Verb.UNTAG, None, _ARN),
)
# fmt: on
