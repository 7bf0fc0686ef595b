"""Specs that between them have every member App Mesh knows (app-mesh.md, section 2)."""

from __future__ import annotations

from typing import Any

from weft.names import Kind

Json = dict[str, Any]

_SECONDS = {"unit": "s", "value": 5}
_MILLIS = {"unit": "ms", "value": 250}
_FILE = {"certificateChain": "/keys/chain.pem", "privateKey": "/keys/key.pem"}
_SDS = {"secretName": "secret"}
_SAN = {"match": {"exact": ["a.test", "b.test"]}}
_CA = {"certificateAuthorityArns": ["arn:aws:acm-pca:us-west-2:000000000000:ca/1"]}
_MATCHES: list[Json] = [
    {"exact": "a"},
    {"prefix": "a"},
    {"suffix": "a"},
    {"regex": "a+"},
    {"range": {"start": 1, "end": 10}},
]


def _policy(certificate: Json, trust: Json) -> Json:
    validation = {"trust": trust, "subjectAlternativeNames": _SAN}
    return {
        "clientPolicy": {
            "tls": {
                "certificate": certificate,
                "enforce": False,
                "ports": [443],
                "validation": validation,
            }
        }
    }


_POLICIES = [
    _policy({"file": _FILE}, {"acm": _CA}),
    _policy({"sds": _SDS}, {"file": {"certificateChain": "/ca.pem"}}),
    _policy({"sds": _SDS}, {"sds": _SDS}),
]


def _tls(certificate: Json, trust: Json) -> Json:
    validation = {"trust": trust, "subjectAlternativeNames": _SAN}
    return {"certificate": certificate, "mode": "STRICT", "validation": validation}


_LISTENER_TLS = [
    _tls(
        {"acm": {"certificateArn": "arn:aws:acm:us-west-2:000000000000:certificate/1"}},
        {"file": {"certificateChain": "/ca.pem"}},
    ),
    _tls({"file": _FILE}, {"sds": _SDS}),
    {"certificate": {"sds": _SDS}, "mode": "PERMISSIVE"},
]
_LOGS: list[Json] = [
    {"accessLog": {"file": {"path": "/dev/stdout", "format": {"text": "%PROTOCOL%"}}}},
    {
        "accessLog": {
            "file": {"path": "/dev/stdout", "format": {"json": [{"key": "k", "value": "v"}]}}
        }
    },
]
_POOLS: dict[str, Json] = {
    "http": {"maxConnections": 10, "maxPendingRequests": 5},
    "http2": {"maxRequests": 10},
    "grpc": {"maxRequests": 10},
    "tcp": {"maxConnections": 10},
}


def _check(port: int, protocol: str) -> Json:
    return {
        "healthyThreshold": 2,
        "intervalMillis": 5000,
        "path": "/ping",
        "port": port,
        "protocol": protocol,
        "timeoutMillis": 2000,
        "unhealthyThreshold": 3,
    }


def _node_listener(i: int, protocol: str) -> Json:
    timeout: Json = {"idle": _SECONDS}
    if protocol != "tcp":
        timeout["perRequest"] = _MILLIS
    return {
        "portMapping": {"port": 9000 + i, "protocol": protocol},
        "connectionPool": {protocol: _POOLS[protocol]},
        "healthCheck": _check(9000 + i, protocol),
        "outlierDetection": {
            "baseEjectionDuration": _SECONDS,
            "interval": _MILLIS,
            "maxEjectionPercent": 50,
            "maxServerErrors": 5,
        },
        "timeout": {protocol: timeout},
        "tls": _LISTENER_TLS[i % 3],
    }


NODES: list[Json] = [
    {
        "backendDefaults": policy,
        "backends": [
            {"virtualService": {"virtualServiceName": "other.test", **each}} for each in _POLICIES
        ],
        "listeners": [
            _node_listener(i, protocol)
            for i, protocol in enumerate(("http", "http2", "grpc", "tcp"))
        ],
        "logging": log,
        "serviceDiscovery": discovery,
    }
    for policy, log, discovery in zip(
        _POLICIES,
        (*_LOGS, _LOGS[0]),
        (
            {
                "dns": {
                    "hostname": "a.test",
                    "ipPreference": "IPv4_ONLY",
                    "responseType": "ENDPOINTS",
                }
            },
            {
                "awsCloudMap": {
                    "attributes": [{"key": "k", "value": "v"}],
                    "ipPreference": "IPv6_ONLY",
                    "namespaceName": "ns",
                    "serviceName": "svc",
                }
            },
            {"dns": {"hostname": "b.test"}},
        ),
        strict=True,
    )
]

MESHES: list[Json] = [
    {
        "egressFilter": {"type": "ALLOW_ALL"},
        "serviceDiscovery": {"ipPreference": "IPv4_PREFERRED"},
    },
    {"egressFilter": {"type": "DROP_ALL"}},
    {},
]

ROUTERS: list[Json] = [
    {
        "listeners": [
            {"portMapping": {"port": 8000 + i, "protocol": protocol}}
            for i, protocol in enumerate(("http", "http2", "grpc", "tcp"))
        ]
    },
    {},
]

SERVICES: list[Json] = [
    {"provider": {"virtualNode": {"virtualNodeName": "target"}}},
    {"provider": {"virtualRouter": {"virtualRouterName": "router"}}},
    {},
]

