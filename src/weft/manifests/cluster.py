"""
What Kubernetes manifests say of each other: names, namespaces, which mesh selects what.

The objects of all files are known before the first reference is followed, so
that the order of files and documents is of no matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from weft.errors import BadRequest, Problem
from weft.manifests.document import Document, Path
from weft.names import Arn, Kind

KINDS: Mapping[str, Kind] = {
    "Mesh": Kind.MESH,
    "VirtualNode": Kind.VIRTUAL_NODE,
    "VirtualService": Kind.VIRTUAL_SERVICE,
    "VirtualRouter": Kind.VIRTUAL_ROUTER,
    "VirtualGateway": Kind.VIRTUAL_GATEWAY,
    "GatewayRoute": Kind.GATEWAY_ROUTE,
}
BACKEND_GROUP = "BackendGroup"
NAMESPACE = "Namespace"
DEFAULT_NAMESPACE = "default"
_NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """One Kubernetes object of a file."""

    kind: str
    name: str
    namespace: str
    """Of a mesh: empty, since it is in none."""
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    document: Document = field(repr=False)
    path: Path = ()

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def place(self) -> str:
        return self.document.at(self.path)

    def at(self, *path: str | int) -> str:
        return self.document.at((*self.path, *path))

    @property
    def aws_name(self) -> str:
        """Its name in App Mesh."""
        given = self.spec.get("awsName")
        if isinstance(given, str) and given:
            return given
        return default_name(self.kind, self.name, self.namespace)


def default_name(kind: str, name: str, namespace: str) -> str:
    """The name in App Mesh of an object that gives no ``awsName``."""
    match kind:
        case "Mesh":
            return name
        case "VirtualService":
            return f"{name}.{namespace}"
        case _:
            return f"{name}_{namespace}"


def selects(selector: Any, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels: absent takes none, empty takes all."""
    if not isinstance(selector, Mapping):
        return False
    wanted = selector.get("matchLabels")
    if isinstance(wanted, Mapping):
        for name, value in wanted.items():
            if labels.get(str(name)) != str(value):
                return False
    terms = selector.get("matchExpressions")
    return all(_term(each, labels) for each in (terms if isinstance(terms, list) else ()))


def _term(term: Any, labels: Mapping[str, str]) -> bool:
    if not isinstance(term, Mapping):
        return False
    name = str(term.get("key"))
    given = term.get("values")
    values = [str(each) for each in given] if isinstance(given, list) else []
    match term.get("operator"):
        case "In":
            return labels.get(name) in values
        case "NotIn":
            return labels.get(name) not in values
        case "Exists":
            return name in labels
        case "DoesNotExist":
            return name not in labels
        case _:
            return False


