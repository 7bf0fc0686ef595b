"""For each check of a mesh: one in which it finds something, and one much like it in which it does not."""

from __future__ import annotations

from typing import Any

from tests.builders import http_route, listener, to

Said = dict[str, Any]

ARN = "arn:aws:acm:us-west-2:000000000000:certificate/shop"
TRUST = {"trust": {"file": {"certificateChain": "/ca.pem"}}}
CERTIFICATE = {"file": {"certificateChain": "/c.pem", "privateKey": "/k.pem"}}
HEALTH = {
    "healthyThreshold": 2,
    "intervalMillis": 5000,
    "timeoutMillis": 2000,
    "unhealthyThreshold": 2,
    "protocol": "http",
    "path": "/ping",
}
EJECTION = {
    "baseEjectionDuration": {"unit": "s", "value": 1},
    "interval": {"unit": "s", "value": 1},
    "maxEjectionPercent": 50,
    "maxServerErrors": 5,
}
RETRIES = {
    "maxRetries": 2,
    "perRetryTimeout": {"unit": "s", "value": 2},
    "httpRetryEvents": ["server-error"],
}


def seconds(value: int) -> Said:
    return {"unit": "s", "value": value}


def shop(
    *,
    node: Said | None = None,
    routes: Said | None = None,
    also: Said | None = None,
    **more: Any,
) -> Said:
    """``web`` calls ``shop.local``: a router with one route to the node ``shop``."""
    return {
        "mesh": {"egressFilter": {"type": "DROP_ALL"}},
        "nodes": {
            "web": {"calls": ["shop.local"]},
            "shop": {"listen": "9080/http", **(node or {})},
            **(also or {}),
        },
        "routers": {
            "shop": {
                "listen": "80/http",
                "routes": {"all": http_route("shop:100")} if routes is None else routes,
            }
        },
        "services": {"shop.local": "router shop"},
        "policies": {"mesh": {"amazonaws": True}},
        **more,
    }


def two_routes_to_two() -> Said:
    return {"a": http_route("shop:1", "web:1"), "all": http_route("shop:100")}


def by_node_alone(protocol: str, policy: Said) -> Said:
    """``web`` calls ``shop.local``, which a virtual node provides, and which has a policy."""
    return shop(
        node={"listen": f"9080/{protocol}"},
        services={"shop.local": "node shop"},
        policies={"virtualService/shop.local": policy},
    )


def one_route(**more: Any) -> Said:
    return shop(routes={"all": http_route("shop:100", **more)})


def served(spec: Said, port: int = 9080, protocol: str = "http") -> Said:
    """A node ``shop`` whose listener has more to it than a port."""
    return {"listeners": [{**listener(f"{port}/{protocol}"), **spec}], "listen": ()}


def with_tls(server: Said | None, client: Said | None) -> Said:
    said = shop(node=served({"tls": server} if server else {}))
    if client:
        said["nodes"]["web"]["backendDefaults"] = {"clientPolicy": {"tls": client}}
    return said


def two_ways(policy: Said) -> Said:
    """``web`` calls one virtual node by two services, with a policy of its own for one."""
    said = shop()
    said["services"]["other.local"] = "node shop"
    said["nodes"]["web"].pop("calls")
    said["nodes"]["web"]["backends"] = [
        {"virtualService": {"virtualServiceName": "shop.local"}},
        {"virtualService": {"virtualServiceName": "other.local", **policy}},
    ]
    return said


def lists(*nodes: str, protocol: str = "tcp", ports: tuple[int, ...] = (7000,)) -> Said:
    """``web`` calls a service of the same name for each of these nodes."""
    pairs = zip(nodes, ports * len(nodes), strict=False)
    return {
        "nodes": {
            "web": {"calls": [f"{name}.local" for name in nodes]},
            **{
                name: {"listen": f"{port}/{'http' if name == 'shop' else protocol}"}
                for name, port in pairs
            },
        },
        "services": {f"{name}.local": f"node {name}" for name in nodes},
    }


def gateway(routes: Said, listen: str | list[str] = "8080/http") -> Said:
    return shop(gateways={"front": {"listen": listen, "routes": routes}})


