"""A mesh as a CloudFormation template."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from weft.manifests.cloudformation.spelling import spelt
from weft.manifests.export import text
from weft.manifests.export.exported import Exported, File, in_order
from weft.model.codec import decode
from weft.names import Key, Kind
from weft.store.state import references

_LONGEST = 255


def files(resources: Sequence[Exported]) -> list[File]:
    """One template for one mesh."""
    ids = _logical_ids(resources)
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Mesh {resources[0].key.mesh}",
        "Resources": {ids[each.key]: _resource(each, ids) for each in in_order(resources)},
    }
    return [File("template.yaml", text.document(template))]


def _logical_ids(resources: Sequence[Exported]) -> dict[Key, str]:
    found: dict[Key, str] = {}
    taken: set[str] = set()
    for each in in_order(resources):
        key = each.key
        parts = () if key.kind is Kind.MESH else (key.parent_name, key.name)
        words = " ".join(
            "".join(c if c.isascii() and c.isalnum() else " " for c in p) for p in parts
        )
        id = key.kind.title + "".join(word[0].upper() + word[1:] for word in words.split())
        if id in taken or len(id) > _LONGEST:
            # Two names may differ only in what a logical id cannot say.
            id = id[: _LONGEST - 8] + hashlib.sha256(str(key).encode()).hexdigest()[:8]
        taken.add(id)
        found[key] = id
    return found


def _resource(each: Exported, ids: dict[Key, str]) -> dict[str, Any]:
    key = each.key
    properties: dict[str, Any] = {}
    for member, value in each.names.items():
        owner = Key.of_mesh(key.mesh) if member == "meshName" else key.parent
        if owner is not None and owner != key and member != f"{key.kind}Name" and owner in ids:
            # By reference, so that one is made after the other.
            properties[spelt(member)] = {"Fn::GetAtt": [ids[owner], spelt(member)]}
        else:
            properties[spelt(member)] = value
    properties["Spec"] = _properties(each.spec)
    if each.tags:
        properties["Tags"] = [{"Key": name, "Value": value} for name, value in each.tags]
    found: dict[str, Any] = {"Type": f"AWS::AppMesh::{key.kind.title}"}
    # A virtual node may name backends before they are there, and they may lead back to it.
    if key.kind is not Kind.VIRTUAL_NODE:
        needed = {ids[to] for to in references(key, decode(key.kind, each.spec)) if to in ids}
        if needed:
            found["DependsOn"] = sorted(needed)
    found["Properties"] = properties
    return found


def _properties(value: Any) -> Any:
    if isinstance(value, dict):
        return {spelt(name): _properties(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_properties(each) for each in value]
    return value
