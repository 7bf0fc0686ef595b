"""
What one replica is started with: its ports, its environment, its arguments (pure).

First the demand is worked out from the workload and its virtual node, then ports
are allocated for it, then everything is written down as a plan.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from weft.local.addressing import FAMILIES, OWN_NAME_SERVER, Home
from weft.local.topology import Backend, Needs
from weft.manifests.template import BackendOf, Bind, Placeholder, PortOf, Python, ReplicaNumber
from weft.manifests.workload import Workload
from weft.names import BackendPort, IngressPort, Key, Kind, Mode, Ports

LOOPBACK = "127.0.0.1"
NO_PROXY = "127.0.0.1,localhost,::1"
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
_FOR_SIDECARS = (
    "WEFT_ENVOY",
    "WEFT_CONCURRENCY",
    "WEFT_DRAIN_TIME",
    "WEFT_EGRESS_IGNORED_PORTS",
    "WEFT_EGRESS_IGNORED_IPS",
)


class NotYet(Exception):
    """A replica cannot be started as things stand; the message says what it waits for."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The ports that a replica needs; a number is a port that is fixed."""

    apps: tuple[tuple[int, int | None], ...]
    """Listener, and the port the app insists on."""
    ingress: tuple[tuple[int, int | None], ...] = ()
    """Listener, and the fixed port of the sidecar."""
    backends: tuple[Backend, ...] = ()
    """Those that need a port of their own."""
    egress: bool = False
    at_own_ports: bool = False
    """Outside is to find the listeners at their own ports, as far as these are free."""

    @property
    def fixed(self) -> tuple[int, ...]:
        return tuple(port for _, port in (*self.apps, *self.ingress) if port is not None)


@dataclass(frozen=True, slots=True)
class Allocation:
    """A demand with a port for everything."""

    apps: Mapping[int, int]
    """Where the app listens, by listener."""
    sidecar: Ports | None = None

    @property
    def app_ports(self) -> tuple[int, ...]:
        return tuple(self.apps.values())

    @property
    def sidecar_ports(self) -> tuple[int, ...]:
        if self.sidecar is None:
            return ()
        ingress = (each.socket for each in self.sidecar.ingress)
        backends = (each.socket for each in self.sidecar.backends)
        return (*ingress, *backends, self.sidecar.egress)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything needed to start one replica."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    directory: Path
    allocation: Allocation
    needs: Needs
    sidecar: tuple[str, ...] | None
    """The sidecar's arguments; None for a workload without one."""
    node: Key | None
    addresses: Mapping[str, str]
    """What is registered: the address at which each listener is reached."""
    forwards: tuple[tuple[int, int], ...] = ()
    """Ports of the machine's 127.0.0.1, and the ports of an isolated workload they lead to."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a replica is started: what all replicas of a runner share, and its own files."""

    instance: str
    xds: str
    data: Path
    ready_file: Path
    apps_file: Path
    environment: Mapping[str, str] = field(repr=False)
    home: Home | None = None
    """Its addresses, where it has a network namespace of its own."""
    published: tuple[tuple[int, int], ...] = ()
    """Listener, and the port of the machine at which it is to be reached."""


def name_of(workload: Workload, replica: int) -> str:
    """``web``, or ``web/0`` where there are several."""
    return workload.name if workload.replicas == 1 else f"{workload.name}/{replica}"


def instance_of(workload: Workload, replica: int, side: int = 0) -> str:
    """
    The same on every start, so that a replica takes the place of the one it follows.

    ``side``: 1 for one that runs beside it, and then in its place.
    """
    return f"{workload.name}-{replica}-b" if side else f"{workload.name}-{replica}"


def demand(workload: Workload, needs: Needs | None) -> Demand:
    """What a replica needs ports for; NotYet while its virtual node does not allow an answer."""
    if workload.node is not None and needs is None:
        raise NotYet(f"{workload.stands_for} of mesh {workload.node.mesh}")
    needs = needs or Needs()
    known = [listener.port for listener in needs.listeners]
    if workload.is_gateway:
        return Demand((), _ingress(workload, known), egress=True, at_own_ports=True)
    if workload.ports is None:
        apps: tuple[tuple[int, int | None], ...] = tuple((port, None) for port in known)
    else:
        apps = tuple((port.listener, port.fixed) for port in workload.ports)
        for listener, _ in apps:
            if workload.node is not None and listener not in known:
                raise NotYet(f"a listener {listener} of virtual node {workload.node.name}")
    if not workload.sidecar:
        return Demand(apps)
    return Demand(
        apps,
        _ingress(workload, [listener for listener, _ in apps]),
        tuple(backend for backend in needs.backends if not backend.by_proxy),
        egress=True,
    )


