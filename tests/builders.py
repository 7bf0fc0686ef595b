"""
The shortest way to say a mesh.

A mesh is written as a mapping, in golden files as YAML. Specs are App Mesh's own
JSON; a few words stand for the parts that most cases do not care about:

    mesh: {egressFilter: {type: ALLOW_ALL}}
    nodes:
      web: {calls: [shop.local]}             # backends
      shop: {listen: 9080/http}              # a listener, found by DNS as shop.test
    routers:
      shop: {listen: 9080/http, routes: {root: {httpRoute: {…}}}}
    services: {shop.local: router shop}      # or: node shop; or a spec
    gateways: {front: {listen: 8080/http, routes: {all: {httpRoute: {…}}}}}
    instances: {shop: {shop-1: {9080: "127.0.0.1:41001"}}}
    forgotten: [shop]                        # had instances once and has none now
    certificates: {ARN: {certificateChain: PEM, privateKey: PEM}}
    authorities: {ARN: {certificateChain: PEM}}
    policies: {mesh: {reroute: true}}        # Weft's own, by what a key has after mesh/M/
    certificates: {ARN: {certificateChain: PEM, privateKey: PEM}}
    authorities: {ARN: {certificateChain: PEM}}
    cloudmap:                                # namespace/service: {id: attributes}
      test/shop: {i-1: {AWS_INSTANCE_IPV4: 10.0.0.1, health: UNHEALTHY}}

``found: {colour: red}`` in a node stands for discovery by Cloud Map as ``test/NODE``
with these attributes, ``found: test/other`` for another service and no attributes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from weft.model import cloud_map, codec
from weft.model.certificate import AUTHORITIES, CERTIFICATES
from weft.model.instance import Instance
from weft.model.meta import Metadata, Resource
from weft.model.policy import POLICIES
from weft.names import Key, Kind, Mode, Ports, ProxyId, View
from weft.store.change import Keep
from weft.store.cloud_map import follow, keep_instance, keep_namespace, keep_service
from weft.store.state import Draft, MeshState

METADATA = Metadata(
    "00000000-0000-0000-0000-000000000001",
    1,
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=UTC),
)


def resource(key: Key, spec: Mapping[str, Any]) -> Resource:
    return Resource(key, codec.decode(key.kind, spec), spec, METADATA)


def resources(said: Mapping[str, Any], mesh: str = "shop") -> Iterator[Resource]:
    yield resource(Key.of_mesh(mesh), said.get("mesh") or {})
    for name, spec in (said.get("nodes") or {}).items():
        yield resource(Key(mesh, Kind.VIRTUAL_NODE, name), node_spec(name, spec or {}))
    for name, spec in (said.get("gateways") or {}).items():
        gateway = {member: value for member, value in spec.items() if member != "routes"}
        yield resource(Key(mesh, Kind.VIRTUAL_GATEWAY, name), listening(gateway))
    for name, spec in (said.get("routers") or {}).items():
        router = dict(spec or {})
        routes = router.pop("routes", {})
        yield resource(Key(mesh, Kind.VIRTUAL_ROUTER, name), listening(router))
        for route, route_spec in routes.items():
            yield resource(Key(mesh, Kind.ROUTE, route, name), route_spec)
    for name, spec in (said.get("services") or {}).items():
        yield resource(Key(mesh, Kind.VIRTUAL_SERVICE, name), service_spec(spec))
    for name, spec in (said.get("gateways") or {}).items():
        for route, route_spec in (spec.get("routes") or {}).items():
            yield resource(Key(mesh, Kind.GATEWAY_ROUTE, route, name), route_spec)


def listening(spec: Mapping[str, Any]) -> dict[str, Any]:
    """``listen: 9080/http`` (or a list of such) spelt out."""
    spelt = dict(spec)
    said = spelt.pop("listen", ())
    found = [listener(each) for each in ([said] if isinstance(said, str) else said)]
    if found:
        spelt["listeners"] = [*found, *spelt.get("listeners", ())]
    return spelt


def listener(said: str) -> dict[str, Any]:
    port, protocol = said.split("/")
    return {"portMapping": {"port": int(port), "protocol": protocol}}


def node_spec(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    spelt = listening(spec)
    if "calls" in spelt:
        spelt["backends"] = [
            {"virtualService": {"virtualServiceName": each}} for each in spelt.pop("calls")
        ]
    if "found" in spelt:
        spelt["serviceDiscovery"] = {"awsCloudMap": cloud_map_discovery(name, spelt.pop("found"))}
    if spelt.get("listeners") and "serviceDiscovery" not in spelt:
        spelt["serviceDiscovery"] = {"dns": {"hostname": f"{name}.test"}}
    return spelt


def cloud_map_discovery(name: str, said: str | Mapping[str, str]) -> dict[str, Any]:
    namespace, service = said.split("/") if isinstance(said, str) else ("test", name)
    found: dict[str, Any] = {"namespaceName": namespace, "serviceName": service}
    if not isinstance(said, str):
        found["attributes"] = [{"key": key, "value": value} for key, value in said.items()]
    return found


def service_spec(said: str | Mapping[str, Any] | None) -> Mapping[str, Any]:
    match said.split(" ", 1) if isinstance(said, str) else said:
        case ["router", name]:
            return {"provider": {"virtualRouter": {"virtualRouterName": name}}}
        case ["node", name]:
            return {"provider": {"virtualNode": {"virtualNodeName": name}}}
        case spec:
            assert spec is None or isinstance(spec, Mapping)
            return spec or {}


def to(*targets: str, **more: Any) -> dict[str, Any]:
    """The action of a route: ``to("white:1", "blue:0")``."""
    pairs = [target.rsplit(":", 1) for target in targets]
    return {"weightedTargets": [{"virtualNode": n, "weight": int(w)} for n, w in pairs], **more}


def http_route(*targets: str, prefix: str = "/", **more: Any) -> dict[str, Any]:
    """A whole route spec: ``http_route("white:1", prefix="/a")``."""
    priority = {"priority": more.pop("priority")} if "priority" in more else {}
    return {"httpRoute": {"match": {"prefix": prefix}, "action": to(*targets), **more}, **priority}


def state_from(said: Mapping[str, Any], mesh: str = "shop", revision: int = 1) -> MeshState:
    """The state of a mesh that was said in short."""
    draft = Draft(MeshState())
    for each in resources(said, mesh):
        draft.put(each)
    for node in said.get("forgotten") or ():
        draft.know_instances(Key(mesh, Kind.VIRTUAL_NODE, node))
    for node, replicas in (said.get("instances") or {}).items():
        key = Key(mesh, Kind.VIRTUAL_NODE, node)
        for id, addresses in replicas.items():
            draft.put_instance(Instance(key, id, tuple(sorted(addresses.items()))))
    for collection in (CERTIFICATES, AUTHORITIES):
        for arn, document in (said.get(collection) or {}).items():
            draft.keep(collection, arn, document)
    for step in cloud_map_steps(said, draft):
        draft.keep(step.collection, step.name, step.document)
    for name, policy in (said.get("policies") or {}).items():
        about = f"mesh/{mesh}" if name == "mesh" else f"mesh/{mesh}/{name}"
        draft.keep(POLICIES, about, policy)
    return draft.freeze(revision)


def cloud_map_steps(said: Mapping[str, Any], draft: Draft) -> Iterator[Keep]:
    """What Cloud Map has, and the replicas that get into it by themselves."""
    ids = (f"{i}" for i in itertools.count(1))
    for name, instances in (said.get("cloudmap") or {}).items():
        namespace, service = name.split("/")
        if cloud_map.id_behind(draft, namespace) is None:
            kind = cloud_map.NamespaceType.HTTP
            yield from keep_namespace(cloud_map.Namespace(f"ns-{namespace}", namespace, kind, 0))
        made = cloud_map.Service(f"srv-{service}", service, f"ns-{namespace}", "HTTP", 0)
        yield from keep_service(made, namespace)
        for id, attributes in instances.items():
            given = dict(attributes)
            health = cloud_map.Health(given.pop("health", "UNKNOWN"))
            yield from keep_instance(draft, made.id, cloud_map.Instance(id, given, health))
    for node in draft.workloads:
        yield from follow(
            node, MeshState(), draft.state, draft, lambda prefix: f"{prefix}-{next(ids)}", 0
        )


def view_of(proxy: str, mode: Mode = Mode.TRANSPARENT, ports: Ports | None = None) -> View:
    """``view_of("web")``: the virtual node's view, in the mesh ``shop`` unless said in full."""
    name = proxy if proxy.startswith("mesh/") else f"mesh/shop/virtualNode/{proxy}"
    return View(ProxyId.parse(name), mode, ports or Ports())
