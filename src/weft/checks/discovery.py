"""How workloads are found, and whether anybody is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address

from weft import names
from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Mesh
from weft.model.virtual_node import ByCloudMap, ByDns, VirtualNodeSpec
from weft.names import Key, Kind

NAMESPACES = "cloudmap/namespaces"
"""The collection in which the Cloud Map surface keeps its namespaces."""
_ONLY = {"IPv4_ONLY": 4, "IPv6_ONLY": 6}


def one_address_probed(mesh: Mesh) -> Iterator[Found]:
    for key, i, listener in mesh.listeners:
        if listener.health_check and _one_address(mesh, key.name):
            yield Found(
                key,
                f"spec.listeners[{i}].healthCheck",
                "DNS discovery without responseType ENDPOINTS knows one address at a time",
            )


def one_address_ejected(mesh: Mesh) -> Iterator[Found]:
    for key, i, listener in mesh.listeners:
        if listener.outlier_detection and _one_address(mesh, key.name):
            yield Found(
                key,
                f"spec.listeners[{i}].outlierDetection",
                "DNS discovery without responseType ENDPOINTS knows one address at a time",
            )


def _one_address(mesh: Mesh, node: str) -> bool:
    dns = mesh.by_dns(node)
    return dns is not None and dns.response_type != "ENDPOINTS"


def nobody_there(mesh: Mesh) -> Iterator[Found]:
    for name, spec in mesh.nodes.items():
        key = mesh.of(Kind.VIRTUAL_NODE, name)
        registered = mesh.state.instances_known(key)
        if mesh.state.instances(key) or not spec.listeners:
            continue
        if not registered and not isinstance(spec.service_discovery, ByCloudMap):
            continue
        users = [use for use in mesh.uses_of.get(name, ()) if use.weight]
        if users:
            more = f" and {len(users) - 1} more" if len(users) > 1 else ""
            yield Found(
                key,
                "",
                f"no instance of {name} is registered, and {users[0].by.kind} {users[0].by.name}"
                f"{more} sends it requests",
            )


def missing_addresses(mesh: Mesh) -> Iterator[Found]:
    for key, i, listener in mesh.listeners:
        port = listener.port_mapping.port
        for instance in mesh.state.instances(key):
            if instance.address(port) is None:
                yield Found(
                    key,
                    f"spec.listeners[{i}]",
                    f"instance {instance.id} has no address for port {port}",
                )


def stale_addresses(mesh: Mesh) -> Iterator[Found]:
    for name, spec in mesh.nodes.items():
        key = mesh.of(Kind.VIRTUAL_NODE, name)
        ports = {each.port_mapping.port for each in spec.listeners or ()}
        for instance in mesh.state.instances(key):
            if strange := [str(port) for port, _ in instance.addresses if port not in ports]:
                said = ", ".join(strange)
                yield Found(
                    key,
                    "spec.listeners",
                    f"instance {instance.id} is registered for port {said}, where no listener is",
                )


def loopback_hosts(mesh: Mesh) -> Iterator[Found]:
    for name in mesh.nodes:
        dns = mesh.by_dns(name)
        if dns and _is_loopback(dns.hostname):
            key = mesh.of(Kind.VIRTUAL_NODE, name)
            yield Found(
                key, "spec.serviceDiscovery.dns.hostname", f"{dns.hostname} is the caller itself"
            )


def shared_hosts(mesh: Mesh) -> Iterator[Found]:
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for key, _, listener in mesh.listeners:
        if dns := mesh.by_dns(key.name):
            host = dns.hostname.rstrip(".").lower()
            found[host, listener.port_mapping.port].append(key.name)
    for (host, port), nodes in found.items():
        for other in nodes[1:]:
            yield Found(
                mesh.of(Kind.VIRTUAL_NODE, other),
                "spec.serviceDiscovery.dns.hostname",
                f"{other} and {nodes[0]} are both found at {host}:{port}",
            )


def ip_conflicts(mesh: Mesh) -> Iterator[Found]:
    of_mesh = mesh.spec.service_discovery
    wanted = of_mesh.ip_preference if of_mesh else None
    for name, spec in mesh.nodes.items():
        own, place = _preference(spec)
        key = mesh.of(Kind.VIRTUAL_NODE, name)
        if own and wanted and _ONLY.get(own, 0) + _ONLY.get(wanted, 0) == 10:
            yield Found(key, place, f"{own}, in a mesh that is {wanted}")
            continue
        version = _ONLY.get(own or wanted or "")
        if version and isinstance(spec.service_discovery, ByDns):
            host = spec.service_discovery.dns.hostname
            if (given := _address_version(host)) and given != version:
                yield Found(key, place, f"{host} is not of version {version}")


def _preference(spec: VirtualNodeSpec) -> tuple[str | None, str]:
    match spec.service_discovery:
        case ByDns(dns=dns):
            return dns.ip_preference, "spec.serviceDiscovery.dns.ipPreference"
        case ByCloudMap(aws_cloud_map=cloud_map):
            return cloud_map.ip_preference, "spec.serviceDiscovery.awsCloudMap.ipPreference"
        case None:
            return None, "spec.serviceDiscovery"


def unknown_namespaces(mesh: Mesh) -> Iterator[Found]:
    documents = mesh.state.collection(NAMESPACES)
    known = {str(each.get("name") or each.get("Name")) for each in documents.values()} | {
        *documents
    }
    for name, spec in mesh.nodes.items():
        key = mesh.of(Kind.VIRTUAL_NODE, name)
        if not isinstance(spec.service_discovery, ByCloudMap) or mesh.state.instances_known(key):
            continue
        namespace = spec.service_discovery.aws_cloud_map.namespace_name
        if namespace not in known:
            yield Found(
                key,
                "spec.serviceDiscovery.awsCloudMap.namespaceName",
                f"there is no namespace {namespace}, and no instance was ever registered",
            )


def colliding_clusters(mesh: Mesh) -> Iterator[Found]:
    others = [key for key, _ in _meshes(mesh) if _may_collide(key.name, mesh.name)]
    if not others:
        return
    taken = {
        _cluster(each, listener.port_mapping.protocol, listener.port_mapping.port): each
        for other in others
        for each, _, listener in Mesh(mesh.state, other.name).listeners
    }
    for key, i, listener in mesh.listeners:
        name = _cluster(key, listener.port_mapping.protocol, listener.port_mapping.port)
        if (holder := taken.get(name)) is not None:
            yield Found(key, f"spec.listeners[{i}]", f"{name} is also the cluster of {holder}")


def _meshes(mesh: Mesh) -> Iterator[tuple[Key, object]]:
    for found in mesh.state.children(None, Kind.MESH):
        yield found.key, found.spec


def _may_collide(one: str, other: str) -> bool:
    # Joined with underscores, only names of which one begins the other can meet.
    return one != other and (one.startswith(f"{other}_") or other.startswith(f"{one}_"))


def _cluster(key: Key, protocol: str, port: int) -> str:
    return names.egress_cluster(key.mesh, key.name, protocol, port)


def slow_probes(mesh: Mesh) -> Iterator[Found]:
    for key, i, listener in mesh.listeners:
        check = listener.health_check
        if check and check.timeout_millis >= check.interval_millis:
            yield Found(
                key,
                f"spec.listeners[{i}].healthCheck.timeoutMillis",
                f"a probe may take {check.timeout_millis} ms, the next follows after "
                f"{check.interval_millis} ms",
            )


def odd_probe_paths(mesh: Mesh) -> Iterator[Found]:
    for key, i, listener in mesh.listeners:
        check = listener.health_check
        if check is None:
            continue
        place = f"spec.listeners[{i}].healthCheck.path"
        http = check.protocol in ("http", "http2")
        if http and not check.path:
            yield Found(key, place, "none is given: / is asked for")
        elif not http and check.path:
            yield Found(key, place, f"a {check.protocol} health check has no use for a path")


def impossible_probes(mesh: Mesh) -> Iterator[Found]:
    for key, i, listener in mesh.listeners:
        check, protocol = listener.health_check, listener.port_mapping.protocol
        if check and check.protocol == "grpc" and protocol not in ("grpc", "http2"):
            yield Found(
                key,
                f"spec.listeners[{i}].healthCheck.protocol",
                f"a grpc health check of a listener that speaks {protocol}",
            )


def _is_loopback(host: str) -> bool:
    plain = host.rstrip(".").lower()
    if plain == "localhost" or plain.endswith(".localhost"):
        return True
    try:
        return ip_address(plain.strip("[]")).is_loopback
    except ValueError:
        return False


def _address_version(host: str) -> int | None:
    try:
        return ip_address(host.strip("[]")).version
    except ValueError:
        return None


CHECKS = (
    Check(
        "WEFT-601",
        "Health is checked where only one address is known",
        Severity.INFO,
        "With one address at a time there is no other to turn to when it is found unhealthy, and "
        "the answer of DNS decides which one that is.",
        "Set responseType ENDPOINTS, or register the instances (weft sidecar does).",
        one_address_probed,
    ),
    Check(
        "WEFT-602",
        "Outlier detection where only one address is known",
        Severity.WARNING,
        "An ejected address leaves nobody; so the last one is never ejected, and outlier detection "
        "has no effect.",
        "Set responseType ENDPOINTS, or register the instances (weft sidecar does).",
        one_address_ejected,
    ),
    Check(
        "WEFT-603",
        "Nobody is there for a virtual node that gets requests",
        Severity.ERROR,
        "Its share of the requests fails with 503: a target without instances keeps its weight.",
        "Start a workload for it, or take its weight away with weft split.",
        nobody_there,
    ),
    Check(
        "WEFT-604",
        "An instance cannot be reached at a listener",
        Severity.WARNING,
        "The replica was registered without an address for this port and gets none of its "
        "requests. That is so after a listener was added, until it is registered anew.",
        "Restart the workload's sidecar, or register the instance with the port.",
        missing_addresses,
    ),
    Check(
        "WEFT-605",
        "An instance is registered for a port that is gone",
        Severity.WARNING,
        "The virtual node has no listener there any more; nobody is sent to that address.",
        "Restart the workload's sidecar, or register the instance with the ports there are.",
        stale_addresses,
    ),
    Check(
        "WEFT-606",
        "A virtual node is found at localhost",
        Severity.WARNING,
        "Every caller looks it up for itself and calls its own machine.",
        "Give the host name under which others reach it, or register its instances.",
        loopback_hosts,
    ),
    Check(
        "WEFT-607",
        "Two virtual nodes are found at the same place",
        Severity.WARNING,
        "Both names lead to the same workloads, so shares between them mean nothing.",
        "Give each a host name of its own.",
        shared_hosts,
    ),
    Check(
        "WEFT-608",
        "IP versions exclude each other",
        Severity.WARNING,
        "The virtual node is looked up in one IP version only, and the mesh (or the address given) "
        "has only the other: no address is found.",
        "Use the same version, or a preference instead of ONLY.",
        ip_conflicts,
    ),
    Check(
        "WEFT-609",
        "A Cloud Map namespace does not exist",
        Severity.WARNING,
        "Nobody can be registered in it, so the virtual node has no endpoints.",
        "Create the namespace and the service with servicediscovery, or register instances.",
        unknown_namespaces,
    ),
    Check(
        "WEFT-610",
        "Two meshes share the name of a cluster",
        Severity.INFO,
        "Envoy's names join mesh and virtual node with an underscore, and these come out the same: "
        "dashboards cannot tell them apart.",
        "Rename one of them; hyphens do not collide.",
        colliding_clusters,
    ),
    Check(
        "WEFT-611",
        "A health check may take longer than its interval",
        Severity.WARNING,
        "The next probe waits for the last: a workload that hangs is noticed later than the "
        "interval says.",
        "Set timeoutMillis below intervalMillis.",
        slow_probes,
    ),
    Check(
        "WEFT-612",
        "A health check's path does not fit its protocol",
        Severity.INFO,
        "HTTP checks ask for a path, / unless given; TCP and gRPC checks have none.",
        "Give the path that tells whether the workload is well, or remove it.",
        odd_probe_paths,
    ),
    Check(
        "WEFT-613",
        "gRPC health checks of a listener without HTTP/2",
        Severity.WARNING,
        "gRPC needs HTTP/2; Envoy refuses such a check, so no health is checked.",
        "Check by http or tcp, or declare the listener as grpc or http2.",
        impossible_probes,
    ),
)
