"""The rule for the names of client policies: app-mesh.md, 2.2 (App Mesh's user guide)."""

from __future__ import annotations

from collections.abc import Iterator

from weft.errors import Problem
from weft.model.tls import BackendDefaults, ClientPolicy
from weft.model.virtual_node import VirtualNodeSpec


def wildcard_problems(
    defaults: BackendDefaults | None, node: VirtualNodeSpec | None = None
) -> Iterator[Problem]:
    """A wildcard is accepted only where the policy is not enforced."""
    if defaults is not None:
        yield from _of_policy("spec.backendDefaults.clientPolicy", defaults.client_policy)
    for i, backend in enumerate((node and node.backends) or ()):
        place = f"spec.backends[{i}].virtualService.clientPolicy"
        yield from _of_policy(place, backend.virtual_service.client_policy)


def _of_policy(place: str, policy: ClientPolicy | None) -> Iterator[Problem]:
    tls = policy.tls if policy is not None else None
    if tls is None or tls.enforce is False:
        return
    names = tls.validation.subject_alternative_names
    for i, name in enumerate(names.match.exact if names is not None else ()):
        if name.startswith("*."):
            yield Problem(
                f"{place}.tls.validation.subjectAlternativeNames.match.exact[{i}]",
                f"{name!r} is accepted only with enforce: false; name the subjects one by one",
            )