class Cluster:
    """All objects of all files, and where a reference leads."""

    def __init__(self, mesh: str | None, problems: list[Problem], warnings: list[Problem]) -> None:
        self._mesh = mesh
        """The mesh of objects that no mesh of the files selects."""
        self._problems = problems
        self._warnings = warnings
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._in: dict[tuple[str, str], list[Object]] = {}

    def add(self, found: Object) -> None:
        self._objects.setdefault((found.kind, found.namespace, found.name), found)
        self._in.setdefault((found.kind, found.namespace), []).append(found)

    def objects(self, kind: str) -> Iterator[Object]:
        for (each, _), found in self._in.items():
            if each == kind:
                yield from found

    def within(self, kind: str, namespace: str) -> list[Object]:
        return self._in.get((kind, namespace), [])

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        return self._objects.get((kind, namespace, name))

    # --- selection -----------------------------------------------------------------------

    def mesh_of(self, member: Object) -> tuple[str, str | None] | None:
        """The mesh that an object belongs to and its owner; None with the reason in problems."""
        reference = member.spec.get("meshRef")
        if isinstance(reference, Mapping) and isinstance(reference.get("name"), str):
            found = self.find("Mesh", "", reference["name"])
            return _named(found) if found else (reference["name"], None)
        meshes = list(self.objects("Mesh"))
        chosen = self._selecting(meshes, member.namespace)
        match chosen:
            case [only]:
                return _named(only)
            case []:
                if self._mesh is not None:
                    return self._mesh, None
                said = (
                    f"no Mesh in these files selects namespace {member.namespace}"
                    if meshes
                    else "these files define no Mesh"
                )
                self._problems.append(
                    Problem(member.place, f"{member.title} needs a meshName: {said}")
                )
            case _:
                names = ", ".join(each.name for each in chosen)
                self._problems.append(
                    Problem(
                        member.place,
                        f"{member.title}: which mesh of {names}? Add the Namespace "
                        f"{member.namespace} with labels that one namespaceSelector takes, "
                        "or spec.meshRef",
                    )
                )
        return None

    def gateway_of(self, route: Object) -> str | None:
        """The virtual gateway of a gateway route; None with the reason in problems."""
        reference = route.spec.get("virtualGatewayRef")
        if isinstance(reference, Mapping) and isinstance(reference.get("name"), str):
            namespace = reference.get("namespace")
            place = namespace if isinstance(namespace, str) else route.namespace
            return self._known("VirtualGateway", place, reference["name"], route.place)
        gateways = [
            each
            for each in self.objects("VirtualGateway")
            if "gatewayRouteSelector" not in each.spec
            or selects(each.spec["gatewayRouteSelector"], route.labels)
        ]
        chosen = self._selecting(gateways, route.namespace)
        if len(chosen) == 1:
            return chosen[0].aws_name
        said = (
            f"which virtual gateway of {', '.join(each.name for each in chosen)}?"
            if chosen
            else "no VirtualGateway in these files selects it;"
        )
        self._problems.append(
            Problem(
                route.place,
                f"{route.title}: {said} name one in spec.virtualGatewayRef, "
                f"or label its namespace {route.namespace} for the namespaceSelector",
            )
        )
        return None

    def _selecting(self, candidates: list[Object], namespace: str) -> list[Object]:
        """Which of them select a namespace; the only one there is, where its labels are unknown."""
        known = self.find(NAMESPACE, "", namespace)
        labels = {_NAME_LABEL: namespace, **(known.labels if known else {})}
        chosen = [
            each for each in candidates if selects(each.spec.get("namespaceSelector"), labels)
        ]
        if not chosen and known is None:
            return candidates
        return chosen

    # --- references ----------------------------------------------------------------------

    def referred(
        self, kind: str, reference: Any, of: Object, at: tuple[str | int, ...]
    ) -> str | None:
        """The name in App Mesh of ``{name, namespace}``."""
        if not isinstance(reference, Mapping) or not isinstance(reference.get("name"), str):
            self._problems.append(Problem(of.at(*at), f"{of.title}: a reference needs a name"))
            return None
        namespace = reference.get("namespace")
        place = namespace if isinstance(namespace, str) and namespace else of.namespace
        return self._known(kind, place, reference["name"], of.at(*at))

    def _known(self, kind: str, namespace: str, name: str, place: str) -> str:
        found = self.find(kind, namespace, name)
        if found is not None:
            return found.aws_name
        taken = default_name(kind, name, namespace)
        self._warnings.append(
            Problem(
                place,
                f"{kind} {name} of namespace {namespace} is not in these files; "
                f"it is taken to be named {taken}",
            )
        )
        return taken

    def named_by_arn(
        self, kind: str, arn: Any, of: Object, at: tuple[str | int, ...]
    ) -> str | None:
        """The name within an ARN."""
        try:
            key = Arn.parse(str(arn)).key
        except BadRequest:
            key = None
        if key is None or key.kind is not KINDS[kind]:
            self._problems.append(
                Problem(of.at(*at), f"{of.title}: {str(arn)[:60]!r} is no ARN of a {kind}")
            )
            return None
        return key.name


def _named(mesh: Object) -> tuple[str, str | None]:
    owner = mesh.spec.get("meshOwner")
    return mesh.aws_name, owner if isinstance(owner, str) else None
