"""
A mesh as manifests of the App Mesh controller.

Everything is in one namespace. Names that Kubernetes does not allow are made to
fit, and ``awsName`` keeps the one in App Mesh; what no manifest defines is
referred to by its ARN. There is no place for tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weft.manifests.cluster import default_name
from weft.manifests.export import text
from weft.manifests.export.exported import Exported, File, Names, in_order
from weft.manifests.kubernetes import VERSION
from weft.names import Key, Kind

_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LONGEST_LABEL, _LONGEST_NAME = 63, 253
_SPELT = {
    "certificateArn": "certificateARN",
    "certificateAuthorityArns": "certificateAuthorityARNs",
}
_NAMED = {
    "virtualServiceName": Kind.VIRTUAL_SERVICE,
    "virtualNodeName": Kind.VIRTUAL_NODE,
    "virtualRouterName": Kind.VIRTUAL_ROUTER,
    "virtualNode": Kind.VIRTUAL_NODE,
}
"""Members that hold the name of another resource."""

HEAD = """\
podSelector is left to you: it says which pods a virtual node or gateway stands for.
"""


def files(resources: Sequence[Exported]) -> list[File]:
    """One file for one mesh, in the order in which it can be applied."""
    return [File("mesh.yaml", text.documents(_Objects(resources).objects(), HEAD))]


class _Objects:
    def __init__(self, resources: Sequence[Exported]) -> None:
        self._resources = in_order(resources)
        self._mesh = resources[0].key.mesh
        self._known = {each.key for each in resources}
        self._names: dict[Kind, Names] = {
            kind: Names(_SUBDOMAIN, "a-z0-9-", _LONGEST_NAME)
            for kind in Kind
            if kind not in (Kind.MESH, Kind.ROUTE)
        }
        self._labels = Names(_LABEL, "a-z0-9-", _LONGEST_LABEL)
        self._namespace = Names(_LABEL, "a-z0-9-", _LONGEST_LABEL).of(self._mesh)

    def objects(self) -> list[dict[str, Any]]:
        labels = {"mesh": self._namespace}
        found: list[dict[str, Any]] = [
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self._namespace, "labels": labels},
            }
        ]
        routes: dict[Key, list[dict[str, Any]]] = {}
        for each in self._resources:
            if each.key.kind is Kind.ROUTE and each.key.parent is not None:
                route = {"name": each.key.name, **self._spec(each)}
                routes.setdefault(each.key.parent, []).append(route)
        for each in self._resources:
            if each.key.kind is not Kind.ROUTE:
                found.append(self._object(each, routes.get(each.key, [])))
        return found

    def _object(self, each: Exported, routes: list[dict[str, Any]]) -> dict[str, Any]:
        key, kind = each.key, each.key.kind.title
        metadata: dict[str, Any] = {"name": self._name(key)}
        spec: dict[str, Any] = {}
        if key.kind is not Kind.MESH:
            metadata["namespace"] = self._namespace
        if default_name(kind, metadata["name"], self._namespace) != key.name:
            spec["awsName"] = key.name
        selector = {"matchLabels": {"mesh": self._namespace}}
        match key.kind:
            case Kind.MESH:
                spec["namespaceSelector"] = selector
            case Kind.VIRTUAL_GATEWAY:
                spec["namespaceSelector"] = selector
                spec["gatewayRouteSelector"] = {"matchLabels": self._gateway(key)}
            case Kind.GATEWAY_ROUTE:
                assert key.parent is not None, "a gateway route lives in a virtual gateway"
                metadata["labels"] = self._gateway(key.parent)
            case _:
                pass
        spec |= self._spec(each)
        if key.kind is Kind.MESH and "serviceDiscovery" in spec:
            spec["meshServiceDiscovery"] = spec.pop("serviceDiscovery")
        if routes:
            spec["routes"] = routes
        return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": spec}

    def _gateway(self, key: Key) -> dict[str, str]:
        """The label by which a virtual gateway knows its routes."""
        return {"gateway": self._labels.of(key.name)}

    def _name(self, key: Key) -> str:
        """Of the Kubernetes object."""
        if key.kind is Kind.MESH:
            return self._namespace
        # Gateway routes of two gateways may have one name; in a namespace they cannot.
        within = f"{key.parent_name}.{key.name}" if key.parent_name else key.name
        return self._names[key.kind].of(within)

    def _spec(self, each: Exported) -> dict[str, Any]:
        found: dict[str, Any] = self._spelt(each.spec, each)
        return found

    def _spelt(self, value: Any, of: Exported) -> Any:
        if isinstance(value, Mapping):
            found: dict[str, Any] = {}
            for name, member in value.items():
                kind = _NAMED.get(name)
                if kind is not None and isinstance(member, str):
                    found |= self._reference(Key(self._mesh, kind, member), of)
                else:
                    found[_SPELT.get(name) or str(name)] = self._spelt(member, of)
            return found
        if isinstance(value, list | tuple):
            return [self._spelt(each, of) for each in value]
        return value

    def _reference(self, key: Key, of: Exported) -> dict[str, Any]:
        if key in self._known:
            return {f"{key.kind}Ref": {"name": self._name(key)}}
        return {f"{key.kind}ARN": of.arn(key)}
