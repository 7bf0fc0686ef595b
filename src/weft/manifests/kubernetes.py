"""
Kubernetes manifests of the App Mesh controller (``appmesh.k8s.aws/v1beta2``).

As the API server does, what its schema does not know is left out, with a warning
instead of in silence. Objects of other kinds are none of ours; they are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from weft.errors import Problem
from weft.manifests.cluster import (
    BACKEND_GROUP,
    DEFAULT_NAMESPACE,
    KINDS,
    NAMESPACE,
    Cluster,
    Object,
)
from weft.manifests.definition import NAMES, Definition
from weft.manifests.document import MAX_PROBLEMS, Document, Path, shown
from weft.manifests.recognise import APP_MESH_GROUP, Sort, sort_of
from weft.manifests.shape import Items, Members, Shape, shape_of
from weft.names import Kind

VERSION = f"{APP_MESH_GROUP}v1beta2"
_BESIDES: Mapping[str, tuple[str, ...]] = {
    "Mesh": ("awsName", "namespaceSelector", "meshOwner", "meshServiceDiscovery"),
    "VirtualNode": ("awsName", "podSelector", "meshRef", "backendGroups"),
    "VirtualService": ("awsName", "meshRef"),
    "VirtualRouter": ("awsName", "meshRef", "routes"),
    "VirtualGateway": (
        "awsName",
        "podSelector",
        "namespaceSelector",
        "gatewayRouteSelector",
        "meshRef",
    ),
    "GatewayRoute": ("awsName", "meshRef", "virtualGatewayRef"),
}
"""Members of a spec that App Mesh's own spec does not have."""
_REFERENCES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "virtualNode": ("VirtualNode", ("virtualNodeName", "virtualNode")),
    "virtualRouter": ("VirtualRouter", ("virtualRouterName",)),
    "virtualService": ("VirtualService", ("virtualServiceName",)),
}
"""``…Ref`` and ``…ARN``: the kind they lead to, and the member that holds its name."""


class Manifests:
    """Takes objects from documents, and says at the end what they define."""

    def __init__(self, problems: list[Problem], warnings: list[Problem]) -> None:
        self._problems = problems
        self._warnings = warnings
        self._objects: list[Object] = []
        self.foreign: Counter[str] = Counter()
        """How many objects of kinds that are none of ours."""

    def add(self, document: Document) -> None:
        """An object or a list of them."""
        self._add(document.value, document, ())

    def _add(self, value: Any, document: Document, path: Path) -> None:
        if not isinstance(value, Mapping):
            self._problem(document.at(path), "a Kubernetes object is a mapping")
            return
        version, kind = str(value.get("apiVersion")), str(value.get("kind"))
        items = value.get("items")
        if kind.endswith("List") and isinstance(items, list):
            for i, each in enumerate(items):
                if len(self._problems) > MAX_PROBLEMS:
                    break
                self._add(each, document, (*path, "items", i))
        elif sort_of(value) is not Sort.KUBERNETES:
            self.foreign[kind] += 1
        elif version == f"{APP_MESH_GROUP}v1beta1":
            self._problem(
                document.at(path),
                f"{kind}: {version} belongs to the controller before 1.0 and is not read; "
                "write it as v1beta2, as AWS's upgrade guide for the controller shows",
            )
        elif kind not in (*KINDS, BACKEND_GROUP, NAMESPACE):
            near = get_close_matches(kind, [*KINDS, BACKEND_GROUP], n=1)
            self._problem(
                document.at((*path, "kind")),
                f"{version} has no kind {kind!r}"
                + (f"; did you mean {near[0]!r}?" if near else ""),
            )
        elif version not in (VERSION, "v1"):
            self._problem(
                document.at((*path, "apiVersion")), f"{version} is not known; {VERSION} is"
            )
        elif (found := self._object(value, kind, document, path)) is not None:
            self._objects.append(found)

    def _object(
        self, value: Mapping[str, Any], kind: str, document: Document, path: Path
    ) -> Object | None:
        metadata = value.get("metadata")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        name, namespace = metadata.get("name"), metadata.get("namespace")
        if not isinstance(name, str) or not name:
            self._problem(document.at(path), f"{kind} needs metadata.name, a text")
            return None
        if namespace is not None and not isinstance(namespace, str):
            at = document.at((*path, "metadata", "namespace"))
            self._problem(at, f"{kind} {name}: a namespace is a text, not {namespace!r:.40}")
            return None
        spec = value.get("spec")
        if spec is not None and not isinstance(spec, Mapping):
            self._problem(document.at((*path, "spec")), f"{kind} {name}: spec must be a mapping")
            return None
        labels = metadata.get("labels")
        return Object(
            kind,
            name,
            "" if kind in ("Mesh", NAMESPACE) else namespace or DEFAULT_NAMESPACE,
            {str(k): str(v) for k, v in labels.items()} if isinstance(labels, Mapping) else {},
            spec or {},
            document,
            path,
        )

    def definitions(self, mesh: str | None) -> list[Definition]:
        """What all objects together define; ``mesh`` is of those that no mesh selects."""
        cluster = Cluster(mesh, self._problems, self._warnings)
        for each in self._objects:
            cluster.add(each)
        found: list[Definition] = []
        for each in self._objects:
            if each.kind in KINDS:
                found += _Reader(each, cluster, self._problems, self._warnings).read()
        selecting = sum("podSelector" in each.spec for each in self._objects)
        if selecting:
            first = next(each for each in self._objects if "podSelector" in each.spec)
            self._warnings.append(
                Problem(
                    first.at("spec", "podSelector"),
                    f"podSelector (of {selecting} objects) is passed over: a sidecar says itself "
                    "which virtual node it stands for",
                )
            )
        return found

    def _problem(self, place: str, message: str) -> None:
        self._problems.append(Problem(place, message))


