"""The catalogue: every check there is, and all of them applied to a state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weft.checks import (
    by_arn,
    certificates,
    discovery,
    gateways,
    policies,
    ports,
    proposal,
    proxies,
    references,
    routes,
    timeouts,
    tls,
    traffic,
)
from weft.checks.finding import Area, Check, Finding
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
    *by_arn.CHECKS,
    *discovery.CHECKS,
    *traffic.CHECKS,
    *policies.CHECKS,
    *gateways.CHECKS,
)
"""For a state, whoever is connected."""
OF_PROXIES: tuple[Check[Live], ...] = (
    *proxies.CHECKS,
    *certificates.OF_PROXIES,
    *by_arn.OF_PROXIES,
)
"""For what proxies report."""
CATALOGUE: tuple[Check[Any], ...] = (*OF_DEFINITIONS, *OF_MESHES, *OF_PROXIES)
STANDING = frozenset(each.code for each in CATALOGUE if each not in OF_DEFINITIONS)
"""The codes of what can be found in what is in force."""
PROPOSED = frozenset(each.code for each in CATALOGUE if each not in OF_PROXIES)
"""The codes of what can be found in definitions that are not."""
BY_CODE = {each.code: each for each in CATALOGUE}

THEMES: tuple[tuple[str, tuple[Check[Any], ...]], ...] = (
    ("Definitions", OF_DEFINITIONS),
    ("Names", references.CHECKS),
    ("Ports and protocols", ports.CHECKS),
    ("Routes", routes.CHECKS),
    ("Timeouts and retries", timeouts.CHECKS),
    ("TLS", tls.CHECKS),
    ("Certificates by ARN", (*by_arn.CHECKS, *certificates.OF_PROXIES, *by_arn.OF_PROXIES)),
    ("Discovery and health", discovery.CHECKS),
    ("Egress, logs and limits", traffic.CHECKS),
    ("Policies", policies.CHECKS),
    ("Gateways", gateways.CHECKS),
    ("Proxies", proxies.CHECKS),
)


def check(state: MeshState, mesh: str | None = None) -> tuple[Finding, ...]:
    """Everything that is found in a state: in one mesh, or in all of them."""
    found: list[Finding] = []
    for each in state.children(None, Kind.MESH):
        if mesh in (None, each.key.name):
            found += _applied(OF_MESHES, Mesh(state, each.key.name))
    return in_order(found)


def check_proxies(
    state: MeshState, observed: Observed, mesh: str | None = None
) -> tuple[Finding, ...]:
    """Everything that is found among the proxies."""
    return in_order(_applied(OF_PROXIES, Live(state, observed, mesh)))


def told_once(found: Iterable[Finding]) -> list[Finding]:
    """Without what proxies report of places that a check of the mesh has found already."""
    found = list(found)
    places: dict[str, list[str]] = {}
    for each in found:
        if each.area is Area.CONFIGURATION and each.path:
            places.setdefault(each.key, []).append(each.path)
    return [
        each
        for each in found
        if each.code != proxies.UNFULFILLED
        or not each.path
        or not any(path.startswith(each.path) for path in places.get(each.key, ()))
    ]


def refused(refusals: Iterable[Refusal]) -> tuple[Finding, ...]:
    """The reasons against definitions, as findings."""
    return in_order(_applied(OF_DEFINITIONS, tuple(refusals)))


def in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """By area, the worst first; each once."""
    return tuple(sorted(dict.fromkeys(found), key=lambda each: each.order))


def _applied(checks: Iterable[Check[Any]], scope: Any) -> list[Finding]:
    return [Finding.of(each, found) for each in checks for found in each.find(scope)]
