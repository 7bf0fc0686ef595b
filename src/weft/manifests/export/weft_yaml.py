"""A mesh as a page of ``weft.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weft.manifests.export import text
from weft.manifests.export.exported import Exported, File, in_order


def files(resources: Sequence[Exported], policies: Sequence[Mapping[str, Any]] = ()) -> list[File]:
    """One page for one mesh; ``policies`` as the API lists them."""
    mesh = resources[0].key.mesh
    page: dict[str, Any] = {"mesh": mesh}
    page["resources"] = [_resource(each) for each in in_order(resources)]
    if policies:
        page["policies"] = [_policy(each, mesh) for each in policies]
    return [File("weft.yaml", text.document(page))]


def _policy(each: Mapping[str, Any], mesh: str) -> dict[str, Any]:
    about = str(each["for"])
    own = f"mesh/{mesh}"
    within = "mesh" if about == own else about.removeprefix(f"{own}/")
    return {**each, "for": within}


def _resource(each: Exported) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": each.key.kind.value}
    found |= {name: value for name, value in each.names.items() if name != "meshName"}
    found["spec"] = each.spec
    if each.tags:
        found["tags"] = [{"key": key, "value": value} for key, value in each.tags]
    return found
