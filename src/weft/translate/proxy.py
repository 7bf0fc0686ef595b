"""What one view must do, said in Envoy's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from weft.ir import proxy as ir
from weft.translate import cluster, dns, endpoint, listener, route, secret
from weft.translate.memo import memoised
from weft.translate.snapshot import Encoded, ResourceType, Snapshot


@memoised
def translate(proxy: ir.Proxy) -> Snapshot:
    """Every resource is translated once, however many proxies share it."""
    return Snapshot(
        MappingProxyType(
            {
                ResourceType.CLUSTER: _by_name(map(cluster.encoded, proxy.clusters)),
                ResourceType.ENDPOINT: _by_name(map(endpoint.encoded, proxy.assignments)),
                ResourceType.SECRET: _by_name(map(secret.encoded, proxy.secrets)),
                ResourceType.LISTENER: _by_name(
                    (
                        *map(listener.encoded, proxy.listeners),
                        *map(dns.encoded, proxy.name_servers),
                    )
                ),
                ResourceType.ROUTE: _by_name(map(route.encoded, proxy.route_configurations)),
            }
        )
    )


def _by_name(resources: Iterable[Encoded]) -> Mapping[str, Encoded]:
    return MappingProxyType({resource.name: resource for resource in resources})
