"""What the proxies really do: requests to each target, counted at the proxies that send them."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weft.cli.proxies import id_of, is_connected
from weft.cli.shares import difference
from weft.clock import Clock
from weft.names import parse_egress_cluster

WINDOW = 3.0
ENOUGH = 200
_STEP = 0.25
_PATIENCE = 2.0

Reading = Mapping[str, int]
"""Requests so far, by cluster."""
Read = Callable[[str], Reading | None]


@dataclass(frozen=True, slots=True)
class Observation:
    """Requests to each virtual node within one window."""

    counts: Mapping[str, int]
    seconds: float
    proxies: int
    """How many proxies sent to one of the targets and could be read."""
    silent: tuple[str, ...] = ()
    """The status addresses that did not answer."""

    @property
    def requests(self) -> int:
        return sum(self.counts.values())


def observe(
    proxies: Iterable[Mapping[str, Any]],
    mesh: str,
    nodes: Sequence[str],
    clock: Clock,
    *,
    read: Read | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Observation:
    """Read every proxy of the mesh twice; stop early once enough requests went by."""
    read = read or read_clusters
    wanted = frozenset(nodes)
    first: dict[str, Reading] = {}
    silent: list[str] = []
    started = clock.monotonic()
    for address in _addresses(proxies, mesh):
        reading = read(address)
        if reading is None:
            silent.append(address)
        elif any(_node(mesh, cluster) in wanted for cluster in reading):
            first[address] = reading
    counts: Counter[str] = Counter(dict.fromkeys(nodes, 0))
    while first:
        pause(_STEP)
        counts = Counter(dict.fromkeys(nodes, 0))
        for address, before in first.items():
            for cluster, requests in difference(before, read(address) or before).items():
                if (node := _node(mesh, cluster)) in wanted:
                    counts[str(node)] += requests
        if sum(counts.values()) >= ENOUGH or clock.monotonic() - started >= WINDOW:
            break
    return Observation(dict(counts), clock.monotonic() - started, len(first), tuple(silent))


def _addresses(proxies: Iterable[Mapping[str, Any]], mesh: str) -> list[str]:
    return [
        str(proxy["statusAddress"])
        for proxy in proxies
        if is_connected(proxy)
        and proxy.get("statusAddress")
        and (found := id_of(proxy)) is not None
        and found.mesh == mesh
    ]


def _node(mesh: str, cluster: str) -> str | None:
    found = parse_egress_cluster(mesh, cluster)
    return found.node if found else None


def read_clusters(address: str) -> Reading | None:
    """Requests so far, as a sidecar's status page counts them; None where there is no page."""
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE)
    try:
        connection.request("GET", "/clusters", headers={"Accept": "application/json"})
        response = connection.getresponse()
        found = json.loads(response.read())
        if response.status != 200:
            return None
        return {name: int(each.get("requests", 0)) for name, each in found.items()}
    except (OSError, http.client.HTTPException, ValueError, AttributeError, TypeError):
        return None
    finally:
        connection.close()
