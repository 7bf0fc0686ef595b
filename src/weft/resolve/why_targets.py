"""The targets of a route as ``why`` tells them: shares, live instances, limits, health, TLS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from weft.ir import cluster
from weft.ir import route as ir
from weft.model import cloud_map as registry
from weft.model.cloud_map import Wanted, id_behind
from weft.model.listener import HttpTimeout, Listener
from weft.model.virtual_node import ByCloudMap, VirtualNodeSpec
from weft.names import Key, Kind, parse_egress_cluster
from weft.resolve import cloud_map, clusters, rerouting, specs
from weft.resolve.clusters import Target
from weft.resolve.explained import Live, Setting, Share
from weft.resolve.protection import breakers
from weft.resolve.reading import Reading
from weft.resolve.timeouts import PER_REQUEST, listener_timeouts, timeout

UNLIMITED = 2**31 - 1


def shares(
    reading: Reading, mesh: str, targets: Sequence[ir.Target], configured: Sequence[ir.Target] = ()
) -> tuple[Share, ...]:
    """
    What proxies are told of each target, and what is known of it besides.

    ``configured`` are the targets and weights as they stand in the route.
    """
    told = {each.cluster: each.weight for each in targets}
    total = sum(told.values())
    asked = {each.cluster: each.weight for each in configured or targets}
    found = []
    for name in dict.fromkeys([*asked, *told]):
        named = parse_egress_cluster(mesh, name)
        assert named is not None, "targets of routes are egress clusters"
        target = Target(mesh, named.node, named.port, cluster.Protocol(named.protocol))
        weight = told.get(name, 0)
        reached = reading.part(clusters.reached, target)
        endpoints = reached.assignment.endpoints if reached.assignment else ()
        addresses = tuple(f"{one.host}:{one.port}" for one in endpoints)
        found.append(
            Share(
                named.node,
                named.port,
                weight,
                round(100 * weight / total, 1) if total else 0.0,
                name,
                _found_by(reading, target, reached.cluster.discovery),
                addresses,
                _server_timeout(reading, target),
                _breakers(reading, target),
                asked.get(name, 0),
                reading.part(rerouting.is_alive, target),
                tuple(_instances(reading, target, frozenset(addresses))),
                _health_check(reached.cluster),
                _outliers(reached.cluster),
            )
        )
    return tuple(found)


def seconds(length: timedelta) -> str:
    return f"{length.total_seconds():g}s"


def said(given: ir.Timeout) -> Setting:
    """A timeout that somebody asked for."""
    if isinstance(given, ir.After):
        return Setting(seconds(given.limit), default=False)
    return Setting("off", default=False)


def setting(given: ir.Timeout, otherwise: ir.After) -> Setting:
    """A timeout, or the hidden default that stands in for it."""
    if isinstance(given, ir.Default):
        return Setting(seconds(otherwise.limit), default=True)
    return said(given)


def limit_of(reading: Reading, target: Target) -> ir.Timeout | None:
    """How long a request may take at the target's own listener; None for connections."""
    if not target.protocol.is_http:
        return None
    listener = _listener(reading, target)
    given = listener_timeouts(listener) if listener else None
    asked = given.per_request if isinstance(given, HttpTimeout) else None
    return timeout(asked, PER_REQUEST) if asked else ir.Default()


def _listener(reading: Reading, target: Target) -> Listener | None:
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    return spec.listener(target.port)


def _server_timeout(reading: Reading, target: Target) -> Setting | None:
    limit = limit_of(reading, target)
    return None if limit is None else setting(limit, PER_REQUEST)


def _found_by(reading: Reading, target: Target, discovery: cluster.Discovery) -> str:
    if isinstance(discovery, cluster.Dns):
        return f"dns {discovery.address.host}"
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    match spec.service_discovery:
        case ByCloudMap(aws_cloud_map=asked):
            place = f"cloud map {asked.namespace_name}/{asked.service_name}"
            known = id_behind(reading, asked.namespace_name, asked.service_name)
            return place if known else f"{place}, which is not there"
        case _:
            return "registry"


def _instances(reading: Reading, target: Target, told: frozenset[str]) -> Iterator[Live]:
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    match spec.service_discovery:
        case ByCloudMap(aws_cloud_map=asked):
            query = {each.key: each.value for each in asked.attributes or ()}
            preferred = clusters.preference(reading, target.mesh, spec)
            registered = reading.part(cloud_map.instances, asked.namespace_name, asked.service_name)
            for each in registry.discovered(registered or (), Wanted.ALL, query):
                address = cloud_map.address_of(each, target.port, preferred) or "no address"
                lease = f"{each.lease_seconds:g}s" if each.lease_seconds else ""
                yield Live(address, each.id, str(each.health), lease, address in told)
        case _:
            for replica in reading.instances(Key(target.mesh, Kind.VIRTUAL_NODE, target.node)):
                address = replica.address(target.port) or "no address"
                lease = f"{replica.lease_seconds:g}s"
                yield Live(address, replica.id, "registered", lease, address in told)


def _breakers(reading: Reading, target: Target) -> Setting:
    """Of the target's own proxy; its callers' never open."""
    listener = _listener(reading, target)
    limits = breakers(listener.connection_pool if listener else None)
    if limits is None:
        return Setting(str(UNLIMITED), default=True)
    words = (
        ("connections", limits.connections),
        ("pending", limits.pending),
        ("requests", limits.requests),
    )
    return Setting(", ".join(f"{limit} {word}" for word, limit in words if limit), default=False)


def _health_check(told: cluster.Cluster) -> Setting:
    check = told.health_check
    if check is None:
        return Setting("none", default=True)
    probe = "TCP"
    if isinstance(check.probe, cluster.HttpCheck):
        probe = f"{'HTTP/2' if check.probe.http2 else 'HTTP'} {check.probe.path}"
    elif isinstance(check.probe, cluster.GrpcCheck):
        probe = "gRPC"
    limits = f"out after {check.unhealthy_threshold}, back after {check.healthy_threshold}"
    return Setting(f"{probe} every {seconds(check.interval)}, {limits}", default=False)


def _outliers(told: cluster.Cluster) -> Setting:
    found = told.outliers
    if found is None:
        return Setting("none", default=True)
    return Setting(
        f"{found.server_errors} errors in a row: out for {seconds(found.ejection)}, "
        f"{found.most_percent} % at most",
        default=False,
    )
