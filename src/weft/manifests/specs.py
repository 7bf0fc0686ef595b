"""Specs held against the model before anything is started, with the line of each mistake."""

from __future__ import annotations

from collections.abc import Sequence

from weft.errors import Invalid, Problem
from weft.manifests.definition import Definition, located
from weft.model import codec


def check(definitions: Sequence[Definition]) -> None:
    """Invalid with every problem of every spec; what needs the rest of the mesh is the store's."""
    found: list[Problem] = []
    for i, definition in enumerate(definitions):
        try:
            codec.decode(
                definition.kind,
                codec.without_nulls(definition.body.get("spec")) or {},
                at=f"resources[{i}].spec",
            )
        except Invalid as error:
            found += error.problems
    if found:
        raise Invalid(located(found, definitions))
