"""What a virtual node or gateway needs from the machine it runs on, read from the mesh (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weft.names import Key, Kind

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """A listener of a virtual node."""

    port: int
    protocol: str


@dataclass(frozen=True, slots=True, order=True)
class Backend:
    """One port of a virtual service that a virtual node may call."""

    service: str
    port: int
    protocol: str

    @property
    def by_proxy(self) -> bool:
        """
        HTTP/1.1 clients reach it through ``http_proxy``; others need a port of their own.

        Envoy refuses a proxy's request line whose host has an underscore.
        """
        return self.protocol == "http" and "_" not in self.service

    def __str__(self) -> str:
        return f"{self.service}:{self.port} ({self.protocol})"


@dataclass(frozen=True, slots=True)
class Needs:
    """All about a virtual node that a runner has to know."""

    listeners: tuple[Listener, ...] = ()
    backends: tuple[Backend, ...] = ()
    dangling: tuple[str, ...] = ()
    """Backends that lead nowhere yet: the service, its provider or its listeners are missing."""
    ip_preference: str | None = None
    """By which family it is called: its own preference, else its mesh's."""
    tls: tuple[int, ...] = ()
    """Listeners that clients reach by TLS."""


class Topology:
    """The resources of all meshes at one revision, by key."""

    def __init__(self, resources: Iterable[Json] = (), revision: int = -1) -> None:
        self.revision = revision
        self._specs: dict[Key, Json] = {
            Key.parse(str(each["key"])): each.get("spec") or {} for each in resources
        }

    def __bool__(self) -> bool:
        """Whether there is any resource at all."""
        return bool(self._specs)

    def needs(self, node: Key) -> Needs | None:
        """None while there is no such virtual node."""
        spec = self._specs.get(node)
        if spec is None:
            return None
        backends: list[Backend] = []
        dangling: list[str] = []
        for each in spec.get("backends") or ():
            service = str(each["virtualService"]["virtualServiceName"])
            found = [
                Backend(service, listener.port, listener.protocol)
                for listener in self._behind(Key(node.mesh, Kind.VIRTUAL_SERVICE, service))
            ]
            backends += found
            if not found:
                dangling.append(service)
        return Needs(
            tuple(sorted(_listeners(spec))),
            tuple(sorted(set(backends))),
            tuple(sorted(set(dangling))),
            self.ip_preference(node),
            tuple(sorted(_by_tls(spec))),
        )

    def ip_preference(self, node: Key) -> str | None:
        """App Mesh's words for it; None where neither the node nor its mesh says."""
        own = (self._specs.get(node) or {}).get("serviceDiscovery") or {}
        mesh = self._specs.get(Key.of_mesh(node.mesh)) or {}
        for found in (own.get("dns"), own.get("awsCloudMap"), mesh.get("serviceDiscovery")):
            if given := (found or {}).get("ipPreference"):
                return str(given)
        return None

    def host_names(self, mesh: str) -> Mapping[str, tuple[Key, ...]]:
        """Every name that DNS would know: the virtual nodes behind it."""
        found: dict[str, tuple[Key, ...]] = {}
        for key, spec in self._specs.items():
            if key.mesh == mesh and key.kind is Kind.VIRTUAL_NODE:
                dns = (spec.get("serviceDiscovery") or {}).get("dns") or {}
                if name := dns.get("hostname"):
                    found[str(name)] = (*found.get(str(name), ()), key)
        return found

    def _behind(self, service: Key) -> Iterator[Listener]:
        """The listeners of whatever provides a virtual service."""
        match (self._specs.get(service) or {}).get("provider"):
            case {"virtualNode": {"virtualNodeName": str(name)}}:
                provider = Key(service.mesh, Kind.VIRTUAL_NODE, name)
            case {"virtualRouter": {"virtualRouterName": str(name)}}:
                provider = Key(service.mesh, Kind.VIRTUAL_ROUTER, name)
            case _:
                return
        yield from _listeners(self._specs.get(provider) or {})


def _listeners(spec: Json) -> Iterator[Listener]:
    for each in spec.get("listeners") or ():
        mapping = each["portMapping"]
        yield Listener(int(mapping["port"]), str(mapping["protocol"]))


def _by_tls(spec: Json) -> Iterator[int]:
    for each in spec.get("listeners") or ():
        if (each.get("tls") or {}).get("mode") in ("STRICT", "PERMISSIVE"):
            yield int(each["portMapping"]["port"])