def _ingress(workload: Workload, listeners: list[int]) -> tuple[tuple[int, int | None], ...]:
    fixed: dict[int, int] = {}
    for ingress in workload.ingress:
        listener = ingress.listener
        if listener is None:
            if len(listeners) != 1:
                kind = "gateway" if workload.is_gateway else "node"
                raise NotYet(
                    f"a virtual {kind} with one listener, to serve it at {ingress.port} "
                    f"(it has {len(listeners)})"
                )
            listener = listeners[0]
        elif listener not in listeners:
            raise NotYet(f"a listener {listener}, to serve it at {ingress.port}")
        fixed[listener] = ingress.port
    return tuple((listener, fixed.get(listener)) for listener in listeners)


def allocation(
    demand: Demand, take: Callable[[], int], own: Callable[[int], int] | None = None
) -> Allocation:
    """A port for everything that a demand leaves open; ``own`` gives this very port, or another."""

    def open_at(listener: int) -> int:
        return own(listener) if own is not None and demand.at_own_ports else take()

    apps = {listener: fixed or take() for listener, fixed in demand.apps}
    if not demand.egress:
        return Allocation(apps)
    return Allocation(
        apps,
        Ports(
            tuple(
                sorted(
                    IngressPort(listener, fixed or open_at(listener), apps.get(listener, 0))
                    for listener, fixed in demand.ingress
                )
            ),
            take(),
            tuple(
                sorted(
                    BackendPort(backend.service, backend.port, take())
                    for backend in demand.backends
                )
            ),
        ),
    )


def alone(demand: Demand) -> Allocation:
    """In a namespace of its own every app has the very port it wants."""
    return Allocation({listener: fixed or listener for listener, fixed in demand.apps})


def plan(
    workload: Workload, replica: int, needs: Needs | None, ports: Allocation, place: Place
) -> Plan:
    """Write everything down; NotYet when a placeholder cannot be filled in as things stand."""
    needs = needs or Needs()

    def value(placeholder: Placeholder) -> str:
        match placeholder:
            case PortOf(listener):
                if listener not in ports.apps:
                    raise NotYet(f"a listener {listener}, for {placeholder}")
                return str(ports.apps[listener])
            case BackendOf(service, port):
                return _backend_address(placeholder, service, port, needs, ports.sidecar)
            case ReplicaNumber():
                return str(replica)
            case Python():
                return sys.executable
            case Bind():
                return _bind(place.home)

    environment = dict(place.environment)
    # What is written to a pipe would else be seen only when a buffer is full.
    environment.setdefault("PYTHONUNBUFFERED", "1")
    if place.home is not None:
        # One of the machine's would be asked for the mesh's names, and does not know them.
        for name in _PROXY_VARIABLES:
            environment.pop(name, None)
            environment.pop(name.upper(), None)
    environment |= _mesh_environment(needs, ports.sidecar, isolated=place.home is not None)
    for name, template in workload.env:
        if template is None:
            environment.pop(name, None)
        else:
            environment[name] = template.render(value)
    return Plan(
        command=tuple(word.render(value) for word in workload.command),
        environment=environment,
        directory=workload.directory,
        allocation=ports,
        needs=needs,
        sidecar=_sidecar(workload, ports.sidecar, place),
        node=workload.node,
        # Nobody inside the mesh calls a gateway.
        addresses={}
        if workload.node is None or workload.is_gateway
        else _addresses(ports, place.home, needs),
        forwards=tuple(
            (socket, ports.apps.get(listener, listener)) for listener, socket in place.published
        ),
    )


def sidecar_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The runner's own, less what would speak of another proxy or of the runner."""
    return {
        name: value
        for name, value in environment.items()
        if name in _FOR_SIDECARS or not name.startswith(("WEFT_", "APPMESH_"))
    }


def _bind(home: Home | None) -> str:
    if home is None:
        return LOOPBACK
    return "::" if home.ipv6 else "0.0.0.0"


