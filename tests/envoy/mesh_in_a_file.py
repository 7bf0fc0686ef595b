"""Resources for the scripted control plane, said as briefly as a test needs them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

ADS = {"ads": {}, "resource_api_version": "V3"}


def http_listener(name: str, port: int, routes: str) -> Json:
    """An HTTP listener on 127.0.0.1 that fetches its route configuration."""
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "rds": {
            "config_source": {**ADS, "initial_fetch_timeout": "0s"},
            "route_config_name": routes,
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    return _listener(name, port, "envoy.filters.network.http_connection_manager", manager)


def tcp_listener(name: str, port: int, cluster: str) -> Json:
    proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": name,
        "cluster": cluster,
    }
    return _listener(name, port, "envoy.filters.network.tcp_proxy", proxy)


def _listener(name: str, port: int, filter_name: str, typed_config: Json) -> Json:
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": filter_name, "typed_config": typed_config}]}],
    }


def route_configuration(name: str, cluster: str) -> Json:
    """Everything goes to one cluster."""
    return {
        "name": name,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}],
            }
        ],
    }


def eds_cluster(name: str) -> Json:
    return {
        "name": name,
        "type": "EDS",
        "connect_timeout": "1s",
        "eds_cluster_config": {"eds_config": {**ADS, "initial_fetch_timeout": "0s"}},
    }


def assignment(name: str, *ports: int) -> Json:
    return {
        "cluster_name": name,
        "endpoints": [
            {
                "lb_endpoints": [
                    {
                        "endpoint": {
                            "address": {
                                "socket_address": {"address": "127.0.0.1", "port_value": port}
                            }
                        }
                    }
                    for port in ports
                ]
            }
        ],
    }


def resources(**kinds: list[Json]) -> Json:
    """``{kind: {name: resource}}`` from lists of resources."""
    return {
        kind: {item.get("cluster_name") or item["name"]: item for item in items}
        for kind, items in kinds.items()
    }


def one_service(
    egress: int, upstream: int, *, cluster: str = "cds_egress_shop_api_http_8080"
) -> Json:
    """A listener on the egress port whose requests all go to one service."""
    return resources(
        listener=[http_listener("lds_egress_0.0.0.0_15001", egress, "rds_egress_http_15001")],
        route=[route_configuration("rds_egress_http_15001", cluster)],
        cluster=[eds_cluster(cluster)],
        endpoint=[assignment(cluster, upstream)],
    )
