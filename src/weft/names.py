"""
Names that leave the process: one maker each, and an inverse.

Keys and ARNs are App Mesh's (user guide, "ARN formats"); listener, cluster and
route configuration names are the ones App Mesh gave to Envoy, so that
dashboards built on them keep working. ``View`` travels in Envoy's node metadata.

Two accounts may have meshes of one name. Inside, the mesh of an account other
than the control plane's own is ``name@account``, as App Mesh's node ids write
it; its own, and every mesh at the edge (ARNs, Envoy's names), is the bare name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from weft.errors import BadRequest

USER_HEADER = "X-Weft-User"
"""How a client says what its user is called on their machine; believed where anybody may call."""
DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-west-2"
KEY_PREFIX = "WEFT"
"""What every access key id that we make begins with."""


class Kind(StrEnum):
    """The seven kinds of App Mesh resource, as they are spelt in keys, ARNs and JSON."""

    MESH = "mesh"
    VIRTUAL_NODE = "virtualNode"
    VIRTUAL_SERVICE = "virtualService"
    VIRTUAL_ROUTER = "virtualRouter"
    ROUTE = "route"
    VIRTUAL_GATEWAY = "virtualGateway"
    GATEWAY_ROUTE = "gatewayRoute"

    # Every key is hashed all the time, and Enum's own hash is a call into Python.
    __hash__ = str.__hash__

    @property
    def parent(self) -> Kind | None:
        """The kind a resource of this kind lives in; a mesh lives in nothing."""
        return _PARENTS.get(self)

    @property
    def title(self) -> str:  # type: ignore[override]  # str.title is of no use on a kind
        """As App Mesh spells the kind in its messages: VirtualNode, GatewayRoute."""
        return self.value[0].upper() + self.value[1:]


_PARENTS = {
    Kind.VIRTUAL_NODE: Kind.MESH,
    Kind.VIRTUAL_SERVICE: Kind.MESH,
    Kind.VIRTUAL_ROUTER: Kind.MESH,
    Kind.VIRTUAL_GATEWAY: Kind.MESH,
    Kind.ROUTE: Kind.VIRTUAL_ROUTER,
    Kind.GATEWAY_ROUTE: Kind.VIRTUAL_GATEWAY,
}


def mesh_of(name: str, owner: str, home: str) -> str:
    """The mesh of an account, as keys have it; ``home`` is the control plane's own account."""
    return name if owner == home else f"{name}@{owner}"


def bare_name(mesh: str) -> str:
    """The mesh as its owner calls it."""
    return mesh.partition("@")[0]


def owner_of(mesh: str, home: str) -> str:
    """The account that a mesh belongs to."""
    return mesh.partition("@")[2] or home


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which App Mesh resource: ``mesh/M``, ``mesh/M/virtualNode/N``, ``mesh/M/virtualRouter/R/route/N``."""

    mesh: str
    kind: Kind
    name: str
    parent_name: str = ""
    """The virtual router of a route, the virtual gateway of a gateway route; else empty."""

    def __str__(self) -> str:
        if self.kind is Kind.MESH:
            return f"mesh/{self.mesh}"
        if self.parent_name:
            return f"mesh/{self.mesh}/{self.kind.parent}/{self.parent_name}/{self.kind}/{self.name}"
        return f"mesh/{self.mesh}/{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``str``; anything else is a BadRequest."""
        match text.split("/"):
            case ["mesh", mesh] if mesh:
                return cls(mesh, Kind.MESH, mesh)
            case ["mesh", mesh, kind, name] if mesh and name and kind in _CHILDREN_OF_MESH:
                return cls(mesh, Kind(kind), name)
            case ["mesh", mesh, "virtualRouter", parent, "route", name] if mesh and parent and name:
                return cls(mesh, Kind.ROUTE, name, parent)
            case ["mesh", mesh, "virtualGateway", parent, "gatewayRoute", name] if (
                mesh and parent and name
            ):
                return cls(mesh, Kind.GATEWAY_ROUTE, name, parent)
            case _:
                raise BadRequest(
                    f"not an App Mesh resource: {text!r}",
                    fix="write it as mesh/M, mesh/M/virtualNode/N or mesh/M/virtualRouter/R/route/N",
                )

    @classmethod
    def of_mesh(cls, mesh: str) -> Self:
        return cls(mesh, Kind.MESH, mesh)

    def within(self, mesh: str) -> Key:
        """The same resource of another mesh."""
        name = mesh if self.kind is Kind.MESH else self.name
        return Key(mesh, self.kind, name, self.parent_name)

    @property
    def shown(self) -> str:
        """The name as people gave it: without the owner, if it is a mesh."""
        return bare_name(self.name) if self.kind is Kind.MESH else self.name

    @property
    def parent(self) -> Key | None:
        """The resource this one lives in; None for a mesh."""
        match self.kind.parent:
            case None:
                return None
            case Kind.MESH:
                return Key(self.mesh, Kind.MESH, self.mesh)
            case kind:
                return Key(self.mesh, kind, self.parent_name)


