"""
App Mesh's quotas: how much there may be of what. Unlimited unless asked for.

The defaults are AWS's own (Service Quotas, service code ``appmesh``); each can be
set to another number, or lifted, by its name (decision 0021).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Self

from weft.errors import CannotStart

UNLIMITED = "unlimited"

MESHES = "meshes"
VIRTUAL_NODES = "virtual-nodes"
VIRTUAL_SERVICES = "virtual-services"
VIRTUAL_ROUTERS = "virtual-routers"
VIRTUAL_GATEWAYS = "virtual-gateways"
ROUTES = "routes"
GATEWAY_ROUTES = "gateway-routes"
BACKENDS = "backends"
WEIGHTED_TARGETS = "weighted-targets"
ENVOYS_PER_NODE = "envoys-per-virtual-node"
ENVOYS_PER_GATEWAY = "envoys-per-virtual-gateway"

AWS: Mapping[str, int] = MappingProxyType(
    {
        MESHES: 15,  # per account
        VIRTUAL_NODES: 200,  # per mesh, and so the next three
        VIRTUAL_SERVICES: 200,
        VIRTUAL_ROUTERS: 200,
        VIRTUAL_GATEWAYS: 3,
        ROUTES: 50,  # per virtual router
        GATEWAY_ROUTES: 10,  # per virtual gateway
        BACKENDS: 50,  # per virtual node
        WEIGHTED_TARGETS: 10,  # per route
        ENVOYS_PER_NODE: 50,  # connected at the same time
        ENVOYS_PER_GATEWAY: 50,
    }
)


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quotas in force."""

    limits: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """As changes to none."""
        return ",".join(f"{name}={limit}" for name, limit in self.limits.items()) or "none"

    def of(self, name: str) -> int | None:
        """None is unlimited."""
        return self.limits.get(name)

    @classmethod
    def parse(cls, base: str, changes: str = "none") -> Self:
        """``none`` or ``aws``, and changes to it: ``none`` or ``meshes=20,routes=unlimited``."""
        if base not in ("none", "aws"):
            raise CannotStart(f"--quotas is {base!r}", fix="give none or aws")
        limits = dict(AWS) if base == "aws" else {}
        for item in (part.strip() for part in changes.split(",")):
            if item in ("", "none"):
                continue
            name, _, number = (part.strip() for part in item.partition("="))
            if name not in AWS:
                raise _unknown(name, AWS)
            if number == UNLIMITED:
                limits.pop(name, None)
            elif number.isascii() and number.isdecimal() and len(number) < 10:
                limits[name] = int(number)
            else:
                raise CannotStart(
                    f"--quota {name} is {number!r}, which is not a number",
                    fix=f"write it as --quota {name}={AWS[name]} or --quota {name}={UNLIMITED}",
                )
        return cls(MappingProxyType(limits))


def _unknown(name: str, known: Iterable[str]) -> CannotStart:
    known = tuple(known)
    near = get_close_matches(name, known, n=1)
    return CannotStart(
        f"there is no quota {name!r}",
        fix=f"did you mean {near[0]}?" if near else f"give one of {', '.join(known)}",
    )
