"""
``AWS::AppMesh::*``: properties in CloudFormation's spelling → specs in the API's, and places back.

The spelling follows from the models: every member has the API's name with a
capital letter, but for the few that are written in capitals (app-mesh.md, 6.1).
CloudFormation hands values on as texts, so numbers and truths are made of texts
where the model wants them.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from weft.errors import Invalid
from weft.manifests.cloudformation.evaluation import UNKNOWN
from weft.manifests.cloudformation.parameters import as_text
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.document import Path, nearest, path_of
from weft.model import codec
from weft.model.meta import Tags
from weft.model.schema import Model
from weft.names import Arn, Key, Kind

PREFIX = "AWS::AppMesh::"
TYPES: Mapping[str, Kind] = {f"{PREFIX}{kind.title}": kind for kind in Kind}

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


def _found(path: Path, message: str) -> Finding:
    return Finding(path, message, late=True)


def spelt(member: str) -> str:
    """A member of the API as CloudFormation writes it."""
    return _IN_CAPITALS.get(member) or member[:1].upper() + member[1:]


def own_name(kind: Kind) -> str:
    return f"{kind.title}Name"


def naming(kind: Kind) -> tuple[str, ...]:
    """The properties that say which resource it is, its own name last."""
    if kind is Kind.MESH:
        return ("MeshName",)
    if kind.parent is Kind.MESH or kind.parent is None:
        return ("MeshName", own_name(kind))
    return ("MeshName", own_name(kind.parent), own_name(kind))


def create_only(kind: Kind) -> tuple[str, ...]:
    """The properties that cannot change without another resource in its place."""
    return naming(kind) if kind is Kind.MESH else (*naming(kind), "MeshOwner")


# --- specs -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a place in a spec takes."""

    members: Mapping[str, tuple[str, _Shape]] | None = None
    """By CloudFormation's name: the API's name and what it takes."""
    item: _Shape | None = None
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


def spec_of(kind: Kind, properties: Any, path: Path, findings: list[Finding]) -> Any:
    """The API's spec for the property ``Spec``; what is wrong goes to ``findings``."""
    before = len(findings)
    found = _translated(properties, _shape(codec.SPECS[kind]), path, findings)
    if len(findings) > before:
        return found
    if any(_unknown(found)):
        return found
    try:
        codec.decode(kind, codec.without_nulls(found))
    except Invalid as error:
        for problem in error.problems:
            findings.append(_found(place_of(problem.path, path[:-1]), problem.message))
    return found


def place_of(api_path: str, at: Path) -> Path:
    """``spec.listeners[0].tls`` as a place in the template, below ``at``."""
    return (
        *at,
        *(step if isinstance(step, int) else spelt(step) for step in path_of(api_path)),
    )


def _translated(value: Any, shape: _Shape, path: Path, findings: list[Finding]) -> Any:
    if value is UNKNOWN or value is None:
        return value
    if shape.members is not None:
        if not isinstance(value, dict):
            findings.append(_found(path, f"must be an object, not {value!r:.60}"))
            return UNKNOWN
        found = {}
        for name, each in value.items():
            if name not in shape.members:
                findings.append(_found((*path, str(name)), _misspelt(str(name), shape.members)))
                continue
            alias, below = shape.members[name]
            found[alias] = _translated(each, below, (*path, name), findings)
        return found
    if shape.item is not None:
        # One item may stand for a list of one, as CloudFormation takes it.
        items = value if isinstance(value, list) else [value]
        return [_translated(each, shape.item, (*path, i), findings) for i, each in enumerate(items)]
    return _scalar(value, shape.scalar or str, path, findings)


def _misspelt(name: str, members: Mapping[str, Any]) -> str:
    same = next((each for each in members if each.lower() == name.lower()), None)
    if same:
        return f"is not in CloudFormation's spelling; write {same}"
    return f"extraneous key [{name}] is not permitted{nearest(name, list(members))}"


def _scalar(value: Any, wanted: type, path: Path, findings: list[Finding]) -> Any:
    if isinstance(value, dict | list):
        what = "an object" if isinstance(value, dict) else "a list"
        named = {int: "a whole number", bool: "true or false"}.get(wanted, "a text")
        findings.append(_found(path, f"must be {named}, not {what}"))
        return UNKNOWN
    if isinstance(value, str) and "{{resolve:" in value:
        findings.append(_found(path, "a dynamic reference {{resolve:…}} cannot be followed here"))
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