_CHILDREN_OF_MESH = {kind.value for kind, parent in _PARENTS.items() if parent is Kind.MESH}


@dataclass(frozen=True, slots=True)
class Arn:
    """An Amazon resource name of the App Mesh service; it does not say who owns the mesh."""

    region: str
    account: str
    """Of the resource's owner."""
    key: Key
    partition: str = "aws"

    def __str__(self) -> str:
        key = self.key.within(bare_name(self.key.mesh))
        return f"arn:{self.partition}:appmesh:{self.region}:{self.account}:{key}"

    @classmethod
    def parse(cls, text: str) -> Self:
        match text.split(":", 5):
            case ["arn", partition, "appmesh", region, account, key]:
                return cls(region, account, Key.parse(key), partition)
            case _:
                raise BadRequest(f"not an App Mesh ARN: {text!r}")


@dataclass(frozen=True, slots=True, order=True)
class ProxyId:
    """
    The App Mesh resource a proxy stands for; all replicas of a workload share it.

    ``parse`` takes the forms App Mesh's management service took: the short form,
    the short form with the mesh owner (``mesh/M@123456789012/virtualNode/N``) and
    the full ARN, whose account is the resource's and says nothing of the mesh's.
    ``str`` gives the short form.
    """

    mesh: str
    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"mesh/{self.mesh}/{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        short = text.split(":", 5)[-1] if text.startswith("arn:") else text
        match short.split("/"):
            case ["mesh", mesh, ("virtualNode" | "virtualGateway") as kind, name] if mesh and name:
                return cls(mesh, Kind(kind), name)
            case _:
                raise BadRequest(
                    f"not a proxy id: {text!r}",
                    fix="write it as mesh/M/virtualNode/N or mesh/M/virtualGateway/N",
                )

    @property
    def key(self) -> Key:
        return Key(self.mesh, self.kind, self.name)


class Mode(StrEnum):
    """How a workload's traffic reaches its proxy."""

    TRANSPARENT = "transparent"
    """Redirected by the kernel to ports 15000 and 15001."""
    EXPLICIT = "explicit"
    """Sent there by the workload's own settings (http_proxy, addresses in its environment)."""


class Tracing(StrEnum):
    """Whether a proxy traces requests; the tracer itself is in its bootstrap."""

    OFF = "off"
    ON = "on"
    UNMARKED = "unmarked"
    """On, and the request id does not carry whether a request is traced."""


@dataclass(frozen=True, slots=True, order=True)
class IngressPort:
    """Where one listener of the virtual node is served in explicit mode."""

    listener: int
    """The port of the virtual node's listener, as App Mesh knows it."""
    socket: int
    """The port on 127.0.0.1 at which the proxy accepts for it."""
    app: int
    """The port on 127.0.0.1 at which the workload itself listens."""


@dataclass(frozen=True, slots=True, order=True)
class BackendPort:
    """The port on 127.0.0.1 that leads to one backend which ``http_proxy`` cannot reach."""

    service: str
    """Name of the virtual service."""
    listener: int
    """The port clients of the virtual service connect to, as App Mesh knows it."""
    socket: int


@dataclass(frozen=True, slots=True)
class Ports:
    """The sockets of one proxy in explicit mode. In transparent mode: the defaults."""

    ingress: tuple[IngressPort, ...] = ()
    egress: int = 15001
    backends: tuple[BackendPort, ...] = ()
    dns: int = 0
    """The UDP port on 127.0.0.1 at which the names of the mesh are answered; 0: nowhere."""


