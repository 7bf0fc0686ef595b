"""``policies:`` of a ``weft.yaml``: what App Mesh cannot be told, item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weft.errors import BadRequest, Invalid, Problem
from weft.manifests import definition
from weft.manifests.document import Document, Path, path_of
from weft.model.policy import decode_policy, document_of
from weft.names import Key

FOR = "for"


@dataclass(frozen=True, slots=True)
class PolicyDefinition:
    """A policy that a file asks for."""

    key: Key
    """What it is about."""
    body: Mapping[str, Any]
    source: str
    """``file:line``."""
    document: Document | None = field(default=None, repr=False, compare=False)
    path: Path = field(default=(), repr=False, compare=False)

    @property
    def item(self) -> dict[str, Any]:
        """As the API takes it beside resources."""
        return {FOR: str(self.key), **self.body}

    def at(self, path: str) -> str:
        """``file:line`` of a member such as ``timeout.idle``, or of what is around it."""
        if self.document is None:
            return self.source
        return self.document.at((*self.path, *path_of(path)))


def policy_definition(
    value: Any,
    document: Document,
    path: Path,
    mesh: str | None,
    problem: Callable[[Path, str], None],
) -> PolicyDefinition | None:
    """Read one item; None, with the reasons told to ``problem``, when it is no policy."""
    if not isinstance(value, dict):
        problem(path, f"a policy is an object, not {value!r:.40}")
        return None
    key = _about(value.get(FOR), mesh, path, problem)
    if key is None:
        return None
    settings = {str(name): member for name, member in value.items() if name != FOR}
    try:
        policy = decode_policy(key.kind, settings)
    except Invalid as error:
        for each in error.problems:
            problem((*path, *path_of(each.path)), each.message)
        return None
    body = document_of(policy)
    if body is None:
        problem(path, f"sets nothing; leave {key} out, or say what holds for it")
        return None
    return PolicyDefinition(key, body, document.at(path), document, path)


def _about(
    text: Any, mesh: str | None, path: Path, problem: Callable[[Path, str], None]
) -> Key | None:
    """``mesh``, ``virtualService/db``, or a whole key."""
    if not isinstance(text, str) or not text:
        problem(path, "which resource? Give for: mesh, virtualService/S, virtualRouter/R/route/X")
        return None
    if not text.startswith("mesh/") and mesh is None:
        problem((*path, FOR), "which mesh? Give mesh: NAME at the top, or a whole key")
        return None
    if text == "mesh":
        text = f"mesh/{mesh}"
    try:
        return Key.parse(text if text.startswith("mesh/") else f"mesh/{mesh}/{text}")
    except BadRequest as error:
        problem((*path, FOR), error.message)
        return None


def located(problems: Iterable[Problem], policies: Sequence[PolicyDefinition]) -> list[Problem]:
    """Problems at ``policies[i].…`` of a request, said with the file and line they come from."""
    return definition.located(problems, policies, "policies", "policy of {}")
