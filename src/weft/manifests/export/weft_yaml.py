"""A mesh as a page of ``weft.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.manifests.export import text
from weft.manifests.export.exported import Exported, File, in_order


def files(resources: Sequence[Exported]) -> list[File]:
    """One page for one mesh."""
    mesh = resources[0].key.mesh
    listed = [_resource(each) for each in in_order(resources)]
    return [File("weft.yaml", text.document({"mesh": mesh, "resources": listed}))]


def _resource(each: Exported) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": each.key.kind.value}
    found |= {name: value for name, value in each.names.items() if name != "meshName"}
    found["spec"] = each.spec
    if each.tags:
        found["tags"] = [{"key": key, "value": value} for key, value in each.tags]
    return found