def _mesh_environment(needs: Needs, sidecar: Ports | None, *, isolated: bool) -> dict[str, str]:
    if isolated:
        return {backend_variable(each): _address(each, None) for each in needs.backends}
    if sidecar is None:
        return {}
    proxy = f"http://{LOOPBACK}:{sidecar.egress}"
    found = {
        # curl reads the lower case only, others the upper.
        "http_proxy": proxy,
        "HTTP_PROXY": proxy,
        "no_proxy": NO_PROXY,
        "NO_PROXY": NO_PROXY,
    }
    for backend in needs.backends:
        found[backend_variable(backend)] = _address(backend, sidecar)
    return found


def backend_variable(backend: Backend) -> str:
    """``WEFT_BACKEND_TCPECHO_MYAPP_LOCAL_2701``."""
    return f"WEFT_BACKEND_{re.sub('[^A-Za-z0-9]', '_', backend.service).upper()}_{backend.port}"


def _backend_address(
    placeholder: Placeholder, service: str, port: int | None, needs: Needs, sidecar: Ports | None
) -> str:
    found = [
        backend
        for backend in needs.backends
        if backend.service == service and port in (None, backend.port)
    ]
    if not found:
        raise NotYet(
            f"virtual service {service} to lead somewhere, for {placeholder}"
            if service in needs.dangling
            else f"a backend {service}{f' with port {port}' if port else ''}, for {placeholder}"
        )
    if len(found) > 1:
        ports = ", ".join(str(backend.port) for backend in found)
        raise NotYet(
            f"{placeholder} to name one of the ports {ports}, as in ${{backend.{service}:{found[0].port}}}"
        )
    return _address(found[0], sidecar)


def _address(backend: Backend, sidecar: Ports | None) -> str:
    for each in sidecar.backends if sidecar else ():
        if (each.service, each.listener) == (backend.service, backend.port):
            return f"{LOOPBACK}:{each.socket}"
    return f"{backend.service}:{backend.port}"


def _sidecar(workload: Workload, ports: Ports | None, place: Place) -> tuple[str, ...] | None:
    if workload.node is None or not workload.sidecar:
        return None
    arguments = [
        *("--proxy", str(workload.node)),
        *("--instance", place.instance),
        *("--mode", (Mode.TRANSPARENT if ports is None else Mode.EXPLICIT).value),
        *("--xds", place.xds),
        *("--data", str(place.data)),
        *("--ready-file", str(place.ready_file)),
    ]
    if ports is None:
        redirected = ("--intercept", "--dns", OWN_NAME_SERVER)
        return tuple(arguments) if workload.is_gateway else (*arguments, *redirected)
    arguments += ["--egress", str(ports.egress)]
    if not workload.is_gateway:
        arguments += ["--apps", str(place.apps_file)]
    for ingress in ports.ingress:
        app = f":{ingress.app}" if ingress.app else ""
        arguments += ["--ingress", f"{ingress.listener}={ingress.socket}{app}"]
    for backend in ports.backends:
        arguments += ["--backend", f"{backend.service}:{backend.listener}={backend.socket}"]
    return tuple(arguments)


def _addresses(ports: Allocation, home: Home | None, needs: Needs) -> dict[str, str]:
    if home is not None:
        v6 = FAMILIES.get(needs.ip_preference, FAMILIES[None]).v6_first
        return {str(listener): home.at(app, v6=v6) for listener, app in ports.apps.items()}
    if ports.sidecar is None:
        return {str(listener): f"{LOOPBACK}:{app}" for listener, app in ports.apps.items()}
    return {str(each.listener): f"{LOOPBACK}:{each.socket}" for each in ports.sidecar.ingress}


def outgrown(plan: Plan, needs: Needs | None) -> list[str]:
    """How what a replica stands for has changed since it was started, in sentences."""
    if needs is None:
        gateway = plan.node is not None and plan.node.kind is Kind.VIRTUAL_GATEWAY
        return [f"its virtual {'gateway' if gateway else 'node'} is gone"]
    said = []
    for backend in sorted(set(needs.backends) - set(plan.needs.backends)):
        if backend.by_proxy:
            said.append(f"new backend {backend}, reached through http_proxy")
        elif plan.sidecar is not None:
            said.append(f"new backend {backend} needs a port of its own: restart the workload")
    served = {*plan.allocation.apps, *(target for _, target in plan.forwards)}
    if plan.allocation.sidecar is not None:
        served |= {each.listener for each in plan.allocation.sidecar.ingress}
    for listener in sorted(set(needs.listeners) - set(plan.needs.listeners)):
        if listener.port not in served:
            said.append(f"new listener {listener.port} is not served: restart the workload")
    return said
