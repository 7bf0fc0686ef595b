"""What Envoy is started with: who it is, where the control plane is, and little else."""

from __future__ import annotations

from socket import SOL_SOCKET
from typing import Any

from weft.names import SDS_CLUSTER, View
from weft.sidecar.access import Access
from weft.sidecar.dns_servers import NameServer
from weft.sidecar.machine import SO_MARK
from weft.sidecar.values import Address, Pipe, Tcp, is_ip

XDS_CLUSTER = "weft_xds"

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Json = dict[str, Any]

_OPEN = Access()


def bootstrap(
    view: View,
    instance: str,
    *,
    xds: Address,
    status: str,
    admin: str,
    max_connections: int,
    access: Access = _OPEN,
    mark: int | None = None,
    resolvers: tuple[NameServer, ...] = (),
    sds_socket: str | None = None,
) -> Json:
    """
    The bootstrap of a proxy that asks the control plane for everything.

    ``mark``: what its own connections carry, so that the kernel lets them pass.
    ``resolvers``: whom it asks for names, where the machine's own would answer with addresses
    that lead back to it.
    """
    metadata = access.initial_metadata()
    fetched = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "node": {
            "id": str(view.proxy),
            "cluster": str(view.proxy),
            "metadata": {"weft": {**view.to_metadata(), "instance": instance, "status": status}},
        },
        "admin": {
            "address": {"pipe": {"path": admin, "mode": 0o600}},
            "ignore_global_conn_limit": True,
        },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": XDS_CLUSTER,
                            # Envoy's own is 0.5 s to 30 s: half a minute without news after
                            # a restart of the control plane that took ten seconds.
                            "retry_policy": {
                                "retry_back_off": {
                                    "base_interval": "0.1s",
                                    "max_interval": "2s",
                                }
                            },
                        },
                        **({"initial_metadata": metadata} if metadata else {}),
                    }
                ],
            },
            "lds_config": fetched,
            "cds_config": fetched,
        },
        "static_resources": {"clusters": [_xds_cluster(xds, access), *_sds_cluster(sds_socket)]},
        **({} if mark is None else {"cluster_manager": {"upstream_bind_config": _marked(mark)}}),
        **({"typed_dns_resolver_config": _asking(resolvers)} if resolvers else {}),
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
                },
            }
        ],
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": str(max_connections),
                    },
                }
            ]
        },
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"prefix": "weft."}, "buckets": latency_buckets()},
            ]
        },
        "layered_runtime": {
            "layers": [
                # App Mesh's limit for the regular expressions of a route.
                {
                    "name": "static_layer_0",
                    "static_layer": {"re2": {"max_program_size": {"error_level": 1000}}},
                },
                {"name": "admin_layer", "admin_layer": {}},
            ]
        },
    }


def _asking(resolvers: tuple[NameServer, ...]) -> Json:
    return {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [
                {"socket_address": {"address": each.host, "port_value": each.port}}
                for each in resolvers
            ],
        },
    }


def latency_buckets() -> list[int]:
    """Bounds in microseconds from 0.1 ms to a minute: Envoy's own are made for milliseconds."""
    bounds = [100]
    while bounds[-1] < 60_000_000:
        # Whole numbers rounded down, so that no step is over 10 %.
        bounds.append(bounds[-1] * 11 // 10)
    return bounds


def without_control_plane(base: Json, listeners: list[Json], clusters: list[Json]) -> Json:
    """The same proxy, told everything at once: for a start while the control plane is away."""
    made = {key: value for key, value in base.items() if key != "dynamic_resources"}
    static = base["static_resources"]
    made["static_resources"] = {
        **static,
        "listeners": [*static.get("listeners", ()), *listeners],
        "clusters": [*static["clusters"], *clusters],
    }
    return made


def _marked(mark: int) -> Json:
    """Before a socket is bound or connected; Envoy takes no socket for which that fails."""
    option = {"description": "SO_MARK", "level": SOL_SOCKET, "name": SO_MARK, "int_value": mark}
    return {"socket_options": [{**option, "state": "STATE_PREBIND"}]}


def _xds_cluster(xds: Address, access: Access) -> Json:
    socket = access.transport_socket(xds)
    return {
        **({"transport_socket": socket} if socket else {}),
        "name": XDS_CLUSTER,
        "type": "STRICT_DNS" if isinstance(xds, Tcp) and not is_ip(xds.host) else "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _endpoint_address(xds)}}]}],
        },
        "upstream_connection_options": {
            "tcp_keepalive": {
                "keepalive_probes": 3,
                "keepalive_time": 10,
                "keepalive_interval": 5,
            }
        },
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        # As App Mesh's agent: pings find a control plane whose machine is gone.
                        "connection_keepalive": {"interval": "10s", "timeout": "20s"}
                    }
                },
            }
        },
    }


def _sds_cluster(socket: str | None) -> list[Json]:
    """The machine's own secret server, as App Mesh's agent has it."""
    if socket is None:
        return []
    return [
        {
            "name": SDS_CLUSTER,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": SDS_CLUSTER,
                "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]}
                ],
            },
            "typed_extension_protocol_options": {
                _HTTP_OPTIONS: {
                    "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                    "explicit_http_config": {"http2_protocol_options": {}},
                }
            },
        }
    ]


def _endpoint_address(xds: Address) -> Json:
    match xds:
        case Pipe(path):
            return {"pipe": {"path": path}}
        case Tcp(host, port):
            return {"socket_address": {"address": host, "port_value": port}}
