"""One mesh of a state, indexed once for all checks: who calls whom, and who sends where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from weft.model.listener import Listener
from weft.model.mesh import MeshSpec
from weft.model.meta import Resource
from weft.model.tls import BackendDefaults, ClientTls
from weft.model.virtual_gateway import GatewayRouteSpec, VirtualGatewaySpec
from weft.model.virtual_node import ByDns, DnsDiscovery, VirtualNodeSpec
from weft.model.virtual_router import RouteSpec, VirtualRouterSpec
from weft.model.virtual_service import ByVirtualNode, ByVirtualRouter, VirtualServiceSpec
from weft.names import Key, Kind
from weft.resolve import routes
from weft.resolve.clusters import Target
from weft.resolve.outbound import service_name
from weft.resolve.reading import Reading
from weft.store.state import MeshState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A virtual service that somebody may call, and how it speaks to it."""

    caller: Key
    """A virtual node; for what comes through a gateway, the gateway route."""
    path: str
    service: str
    tls: ClientTls | None
    tls_at: Key
    """Where the TLS policy stands: the caller, or its gateway."""

    @property
    def by_gateway(self) -> bool:
        return self.caller.kind is Kind.GATEWAY_ROUTE


@dataclass(frozen=True, slots=True)
class Use:
    """A virtual node that requests are sent to: by a route, or by a virtual service itself."""

    by: Key
    path: str
    port: int | None
    weight: int
    route: RouteSpec | None = None


