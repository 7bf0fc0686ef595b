"""
Properties in CloudFormation's spelling → members in an API's, and places back.

The spelling follows from the models: every member has the API's name with a
capital letter, but for the few that are written in capitals (app-mesh.md, 6.1).
CloudFormation hands values on as texts, so numbers and truths are made of texts
where the model wants them.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from weft.manifests.cloudformation.evaluation import UNKNOWN
from weft.manifests.cloudformation.parameters import as_text
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.document import Path, nearest, path_of
from weft.model.schema import Model

_IN_CAPITALS = {
    "acm": "ACM",
    "awsCloudMap": "AWSCloudMap",
    "dns": "DNS",
    "grpc": "GRPC",
    "http": "HTTP",
    "http2": "HTTP2",
    "sds": "SDS",
    "tcp": "TCP",
    "tls": "TLS",
}


def late(path: Path, message: str) -> Finding:
    return Finding(path, message, late=True)


def spelt(member: str) -> str:
    """A member of the API as CloudFormation writes it."""
    return _IN_CAPITALS.get(member) or member[:1].upper() + member[1:]


def place_of(api_path: str, at: Path) -> Path:
    """``spec.listeners[0].tls`` as a place in the template, below ``at``."""
    return (
        *at,
        *(step if isinstance(step, int) else spelt(step) for step in path_of(api_path)),
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a place in a spec takes."""

    members: Mapping[str, tuple[str, _Shape]] | None = None
    """By CloudFormation's name: the API's name and what it takes."""
    item: _Shape | None = None
    values: _Shape | None = None
    """Of a mapping with any names."""
    scalar: type | None = None


@cache
def _shape(annotation: Any) -> _Shape:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        options = [each for each in get_args(annotation) if each is not type(None)]
        if len(options) == 1:
            return _shape(options[0])
        members: dict[str, tuple[str, _Shape]] = {}
        for each in options:
            members |= _shape(each).members or {}
        return _Shape(members=members)
    if origin is tuple:
        return _Shape(item=_shape(get_args(annotation)[0]))
    if origin is dict:
        return _Shape(values=_shape(get_args(annotation)[1]))
    if origin is Literal:
        return _Shape(scalar=type(get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return _Shape(members=_members(annotation))
    return _Shape(scalar=annotation if isinstance(annotation, type) else str)


def _members(model: type[Model]) -> dict[str, tuple[str, _Shape]]:
    found = {}
    for name, member in model.model_fields.items():
        alias = member.alias or name
        # A field keeps what surrounds its type in metadata; only the type matters here.
        annotation: Any = member.annotation
        found[spelt(alias)] = (alias, _shape(annotation))
    return found


def translated(value: Any, model: type[Model], path: Path, findings: list[Finding]) -> Any:
    """A property as the API's model has it, nothing decoded; misspellings go to ``findings``."""
    return _translated(value, _shape(model), path, findings)


def _translated(value: Any, shape: _Shape, path: Path, findings: list[Finding]) -> Any:
    if value is UNKNOWN or value is None:
        return value
    if shape.members is not None:
        if not isinstance(value, dict):
            findings.append(late(path, f"must be an object, not {value!r:.60}"))
            return UNKNOWN
        found = {}
        for name, each in value.items():
            if name not in shape.members:
                findings.append(late((*path, str(name)), misspelt(str(name), shape.members)))
                continue
            alias, below = shape.members[name]
            found[alias] = _translated(each, below, (*path, name), findings)
        return found
    if shape.item is not None:
        # One item may stand for a list of one, as CloudFormation takes it.
        items = value if isinstance(value, list) else [value]
        return [_translated(each, shape.item, (*path, i), findings) for i, each in enumerate(items)]
    if shape.values is not None:
        if not isinstance(value, dict):
            findings.append(late(path, f"must be an object, not {value!r:.60}"))
            return UNKNOWN
        return {
            name: _translated(each, shape.values, (*path, name), findings)
            for name, each in value.items()
        }
    return _scalar(value, shape.scalar or str, path, findings)


def misspelt(name: str, members: Iterable[str]) -> str:
    members = list(members)
    same = next((each for each in members if each.lower() == name.lower()), None)
    if same:
        return f"is not in CloudFormation's spelling; write {same}"
    return f"extraneous key [{name}] is not permitted{nearest(name, members)}"


def _scalar(value: Any, wanted: type, path: Path, findings: list[Finding]) -> Any:
    if isinstance(value, dict | list):
        what = "an object" if isinstance(value, dict) else "a list"
        named = {int: "a whole number", bool: "true or false"}.get(wanted, "a text")
        findings.append(late(path, f"must be {named}, not {what}"))
        return UNKNOWN
    if isinstance(value, str) and "{{resolve:" in value:
        findings.append(late(path, "a dynamic reference {{resolve:…}} cannot be followed here"))
        return UNKNOWN
    if wanted is bool and not isinstance(value, bool):
        match str(value).lower():
            case "true":
                return True
            case "false":
                return False
            case _:
                pass
    if wanted is int and isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return int(value.strip()) if len(value) <= 20 else value
    if wanted is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if wanted is str:
        return as_text(value)
    return value
