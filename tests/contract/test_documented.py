"""Every request that can be made is in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

from tests.contract.served import Served
from weft.api.appmesh.operations import OPERATIONS
from weft.api.weft.routes import routes

DOCS = Path(__file__).parents[2] / "docs"


def test_every_app_mesh_operation_is_described() -> None:
    text = (DOCS / "app-mesh-api.md").read_text()
    assert [each.name for each in OPERATIONS if f"`{each.name}`" not in text] == []


def test_the_table_of_our_own_requests_is_the_table_of_routes(weft: Served) -> None:
    text = (DOCS / "weft-api.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z]+ /weft/v1/[^`?]+)", text, re.MULTILINE))
    served = {f"{each.method} {each.path.replace('*', '')}" for each in routes(weft.parts)}
    assert documented == served