def _unknown(value: Any) -> Iterator[bool]:
    match value:
        case dict():
            for each in value.values():
                yield from _unknown(each)
        case list():
            for each in value:
                yield from _unknown(each)
        case _ if value is UNKNOWN:
            yield True


# --- resources ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A resource as the properties ask for it."""

    key: Key
    sent: Any = field(repr=False)
    tags: Tags
    named: bool
    """By the template, and not by a made-up name."""


def asked(
    kind: Kind,
    properties: Mapping[str, Any],
    path: Path,
    made_up: str,
    account: str,
    findings: list[Finding],
) -> Asked | None:
    """None, with the reasons in ``findings``, when the properties do not say which resource."""
    known = [*naming(kind), "Spec", "Tags", *(() if kind is Kind.MESH else ("MeshOwner",))]
    for name in properties:
        if name not in known:
            members = dict.fromkeys(known)
            findings.append(_found((*path, name), _misspelt(name, members)))
    names: list[str] = []
    complete = True
    named = properties.get(own_name(kind)) is not None
    for name in naming(kind):
        value = properties.get(name)
        if value is None and name == own_name(kind) and kind is not Kind.VIRTUAL_SERVICE:
            value = made_up
        if value is None:
            findings.append(_found(path, f"required key [{name}] not found"))
        if value is None or value is UNKNOWN:
            complete = False
            continue
        if isinstance(value, dict | list):
            findings.append(_found((*path, name), "must be a text"))
            complete = False
            continue
        names.append(_plain_name(as_text(value)))
    owner = properties.get("MeshOwner")
    if owner not in (None, UNKNOWN) and as_text(owner) != account:
        findings.append(
            _found((*path, "MeshOwner"), f"account {owner!s:.40} shares no mesh with {account}")
        )
    if "Spec" not in properties and kind is not Kind.MESH:
        findings.append(_found(path, "required key [Spec] not found"))
        complete = False
    sent = spec_of(kind, properties.get("Spec") or {}, (*path, "Spec"), findings)
    tags = tags_of(properties.get("Tags"), (*path, "Tags"), findings)
    if not complete:
        return None
    parent = names[1] if len(names) == 3 else ""
    return Asked(Key(names[0], kind, names[-1], parent), sent, tags, named)


def _plain_name(text: str) -> str:
    """Some templates give the ``Ref`` of a mesh, its ARN, where its name is wanted."""
    return text.rpartition("/")[2] if text.startswith("arn:") and ":appmesh:" in text else text


def tags_of(value: Any, path: Path, findings: list[Finding]) -> Tags:
    found: dict[str, str] = {}
    if value is None or value is UNKNOWN:
        return ()
    if not isinstance(value, list):
        findings.append(_found(path, "must be a list of {Key, Value}"))
        return ()
    for i, tag in enumerate(value):
        match tag:
            case {"Key": str(key), "Value": (str() | int() | float()) as text} if len(tag) == 2:
                found[key] = as_text(text)
            case _ if tag is UNKNOWN or (isinstance(tag, dict) and UNKNOWN in tag.values()):
                pass
            case _:
                findings.append(_found((*path, i), "must be {Key: TEXT, Value: TEXT}"))
    return tuple(found.items())


@dataclass(frozen=True, slots=True)
class MeshResource:
    """A resource of App Mesh as others in the template see it."""

    arn: Arn
    uid: str

    @property
    def ref(self) -> str:
        return str(self.arn)

    def attribute(self, name: str) -> str:
        key = self.arn.key
        values = {
            "Arn": str(self.arn),
            "Id": str(self.arn),
            "MeshName": key.mesh,
            "MeshOwner": self.arn.account,
            "ResourceOwner": self.arn.account,
            "Uid": self.uid,
            own_name(key.kind): key.name,
        }
        if key.parent_name and key.kind.parent:
            values[own_name(key.kind.parent)] = key.parent_name
        if name not in values:
            raise LookupError(nearest(name, list(values)))
        return values[name]
