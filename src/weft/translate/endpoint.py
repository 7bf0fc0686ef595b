"""Endpoint assignments, in Envoy's words."""

from __future__ import annotations

from weft.ir import cluster as ir
from weft.translate.cluster import load_assignment
from weft.translate.memo import memoised
from weft.translate.snapshot import Encoded


@memoised
def encoded(value: ir.Assignment) -> Encoded:
    assignment = load_assignment(value.cluster, value.endpoints, value.zones)
    return Encoded.of(value.cluster, assignment, deserted=not value.endpoints)
