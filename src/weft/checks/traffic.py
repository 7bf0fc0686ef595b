"""What leaves the mesh, what is logged, and what is asked for beyond what App Mesh allowed."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Mesh
from weft.names import Kind

MOST_BACKENDS = 50
_INSIDE = ("local", "internal", "test", "localhost", "lan", "home", "corp", "svc", "consul", "mesh")
_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2")


def hidden_egress_filter(mesh: Mesh) -> Iterator[Found]:
    if mesh.spec.egress_filter is None and mesh.nodes:
        yield Found(mesh.key, "spec.egressFilter", "none is given: DROP_ALL is in force")


def external_backends(mesh: Mesh) -> Iterator[Found]:
    if mesh.spec.allows_all:
        return
    for service in mesh.services:
        if not mesh.calls_of.get(service):
            continue
        for target in mesh.targets(service):
            dns = mesh.by_dns(target.node)
            if dns and _is_outside(dns.hostname) and dns.hostname.lower() != service.lower():
                yield Found(
                    mesh.of(Kind.VIRTUAL_SERVICE, service),
                    "spec.provider",
                    f"requests to {service} leave the mesh for {dns.hostname}, with {service} as "
                    "their host",
                    f"name the virtual service {dns.hostname}",
                )


def _is_outside(host: str) -> bool:
    plain = host.rstrip(".").lower()
    try:
        return ip_address(plain).is_global
    except ValueError:
        return "." in plain and not set(plain.split(".")[1:]) & set(_INSIDE)


def logs_to_files(mesh: Mesh) -> Iterator[Found]:
    of_nodes = ((mesh.of(Kind.VIRTUAL_NODE, n), s.logging) for n, s in mesh.nodes.items())
    of_gateways = ((mesh.of(Kind.VIRTUAL_GATEWAY, n), s.logging) for n, s in mesh.gateways.items())
    for key, logging in (*of_nodes, *of_gateways):
        if logging and logging.access_log and logging.access_log.file.path not in _STREAMS:
            path = logging.access_log.file.path
            yield Found(key, "spec.logging.accessLog.file.path", f"requests are logged to {path}")


def many_backends(mesh: Mesh) -> Iterator[Found]:
    for name, spec in mesh.nodes.items():
        count = len(spec.backends or ())
        if count > MOST_BACKENDS:
            key = mesh.of(Kind.VIRTUAL_NODE, name)
            yield Found(key, "spec.backends", f"{name} has {count} backends")


CHECKS = (
    Check(
        "WEFT-701",
        "The mesh's egress filter is the hidden default",
        Severity.INFO,
        "Without an egress filter a mesh is DROP_ALL: workloads reach their backends and "
        "*.amazonaws.com, and nothing else.",
        "Say so with egressFilter: {type: DROP_ALL}, or let everything out with ALLOW_ALL.",
        hidden_egress_filter,
    ),
    Check(
        "WEFT-702",
        "A backend outside the mesh under another name",
        Severity.INFO,
        "The request keeps the host that the client wrote. A server elsewhere, or its certificate, "
        "often knows only its own name.",
        "Give the virtual service the host name of what it stands for, or set the egress filter to "
        "ALLOW_ALL and call it by that name.",
        external_backends,
    ),
    Check(
        "WEFT-703",
        "Requests are logged to a file",
        Severity.INFO,
        "Nobody turns the file over or collects it; it grows until the disk is full.",
        "Log to /dev/stdout.",
        logs_to_files,
    ),
    Check(
        "WEFT-704",
        "More than 50 backends",
        Severity.WARNING,
        "App Mesh allowed 50 for a virtual node; such a mesh cannot be moved back, and each "
        "backend costs its proxy memory.",
        "Split the workload, or list only what it calls.",
        many_backends,
    ),
)
