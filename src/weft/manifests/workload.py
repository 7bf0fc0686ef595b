"""A workload of a ``weft.yaml``: what is run, as which virtual node or gateway, how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from weft.manifests.template import Placeholder, Template
from weft.names import Key, Kind


@dataclass(frozen=True, slots=True)
class Ingress:
    """A fixed port at which the sidecar's ingress listener is reached."""

    listener: int | None
    """The virtual node's listener; None stands for the only one it has."""
    port: int


@dataclass(frozen=True, slots=True)
class AppPort:
    """Where the app listens for one listener of its virtual node."""

    listener: int
    fixed: int | None = None
    """The port that the app insists on; None lets the runner choose a free one."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One program that is run, with a sidecar beside each replica of it."""

    name: str
    command: tuple[Template, ...]
    """Empty for a virtual gateway, which is a sidecar alone."""
    source: str
    """``file:line``."""
    directory: Path
    env: tuple[tuple[str, Template | None], ...] = ()
    """None takes a variable out of the environment."""
    node: Key | None = None
    """
    The virtual node or virtual gateway it stands for; None for a program that is no part of
    the mesh.
    """
    replicas: int = 1
    ports: tuple[AppPort, ...] | None = None
    """None: one for each listener of the virtual node."""
    ingress: tuple[Ingress, ...] = ()
    sidecar: bool = True

    @property
    def is_gateway(self) -> bool:
        return self.node is not None and self.node.kind is Kind.VIRTUAL_GATEWAY

    @property
    def stands_for(self) -> str:
        """``virtual node web-vn``, for sentences."""
        if self.node is None:
            return "no part of a mesh"
        kind = "virtual gateway" if self.is_gateway else "virtual node"
        return f"{kind} {self.node.name}"

    @property
    def placeholders(self) -> Iterator[Placeholder]:
        for template in (*self.command, *(value for _, value in self.env if value)):
            yield from template.placeholders


def node_key(mesh: str, name: str) -> Key:
    return Key(mesh, Kind.VIRTUAL_NODE, name)


def gateway_key(mesh: str, name: str) -> Key:
    return Key(mesh, Kind.VIRTUAL_GATEWAY, name)