class _Reader:
    """Reads the definitions of one object."""

    def __init__(
        self, found: Object, cluster: Cluster, problems: list[Problem], warnings: list[Problem]
    ) -> None:
        self._object = found
        self._cluster = cluster
        self._problems = problems
        self._warnings = warnings
        self._origins: dict[Path, Path] = {}

    def read(self) -> list[Definition]:
        found, kind = self._object, KINDS[self._object.kind]
        if kind is Kind.MESH:
            owner = found.spec.get("meshOwner")
            names: dict[str, Any] = {"meshName": found.aws_name}
            names |= {"meshOwner": owner} if owner is not None else {}
            return [self._definition(kind, names, found.spec, ("spec",))]
        mesh = self._cluster.mesh_of(found)
        parent = self._cluster.gateway_of(found) if kind is Kind.GATEWAY_ROUTE else ""
        if mesh is None or parent is None:
            return []
        names = {"meshName": mesh[0]} | ({"meshOwner": mesh[1]} if mesh[1] else {})
        named = NAMES[kind]
        if parent:
            names[named[1]] = parent
        names[named[-1]] = found.aws_name
        definitions = [self._definition(kind, names, found.spec, ("spec",))]
        if kind is Kind.VIRTUAL_ROUTER:
            definitions += self._routes(names)
        return definitions

    def _routes(self, router: Mapping[str, Any]) -> list[Definition]:
        routes = self._object.spec.get("routes")
        if routes is None:
            return []
        if not isinstance(routes, list):
            self._problem(("spec", "routes"), "routes must be a list")
            return []
        found = []
        for i, route in enumerate(routes):
            at: Path = ("spec", "routes", i)
            if not isinstance(route, Mapping) or not isinstance(route.get("name"), str):
                self._problem(at, "a route is a mapping with a name")
                continue
            self._origins = {}
            spec = {name: value for name, value in route.items() if name != "name"}
            names = {**router, "routeName": route["name"]}
            found.append(self._definition(Kind.ROUTE, names, spec, at, besides=("name",)))
        return found

    def _definition(
        self,
        kind: Kind,
        names: Mapping[str, Any],
        spec: Mapping[str, Any],
        at: Path,
        besides: tuple[str, ...] | None = None,
    ) -> Definition:
        found = self._object
        skipped = _BESIDES[found.kind] if besides is None else besides
        plain = {name: value for name, value in spec.items() if name not in skipped}
        body = {**names, "spec": self._read(plain, shape_of(kind), at, ("spec",))}
        if kind is Kind.MESH and isinstance(given := spec.get("meshServiceDiscovery"), Mapping):
            source: Path = (*at, "meshServiceDiscovery")
            target: Path = ("spec", "serviceDiscovery")
            shape = shape_of(kind).members["serviceDiscovery"]
            body["spec"]["serviceDiscovery"] = self._read(given, shape, source, target)
        if kind is Kind.VIRTUAL_NODE:
            self._add_groups(body["spec"])
        source = (*found.path, *at) if kind is Kind.ROUTE else found.path
        return Definition(
            kind, body, found.document.at(source), found.document, found.path, self._origins
        )

    def _read(self, value: Any, shape: Shape, at: Path, to: Path) -> Any:
        """A value in App Mesh's spelling; where each member came from is noted."""
        self._origins[to] = (*self._object.path, *at)
        if isinstance(shape, Items) and isinstance(value, list):
            return [self._read(v, shape.of, (*at, i), (*to, i)) for i, v in enumerate(value)]
        if not isinstance(shape, Members) or not isinstance(value, Mapping):
            return value
        found: dict[str, Any] = {}
        for name, member in value.items():
            if member is None:
                continue
            spelt = _spelt(str(name), shape)
            if spelt in shape.members:
                below = shape.members[spelt]
                found[spelt] = self._read(member, below, (*at, name), (*to, spelt))
            elif not self._referred(found, str(name), member, shape, at, to):
                self._left_out(str(name), shape, at)
        return found

    def _referred(
        self,
        found: dict[str, Any],
        name: str,
        member: Any,
        shape: Members,
        at: Path,
        to: Path,
    ) -> bool:
        """Follow ``…Ref`` or ``…ARN`` into ``found``; False for any other member."""
        for stem, (kind, targets) in _REFERENCES.items():
            target = next((each for each in targets if each in shape.members), None)
            if target is None or name not in (f"{stem}Ref", f"{stem}ARN"):
                continue
            place = (*at, name)
            if name.endswith("Ref"):
                read = self._cluster.referred(kind, member, self._object, place)
            else:
                read = self._cluster.named_by_arn(kind, member, self._object, place)
            if target in found:
                self._problem(place, f"give {stem}Ref or {stem}ARN, not both")
            self._origins[(*to, target)] = (*self._object.path, *place)
            found[target] = read
            return True
        return False

    def _left_out(self, name: str, shape: Members, at: Path) -> None:
        near = get_close_matches(name, list(shape.members), n=1, cutoff=0.8)
        self._warnings.append(
            Problem(
                self._object.at(*at, name),
                f"{self._object.title}: {shown((*at, name))} is not known and left out"
                + (f"; did you mean {near[0]!r}?" if near else ""),
            )
        )

    def _add_groups(self, spec: dict[str, Any]) -> None:
        """The virtual services of the backend groups, each once, after the backends."""
        groups = self._object.spec.get("backendGroups")
        if groups is None:
            return
        if not isinstance(groups, list):
            self._problem(("spec", "backendGroups"), "backendGroups must be a list")
            return
        given = spec.get("backends")
        backends = list(given) if isinstance(given, list) else []
        have = {_service(each) for each in backends}
        for i, reference in enumerate(groups):
            for service in self._group(reference, ("spec", "backendGroups", i)):
                if service not in have:
                    have.add(service)
                    backends.append({"virtualService": {"virtualServiceName": service}})
        spec["backends"] = backends

    def _group(self, reference: Any, at: Path) -> list[str]:
        name = reference.get("name") if isinstance(reference, Mapping) else None
        if not isinstance(name, str):
            self._problem(at, "a reference needs a name")
            return []
        namespace = reference.get("namespace") or self._object.namespace
        if name == "*":
            return [each.aws_name for each in self._cluster.within("VirtualService", namespace)]
        group = self._cluster.find(BACKEND_GROUP, namespace, name)
        if group is None:
            self._problem(at, f"BackendGroup {name} of namespace {namespace} is not in these files")
            return []
        services = group.spec.get("virtualservices")
        found = []
        for i, each in enumerate(services if isinstance(services, list) else ()):
            place = ("spec", "virtualservices", i)
            if read := self._cluster.referred("VirtualService", each, group, place):
                found.append(read)
        return found

    def _problem(self, at: Path, message: str) -> None:
        place = self._object.at(*at)
        self._problems.append(Problem(place, f"{self._object.title}: {shown(at)}: {message}"))


def _service(backend: Any) -> Any:
    try:
        return backend["virtualService"]["virtualServiceName"]
    except (KeyError, TypeError):
        return None


def _spelt(name: str, shape: Members) -> str:
    """``certificateARN`` and ``certificateAuthorityARNs`` as App Mesh has them."""
    for ending, ours in (("ARNs", "Arns"), ("ARN", "Arn")):
        spelt = name.removesuffix(ending) + ours
        if name.endswith(ending) and spelt in shape.members:
            return spelt
    return name
