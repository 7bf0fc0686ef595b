"""Every request that can be made is in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

from tests.contract.served import Served
from weft.api.appmesh.operations import OPERATIONS
from weft.api.cloudformation import refusals
from weft.api.cloudformation.engine import Stacks
from weft.api.cloudformation.surface import surface as cloudformation
from weft.api.cloudmap.surface import OPERATIONS as CLOUD_MAP
from weft.api.weft.routes import routes
from weft.api.weft.stacks import routes as stack_routes
from weft.discovery import cloud_map_errors

DOCS = Path(__file__).parents[2] / "docs"


def test_every_app_mesh_operation_is_described() -> None:
    text = (DOCS / "app-mesh-api.md").read_text()
    assert [each.name for each in OPERATIONS if f"`{each.name}`" not in text] == []


def test_every_operation_and_error_of_cloud_map_is_described() -> None:
    text = (DOCS / "cloud-map.md").read_text()
    classes = [each for each in vars(cloud_map_errors).values() if isinstance(each, type)]
    codes = {each.code for each in classes if each.__module__ == cloud_map_errors.__name__}
    codes.discard(cloud_map_errors.Told.code)
    assert [name for name in (*CLOUD_MAP, *sorted(codes)) if f"`{name}`" not in text] == []


def test_every_operation_and_error_of_cloudformation_is_described(weft: Served) -> None:
    text = (DOCS / "cloudformation.md").read_text()
    classes = [each for each in vars(refusals).values() if isinstance(each, type)]
    codes = {each.code for each in classes if each.__module__ == refusals.__name__}
    operations = cloudformation(Stacks(weft.parts)).operations
    assert [name for name in (*operations, *sorted(codes)) if f"`{name}`" not in text] == []


def test_the_table_of_our_own_requests_is_the_table_of_routes(weft: Served) -> None:
    text = (DOCS / "weft-api.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z]+ /weft/v1/[^`?]+)", text, re.MULTILINE))
    all_routes = [*routes(weft.parts), *stack_routes(Stacks(weft.parts))]
    served = {f"{each.method} {each.path.replace('*', '')}" for each in all_routes}
    assert documented == served