@dataclass(frozen=True, slots=True)
class View:
    """All that a snapshot may depend on besides the state."""

    proxy: ProxyId
    mode: Mode = Mode.TRANSPARENT
    ports: Ports = field(default_factory=Ports)
    metrics: bool = False
    """App Mesh's metrics extension is switched on for this proxy."""
    tracing: Tracing = Tracing.OFF
    sds: bool = True
    """A secret server is beside the proxy; of a stock image we cannot know, and believe it."""

    def to_metadata(self) -> dict[str, Any]:
        """The ``weft`` member of Envoy's node metadata, as JSON."""
        return {
            "mode": self.mode.value,
            "ports": {
                "ingress": [[p.listener, p.socket, p.app] for p in self.ports.ingress],
                "egress": self.ports.egress,
                "backends": [[p.service, p.listener, p.socket] for p in self.ports.backends],
                "dns": self.ports.dns,
            },
            "metrics": self.metrics,
            "tracing": self.tracing.value,
            "sds": self.sds,
        }

    @classmethod
    def from_metadata(cls, proxy: ProxyId, metadata: Mapping[str, Any]) -> Self:
        """The inverse; a proxy that says nothing is a stock image in transparent mode."""
        try:
            ports = metadata.get("ports", {})
            return cls(
                proxy,
                Mode(metadata.get("mode", Mode.TRANSPARENT)),
                Ports(
                    tuple(sorted(IngressPort(*map(int, p)) for p in ports.get("ingress", ()))),
                    int(ports.get("egress", 15001)),
                    tuple(
                        sorted(
                            BackendPort(str(service), int(listener), int(socket))
                            for service, listener, socket in ports.get("backends", ())
                        )
                    ),
                    int(ports.get("dns", 0)),
                ),
                bool(metadata.get("metrics", False)),
                Tracing(metadata.get("tracing", Tracing.OFF)),
                bool(metadata.get("sds", True)),
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise BadRequest(f"node metadata 'weft' of {proxy} cannot be read: {error}") from error


# --- App Mesh's names for what Envoy is given -------------------------------------------

VIRTUAL_SERVICE_HEADER = "x-app-mesh-virtual-service"
"""How a gateway tells its own egress the service, where the host stays as the client sent it."""
INGRESS_LISTENER = "lds_ingress_0.0.0.0_15000"
EGRESS_LISTENER = "lds_egress_0.0.0.0_15001"


def ingress_route_configuration(port: int) -> str:
    return f"rds_ingress_http_{port}"


def egress_route_configuration(port: int) -> str:
    return f"rds_egress_http_{port}"


def egress_cluster(mesh: str, node: str, protocol: str, port: int) -> str:
    """The cluster of another virtual node: the port is that of the target's listener."""
    return f"cds_egress_{bare_name(mesh)}_{node}_{protocol}_{port}"


def ingress_cluster(mesh: str, node: str, protocol: str, port: int) -> str:
    """The cluster that is the workload itself."""
    return f"cds_ingress_{bare_name(mesh)}_{node}_{protocol}_{port}"


def gateway_listener(port: int) -> str:
    """The listener of a virtual gateway, which is not redirected to."""
    return f"lds_ingress_0.0.0.0_{port}"


def gateway_redirect_cluster(mesh: str, gateway: str, protocol: str, port: int | None) -> str:
    """
    The way from a gateway's listener to its own egress.

    The listener's port is in it only where there are several (App Mesh user guide, "metrics").
    """
    listener = "" if port is None else f"{port}_"
    return f"cds_ingress_{bare_name(mesh)}_{gateway}_self_redirect_{listener}{protocol}_15001"


def backend_listener(service: str, port: int) -> str:
    """The local way to one backend in explicit mode, which App Mesh did not have."""
    return f"lds_egress_127.0.0.1_{service}_{port}"


def dns_listener(port: int) -> str:
    """Where the mesh's names are answered; App Mesh had nothing of the kind."""
    return f"lds_dns_127.0.0.1_{port}"


def backend_route_configuration(service: str, port: int) -> str:
    return f"rds_egress_http_{service}_{port}"


def self_redirect_cluster(mesh: str) -> str:
    """The proxy's own egress listener, for requests that come out of a tunnel."""
    return f"cds_egress_{bare_name(mesh)}_self-redirect"


def amazonaws_cluster(mesh: str) -> str:
    return f"cds_egress_{bare_name(mesh)}_amazonaws"


def allow_all_cluster(mesh: str) -> str:
    return f"cds_egress_{bare_name(mesh)}_mesh-allow-all"


@dataclass(frozen=True, slots=True)
class EgressCluster:
    """What the name of an egress cluster says, in a mesh that is known."""

    node: str
    protocol: str
    port: int


def parse_egress_cluster(mesh: str, name: str) -> EgressCluster | None:
    """The inverse of ``egress_cluster``; None for any other name."""
    prefix = re.escape(f"cds_egress_{bare_name(mesh)}_")
    found = re.fullmatch(rf"{prefix}(.+)_(http|http2|grpc|tcp)_([0-9]+)", name)
    return EgressCluster(found[1], found[2], int(found[3])) if found else None


# --- Secrets that a proxy is told ----------------------------------------------------------


def certificate_files(chain: str, key: str) -> str:
    """A certificate and its key, as the files they are in."""
    return f"certificate:{chain.replace('%', '%25').replace(':', '%3A')}:{key}"


def trust_file(path: str) -> str:
    """Authorities, as the file they are in."""
    return f"trust:{path}"


def parse_file_secret(name: str) -> tuple[str, ...]:
    """The inverse: chain and key, or the one file of authorities; empty for any other name."""
    match name.split(":", 2):
        case ["certificate", chain, key]:
            return chain.replace("%3A", ":").replace("%25", "%"), key
        case ["trust", *_]:
            return (name.removeprefix("trust:"),)
        case _:
            return ()


def trust_of(*arns: str) -> str:
    """Authorities by ARN, or what a certificate's clients trust, by the certificate's ARN."""
    return f"authorities:{','.join(arns)}"


SDS_CLUSTER = "static_cluster_sds_unix_socket"
"""App Mesh's name for the machine's own secret server, in Envoy's bootstrap."""