_HEADERS = [{"name": "x", "invert": i % 2 == 0, "match": each} for i, each in enumerate(_MATCHES)]
_QUERY: list[Json] = [{"name": "q", "match": {"exact": "1"}}, {"name": "r"}]
_HTTP_EVENTS = ["server-error", "gateway-error", "client-error", "stream-error"]


def _action(port: int) -> Json:
    return {
        "weightedTargets": [
            {"virtualNode": "target", "port": port, "weight": 80},
            {"virtualNode": "target-2", "port": port, "weight": 0},
        ]
    }


def _retry(**more: Any) -> Json:
    return {
        "maxRetries": 2,
        "perRetryTimeout": _SECONDS,
        "httpRetryEvents": _HTTP_EVENTS,
        "tcpRetryEvents": ["connection-error"],
        **more,
    }


def _http_route(port: int, path: Json, **more: Any) -> Json:
    match = {"port": 8000 + port, "headers": _HEADERS, "method": "GET", "queryParameters": _QUERY}
    return {
        "action": _action(9000 + port),
        "match": {**match, **path, **more},
        "retryPolicy": _retry(),
        "timeout": {"idle": _SECONDS, "perRequest": _MILLIS},
    }


ROUTES: list[Json] = [
    {"httpRoute": _http_route(0, {"prefix": "/"}), "priority": 7},
    {"httpRoute": _http_route(0, {"path": {"exact": "/a"}})},
    {"httpRoute": _http_route(0, {"path": {"regex": "/a.*"}})},
    {"http2Route": _http_route(1, {"prefix": "/", "scheme": "https"})},
    {"http2Route": _http_route(1, {"path": {"exact": "/a"}})},
    {"http2Route": _http_route(1, {"path": {"regex": "/a.*"}})},
    {
        "grpcRoute": {
            "action": _action(9002),
            "match": {
                "port": 8002,
                "serviceName": "s.S",
                "methodName": "m",
                "metadata": _HEADERS,
            },
            "retryPolicy": _retry(grpcRetryEvents=["cancelled", "unavailable"]),
            "timeout": {"idle": _SECONDS, "perRequest": _MILLIS},
        }
    },
    {
        "tcpRoute": {
            "action": _action(9003),
            "match": {"port": 8003},
            "timeout": {"idle": _SECONDS},
        }
    },
]

GATEWAYS: list[Json] = [
    {
        "backendDefaults": policy,
        "listeners": [
            {
                "portMapping": {"port": 7000 + i, "protocol": protocol},
                "connectionPool": {protocol: _POOLS[protocol]},
                "healthCheck": _check(7000 + i, protocol),
                "tls": _LISTENER_TLS[i],
            }
            for i, protocol in enumerate(("http", "http2", "grpc"))
        ],
        "logging": log,
    }
    for policy, log in zip(_POLICIES, (*_LOGS, _LOGS[0]), strict=True)
]

_TARGET = {"virtualService": {"virtualServiceName": "service.test"}, "port": 8000}
_HOSTNAME = {"defaultTargetHostname": "DISABLED"}


def _gateway_http(port: int, match: Json, rewrite: Json) -> Json:
    rest = {"port": 7000 + port, "headers": _HEADERS, "method": "GET", "queryParameters": _QUERY}
    return {"action": {"target": _TARGET, "rewrite": rewrite}, "match": {**rest, **match}}


_GATEWAY_HTTP: list[tuple[Json, Json]] = [
    (
        {"prefix": "/a/", "hostname": {"exact": "a.test"}},
        {"prefix": {"value": "/b/"}, "hostname": _HOSTNAME},
    ),
    ({"prefix": "/a"}, {"prefix": {"defaultPrefix": "DISABLED"}}),
    ({"path": {"exact": "/a"}, "hostname": {"suffix": ".test"}}, {"path": {"exact": "/b"}}),
    ({"path": {"regex": "/a.*"}}, {"path": {"exact": "/b"}}),
]

GATEWAY_ROUTES: list[Json] = [
    *({"httpRoute": _gateway_http(0, *each), "priority": 3} for each in _GATEWAY_HTTP),
    *({"http2Route": _gateway_http(1, *each)} for each in _GATEWAY_HTTP),
    *(
        {
            "grpcRoute": {
                "action": {"target": _TARGET, "rewrite": {"hostname": _HOSTNAME}},
                "match": {
                    "port": 7002,
                    "serviceName": "s.S",
                    "hostname": hostname,
                    "metadata": _HEADERS,
                },
            }
        }
        for hostname in ({"exact": "a.test"}, {"suffix": ".test"})
    ),
]

SPECS: dict[Kind, list[Json]] = {
    Kind.MESH: MESHES,
    Kind.VIRTUAL_NODE: NODES,
    Kind.VIRTUAL_SERVICE: SERVICES,
    Kind.VIRTUAL_ROUTER: ROUTERS,
    Kind.ROUTE: ROUTES,
    Kind.VIRTUAL_GATEWAY: GATEWAYS,
    Kind.GATEWAY_ROUTE: GATEWAY_ROUTES,
}


def node(protocol: str = "http", port: int = 9080) -> Json:
    """The shortest virtual node that can be a target."""
    return {
        "listeners": [{"portMapping": {"port": port, "protocol": protocol}}],
        "serviceDiscovery": {"dns": {"hostname": "node.test"}},
    }


def http_route(weights: dict[str, int], prefix: str = "/") -> Json:
    targets = [{"virtualNode": name, "weight": weight} for name, weight in weights.items()]
    return {"httpRoute": {"match": {"prefix": prefix}, "action": {"weightedTargets": targets}}}