def cart_behind_a_gateway(rewrite: Said) -> Said:
    """Requests under /shop reach a service that knows /cart alone."""
    route = gateway_route("/shop")
    route["httpRoute"]["action"]["rewrite"] = rewrite
    said = gateway({"all": route})
    said["routers"]["shop"]["routes"] = {"cart": http_route("shop:1", prefix="/cart")}
    return said


def gateway_route(prefix: str = "/", kind: str = "httpRoute", **more: Any) -> Said:
    target = {"target": {"virtualService": {"virtualServiceName": "shop.local"}}}
    match = {"serviceName": "s"} if kind == "grpcRoute" else {"prefix": prefix}
    return {kind: {"match": match, "action": target}, **more}


def gateway_route_at(port: int) -> Said:
    found = gateway_route()
    found["httpRoute"]["match"]["port"] = port
    return found


def by_dns(**more: Any) -> Said:
    return {"serviceDiscovery": {"dns": {"hostname": "shop.test", **more}}}


def by_cloud_map(namespace: str = "apps") -> Said:
    found = {"namespaceName": namespace, "serviceName": "shop"}
    return {"serviceDiscovery": {"awsCloudMap": found}}


def header(**match: Any) -> Said:
    return {"prefix": "/", "headers": [{"name": "x-user", "match": match}]}


def matching(match: Said, **more: Any) -> Said:
    return {"httpRoute": {"match": match, "action": to("shop:100")}, **more}


ACM = "arn:aws:acm:us-west-2:111122223333:certificate/1"
PCA = "arn:aws:acm-pca:us-west-2:111122223333:certificate-authority/1"


def by_arn(
    hosts: tuple[str, ...] = ("shop.local",),
    *,
    issuer: str = PCA,
    accepted: tuple[str, ...] = (),
    known: bool = True,
    keyed: bool = True,
) -> Said:
    """``web`` trusts PCA and calls ``shop``, which presents ACM; both are known."""
    validation: Said = {"trust": {"acm": {"certificateAuthorityArns": [PCA]}}}
    if accepted:
        validation["subjectAlternativeNames"] = {"match": {"exact": list(accepted)}}
    server = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": ACM}}}
    said = with_tls(server, {"validation": validation})
    said["nodes"]["shop"]["serviceDiscovery"] = {"dns": {"hostname": "shop.local"}}
    root = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
    certificate = {
        "certificateChain": root.format("leaf"),
        **({"privateKey": "key"} if keyed else {}),
        "authorityArn": issuer,
        "rootChain": root.format(issuer),
        "hosts": list(hosts),
        "uris": [],
    }
    if known:
        said["certificates"] = {ACM: certificate}
        said["authorities"] = {PCA: {"certificateChain": root.format(PCA)}}
    return said


TWO_PORTS = {"listen": ["9080/http", "9081/http"]}

