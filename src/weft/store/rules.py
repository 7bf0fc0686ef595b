"""
The rules between resources: what a spec needs of the rest of its mesh, and what blocks a deletion.

Sources: app-mesh.md, 2.8 (deletions, with App Mesh's texts) and 2.9; decision 0007.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from weft.errors import Problem
from weft.model.meta import Resource
from weft.model.virtual_gateway import GatewayRouteSpec, VirtualGatewaySpec
from weft.model.virtual_node import VirtualNodeSpec
from weft.model.virtual_router import RouteSpec, VirtualRouterSpec, WeightedTarget
from weft.model.virtual_service import ByVirtualNode, ByVirtualRouter, VirtualServiceSpec
from weft.names import Key, Kind, bare_name, owner_of
from weft.store.state import MeshState
from weft.store.subject_names import wildcard_problems


@dataclass(frozen=True, slots=True)
class Missing:
    """A resource that something names and that is not there."""

    key: Key
    account: str
    """The control plane's own, which owns every mesh whose key names no other."""

    def __str__(self) -> str:
        key = self.key
        owner = owner_of(key.mesh, self.account)
        if key.kind is Kind.MESH:
            return f"Mesh with name {key.shown} is not present for account {owner}"
        inside = (
            f"{key.kind.parent.title} {key.parent_name} of mesh"
            if key.parent_name and key.kind.parent
            else "mesh"
        )
        return (
            f"{key.kind.title} with name {key.name} is not present under {inside} "
            f"{bare_name(key.mesh)} for account {owner}"
        )


def outermost(state: MeshState, missing: Key) -> Key:
    """The outermost thing that is missing says most: no mesh, rather than no route."""
    parent = missing.parent
    return outermost(state, parent) if parent and state.resource(parent) is None else missing


def rules(state: MeshState, resource: Resource, account: str) -> Iterator[Problem | Missing]:
    """The rules between a resource and the rest of its mesh (app-mesh.md, 2.9)."""
    key = resource.key
    match resource.spec:
        case RouteSpec() as spec:
            yield from _route_rules(state, key, spec, account)
        case VirtualServiceSpec(provider=ByVirtualNode(virtual_node=provider)):
            node = Key(key.mesh, Kind.VIRTUAL_NODE, provider.virtual_node_name)
            if state.resource(node) is None:
                yield Missing(node, account)
        case VirtualServiceSpec(provider=ByVirtualRouter(virtual_router=provider)):
            router = Key(key.mesh, Kind.VIRTUAL_ROUTER, provider.virtual_router_name)
            if state.resource(router) is None:
                yield Missing(router, account)
        case GatewayRouteSpec() as spec:
            yield from _gateway_route_rules(state, key, spec, account)
        case VirtualNodeSpec() as spec:
            yield from wildcard_problems(spec.backend_defaults, spec)
        case VirtualGatewaySpec() as spec:
            yield from wildcard_problems(spec.backend_defaults)
        case _:
            pass


def _route_rules(
    state: MeshState, key: Key, spec: RouteSpec, account: str
) -> Iterator[Problem | Missing]:
    at = f"spec.{spec.member}"
    assert key.parent is not None, "a route has a router"
    router = state.resource(key.parent)
    if router is not None and isinstance(router.spec, VirtualRouterSpec):
        listeners: dict[int, str] = {
            each.port_mapping.port: each.port_mapping.protocol
            for each in router.spec.listeners or ()
        }
        yield from _match_port_rules(
            at,
            spec.match_port,
            spec.protocol,
            listeners,
            f"virtual router {key.parent_name}",
            "Route must define a port match criteria if the Virtual Router has multiple listeners",
        )
    for i, target in enumerate(spec.targets):
        yield from _target_rules(
            state, key, spec, target, f"{at}.action.weightedTargets[{i}]", account
        )


def _match_port_rules(
    at: str,
    port: int | None,
    protocol: str,
    listeners: dict[int, str],
    owner: str,
    needs_port: str,
) -> Iterator[Problem]:
    if not listeners:
        return
    if port is None and len(listeners) > 1:
        yield Problem(f"{at}.match.port", needs_port)
    elif port is not None and port not in listeners:
        ports = ", ".join(map(str, sorted(listeners)))
        yield Problem(f"{at}.match.port", f"{owner} has no listener at port {port}; it has {ports}")
    else:
        listener = listeners[port] if port is not None else next(iter(listeners.values()))
        if listener != protocol:
            yield Problem(at, f"{owner} listens for {listener} there, not for {protocol}")


def _target_rules(
    state: MeshState, key: Key, spec: RouteSpec, target: WeightedTarget, at: str, account: str
) -> Iterator[Problem | Missing]:
    name = Key(key.mesh, Kind.VIRTUAL_NODE, target.virtual_node)
    node = state.resource(name)
    if node is None:
        yield Missing(name, account)
        return
    assert isinstance(node.spec, VirtualNodeSpec)
    ports = [each.port_mapping.port for each in node.spec.listeners or ()]
    listener = node.spec.listener(target.port)
    if not ports:
        yield Problem(f"{at}.virtualNode", f"virtual node {name.name} has no listener")
    elif target.port is None and len(ports) > 1:
        yield Problem(
            f"{at}.port",
            f"is missing; virtual node {name.name} listens at {', '.join(map(str, ports))}",
        )
    elif listener is None:
        yield Problem(
            f"{at}.port",
            f"virtual node {name.name} has no listener at port {target.port}; "
            f"it has {', '.join(map(str, ports))}",
        )
    elif listener.port_mapping.protocol != spec.protocol:
        yield Problem(
            f"{at}.virtualNode",
            f"virtual node {name.name} speaks {listener.port_mapping.protocol}, "
            f"the route is for {spec.protocol}",
        )


