"""
Every member of every App Mesh resource: what it becomes in Envoy, and the test that proves it.

``python -m tests.members`` prints the table of docs/members.md. The members are read
off the model; what they become is in ``tests.member_proofs``.
"""

from __future__ import annotations

import ast
import itertools
import re
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from weft.model.codec import SPECS
from weft.model.schema import Model
from weft.names import Kind

ROOT = Path(__file__).parents[1]


def members() -> Iterator[str]:
    """Every leaf of every kind's spec: ``virtualNode.listeners[].portMapping.port``."""
    for kind, spec in SPECS.items():
        yield from sorted(_below(spec, kind.value))


def _below(annotation: Any, path: str) -> Iterator[str]:
    models, lists = _parts(annotation)
    if not models and not lists:
        yield path
    for item in lists:
        yield from _below(item, f"{path}[]")
    for model in models:
        for name, field in model.model_fields.items():
            yield from _below(field.annotation, f"{path}.{field.alias or name}")


def _parts(annotation: Any) -> tuple[list[type[Model]], list[Any]]:
    """The objects an annotation allows, and the items of the lists it allows."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _parts(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        found = [_parts(each) for each in get_args(annotation)]
        return [m for models, _ in found for m in models], [i for _, items in found for i in items]
    if origin is tuple:
        return [], [get_args(annotation)[0]]
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation], []
    return [], []


def spelt_out(pattern: str) -> list[str]:
    """``a.{b,c}.d`` is ``a.b.d`` and ``a.c.d``; an empty choice leaves its step out."""
    choices = [
        part[1:-1].split(",") if part.startswith("{") else [part]
        for part in re.findall(r"\{[^{}]*\}|[^{}]+", pattern)
    ]
    return [re.sub(r"\.+", ".", "".join(chosen)) for chosen in itertools.product(*choices)]


@cache
def tests_of(file: str) -> frozenset[str]:
    """The names of the test functions of a file, below the project's root."""
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def kinds() -> list[Kind]:
    return list(SPECS)


if __name__ == "__main__":
    for each in members():
        print(each)
