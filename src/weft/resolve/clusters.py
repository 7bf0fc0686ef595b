"""A virtual node as its clients see it: the cluster for one of its listeners, and its endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from weft import names
from weft.ir import cluster as ir
from weft.ir.cluster import IpPreference, Protocol
from weft.ir.proxy import Note
from weft.ir.tls import Secret
from weft.ir.value import value
from weft.model.listener import HealthCheck
from weft.model.listener import Listener as ListenerSpec
from weft.model.virtual_node import ByCloudMap, ByDns, VirtualNodeSpec
from weft.names import Key, Kind
from weft.resolve import cloud_map, specs, tls
from weft.resolve.limits import endpoint, sayable
from weft.resolve.protection import outliers
from weft.resolve.reading import Reading
from weft.resolve.secrets import Sds

CONNECT_TIMEOUT = timedelta(seconds=1)
"""App Mesh's, for everything outside the workload's own machine."""


@value
class Target:
    """One listener of one virtual node, which traffic can be sent to."""

    mesh: str
    node: str
    port: int
    protocol: Protocol

    @property
    def cluster(self) -> str:
        return names.egress_cluster(self.mesh, self.node, self.protocol, self.port)


@value
class Reached:
    """A target's cluster, its endpoints if we are the ones to tell them, and what is amiss."""

    cluster: ir.Cluster
    assignment: ir.Assignment | None
    notes: tuple[Note, ...] = ()
    secrets: tuple[Secret, ...] = ()


def target(reading: Reading, mesh: str, node: str, port: int | None) -> Target | None:
    """The listener meant by a virtual node's name and, where there are several, a port."""
    spec = specs.virtual_node(reading, mesh, node)
    listener = spec.listener(port) if spec else None
    if listener is None:
        return None
    mapping = listener.port_mapping
    return Target(mesh, node, mapping.port, Protocol(mapping.protocol))


def reached(reading: Reading, target: Target) -> Reached:
    """The cluster of a target in plain text, shared by all who call it so."""
    key = Key(target.mesh, Kind.VIRTUAL_NODE, target.node)
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    listener = spec.listener(target.port)
    check, notes = _health_check(key, spec, listener, target)
    detection, more = outliers(
        listener.outlier_detection if listener else None,
        f"{key} outlierDetection of port {target.port}",
    )
    cluster = ir.Cluster(
        target.cluster,
        reading.part(discovery, target),
        target.protocol,
        CONNECT_TIMEOUT,
        check,
        node=target.node,
        outliers=detection,
    )
    told = isinstance(cluster.discovery, ir.Assigned)
    notes += (*more, *cloud_map.notes(reading, key, spec))
    return Reached(cluster, reading.part(assignment, target) if told else None, notes)


def called(reading: Reading, target: Target, asked: tls.Policy | None, sds: Sds) -> Reached:
    """The cluster of a target, shared by all who call it under the same policy."""
    plain = reading.part(reached, target)
    how = reading.part(tls.spoken, target.mesh, target.node, target.port, asked, sds)
    if how == tls.PLAIN:
        return plain
    key = Key(target.mesh, Kind.VIRTUAL_NODE, target.node)
    place = f"{key} port {target.port}"
    if how.closed:
        # Nowhere to go to: every request fails, and none of them in plain text.
        cluster = replace(plain.cluster, discovery=ir.Static(()), health_check=None)
        note = Note(place, f"cannot be called with TLS: {how.closed}")
        return Reached(cluster, None, (*plain.notes, note))
    return replace(
        plain,
        cluster=replace(plain.cluster, tls=how.tls),
        notes=(*plain.notes, *(Note(place, remark) for remark in how.remarks)),
        secrets=how.secrets,
    )


