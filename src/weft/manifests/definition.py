"""One App Mesh resource as a file defines it: a create input in ``--cli-input-json`` shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Protocol

from weft.errors import Problem
from weft.manifests.document import Document, Path, nearest, path_of
from weft.names import Key, Kind

NAMES: Mapping[Kind, tuple[str, ...]] = {
    Kind.MESH: ("meshName",),
    Kind.VIRTUAL_NODE: ("meshName", "virtualNodeName"),
    Kind.VIRTUAL_SERVICE: ("meshName", "virtualServiceName"),
    Kind.VIRTUAL_ROUTER: ("meshName", "virtualRouterName"),
    Kind.ROUTE: ("meshName", "virtualRouterName", "routeName"),
    Kind.VIRTUAL_GATEWAY: ("meshName", "virtualGatewayName"),
    Kind.GATEWAY_ROUTE: ("meshName", "virtualGatewayName", "gatewayRouteName"),
}
"""The members that name a resource of each kind: its mesh, what it lives in, itself."""

OTHERS = ("spec", "tags", "clientToken", "meshOwner")

# Most specific first: a route's input names its router too.
_RECOGNISED_BY = (
    ("routeName", Kind.ROUTE),
    ("gatewayRouteName", Kind.GATEWAY_ROUTE),
    ("virtualNodeName", Kind.VIRTUAL_NODE),
    ("virtualServiceName", Kind.VIRTUAL_SERVICE),
    ("virtualRouterName", Kind.VIRTUAL_ROUTER),
    ("virtualGatewayName", Kind.VIRTUAL_GATEWAY),
)
ORDER = (
    Kind.MESH,
    Kind.VIRTUAL_NODE,
    Kind.VIRTUAL_ROUTER,
    Kind.ROUTE,
    Kind.VIRTUAL_SERVICE,
    Kind.VIRTUAL_GATEWAY,
    Kind.GATEWAY_ROUTE,
)
"""In which kinds can be created, each after those it may need; deleted in the opposite one."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A resource that a file asks for."""

    kind: Kind
    body: Mapping[str, Any]
    """The create input, mesh name filled in."""
    source: str
    """``file:line``."""
    document: Document | None = field(default=None, repr=False, compare=False)
    """What it was read from; None when it was made from nothing."""
    path: Path = field(default=(), repr=False, compare=False)
    """Where in the document the body stands."""
    origins: Mapping[Path, Path] | None = field(default=None, repr=False, compare=False)
    """Where in the document each member of the body comes from, when it reads differently there."""

    @property
    def key(self) -> Key:
        names = NAMES[self.kind]
        parent = str(self.body[names[1]]) if len(names) == 3 else ""
        return Key(str(self.body["meshName"]), self.kind, str(self.body[names[-1]]), parent)

    def at(self, path: str) -> str:
        """``file:line`` of a member such as ``spec.listeners[0]``, or of what is around it."""
        steps = path_of(path)
        if self.document is None:
            return self.source
        for end in range(len(steps), 0, -1):
            if self.origins is not None:
                if (origin := self.origins.get(steps[:end])) is not None:
                    return self.document.at(origin)
            elif line := self.document.lines.get((*self.path, *steps[:end])):
                return f"{self.document.file}:{line}"
        return self.source


def in_order(definitions: Iterable[Definition]) -> list[Definition]:
    """In the order in which they can be created, else as in the files."""
    return sorted(definitions, key=lambda each: ORDER.index(each.kind))


class Located(Protocol):
    """Something of a file that was sent in a list of a request."""

    @property
    def key(self) -> Key: ...

    def at(self, path: str) -> str:
        """``file:line`` of a member."""
        ...


