"""
Meshes to measure with: so many services, and the proxies that call some of them.

Every service is a virtual service, its router, a route with two weighted targets and
a virtual node found by DNS, all on one port. Every proxy is a virtual node with a
listener and ten backends of its own choice, so that in general no two proxies have the
same route configuration. Two services are special: everybody calls ``EVERYBODYS``, and
only the first proxy calls ``LONE``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.fleet import Simulated
from weft.names import Kind, ProxyId, View

PORT = 9080
EVERYBODYS = 0
LONE = 2
_FIRST_ORDINARY = 4
"""Targets come in pairs (0 and 1, 2 and 3), and a pair of a special service is nobody else's."""
_BACKENDS = 10

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh of so many services."""

    name: str
    services: int

    def definitions(self) -> Iterator[Resource]:
        """What ``POST /weft/v1/apply`` takes, those first that others name."""
        yield self._resource(Kind.MESH, spec={"egressFilter": {"type": "DROP_ALL"}})
        for i in range(self.services):
            yield self._resource(
                Kind.VIRTUAL_NODE,
                virtualNodeName=node(i),
                spec={
                    "listeners": [_LISTENER],
                    "serviceDiscovery": {"dns": {"hostname": f"{node(i)}.bench.local"}},
                },
            )
        for i in range(self.services):
            yield self._resource(
                Kind.VIRTUAL_ROUTER, virtualRouterName=router(i), spec={"listeners": [_LISTENER]}
            )
        for i in range(self.services):
            yield self._resource(
                Kind.VIRTUAL_SERVICE,
                virtualServiceName=service(i),
                spec={"provider": {"virtualRouter": {"virtualRouterName": router(i)}}},
            )
        for i in range(self.services):
            yield self._resource(
                Kind.ROUTE, virtualRouterName=router(i), routeName=ROUTE, spec=route(i, weight=50)
            )

    def callers(self, numbers: range, replicas: int) -> Iterator[Resource]:
        """The virtual nodes behind these proxies."""
        for i in dict.fromkeys(caller(number, replicas) for number in numbers):
            yield self._resource(
                Kind.VIRTUAL_NODE,
                virtualNodeName=f"caller-{i}",
                spec={
                    "listeners": [_LISTENER],
                    "backends": [
                        {"virtualService": {"virtualServiceName": service(each)}}
                        for each in self._backends(i)
                    ],
                    "serviceDiscovery": {"dns": {"hostname": f"caller-{i}.bench.local"}},
                },
            )

    def proxies(self, numbers: range, replicas: int) -> Iterator[Simulated]:
        """The proxies themselves."""
        for number in numbers:
            name = f"caller-{caller(number, replicas)}"
            view = View(ProxyId(self.name, Kind.VIRTUAL_NODE, name))
            yield Simulated(view, f"proxy-{number}")

    def _backends(self, caller: int) -> list[int]:
        chosen = [EVERYBODYS] + ([LONE] if caller == 0 else [])
        ordinary = range(_FIRST_ORDINARY, self.services)
        # The same at every run: a mesh must not be quick by chance.
        chance = random.Random(f"{self.services}/{caller}")
        return chosen + chance.sample(ordinary, _BACKENDS - len(chosen))

    def _resource(self, kind: Kind, **members: Any) -> Resource:
        return {"kind": kind.value, "meshName": self.name, **members}


def caller(number: int, replicas: int) -> int:
    """Which virtual node a proxy stands for; the first proxy has one of its own."""
    return 0 if number == 0 else 1 + (number - 1) // replicas


def node(i: int) -> str:
    return f"node-{i}"


def router(i: int) -> str:
    return f"router-{i}"


def service(i: int) -> str:
    return f"service-{i}.bench.local"


ROUTE = "all"


def route(i: int, *, weight: int) -> Resource:
    """A route that sends so many of a hundred requests to its service's own node."""
    return {
        "httpRoute": {
            "match": {"prefix": "/"},
            "action": {
                "weightedTargets": [
                    {"virtualNode": node(i), "weight": weight},
                    {"virtualNode": node(i ^ 1), "weight": 100 - weight},
                ]
            },
        }
    }


_LISTENER = {"portMapping": {"port": PORT, "protocol": "http"}}
