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

from tests.member_proofs import PROOFS, Proof
from weft.model.codec import SPECS
from weft.model.schema import Model

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
def functions_of(file: str) -> frozenset[str]:
    """The names of the test functions of a file, below the project's root."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def proofs() -> dict[str, Proof]:
    """By member; a member that two of them claim is an AssertionError."""
    found: dict[str, Proof] = {}
    for proof in PROOFS:
        for member in spelt_out(proof.members):
            assert member not in found, f"{member} is in two proofs"
            found[member] = proof
    return found


def page() -> str:
    """The whole of docs/members.md."""
    by_member = proofs()
    lines = [
        "# Every member, and what it does",
        "",
        "What each member of an App Mesh resource becomes in Envoy, and the tests that prove it "
        "with a real one.",
        "Made from the model by `make docs`; a member without a test fails the tests.",
        "Besides, `tests/test_every_member.py` changes each member in a mesh and sees that some "
        "proxy is told something else.",
        "",
    ]
    for kind in SPECS:
        lines += [f"## {kind.title}", "", "| member | in Envoy | proved by |", "|---|---|---|"]
        own = [each for each in members() if each.partition(".")[0] == kind.value]
        for proof, group in itertools.groupby(own, key=by_member.__getitem__):
            named = "<br>".join(f"`{each.partition('.')[2]}`" for each in group)
            tests = "<br>".join(f"`{each.removeprefix('tests/')}`" for each in proof.tests)
            lines.append(f"| {named} | {proof.envoy} | {tests} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
