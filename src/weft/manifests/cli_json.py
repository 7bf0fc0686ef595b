"""
App Mesh in JSON: inputs of the AWS CLI (``--cli-input-json``), and what it answers.

A file holds one create or update input, a list of them, the answer of a describe
command (``{"virtualNode": {…}}``), or ``resources`` as ``weft get -o json`` prints
them. What only answers have (``metadata``, ``status``) is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from weft.errors import Invalid, Problem
from weft.manifests.definition import NAMES, OTHERS, Definition, definition
from weft.manifests.document import MAX_PROBLEMS, Document, Path
from weft.model import codec
from weft.names import Kind

ANSWERED = ("metadata", "status", "arn", "key", "revision", "referrers", "instances")
"""Members that answers have, and inputs do not."""
_KNOWN = sorted(
    {"kind", "mesh", "resources", "workloads", *OTHERS, *Kind}.union(*NAMES.values()) - {"tags"}
)


def is_foreign(value: Any) -> bool:
    """Whether nothing of App Mesh is in a document, not even misspelt."""
    if isinstance(value, list):
        return bool(value) and all(is_foreign(each) for each in value)
    if isinstance(value, Mapping):
        return bool(value) and not any(
            get_close_matches(str(name), _KNOWN, n=1, cutoff=0.8) for name in value
        )
    return value is not None


def definitions(document: Document, mesh: str | None, problems: list[Problem]) -> list[Definition]:
    """The resources of a JSON file; the kind of each is recognised from its members."""
    several: list[tuple[Any, Path]]
    match document.value:
        case {"resources": list() as resources}:
            several = [(each, ("resources", i)) for i, each in enumerate(resources)]
        case list() as resources:
            several = [(each, (i,)) for i, each in enumerate(resources)]
        case value:
            several = [(value, ())]
    found = []
    for each, at in several:
        if len(problems) > MAX_PROBLEMS:
            break
        inner, place = _unwrapped(each, at)
        if isinstance(inner, dict) and (said := _unnamed(inner, mesh)) is not None:
            if not isinstance(said, Kind):
                problems.append(Problem(document.at(place), said))
                continue
            inner = {**inner, "kind": said.value}
        if (read := definition(inner, document, place, mesh, problems)) is not None:
            found.append(read)
    return found


def _unwrapped(value: Any, at: Path) -> tuple[Any, Path]:
    """A describe command's answer without what is around it."""
    if not isinstance(value, dict):
        return value, at
    if len(value) == 1 and (name := next(iter(value))) in Kind.__members__.values():
        inner = value[name]
        if isinstance(inner, dict):
            value, at = {"kind": name, **inner}, (*at, name)
    if "metadata" in value or "key" in value:
        value = {name: member for name, member in value.items() if name not in ANSWERED}
    return value, at


def _unnamed(value: Mapping[str, Any], mesh: str | None) -> Kind | str | None:
    """
    For an input that leaves all names to the command line: the kind, or what to say of it.

    A mesh can do with the name that is given for all; anything else has a name of its own.
    """
    if "kind" in value or any(name in value for names in NAMES.values() for name in names):
        return None
    if set(value) - set(OTHERS):
        return None
    try:
        codec.decode(Kind.MESH, codec.without_nulls(value.get("spec")) or {})
    except Invalid:
        pass
    else:
        return Kind.MESH if mesh else "mesh needs meshName; give it here, or with --mesh NAME"
    kinds = [kind for kind in Kind if kind is not Kind.MESH and _fits(kind, value.get("spec"))]
    if not kinds:
        return None
    names = " or ".join(kind.value for kind in kinds)
    options = ", ".join(f"--{_kebab(name)}" for name in NAMES[kinds[0]])
    wanted = ", ".join(NAMES[kinds[0]])
    return (
        f"this is the spec of a {names} without its name, which AWS's scripts give to the command "
        f"as {options}; add {wanted} here"
    )


def _fits(kind: Kind, spec: Any) -> bool:
    try:
        codec.decode(kind, codec.without_nulls(spec))
    except Invalid:
        return False
    return True


def _kebab(name: str) -> str:
    return "".join(f"-{each.lower()}" if each.isupper() else each for each in name)