def located(
    problems: Iterable[Problem],
    sent: Sequence[Located],
    collection: str = "resources",
    called: str = "{}",
) -> list[Problem]:
    """
    Problems at ``resources[i].…`` of a request, said with the file and line they come from.

    ``collection``: the list in which they were sent; ``called``: how one of them is named.
    """
    found = []
    for problem in problems:
        match path_of(problem.path):
            case [str(name), int(i), *_] if name == collection and i < len(sent):
                rest = problem.path.removeprefix(f"{collection}[{i}]").lstrip(".")
                one = called.format(sent[i].key)
                said = f"{one}: {rest}: " if rest else f"{one}: "
                found.append(Problem(sent[i].at(rest), said + problem.message))
            case _:
                found.append(problem)
    return found


def definition(
    value: Any, document: Document, path: Path, mesh: str | None, problems: list[Problem]
) -> Definition | None:
    """Read one create input; None, with the reasons in ``problems``, when it is not one."""
    before = len(problems)

    def problem(at: Path, message: str) -> None:
        problems.append(Problem(document.at((*path, *at)), message))

    if not isinstance(value, dict):
        problem((), f"a resource is an object, not {value!r:.40}")
        return None
    value = {str(name): member for name, member in value.items()}
    kind = _kind(value, problem)
    if kind is None:
        return None

    names = NAMES[kind]
    known = [*names, *OTHERS, "kind"]
    for name in value:
        if name not in known:
            problem((name,), f"{kind} has no member {name!r}{nearest(name, known)}")
    if mesh is not None:
        value.setdefault("meshName", mesh)
    for name in names:
        if name not in value:
            more = "; give it here or once for all as mesh: NAME" if name == "meshName" else ""
            problem((), f"{kind} needs {name}{more}")
        elif not isinstance(value[name], str) or not value[name]:
            problem((name,), f"{name} must be a name, not {value[name]!r:.40}")
    for found in _others(kind, value):
        problem(*found)
    if len(problems) > before:
        return None

    body = {name: member for name, member in value.items() if name != "kind"}
    body.setdefault("spec", {})
    return Definition(kind, body, document.at(path), document, path)


def _others(kind: Kind, value: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    if value.get("spec") is None and kind is not Kind.MESH:
        yield (), f"{kind} needs a spec"
    elif not isinstance(value.get("spec", {}) or {}, dict):
        yield ("spec",), "spec must be an object"
    for name in ("clientToken", "meshOwner"):
        if not isinstance(value.get(name, ""), str):
            yield (name,), f"{name} must be a text; put quotes around it"
    tags = value.get("tags", [])
    if not isinstance(tags, list):
        yield ("tags",), "tags must be a list of {key, value}"
        return
    for i, tag in enumerate(tags):
        if not (
            isinstance(tag, dict)
            and isinstance(tag.get("key"), str)
            and isinstance(tag.get("value", ""), str)
            and set(tag) <= {"key", "value"}
        ):
            yield ("tags", i), "a tag is {key: TEXT, value: TEXT}"


def _kind(value: Mapping[str, Any], problem: Any) -> Kind | None:
    if "kind" in value:
        said = value["kind"]
        if said in Kind.__members__.values():
            return Kind(said)
        if "apiVersion" in value:
            problem((), f"a Kubernetes object ({said}) among others; write them as a List")
        else:
            problem(
                ("kind",),
                f"{said!r} is not a kind of App Mesh resource"
                f"{nearest(str(said), [each.value for each in Kind])}",
            )
        return None
    for name, kind in _RECOGNISED_BY:
        if name in value:
            return kind
    if "meshName" in value:
        return Kind.MESH
    names = ["meshName", *(name for name, _ in _RECOGNISED_BY)]
    near = [
        f"; did you mean {found[0]!r} for {name!r}?"
        for name in value
        if (found := get_close_matches(name, names, n=1, cutoff=0.8))
    ]
    problem(
        (),
        "this is no App Mesh resource: it has none of meshName, virtualNodeName, "
        "virtualServiceName, virtualRouterName, routeName, virtualGatewayName, gatewayRouteName"
        + "".join(near[:1]),
    )
    return None