def _gateway_route_rules(
    state: MeshState, key: Key, spec: GatewayRouteSpec, account: str
) -> Iterator[Problem | Missing]:
    at = f"spec.{spec.member}"
    assert key.parent is not None, "a gateway route has a gateway"
    gateway = state.resource(key.parent)
    if gateway is not None and isinstance(gateway.spec, VirtualGatewaySpec):
        listeners: dict[int, str] = {
            each.port_mapping.port: each.port_mapping.protocol for each in gateway.spec.listeners
        }
        yield from _match_port_rules(
            at,
            spec.route.match.port,
            spec.protocol,
            listeners,
            f"virtual gateway {key.parent_name}",
            "Gateway Route must define a port match criteria if the Virtual Gateway has multiple listeners",
        )
    target = spec.route.action.target
    name = Key(key.mesh, Kind.VIRTUAL_SERVICE, target.virtual_service.virtual_service_name)
    service = state.resource(name)
    if service is None:
        yield Missing(name, account)
        return
    ports = provider_ports(state, service)
    place = f"{at}.action.target.port"
    if target.port is None and len(ports) > 1:
        yield Problem(place, f"is missing; {name.name} answers at {', '.join(map(str, ports))}")
    elif target.port is not None and ports and target.port not in ports:
        yield Problem(
            place,
            f"{name.name} does not answer at {target.port}, only at {', '.join(map(str, ports))}",
        )


def provider_ports(state: MeshState, service: Resource) -> list[int]:
    """The ports at which a virtual service can be called; empty while it has no provider."""
    assert isinstance(service.spec, VirtualServiceSpec)
    match service.spec.provider:
        case ByVirtualNode(virtual_node=provider):
            kind, name = Kind.VIRTUAL_NODE, provider.virtual_node_name
        case ByVirtualRouter(virtual_router=provider):
            kind, name = Kind.VIRTUAL_ROUTER, provider.virtual_router_name
        case _:
            return []
    found = state.resource(Key(service.key.mesh, kind, name))
    if found is None or not isinstance(found.spec, VirtualNodeSpec | VirtualRouterSpec):
        return []
    return [each.port_mapping.port for each in found.spec.listeners or ()]


def dependents(state: MeshState, resource: Resource) -> Iterator[Resource]:
    """Resources whose rules look at this one."""
    key = resource.key
    match key.kind:
        case Kind.VIRTUAL_ROUTER:
            yield from state.children(key, Kind.ROUTE)
            yield from _callers(state, key)
        case Kind.VIRTUAL_GATEWAY:
            yield from state.children(key, Kind.GATEWAY_ROUTE)
        case Kind.VIRTUAL_NODE:
            yield from _referring(state, key, Kind.ROUTE)
            yield from _callers(state, key)
        case Kind.VIRTUAL_SERVICE:
            yield from _referring(state, key, Kind.GATEWAY_ROUTE)
        case _:
            pass


def _callers(state: MeshState, provider: Key) -> Iterator[Resource]:
    """The gateway routes to the virtual services that something provides."""
    for service in state.referring(provider, Kind.VIRTUAL_SERVICE):
        yield from _referring(state, service, Kind.GATEWAY_ROUTE)


def _referring(state: MeshState, key: Key, kind: Kind) -> Iterator[Resource]:
    for name in state.referring(key, kind):
        if found := state.resource(name):
            yield found


def blame(
    resource: Resource, dependent: Resource, found: Iterable[Problem | Missing]
) -> Iterator[Problem]:
    """What a changed resource does to another one, said of the place that changed."""
    place = "provider" if resource.key.kind is Kind.VIRTUAL_SERVICE else "listeners"
    for each in found:
        if isinstance(each, Problem):
            yield Problem(
                f"spec.{place}",
                f"{dependent.key.kind} {dependent.key.name} would no longer fit: {each}",
            )


def blocker(state: MeshState, key: Key) -> str | None:
    """Why a resource may not go, in App Mesh's words where they are known (app-mesh.md, 2.8)."""
    what = f"{key.kind.title} with name {key.shown} cannot be deleted because"
    match key.kind:
        case Kind.MESH:
            for kind in (
                Kind.VIRTUAL_SERVICE,
                Kind.VIRTUAL_ROUTER,
                Kind.VIRTUAL_NODE,
                Kind.VIRTUAL_GATEWAY,
            ):
                if found := state.children(key, kind):
                    return f"{what} it still has {kind} {found[0].key.name}" + _more(found)
        case Kind.VIRTUAL_NODE:
            if state.referring(key, Kind.ROUTE):
                return f"{what} it is the target of one or more routes."
            if state.referring(key, Kind.VIRTUAL_SERVICE):
                return f"{what} it is a VirtualService provider"
        case Kind.VIRTUAL_ROUTER:
            if found := state.children(key, Kind.ROUTE):
                return f"{what} it still has route {found[0].key.name}" + _more(found)
            if state.referring(key, Kind.VIRTUAL_SERVICE):
                return f"{what} it is a VirtualService provider"
        case Kind.VIRTUAL_SERVICE:
            if routes := state.referring(key, Kind.GATEWAY_ROUTE):
                ids = ", ".join(route.name for route in routes)
                return (
                    f"VirtualService {key.name} is being referenced in the following: "
                    f"GATEWAY_ROUTE: [{ids}]"
                )
        case Kind.VIRTUAL_GATEWAY:
            if found := state.children(key, Kind.GATEWAY_ROUTE):
                return f"{what} it still has gatewayRoute {found[0].key.name}" + _more(found)
        case Kind.ROUTE | Kind.GATEWAY_ROUTE:
            pass
    return None


def _more(found: Sequence[Resource]) -> str:
    return f" and {len(found) - 1} more" if len(found) > 1 else ""
