"""A mesh as inputs of the AWS CLI: ``aws appmesh create-… --cli-input-json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from weft.manifests.export.exported import Exported, File, Names, in_order


def listed(resources: Sequence[Exported]) -> str:
    """All inputs in one list, in the order in which they can be created."""
    return _json([_input(each) for each in in_order(resources)])


def files(resources: Sequence[Exported]) -> list[File]:
    """One input a file, as the AWS CLI wants them; sorted by name they can be created in order."""
    names = Names(r"[A-Za-z0-9][A-Za-z0-9._-]*", "A-Za-z0-9._-", 150)
    found = in_order(resources)
    width = len(str(len(found)))
    return [
        File(
            f"{i:0{width}}-{names.of('.'.join(filter(None, _parts(each))))}.json",
            _json(_input(each)),
        )
        for i, each in enumerate(found)
    ]


def _parts(each: Exported) -> tuple[str, ...]:
    return each.key.kind.value, each.key.parent_name, each.key.name


def _input(each: Exported) -> dict[str, Any]:
    found: dict[str, Any] = {**each.names, "spec": each.spec}
    if each.tags:
        found["tags"] = [{"key": key, "value": value} for key, value in each.tags]
    return found


def _json(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # Nobody is to take it for a template.
    return text.replace("${", "\\u0024{")
