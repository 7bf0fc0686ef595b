"""The catalogue: every check there is, and all of them applied to a state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weft.checks import (
    discovery,
    gateways,
    ports,
    proposal,
    proxies,
    references,
    routes,
    timeouts,
    tls,
    traffic,
)
from weft.checks.finding import Check, Finding, Severity
from weft.checks.proposal import Refusal
from weft.checks.proxies import Live, Observed
from weft.checks.scope import Mesh
from weft.names import Kind
from weft.store.state import MeshState

OF_DEFINITIONS: tuple[Check[Iterable[Refusal]], ...] = proposal.CHECKS
"""For what is not in force yet."""
OF_MESHES: tuple[Check[Mesh], ...] = (
    *references.CHECKS,
    *ports.CHECKS,
    *routes.CHECKS,
    *timeouts.CHECKS,
    *tls.CHECKS,
    *discovery.CHECKS,
    *traffic.CHECKS,
    *gateways.CHECKS,
)
"""For a state, whoever is connected."""
OF_PROXIES: tuple[Check[Live], ...] = proxies.CHECKS
"""For what proxies report."""
CATALOGUE: tuple[Check[Any], ...] = (*OF_DEFINITIONS, *OF_MESHES, *OF_PROXIES)
BY_CODE = {each.code: each for each in CATALOGUE}

THEMES = (
    ("Definitions", OF_DEFINITIONS),
    ("Names", references.CHECKS),
    ("Ports and protocols", ports.CHECKS),
    ("Routes", routes.CHECKS),
    ("Timeouts and retries", timeouts.CHECKS),
    ("TLS", tls.CHECKS),
    ("Discovery and health", discovery.CHECKS),
    ("Egress, logs and limits", traffic.CHECKS),
    ("Gateways", gateways.CHECKS),
    ("Proxies", OF_PROXIES),
)


def check(
    state: MeshState, *, mesh: str | None = None, observed: Observed | None = None
) -> tuple[Finding, ...]:
    """Everything that is found in a state, and among its proxies where they are known."""
    found: list[Finding] = []
    for each in state.children(None, Kind.MESH):
        if mesh in (None, each.key.name):
            found += _applied(OF_MESHES, Mesh(state, each.key.name))
    if observed is not None:
        found += _applied(OF_PROXIES, Live(state, observed, mesh))
    return in_order(found)


def refused(refusals: Iterable[Refusal]) -> tuple[Finding, ...]:
    """The reasons against definitions, as findings."""
    return in_order(_applied(OF_DEFINITIONS, tuple(refusals)))


def in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """By area, the worst first; each once."""
    return tuple(sorted(dict.fromkeys(found), key=lambda each: each.order))


def counts(found: Iterable[Finding]) -> dict[str, int]:
    """How many there are of each severity."""
    counted = dict.fromkeys(map(str, Severity), 0)
    for each in found:
        counted[each.severity.value] += 1
    return counted


def _applied(checks: Iterable[Check[Any]], scope: Any) -> list[Finding]:
    return [Finding.of(each, found) for each in checks for found in each.find(scope)]