def discovery(reading: Reading, target: Target) -> ir.Discovery:
    """
    How a target's endpoints are found.

    A virtual node that ever had a workload registered keeps its registry for
    good, even when the last one has gone: its DNS name may be another node's.
    """
    key = Key(target.mesh, Kind.VIRTUAL_NODE, target.node)
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    if isinstance(spec.service_discovery, ByDns) and not reading.instances_known(key):
        dns = spec.service_discovery.dns
        return ir.Dns(
            ir.SocketAddress(dns.hostname, target.port),
            preference(reading, target.mesh, spec),
            every_address=dns.response_type == "ENDPOINTS",
        )
    return ir.Assigned()


def assignment(reading: Reading, target: Target) -> ir.Assignment:
    """The registered addresses of a target; a replica without one for this listener is left out."""
    key = Key(target.mesh, Kind.VIRTUAL_NODE, target.node)
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    places: dict[ir.SocketAddress, cloud_map.Place] = {}
    found: Iterable[tuple[str | None, cloud_map.Place]]
    match spec.service_discovery:
        case ByCloudMap(aws_cloud_map=asked):
            preferred = preference(reading, target.mesh, spec)
            found = cloud_map.addresses(reading, asked, target.port, preferred)
        case _:
            found = ((each.address(target.port), ("", "")) for each in reading.instances(key))
    for address, place in found:
        if address and (read := endpoint(address)):
            places.setdefault(read, place)
    addresses = tuple(sorted(places, key=lambda a: (a.host, a.port)))
    return ir.Assignment(target.cluster, addresses, _zones(addresses, places))


def _zones(
    addresses: tuple[ir.SocketAddress, ...], places: Mapping[ir.SocketAddress, cloud_map.Place]
) -> tuple[ir.Zone, ...]:
    return tuple(
        ir.Zone(*place, tuple(each for each in addresses if places[each] == place))
        for place in sorted({places[each] for each in addresses} - {("", "")})
    )


def preference(reading: Reading, mesh: str, spec: VirtualNodeSpec) -> IpPreference:
    """The node's own preference, else its mesh's."""
    own = None
    match spec.service_discovery:
        case ByDns(dns=dns):
            own = dns.ip_preference
        case ByCloudMap(aws_cloud_map=cloud_map):
            own = cloud_map.ip_preference
        case None:
            pass
    return own_or_mesh(reading, mesh, own)


def own_or_mesh(reading: Reading, mesh: str, own: str | None) -> IpPreference:
    if own is not None:
        return IpPreference(own)
    found = specs.mesh(reading, mesh).service_discovery
    return IpPreference(found.ip_preference if found and found.ip_preference else "unset")


def _health_check(
    key: Key, spec: VirtualNodeSpec, listener: ListenerSpec | None, target: Target
) -> tuple[ir.HealthCheck | None, tuple[Note, ...]]:
    given = listener.health_check if listener else None
    if given is None:
        return None, ()
    probe = _probe(given, spec, target.protocol)
    if probe is None:
        return None, (
            Note(
                f"{key} healthCheck of port {target.port}",
                f"gRPC health checks need a grpc or http2 listener, not {target.protocol}; "
                "no health is checked",
            ),
        )
    check = ir.HealthCheck(
        probe,
        timedelta(milliseconds=given.interval_millis),
        timedelta(milliseconds=given.timeout_millis),
        given.healthy_threshold,
        given.unhealthy_threshold,
    )
    return check, ()


def _probe(
    given: HealthCheck, spec: VirtualNodeSpec, protocol: Protocol
) -> ir.HttpCheck | ir.GrpcCheck | ir.TcpCheck | None:
    # Envoy would say the cluster's name, which has underscores: servers refuse such hosts.
    discovered = spec.service_discovery
    host = discovered.dns.hostname if isinstance(discovered, ByDns) else ""
    host = host if sayable(host) else ""
    match given.protocol:
        case "http" | "http2":
            path = given.path if given.path and sayable(given.path) else "/"
            return ir.HttpCheck(path, given.protocol == "http2", host)
        case "grpc":
            # Envoy refuses a gRPC check of a cluster that does not speak HTTP/2.
            return ir.GrpcCheck(host) if protocol.multiplexes else None
        case "tcp":
            return ir.TcpCheck()
