"""``AWS::AppMesh::*``: which resource the properties name, the spec they ask for, and what others see of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weft.errors import Invalid
from weft.manifests.cloudformation.evaluation import UNKNOWN, known
from weft.manifests.cloudformation.parameters import as_text
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.spelling import late, misspelt, place_of, translated
from weft.manifests.document import Path, nearest
from weft.model import codec
from weft.model.meta import Tags
from weft.names import Arn, Key, Kind

PREFIX = "AWS::AppMesh::"
TYPES: Mapping[str, Kind] = {f"{PREFIX}{kind.title}": kind for kind in Kind}


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


def spec_of(kind: Kind, properties: Any, path: Path, findings: list[Finding]) -> Any:
    """The API's spec for the property ``Spec``; what is wrong goes to ``findings``."""
    before = len(findings)
    found = translated(properties, codec.SPECS[kind], path, findings)
    if len(findings) > before:
        return found
    if not known(found):
        return found
    try:
        codec.decode(kind, codec.without_nulls(found))
    except Invalid as error:
        for problem in error.problems:
            findings.append(late(place_of(problem.path, path[:-1]), problem.message))
    return found


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
    members = [*naming(kind), "Spec", "Tags", *(() if kind is Kind.MESH else ("MeshOwner",))]
    for name in properties:
        if name not in members:
            findings.append(late((*path, name), misspelt(name, members)))
    names: list[str] = []
    complete = True
    named = properties.get(own_name(kind)) is not None
    for name in naming(kind):
        value = properties.get(name)
        if value is None and name == own_name(kind) and kind is not Kind.VIRTUAL_SERVICE:
            value = made_up
        if value is None:
            findings.append(late(path, f"required key [{name}] not found"))
        if value is None or value is UNKNOWN:
            complete = False
            continue
        if isinstance(value, dict | list):
            findings.append(late((*path, name), "must be a text"))
            complete = False
            continue
        names.append(_plain_name(as_text(value)))
    owner = properties.get("MeshOwner")
    if owner not in (None, UNKNOWN) and as_text(owner) != account:
        findings.append(
            late((*path, "MeshOwner"), f"account {owner!s:.40} shares no mesh with {account}")
        )
    if "Spec" not in properties and kind is not Kind.MESH:
        findings.append(late(path, "required key [Spec] not found"))
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
        findings.append(late(path, "must be a list of {Key, Value}"))
        return ()
    for i, tag in enumerate(value):
        match tag:
            case {"Key": str(key), "Value": (str() | int() | float()) as text} if len(tag) == 2:
                found[key] = as_text(text)
            case _ if tag is UNKNOWN or (isinstance(tag, dict) and UNKNOWN in tag.values()):
                pass
            case _:
                findings.append(late((*path, i), "must be {Key: TEXT, Value: TEXT}"))
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
