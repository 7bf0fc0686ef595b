"""
Hypothesis: any mesh that admission lets through, as ``builders`` says meshes.

Names and ports come from small pools, so that meshes are full of references,
shared ports and clashes, which is where resolution has to decide something.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests import strategies_tls
from weft.names import BackendPort, IngressPort, Mode, Ports, ProxyId, Tracing, View

Said = dict[str, Any]

NODES = ("web", "a", "b", "c", "d")
ROUTERS = ("r", "s", "t")
SERVICES = ("a.local", "A.local", "b.local", "c.local:80", "*", "*.local", "é.local")
PORTS = (80, 443, 5000, 9080, 15001)
PROTOCOLS = ("http", "http2", "grpc", "tcp")

mesh_specs = st.fixed_dictionaries(
    {},
    optional={
        "egressFilter": st.sampled_from([{"type": "ALLOW_ALL"}, {"type": "DROP_ALL"}]),
        "serviceDiscovery": st.sampled_from([{}, {"ipPreference": "IPv6_PREFERRED"}]),
    },
)
durations = st.fixed_dictionaries(
    {
        "unit": st.sampled_from(["s", "ms"]),
        "value": st.one_of(st.integers(0, 60), st.just(2**63 - 1)),
    }
)
preferences = st.sampled_from(["IPv6_PREFERRED", "IPv4_PREFERRED", "IPv4_ONLY", "IPv6_ONLY"])
health_checks = st.fixed_dictionaries(
    {
        "protocol": st.sampled_from(PROTOCOLS),
        "healthyThreshold": st.integers(2, 10),
        "unhealthyThreshold": st.integers(2, 10),
        "intervalMillis": st.integers(5000, 300000),
        "timeoutMillis": st.integers(2000, 60000),
    },
    optional={"path": st.sampled_from(["/ping", "", "\n"])},
)
logging = st.sampled_from(
    [
        {},
        {"accessLog": {"file": {"path": "/dev/stdout"}}},
        {"accessLog": {"file": {"path": "/l", "format": {"json": [{"key": "k", "value": "v"}]}}}},
        {"accessLog": {"file": {"path": "/l", "format": {"text": "%PROTOCOL%\n"}}}},
    ]
)
discoveries = st.one_of(
    st.fixed_dictionaries(
        {
            "dns": st.fixed_dictionaries(
                {"hostname": st.sampled_from(["a.test", "b.test"])},
                optional={
                    "ipPreference": preferences,
                    "responseType": st.sampled_from(["LOADBALANCER", "ENDPOINTS"]),
                },
            )
        }
    ),
    st.just({"awsCloudMap": {"namespaceName": "ns", "serviceName": "sv"}}),
)


counts = st.sampled_from([1, 10, 2**31 - 1])
_requests = st.fixed_dictionaries({"maxRequests": counts})
_connections = st.fixed_dictionaries({"maxConnections": counts})
pools = {
    "http": st.fixed_dictionaries(
        {"maxConnections": counts}, optional={"maxPendingRequests": counts}
    ),
    "http2": _requests,
    "grpc": _requests,
    "tcp": _connections,
}
outlier_detections = st.fixed_dictionaries(
    {
        "baseEjectionDuration": durations,
        "interval": durations,
        "maxEjectionPercent": st.sampled_from([0, 50, 100]),
        "maxServerErrors": st.sampled_from([1, 5, 2**63 - 1]),
    }
)


@st.composite
def listeners(draw: st.DrawFn) -> list[Said]:
    found = []
    for port in draw(st.lists(st.sampled_from(PORTS), unique=True, max_size=3)):
        protocol = draw(st.sampled_from(PROTOCOLS))
        given: Said = {"portMapping": {"port": port, "protocol": protocol}}
        if draw(st.booleans()):
            given["healthCheck"] = draw(health_checks)
        if draw(st.booleans()):
            members = ["idle"] if protocol == "tcp" else ["idle", "perRequest"]
            given["timeout"] = {protocol: {m: draw(durations) for m in members}}
        if draw(st.booleans()):
            given["connectionPool"] = {protocol: draw(pools[protocol])}
        if draw(st.booleans()):
            given["outlierDetection"] = draw(outlier_detections)
        if draw(st.booleans()):
            given["tls"] = draw(strategies_tls.listener_tls)
        found.append(given)
    return found


@st.composite
def nodes(draw: st.DrawFn) -> Said:
    spec: Said = {"serviceDiscovery": draw(discoveries), "logging": draw(logging)}
    spec["listeners"] = draw(listeners())
    if draw(st.booleans()):
        spec["backendDefaults"] = {"clientPolicy": draw(strategies_tls.client_policies)}
    spec["backends"] = []
    for name in draw(st.lists(st.sampled_from([*SERVICES, "missing.local"]), max_size=5)):
        backend: Said = {"virtualServiceName": name}
        if draw(st.integers(0, 3)) == 0:
            backend["clientPolicy"] = draw(strategies_tls.client_policies)
        spec["backends"].append({"virtualService": backend})
    return spec


text_matches = st.sampled_from(
    [
        {"exact": "a"},
        {"prefix": "a"},
        {"suffix": "a"},
        {"regex": "a.*"},
        {"range": {"start": -5, "end": 5}},
    ]
)
header_matches = st.fixed_dictionaries(
    {"name": st.sampled_from(["x-a", "color_header"])},
    optional={"match": text_matches, "invert": st.booleans()},
)
paths: st.SearchStrategy[Said] = st.sampled_from(
    [
        {},
        {"prefix": "/"},
        {"prefix": "/a"},
        {"prefix": "/a/b"},
        {"path": {"exact": "/a"}},
        {"path": {"regex": "/a.*"}},
    ]
)
GRPC_METHODS: list[Said] = [{}, {"serviceName": "s"}, {"serviceName": "s", "methodName": "m"}]
http_retries = st.fixed_dictionaries(
    {
        "maxRetries": st.sampled_from([0, 3, 2**40]),
        "perRetryTimeout": durations,
        "httpRetryEvents": st.lists(
            st.sampled_from(["server-error", "gateway-error", "client-error", "stream-error"]),
            min_size=1,
            max_size=4,
        ),
    },
    optional={"tcpRetryEvents": st.just(["connection-error"])},
)
route_timeouts = st.fixed_dictionaries({}, optional={"perRequest": durations, "idle": durations})


@st.composite
def routes(draw: st.DrawFn, protocol: str, port: int | None, targets: list[Said]) -> Said:
    weights = draw(st.lists(st.integers(0, 10), min_size=len(targets), max_size=len(targets)))
    if not sum(weights):
        weights[0] = 1
    weighted = [{**target, "weight": w} for target, w in zip(targets, weights, strict=True)]
    given: Said = {"action": {"weightedTargets": weighted}}
    at: Said = {} if port is None else {"port": port}
    match protocol:
        case "tcp":
            given["match"] = at
            given["timeout"] = {"idle": draw(durations)}
        case "grpc":
            at.update(draw(st.sampled_from(GRPC_METHODS)))
            if found := draw(st.lists(header_matches, max_size=2)):
                at["metadata"] = found
            given |= {"match": at, "timeout": draw(route_timeouts)}
        case _:
            at.update(draw(paths))
            if not at:
                at["prefix"] = "/"
            if found := draw(st.lists(header_matches, max_size=2)):
                at["headers"] = found
            if draw(st.booleans()):
                at["queryParameters"] = [{"name": "q"}, {"name": "p", "match": {"exact": "1"}}]
            given |= {"match": at, "timeout": draw(route_timeouts)}
    if protocol != "tcp" and draw(st.booleans()):
        given["retryPolicy"] = draw(http_retries)
    spec: Said = {f"{protocol}Route": given}
    if draw(st.booleans()):
        spec["priority"] = draw(st.integers(0, 3))
    return spec


@st.composite
def routers(draw: st.DrawFn, said_nodes: dict[str, Said]) -> Said:
    """A router whose routes fit its listeners and their targets."""
    ports = draw(st.lists(st.sampled_from(PORTS), unique=True, max_size=2))
    found: list[tuple[int | None, str]] = [
        (port, draw(st.sampled_from(PROTOCOLS))) for port in ports
    ]
    router: Said = {"listen": [f"{port}/{protocol}" for port, protocol in found], "routes": {}}
    for name in draw(st.lists(st.sampled_from("uvwxyz"), unique=True, max_size=4)):
        port, protocol = draw(st.sampled_from(found or [(None, "http"), (None, "tcp")]))
        if len(found) == 1 and draw(st.booleans()):
            port = None
        fitting = [
            {"virtualNode": node, "port": each["portMapping"]["port"]}
            for node, spec in said_nodes.items()
            for each in spec["listeners"]
            if each["portMapping"]["protocol"] == protocol
        ]
        if fitting:
            chosen = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3))
            router["routes"][name] = draw(routes(protocol, port, chosen))
    return router


hosts: st.SearchStrategy[Said] = st.sampled_from(
    [{}, {"hostname": {"exact": "Shop.Example.com"}}, {"hostname": {"suffix": ".example.com"}}]
)
host_rewrites: st.SearchStrategy[Said] = st.sampled_from(
    [
        {},
        {"hostname": {"defaultTargetHostname": "DISABLED"}},
        {"hostname": {"defaultTargetHostname": "ENABLED"}},
    ]
)
prefix_rewrites: st.SearchStrategy[Said] = st.sampled_from(
    [{}, {"prefix": {"defaultPrefix": "DISABLED"}}, {"prefix": {"value": "/v/"}}]
)
path_rewrites: st.SearchStrategy[Said] = st.sampled_from([{}, {"path": {"exact": "/new"}}])


@st.composite
def gateway_routes(draw: st.DrawFn, port: int | None, protocol: str, target: Said) -> Said:
    match: Said = {**draw(hosts), **({} if port is None else {"port": port})}
    rewrite = dict(draw(host_rewrites))
    if protocol == "grpc":
        match["serviceName"] = "s"
        if draw(st.booleans()):
            match["metadata"] = [{"name": "x-a", "invert": True}]
    else:
        found = draw(paths)
        if prefix := found.get("prefix"):
            rewrite |= draw(prefix_rewrites)
            if "value" in rewrite.get("prefix", {}) and not prefix.endswith("/"):
                found = {"prefix": f"{prefix}/"}
        elif found:
            rewrite |= draw(path_rewrites)
        match |= found or ({} if match else {"prefix": "/"})
        if draw(st.booleans()):
            match["method"] = "GET"
        if headers := draw(st.lists(header_matches, max_size=1)):
            match["headers"] = headers
    action: Said = {"target": target, **({"rewrite": rewrite} if rewrite else {})}
    spec: Said = {f"{protocol}Route": {"match": match, "action": action}}
    if draw(st.booleans()):
        spec["priority"] = draw(st.integers(0, 3))
    return spec


@st.composite
def gateways(draw: st.DrawFn, targets: list[Said]) -> Said:
    """A gateway whose routes fit its listeners; what they lead to may speak anything."""
    ports = draw(st.lists(st.sampled_from(PORTS), unique=True, min_size=1, max_size=3))
    found = [(port, draw(st.sampled_from(PROTOCOLS[:3]))) for port in ports]
    gateway: Said = {"listen": [f"{port}/{protocol}" for port, protocol in found], "routes": {}}
    gateway["logging"] = draw(logging)
    for name in draw(st.lists(st.sampled_from("uvwxyz"), unique=True, max_size=4)):
        port, protocol = draw(st.sampled_from(found))
        if targets:
            chosen = draw(st.sampled_from(targets))
            only = None if len(found) == 1 and draw(st.booleans()) else port
            gateway["routes"][name] = draw(gateway_routes(only, protocol, chosen))
    return gateway


def callable_services(said: Said) -> list[Said]:
    """The targets that a gateway route may name: a service, and a port where there are several."""
    found: list[Said] = []
    for name, provider in said["services"].items():
        service = {"virtualService": {"virtualServiceName": name}}
        kind, _, of = (provider or "").partition(" ")
        if kind == "node":
            ports = [each["portMapping"]["port"] for each in said["nodes"][of]["listeners"]]
        elif kind == "router":
            ports = [int(each.split("/")[0]) for each in said["routers"][of]["listen"]]
        else:
            ports = []
        if len(ports) < 2:
            found.append(service)
        found += [{**service, "port": port} for port in ports]
    return found


cloud_map = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "ns/sv": st.dictionaries(
                st.sampled_from(["i-1", "i-2", "i-3"]),
                st.fixed_dictionaries(
                    {"AWS_INSTANCE_IPV4": st.sampled_from(["10.0.0.1", "10.0.0.2"])},
                    optional={
                        "AWS_INSTANCE_IPV6": st.just("fd00::1"),
                        "REGION": st.just("eu-west-1"),
                        "AVAILABILITY_ZONE": st.sampled_from(["eu-west-1a", "eu-west-1b"]),
                    },
                ),
            )
        }
    ),
)


@st.composite
def meshes(draw: st.DrawFn) -> Said:
    """A whole mesh; it always has the virtual node ``web`` and the virtual gateway ``front``."""
    names = ["web", *draw(st.lists(st.sampled_from(NODES[1:]), unique=True))]
    said: Said = {
        "mesh": draw(mesh_specs),
        "nodes": {name: draw(nodes()) for name in names},
    }
    said["routers"] = {
        name: draw(routers(said["nodes"]))
        for name in draw(st.lists(st.sampled_from(ROUTERS), unique=True))
    }
    providers = [None, *(f"node {n}" for n in names), *(f"router {r}" for r in said["routers"])]
    said["services"] = {
        name: draw(st.sampled_from(providers))
        for name in draw(st.lists(st.sampled_from(SERVICES), unique=True))
    }
    said["instances"] = {
        name: {
            f"{name}-{i}": {
                each["portMapping"]["port"]: f"127.0.0.1:{20000 + i}"
                for each in said["nodes"][name]["listeners"]
                if draw(st.booleans())
            }
            for i in range(draw(st.integers(0, 2)))
        }
        for name in draw(st.lists(st.sampled_from(names), unique=True))
    }
    said["cloudmap"] = draw(cloud_map)
    said["certificates"] = draw(strategies_tls.kept_certificates)
    said["authorities"] = draw(strategies_tls.kept_authorities)
    said["gateways"] = {"front": draw(gateways(callable_services(said)))}
    said["forgotten"] = [name for name, replicas in said["instances"].items() if not replicas]
    said["policies"] = draw(policies(said))
    return said


@st.composite
def policies(draw: st.DrawFn, said: Said) -> Said:
    """Weft's own, for some of what there is and for some of what is not."""
    switches = st.booleans()
    found: Said = {}
    if draw(switches):
        found["mesh"] = {"reroute": draw(switches), "amazonaws": draw(switches)}
    for router, spec in said["routers"].items():
        for route in spec["routes"]:
            if draw(switches):
                found[f"virtualRouter/{router}/route/{route}"] = {"reroute": draw(switches)}
    for service in said["services"]:
        if draw(switches):
            timeout = draw(route_timeouts)
            found[f"virtualService/{service}"] = {
                "timeout": timeout,
                "retryPolicy": draw(http_retries),
            }
    for node in said["nodes"]:
        if draw(switches):
            found[f"virtualNode/{node}"] = {"egressFilter": {"type": "ALLOW_ALL"}}
    return found


ports_drawn = st.sampled_from(PORTS)
sockets = st.one_of(st.integers(20000, 20005), st.sampled_from([0, -1, 70000]))
ports = st.builds(
    Ports,
    ingress=st.lists(st.builds(IngressPort, ports_drawn, sockets, sockets), max_size=3).map(tuple),
    egress=sockets,
    backends=st.lists(
        st.builds(BackendPort, st.sampled_from(SERVICES), ports_drawn, sockets), max_size=4
    ).map(tuple),
    dns=st.sampled_from([0, 15353]),
)
views = st.builds(
    View,
    st.sampled_from(
        [
            ProxyId.parse("mesh/shop/virtualNode/web"),
            ProxyId.parse("mesh/shop/virtualGateway/front"),
        ]
    ),
    st.sampled_from(Mode),
    ports,
    st.booleans(),
    st.sampled_from(Tracing),
    sds=st.booleans(),
)