CASES: dict[str, tuple[Said, Said]] = {
    "WEFT-101": (shop(services={}), shop()),
    "WEFT-102": (shop(services={"shop.local": {}}), shop()),
    "WEFT-103": (shop(routes={}), shop()),
    "WEFT-104": (shop(services={"shop.local": "node shop"}), shop()),
    "WEFT-105": (shop(routes={}), shop()),
    "WEFT-106": ({"nodes": {}, "services": {"shop.local": {}}}, shop()),
    "WEFT-107": (
        {"nodes": {"shop": {}}, "services": {"shop.local": "node shop"}},
        {"nodes": {"shop": {"listen": "80/http"}}, "services": {"shop.local": "node shop"}},
    ),
    "WEFT-108": ({"nodes": {"web": {"calls": ["a.b", "a.b"]}}}, shop()),
    "WEFT-109": (
        {"services": {"shop.local": {}, "Shop.local": {}}},
        {"services": {"shop.local": {}, "shop.test": {}}},
    ),
    "WEFT-110": (
        {"services": {"shop.local:80": {}, "my_shop": {}}},
        {"services": {"shop.local": {}, "10.0.0.1": {}}},
    ),
    "WEFT-111": ({"services": {"localhost": {}, "10.0.0.1": {}}}, {"services": {"shop.local": {}}}),
    "WEFT-112": (shop(nodes={"shop": {"listen": "9080/http"}}), shop()),
    "WEFT-201": (lists("db", "cache"), lists("db", "cache", ports=(7000, 7001))),
    "WEFT-202": (lists("shop", "db"), lists("shop", "db", ports=(7000, 7001))),
    "WEFT-203": (
        shop(
            routers={
                "shop": {
                    "listen": ["80/http", "81/http"],
                    "routes": {"all": matching({"prefix": "/", "port": 80})},
                }
            }
        ),
        shop(),
    ),
    "WEFT-204": (shop(routers={"shop": {"routes": {"all": http_route("shop:1")}}}), shop()),
    "WEFT-205": (
        gateway({"all": gateway_route(kind="grpcRoute")}, "8080/grpc"),
        gateway({"all": gateway_route()}),
    ),
    "WEFT-206": (shop(node={"listen": "15001/http"}), shop()),
    "WEFT-207": (
        shop(
            node=TWO_PORTS,
            routes={
                "all": {
                    "httpRoute": {
                        "match": {"prefix": "/"},
                        "action": {
                            "weightedTargets": [{"virtualNode": "shop", "weight": 1, "port": 9080}]
                        },
                    }
                }
            },
        ),
        shop(node=TWO_PORTS, services={"shop.local": "node shop"}, routers={}),
    ),
    "WEFT-208": (shop(node={"listen": "443/http"}), shop(node={"listen": "443/tcp"}, routers={})),
    "WEFT-209": (
        gateway({"all": gateway_route_at(8080)}, ["8080/http", "8081/http"]),
        gateway(
            {"all": gateway_route_at(8080), "more": gateway_route_at(8081)},
            ["8080/http", "8081/http"],
        ),
    ),
    "WEFT-210": (
        shop(node=by_dns(hostname="shop.local")),
        shop(node={**by_dns(hostname="Shop.local"), "listen": "80/http"}),
    ),
    "WEFT-301": (
        shop(
            routes={
                "all": http_route("shop:1", priority=1),
                "cart": http_route("shop:1", prefix="/cart", priority=2),
            }
        ),
        shop(
            routes={"all": http_route("shop:1"), "cart": http_route("shop:1", prefix="/cart")},
        ),
    ),
    "WEFT-302": (
        shop(routes={"a": http_route("shop:1"), "b": http_route("shop:1")}),
        shop(routes={"a": http_route("shop:1"), "b": matching(header(exact="ann"))}),
    ),
    "WEFT-303": (
        shop(routes={"all": http_route("shop:100", "web:0")}, nodes=None)
        | {"nodes": {"shop": {"listen": "9080/http"}, "web": {"listen": "9080/http"}}},
        shop(),
    ),
    "WEFT-304": (
        shop(routes={"all": http_route("shop:1", "web:2")}, nodes=None)
        | {"nodes": {"shop": {"listen": "9080/http"}, "web": {"listen": "9080/http"}}},
        shop(routes={"all": http_route("shop:1", "web:1")}, nodes=None)
        | {"nodes": {"shop": {"listen": "9080/http"}, "web": {"listen": "9080/http"}}},
    ),
    "WEFT-305": (shop(routes={"cart": http_route("shop:1", prefix="/cart")}), shop()),
    "WEFT-306": (shop(routes={"all": http_route("shop:1", "shop:2")}), shop()),
    "WEFT-307": (
        shop(node={"calls": ["shop.local"]}),
        shop(node={"calls": ["other.local"]}),
    ),
    "WEFT-401": (
        one_route(retryPolicy={**RETRIES, "perRetryTimeout": seconds(6)}),
        one_route(
            retryPolicy={**RETRIES, "perRetryTimeout": seconds(6)},
            timeout={"perRequest": seconds(18)},
        ),
    ),
    "WEFT-402": (
        one_route(timeout={"perRequest": seconds(20)}),
        one_route(timeout={"perRequest": seconds(15)}),
    ),
    "WEFT-403": (
        shop(node=served({"timeout": {"http": {"perRequest": seconds(60)}}})),
        shop(node=served({"timeout": {"http": {"perRequest": seconds(10)}}})),
    ),
    "WEFT-404": (
        one_route(timeout={"perRequest": seconds(0)}),
        one_route(timeout={"perRequest": seconds(1)}),
    ),
    "WEFT-405": (
        one_route(retryPolicy={**RETRIES, "maxRetries": 11}),
        one_route(retryPolicy={**RETRIES, "maxRetries": 10}),
    ),
    "WEFT-406": (
        one_route(retryPolicy={**RETRIES, "maxRetries": 0}),
        one_route(retryPolicy=RETRIES),
    ),
    "WEFT-407": (
        one_route(retryPolicy={**RETRIES, "perRetryTimeout": seconds(0)}),
        one_route(retryPolicy=RETRIES),
    ),
    "WEFT-408": (
        one_route(timeout={"perRequest": seconds(10), "idle": seconds(5)}),
        one_route(timeout={"perRequest": seconds(5), "idle": seconds(10)}),
    ),
    "WEFT-501": (
        with_tls(None, {"validation": TRUST}),
        with_tls({"mode": "STRICT", "certificate": CERTIFICATE}, {"validation": TRUST}),
    ),
    "WEFT-502": (
        with_tls({"mode": "STRICT", "certificate": CERTIFICATE}, None),
        with_tls({"mode": "STRICT", "certificate": CERTIFICATE}, {"validation": TRUST}),
    ),
    "WEFT-503": (
        with_tls(
            {"mode": "STRICT", "certificate": CERTIFICATE, "validation": TRUST},
            {"validation": TRUST},
        ),
        with_tls(
            {"mode": "STRICT", "certificate": CERTIFICATE, "validation": TRUST},
            {"validation": TRUST, "certificate": CERTIFICATE},
        ),
    ),
    "WEFT-504": (
        with_tls(
            None, {"validation": {**TRUST, "subjectAlternativeNames": {"match": {"exact": []}}}}
        ),
        with_tls(
            None, {"validation": {**TRUST, "subjectAlternativeNames": {"match": {"exact": ["a"]}}}}
        ),
    ),
    "WEFT-505": (
        with_tls(None, {"validation": {"trust": {"file": {"certificateChain": "ca.pem"}}}}),
        with_tls(None, {"validation": TRUST}),
    ),
    "WEFT-506": (
        with_tls({"mode": "DISABLED", "certificate": CERTIFICATE}, None),
        with_tls({"mode": "PERMISSIVE", "certificate": CERTIFICATE}, None),
    ),
    "WEFT-508": (
        with_tls({"mode": "PERMISSIVE", "certificate": CERTIFICATE, "validation": TRUST}, None),
        with_tls({"mode": "STRICT", "certificate": CERTIFICATE, "validation": TRUST}, None),
    ),
    "WEFT-509": (
        two_ways({"clientPolicy": {"tls": {"validation": TRUST}}}),
        two_ways({}),
    ),
    "WEFT-510": (
        with_tls({"mode": "STRICT", "certificate": {"acm": {"certificateArn": ARN}}}, None),
        with_tls({"mode": "STRICT", "certificate": {"acm": {"certificateArn": ARN}}}, None)
        | {"certificates": {ARN: {"certificateChain": "C", "privateKey": "K"}}},
    ),
    "WEFT-511": (by_arn(("other.local",)), by_arn(("*.local",))),
    "WEFT-513": (by_arn(keyed=False), by_arn()),
    "WEFT-512": (by_arn(issuer="arn:other"), by_arn()),
    "WEFT-601": (
        shop(node=served({"healthCheck": HEALTH})),
        shop(node=served({"healthCheck": HEALTH}) | by_dns(responseType="ENDPOINTS")),
    ),
    "WEFT-602": (
        shop(node=served({"outlierDetection": EJECTION})),
        shop(node=served({"outlierDetection": EJECTION}), forgotten=["shop"]),
    ),
    "WEFT-603": (
        shop(forgotten=["shop"]),
        shop(instances={"shop": {"shop-1": {9080: "127.0.0.1:4000"}}}),
    ),
    "WEFT-604": (
        shop(
            node=TWO_PORTS, routers={}, services={}, instances={"shop": {"1": {9080: "1.1.1.1:1"}}}
        ),
        shop(instances={"shop": {"1": {9080: "1.1.1.1:1"}}}),
    ),
    "WEFT-605": (
        shop(instances={"shop": {"1": {9080: "1.1.1.1:1", 9999: "1.1.1.1:1"}}}),
        shop(instances={"shop": {"1": {9080: "1.1.1.1:1"}}}),
    ),
    "WEFT-606": (
        shop(node=by_dns(hostname="127.0.0.1")),
        shop(node=by_dns(hostname="127.0.0.1"), forgotten=["shop"]),
    ),
    "WEFT-607": (
        {"nodes": {"a": {"listen": "1/http", **by_dns()}, "b": {"listen": "1/http", **by_dns()}}},
        {"nodes": {"a": {"listen": "1/http", **by_dns()}, "b": {"listen": "2/http", **by_dns()}}},
    ),
    "WEFT-608": (
        shop(
            node=by_dns(ipPreference="IPv4_ONLY"),
            mesh={"serviceDiscovery": {"ipPreference": "IPv6_ONLY"}},
        ),
        shop(
            node=by_dns(ipPreference="IPv4_PREFERRED"),
            mesh={"serviceDiscovery": {"ipPreference": "IPv6_ONLY"}},
        ),
    ),
    "WEFT-609": (shop(node=by_cloud_map()), shop(node=by_cloud_map(), forgotten=["shop"])),
    "WEFT-611": (
        shop(node=served({"healthCheck": {**HEALTH, "timeoutMillis": 5000}})),
        shop(node=served({"healthCheck": HEALTH})),
    ),
    "WEFT-612": (
        shop(node=served({"healthCheck": {**HEALTH, "protocol": "tcp"}})),
        shop(node=served({"healthCheck": HEALTH})),
    ),
    "WEFT-613": (
        shop(node=served({"healthCheck": {**HEALTH, "protocol": "grpc"}})),
        shop(node=served({"healthCheck": HEALTH})),
    ),
    "WEFT-701": (shop(mesh={}), shop()),
    "WEFT-702": (
        shop(node=by_dns(hostname="api.example.com")),
        shop(node=by_dns(hostname="api.example.com"), mesh={"egressFilter": {"type": "ALLOW_ALL"}}),
    ),
    "WEFT-703": (
        shop(node={"logging": {"accessLog": {"file": {"path": "/var/log/a"}}}}),
        shop(node={"logging": {"accessLog": {"file": {"path": "/dev/stdout"}}}}),
    ),
    "WEFT-704": (
        {"nodes": {"web": {"calls": [f"s{i}.local" for i in range(51)]}}},
        {"nodes": {"web": {"calls": [f"s{i}.local" for i in range(50)]}}},
    ),
    "WEFT-711": (
        shop(policies={"virtualRouter/shop/route/none": {"reroute": True}}),
        shop(
            routes=two_routes_to_two(), policies={"virtualRouter/shop/route/a": {"reroute": True}}
        ),
    ),
    "WEFT-712": (
        shop(policies={"virtualService/shop.local": {"retryPolicy": RETRIES}}),
        by_node_alone("http", {"retryPolicy": RETRIES}),
    ),
    "WEFT-713": (
        by_node_alone("tcp", {"retryPolicy": RETRIES}),
        by_node_alone("tcp", {"timeout": {"idle": seconds(5)}}),
    ),
    "WEFT-714": (
        shop(policies={"virtualRouter/shop/route/all": {"reroute": True}}),
        shop(policies={"mesh": {"reroute": True}}),
    ),
    "WEFT-716": (shop(policies={}), shop()),
    "WEFT-715": (
        shop(
            routes={"all": http_route("shop:1", "other:1")},
            also={"other": {"listen": "9080/http"}},
            policies={"mesh": {"reroute": True}},
            forgotten=["other"],
        ),
        shop(
            routes={"all": http_route("shop:1", "other:1")},
            also={"other": {"listen": "9080/http"}},
            forgotten=["other"],
        ),
    ),
    "WEFT-802": (
        gateway(
            {
                "all": gateway_route(priority=1),
                "cart": gateway_route("/cart/", priority=2),
            }
        ),
        gateway({"all": gateway_route(), "cart": gateway_route("/cart/")}),
    ),
    "WEFT-803": (gateway({}), gateway({"all": gateway_route()})),
    "WEFT-804": (
        cart_behind_a_gateway({"prefix": {"defaultPrefix": "DISABLED"}}),
        cart_behind_a_gateway({"hostname": {"defaultTargetHostname": "DISABLED"}}),
    ),
    "WEFT-805": (
        shop(
            gateways={
                "front": {**served({"healthCheck": HEALTH}), "routes": {"all": gateway_route()}}
            }
        ),
        gateway({"all": gateway_route()}),
    ),
}
"""By code: a mesh in which it is found, and one much like it in which it is not."""

TWO_MESHES = {"WEFT-610"}
"""Tried below: what shows only between two meshes."""
