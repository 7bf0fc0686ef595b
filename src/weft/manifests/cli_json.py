"""App Mesh CLI input (``--cli-input-json``): one create or update input, or a list of them."""

from __future__ import annotations

from weft.errors import Problem
from weft.manifests.definition import Definition, definition
from weft.manifests.document import Document


def definitions(document: Document, mesh: str | None, problems: list[Problem]) -> list[Definition]:
    """The resources of a JSON file; its kind is recognised from its members."""
    value = document.value
    if isinstance(value, list):
        found = [definition(each, document, (i,), mesh, problems) for i, each in enumerate(value)]
    elif isinstance(value, dict) and "Resources" in value:
        problems.append(Problem(document.at(), "a CloudFormation template cannot be read yet"))
        return []
    else:
        found = [definition(value, document, (), mesh, problems)]
    return [each for each in found if each is not None]
