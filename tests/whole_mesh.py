"""A mesh in which every member of every resource is given at least once, if it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.builders import cloud_map_steps, resource
from weft.names import Key, Kind, Mode, Ports, ProxyId, View
from weft.store.state import Draft, MeshState

MESH = "whole"
CERTIFICATE = "arn:aws:acm:us-west-2:000000000000:certificate/0a0a0a0a-0000-4000-8000-000000000001"
AUTHORITY = "arn:aws:acm-pca:us-west-2:000000000000:certificate-authority/0b0b0b0b-0000-4000-8000-000000000001"
OTHER_CERTIFICATE = CERTIFICATE[:-1] + "2"
OTHER_AUTHORITY = AUTHORITY[:-1] + "2"

Json = dict[str, Any]

FILE = {"file": {"certificateChain": "/keys/chain.pem", "privateKey": "/keys/key.pem"}}
SDS = {"sds": {"secretName": "spiffe://whole/server"}}
SDS_TRUST = {"sds": {"secretName": "spiffe://whole"}}
FILE_TRUST = {"file": {"certificateChain": "/keys/ca.pem"}}
NAMES = {"match": {"exact": ["server.test"]}}


def duration(value: int, unit: str = "s") -> Json:
    return {"unit": unit, "value": value}


def health_check(protocol: str) -> Json:
    return {
        "protocol": protocol,
        "path": "/ping",
        "healthyThreshold": 2,
        "unhealthyThreshold": 3,
        "intervalMillis": 5000,
        "timeoutMillis": 2000,
    }


def server_tls(certificate: Json, trust: Json) -> Json:
    return {
        "mode": "STRICT",
        "certificate": certificate,
        "validation": {"trust": trust, "subjectAlternativeNames": NAMES},
    }


def client_policy(trust: Json, certificate: Json | None = None) -> Json:
    tls: Json = {
        "enforce": True,
        "ports": [9001, 9002, 9003, 9004],
        "validation": {"trust": trust, "subjectAlternativeNames": NAMES},
    }
    if certificate is not None:
        tls["certificate"] = certificate
    return {"tls": tls}


TRUSTS: tuple[Json, ...] = (
    FILE_TRUST,
    SDS_TRUST,
    {"acm": {"certificateAuthorityArns": [AUTHORITY]}},
)

HTTP_TIMEOUT = {"perRequest": duration(20), "idle": duration(40)}
TIMEOUTS: Mapping[str, Json] = {
    "http": HTTP_TIMEOUT,
    "http2": HTTP_TIMEOUT,
    "grpc": HTTP_TIMEOUT,
    "tcp": {"idle": duration(40)},
}
POOLS: Mapping[str, Json] = {
    "http": {"maxConnections": 10, "maxPendingRequests": 5},
    "http2": {"maxRequests": 20},
    "grpc": {"maxRequests": 30},
    "tcp": {"maxConnections": 40},
}
PORTS = {"http": 9001, "http2": 9002, "grpc": 9003, "tcp": 9004}
FRONT = {"http": 8001, "http2": 8002, "grpc": 8003}


def server_listener(protocol: str, tls: Json) -> Json:
    return {
        "portMapping": {"port": PORTS[protocol], "protocol": protocol},
        "connectionPool": {protocol: POOLS[protocol]},
        "timeout": {protocol: TIMEOUTS[protocol]},
        "healthCheck": health_check(protocol) | {"port": PORTS[protocol]},
        "outlierDetection": {
            "baseEjectionDuration": duration(10),
            "interval": duration(30),
            "maxEjectionPercent": 50,
            "maxServerErrors": 5,
        },
        "tls": tls,
    }


ACM = {"acm": {"certificateArn": CERTIFICATE}}
LOG_TEXT = {"accessLog": {"file": {"path": "/dev/stdout", "format": {"text": "%PROTOCOL%\n"}}}}
LOG_JSON = {
    "accessLog": {
        "file": {
            "path": "/dev/stdout",
            "format": {"json": [{"key": "protocol", "value": "%PROTOCOL%"}]},
        }
    }
}


def server_node(discovery: Json) -> Json:
    return {
        "listeners": [
            server_listener("http", server_tls(ACM, FILE_TRUST)),
            server_listener("http2", server_tls(FILE, FILE_TRUST)),
            server_listener("grpc", server_tls(SDS, SDS_TRUST)),
            server_listener("tcp", server_tls(FILE, FILE_TRUST)),
        ],
        "serviceDiscovery": discovery,
        "logging": LOG_JSON,
    }


DNS = {"hostname": "server.test", "ipPreference": "IPv4_ONLY", "responseType": "ENDPOINTS"}
CLOUD_MAP = {
    "namespaceName": "whole.test",
    "serviceName": "server",
    "ipPreference": "IPv4_PREFERRED",
    "attributes": [{"key": "colour", "value": "red"}],
}

CLOUD_MAP_INSTANCES = {
    "whole.test/server": {
        "i-1": {"AWS_INSTANCE_IPV4": "10.0.0.1", "AWS_INSTANCE_IPV6": "fd00::1", "colour": "red"},
        "i-2": {"AWS_INSTANCE_IPV4": "10.0.0.2", "colour": "blue"},
    }
}

VALUE_MATCHES: tuple[Json, ...] = (
    {"exact": "a"},
    {"prefix": "b"},
    {"suffix": "c"},
    {"regex": "d.*"},
    {"range": {"start": 1, "end": 9}},
)
HEADERS = [
    {"name": f"x-{i}", "invert": False, "match": match} for i, match in enumerate(VALUE_MATCHES)
]
QUERY = [{"name": "q", "match": {"exact": "1"}}]


def action(protocol: str) -> Json:
    port = PORTS[protocol]
    return {
        "weightedTargets": [
            {"virtualNode": "server", "port": port, "weight": 3},
            {"virtualNode": "mapped", "port": port, "weight": 1},
        ]
    }


def http_route(protocol: str, path: Json) -> Json:
    route = {
        "match": {"port": PORTS[protocol], "headers": HEADERS, "queryParameters": QUERY}
        | {"method": "GET"}
        | ({"scheme": "http"} if protocol == "http2" else {})
        | path,
        "action": action(protocol),
        "timeout": HTTP_TIMEOUT,
        "retryPolicy": {
            "maxRetries": 3,
            "perRetryTimeout": duration(2),
            "httpRetryEvents": ["server-error"],
            "tcpRetryEvents": ["connection-error"],
        },
    }
    return {f"{protocol}Route": route, "priority": 5}


GRPC_ROUTE: Json = {
    "grpcRoute": {
        "match": {
            "port": PORTS["grpc"],
            "serviceName": "shop.Cart",
            "methodName": "Add",
            "metadata": HEADERS,
        },
        "action": action("grpc"),
        "timeout": HTTP_TIMEOUT,
        "retryPolicy": {
            "maxRetries": 3,
            "perRetryTimeout": duration(2),
            "httpRetryEvents": ["server-error"],
            "tcpRetryEvents": ["connection-error"],
            "grpcRetryEvents": ["unavailable"],
        },
    }
}
TCP_ROUTE: Json = {
    "tcpRoute": {
        "match": {"port": PORTS["tcp"]},
        "action": action("tcp"),
        "timeout": {"idle": duration(40)},
    }
}
PATHS: Mapping[str, Json] = {
    "prefix": {"prefix": "/a/"},
    "exact": {"path": {"exact": "/a/b"}},
    "regex": {"path": {"regex": "/a/.*"}},
}


def target(protocol: str, service: str = "server.local") -> Json:
    return {
        "port": PORTS[protocol],
        "virtualService": {"virtualServiceName": service},
    }


def gateway_route(protocol: str, match: Json, rewrite: Json) -> Json:
    spec = {
        "match": {"port": FRONT[protocol], "headers": HEADERS, "queryParameters": QUERY}
        | {"method": "GET"}
        | match,
        "action": {"target": target(protocol), "rewrite": rewrite},
    }
    return {f"{protocol}Route": spec, "priority": 5}


def gateway_routes(protocol: str) -> Mapping[str, Json]:
    host_off = {"hostname": {"defaultTargetHostname": "DISABLED"}}
    return {
        f"{protocol}-prefix": gateway_route(
            protocol,
            PATHS["prefix"] | {"hostname": {"exact": "a.test"}},
            {"prefix": {"value": "/new/"}},
        ),
        f"{protocol}-kept": gateway_route(
            protocol,
            {"prefix": "/kept/", "hostname": {"suffix": "b.test"}},
            {"prefix": {"defaultPrefix": "DISABLED"}, **host_off},
        ),
        f"{protocol}-exact": gateway_route(protocol, PATHS["exact"], {"path": {"exact": "/other"}}),
        f"{protocol}-regex": gateway_route(protocol, PATHS["regex"], host_off),
    }


GRPC_GATEWAY_ROUTES: Mapping[str, Json] = {
    f"grpc-{kind}": {
        "grpcRoute": {
            "match": {
                "port": FRONT["grpc"],
                "serviceName": "shop.Cart",
                "metadata": HEADERS,
                "hostname": {kind: "a.test"},
            },
            "action": {
                "target": target("grpc"),
                "rewrite": {"hostname": {"defaultTargetHostname": "DISABLED"}},
            },
        }
    }
    for kind in ("exact", "suffix")
}


def gateway_listener(protocol: str, tls: Json) -> Json:
    return {
        "portMapping": {"port": FRONT[protocol], "protocol": protocol},
        "connectionPool": {protocol: POOLS[protocol]},
        "healthCheck": health_check(protocol) | {"port": FRONT[protocol]},
        "tls": tls,
    }


def gateway(logging: Json, policy: Json) -> Json:
    return {
        "listeners": [
            gateway_listener("http", server_tls(ACM, FILE_TRUST)),
            gateway_listener("http2", server_tls(FILE, FILE_TRUST)),
            gateway_listener("grpc", server_tls(SDS, SDS_TRUST)),
        ],
        "backendDefaults": {"clientPolicy": policy},
        "logging": logging,
    }


def backend(service: str, policy: Json | None = None) -> Json:
    made: Json = {"virtualServiceName": service}
    if policy is not None:
        made["clientPolicy"] = policy
    return {"virtualService": made}


def specs() -> dict[Key, Json]:
    """Every resource and its spec."""
    made: dict[Key, Json] = {
        Key.of_mesh(MESH): {
            "egressFilter": {"type": "DROP_ALL"},
            "serviceDiscovery": {"ipPreference": "IPv6_PREFERRED"},
        }
    }

    def add(kind: Kind, name: str, spec: Json, parent: str = "") -> None:
        made[Key(MESH, kind, name, parent)] = spec

    certificates: tuple[Json | None, ...] = (FILE, SDS, None)
    for i, (trust, certificate) in enumerate(zip(TRUSTS, certificates, strict=True)):
        policy = client_policy(trust, certificate)
        own = {"backends": [backend("server.local", policy)], "logging": LOG_TEXT}
        add(Kind.VIRTUAL_NODE, f"client-{i}", own)
        inherited = {"backends": [backend("server.local")]}
        inherited["backendDefaults"] = {"clientPolicy": policy}  # type: ignore[assignment]
        add(Kind.VIRTUAL_NODE, f"heir-{i}", inherited)
        add(Kind.VIRTUAL_GATEWAY, f"front-{i}", gateway(LOG_JSON if i else LOG_TEXT, policy))
        for protocol in ("http", "http2"):
            for name, spec in gateway_routes(protocol).items():
                add(Kind.GATEWAY_ROUTE, name, spec, f"front-{i}")
        for name, spec in GRPC_GATEWAY_ROUTES.items():
            add(Kind.GATEWAY_ROUTE, name, spec, f"front-{i}")
    insisting = client_policy(FILE_TRUST)
    add(Kind.VIRTUAL_NODE, "single-client", {"backends": [backend("single.local", insisting)]})
    add(Kind.VIRTUAL_NODE, "single-heir", {
        "backends": [backend("single.local")],
        "backendDefaults": {"clientPolicy": insisting},
    })  # fmt: skip
    add(Kind.VIRTUAL_GATEWAY, "plain-front", {
        "listeners": [{"portMapping": {"port": 8001, "protocol": "http"}}],
        "backendDefaults": {"clientPolicy": insisting},
    })  # fmt: skip
    add(Kind.GATEWAY_ROUTE, "all", {
        "httpRoute": {"match": {"prefix": "/"}, "action": {"target": target("http", "single.local")}}
    }, "plain-front")  # fmt: skip
    add(Kind.VIRTUAL_NODE, "server", server_node({"dns": DNS}))
    add(Kind.VIRTUAL_NODE, "mapped", server_node({"awsCloudMap": CLOUD_MAP}))
    add(Kind.VIRTUAL_NODE, "plain", {
        "listeners": [{"portMapping": {"port": 9001, "protocol": "http"}}],
        "serviceDiscovery": {"dns": {"hostname": "plain.test"}},
    })  # fmt: skip
    add(Kind.VIRTUAL_ROUTER, "router", {
        "listeners": [
            {"portMapping": {"port": port, "protocol": protocol}}
            for protocol, port in PORTS.items()
        ],
    })  # fmt: skip
    for protocol in ("http", "http2"):
        for name, path in PATHS.items():
            add(Kind.ROUTE, f"{protocol}-{name}", http_route(protocol, path), "router")
    add(Kind.ROUTE, "grpc", GRPC_ROUTE, "router")
    add(Kind.ROUTE, "tcp", TCP_ROUTE, "router")
    by_router = {"provider": {"virtualRouter": {"virtualRouterName": "router"}}}
    add(Kind.VIRTUAL_SERVICE, "server.local", by_router)
    by_node = {"provider": {"virtualNode": {"virtualNodeName": "plain"}}}
    add(Kind.VIRTUAL_SERVICE, "single.local", by_node)
    return made


def state(made: Mapping[Key, Json]) -> MeshState:
    draft = Draft(MeshState())
    for key, spec in made.items():
        draft.put(resource(key, spec))
    for arn in (CERTIFICATE, OTHER_CERTIFICATE):
        draft.keep("certificates", arn, {
            "certificateChain": f"chain of {arn}", "privateKey": f"key of {arn}",
            "authorityArn": AUTHORITY, "rootChain": f"root of {AUTHORITY}",
        })  # fmt: skip
    for arn in (AUTHORITY, OTHER_AUTHORITY):
        draft.keep("authorities", arn, {"certificateChain": f"root of {arn}"})
    for step in cloud_map_steps({"cloudmap": CLOUD_MAP_INSTANCES}, draft):
        draft.keep(step.collection, step.name, step.document)
    return draft.freeze(1)


def views(made: Mapping[Key, Json]) -> list[View]:
    """Every proxy of the mesh, as the kernel redirects to it."""
    return [
        View(ProxyId(key.mesh, key.kind, key.name), Mode.TRANSPARENT, Ports())
        for key in made
        if key.kind in (Kind.VIRTUAL_NODE, Kind.VIRTUAL_GATEWAY)
    ]