class Mesh:
    """A mesh as checks see it."""

    def __init__(self, state: MeshState, name: str) -> None:
        self.state = state
        self.name = name
        self.key = Key.of_mesh(name)
        self._reading = Reading(state)
        self._kept: dict[object, tuple[Any, ...]] = {}
        self._ports: dict[str, tuple[routes.ServicePort, ...]] = {}
        self._targets: dict[str, tuple[Target, ...]] = {}

    def once(self, function: Callable[[Mesh], Iterable[T]]) -> tuple[T, ...]:
        """What several checks look for in this mesh, looked for once."""
        if function not in self._kept:
            self._kept[function] = tuple(function(self))
        return self._kept[function]

    # --- what there is -------------------------------------------------------------------

    @cached_property
    def spec(self) -> MeshSpec:
        found = self.state.resource(self.key)
        return found.spec if found and isinstance(found.spec, MeshSpec) else MeshSpec()

    @cached_property
    def nodes(self) -> Mapping[str, VirtualNodeSpec]:
        return {r.key.name: r.spec for r in self._of(Kind.VIRTUAL_NODE) if _is_node(r)}  # type: ignore[misc]  # decoded by kind

    @cached_property
    def services(self) -> Mapping[str, VirtualServiceSpec]:
        found = self._of(Kind.VIRTUAL_SERVICE)
        return {r.key.name: r.spec for r in found if isinstance(r.spec, VirtualServiceSpec)}

    @cached_property
    def routers(self) -> Mapping[str, VirtualRouterSpec]:
        found = self._of(Kind.VIRTUAL_ROUTER)
        return {r.key.name: r.spec for r in found if isinstance(r.spec, VirtualRouterSpec)}

    @cached_property
    def gateways(self) -> Mapping[str, VirtualGatewaySpec]:
        found = self._of(Kind.VIRTUAL_GATEWAY)
        return {r.key.name: r.spec for r in found if isinstance(r.spec, VirtualGatewaySpec)}

    @cached_property
    def routes_of(self) -> Mapping[str, tuple[Resource, ...]]:
        """The routes of each router, in the order they are tried."""
        return {
            name: tuple(
                sorted(
                    self.state.children(self.of(Kind.VIRTUAL_ROUTER, name), Kind.ROUTE),
                    key=routes.precedence,
                )
            )
            for name in self.routers
        }

    @cached_property
    def gateway_routes_of(self) -> Mapping[str, tuple[Resource, ...]]:
        return {
            name: tuple(
                self.state.children(self.of(Kind.VIRTUAL_GATEWAY, name), Kind.GATEWAY_ROUTE)
            )
            for name in self.gateways
        }

    def of(self, kind: Kind, name: str) -> Key:
        return Key(self.name, kind, name)

    def all_routes(self) -> Iterator[tuple[Key, RouteSpec]]:
        for found in self.routes_of.values():
            for route in found:
                assert isinstance(route.spec, RouteSpec)
                yield route.key, route.spec

    def all_gateway_routes(self) -> Iterator[tuple[Key, GatewayRouteSpec]]:
        for found in self.gateway_routes_of.values():
            for route in found:
                assert isinstance(route.spec, GatewayRouteSpec)
                yield route.key, route.spec

    @cached_property
    def listeners(self) -> tuple[tuple[Key, int, Listener], ...]:
        """Every listener of every virtual node, with its place in the list."""
        return tuple(
            (self.of(Kind.VIRTUAL_NODE, name), i, listener)
            for name, spec in self.nodes.items()
            for i, listener in enumerate(spec.listeners or ())
        )

    def _of(self, kind: Kind) -> list[Resource]:
        return self.state.children(self.key, kind)

    # --- who calls whom ------------------------------------------------------------------

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Every backend of a virtual node, and the target of every gateway route."""
        return (*self._backends(), *self._through_gateways())

    def _backends(self) -> Iterator[Call]:
        for name, spec in self.nodes.items():
            key = self.of(Kind.VIRTUAL_NODE, name)
            for i, backend in enumerate(spec.backends or ()):
                given = backend.virtual_service
                own = given.client_policy
                service = service_name(given.virtual_service_name)
                # App Mesh: it replaces the default entirely, also by none.
                tls = _default(spec.backend_defaults) if own is None else own.tls
                yield Call(key, f"spec.backends[{i}].virtualService", service, tls, key)

    def _through_gateways(self) -> Iterator[Call]:
        for key, spec in self.all_gateway_routes():
            target = spec.route.action.target.virtual_service.virtual_service_name
            gateway = self.gateways[key.parent_name]
            path = f"spec.{spec.member}.action.target"
            assert key.parent is not None
            tls = _default(gateway.backend_defaults)
            yield Call(key, path, service_name(target), tls, key.parent)

    @cached_property
    def calls_of(self) -> Mapping[str, tuple[Call, ...]]:
        """The calls of each virtual service, whether or not it exists."""
        found: dict[str, list[Call]] = defaultdict(list)
        for call in self.calls:
            found[call.service].append(call)
        return {name: tuple(calls) for name, calls in found.items()}

    @cached_property
    def uses_of(self) -> Mapping[str, tuple[Use, ...]]:
        """What sends requests to each virtual node."""
        found: dict[str, list[Use]] = defaultdict(list)
        for key, route in self.all_routes():
            for i, target in enumerate(route.targets):
                place = f"spec.{route.member}.action.weightedTargets[{i}]"
                found[target.virtual_node].append(
                    Use(key, place, target.port, target.weight, route)
                )
        for name, service in self.services.items():
            if isinstance(service.provider, ByVirtualNode):
                node = service.provider.virtual_node.virtual_node_name
                key = self.of(Kind.VIRTUAL_SERVICE, name)
                found[node].append(Use(key, "spec.provider", None, 100))
        return {name: tuple(uses) for name, uses in found.items()}

    @cached_property
    def services_of_router(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name, spec in self.services.items():
            if isinstance(spec.provider, ByVirtualRouter):
                found[spec.provider.virtual_router.virtual_router_name].append(name)
        return {name: tuple(services) for name, services in found.items()}

    # --- what it comes to ----------------------------------------------------------------

    def ports(self, service: str) -> tuple[routes.ServicePort, ...]:
        """The ports of a virtual service, as its clients see them."""
        if service not in self._ports:
            self._ports[service] = self._reading.part(routes.service, self.name, service).ports
        return self._ports[service]

    def targets(self, service: str) -> tuple[Target, ...]:
        """All that a virtual service may lead to."""
        if service not in self._targets:
            self._targets[service] = self._reading.part(routes.targets, self.name, service)
        return self._targets[service]

    def target_listener(self, target: Target) -> Listener | None:
        spec = self.nodes.get(target.node)
        return spec.listener(target.port) if spec else None

    def by_dns(self, node: str) -> DnsDiscovery | None:
        """How a virtual node is looked up by name; None when the registry knows its instances."""
        spec = self.nodes.get(node)
        if spec is None or not isinstance(spec.service_discovery, ByDns):
            return None
        if self.state.instances_known(self.of(Kind.VIRTUAL_NODE, node)):
            return None
        return spec.service_discovery.dns


def _is_node(resource: Resource) -> bool:
    return isinstance(resource.spec, VirtualNodeSpec)


def _default(given: BackendDefaults | None) -> ClientTls | None:
    return given.client_policy.tls if given and given.client_policy else None
