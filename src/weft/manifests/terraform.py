"""
Terraform's state and plans: what ``aws_appmesh_*`` resources define.

Reads a state file (version 4) and what ``terraform show -json`` prints of a state
or a plan. Blocks are lists, names are snake_case and singular, and what was not
given is there as ``[]``, ``""`` or ``0``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weft.errors import Problem
from weft.manifests.definition import NAMES, Definition
from weft.manifests.document import Document, Path
from weft.manifests.shape import Items, Members, Shape, Text, shape_of
from weft.names import Kind


def _snake(name: str) -> str:
    """``http2Route`` as ``http2_route``."""
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0].lower()}", name)


_PREFIX = "aws_appmesh_"
_KINDS: Mapping[str, Kind] = {_PREFIX + _snake(kind.value): kind for kind in Kind}
_BLOCKS: Mapping[str, str] = {
    "backends": "backend",
    "listeners": "listener",
    "weightedTargets": "weighted_target",
    "headers": "header",
    "queryParameters": "query_parameter",
}
"""Repeated blocks that the provider names in the singular; ``metadata`` is its own."""
_MAX_MODULES = 100


@dataclass(frozen=True, slots=True)
class _Found:
    """One resource instance."""

    address: str
    kind: Kind
    values: Mapping[str, Any]
    path: Path


class State:
    """Reads one document."""

    def __init__(
        self, document: Document, problems: list[Problem], warnings: list[Problem]
    ) -> None:
        self._document = document
        self._problems = problems
        self._warnings = warnings

    def definitions(self) -> list[Definition]:
        found = list(self._instances())
        named = {each.address: str(each.values.get("name") or "") for each in found}
        return [read for each in found if (read := self._definition(each, named)) is not None]

    # --- which instances there are -------------------------------------------------------

    def _instances(self) -> Iterator[_Found]:
        value = self._document.value
        for member in ("planned_values", "values"):
            part = value.get(member)
            if isinstance(part, Mapping):
                yield from self._module(part.get("root_module"), (member, "root_module"))
                return
        if value.get("version") == 4 and isinstance(value.get("resources"), list):
            yield from self._state(value["resources"])
        elif "version" in value and value["version"] != 4:
            self._problems.append(
                Problem(
                    self._document.at(("version",)),
                    f"a Terraform state of version {value['version']!r:.20} cannot be read; "
                    "terraform show -json STATE prints one that can",
                )
            )

    def _state(self, resources: list[Any]) -> Iterator[_Found]:
        for i, resource in enumerate(resources):
            if not isinstance(resource, Mapping) or resource.get("mode") != "managed":
                continue
            kind = self._kind(resource.get("type"), ("resources", i, "type"))
            instances = resource.get("instances")
            for j, instance in enumerate(instances if isinstance(instances, list) else ()):
                values = instance.get("attributes") if isinstance(instance, Mapping) else None
                if kind is None or not isinstance(values, Mapping):
                    continue
                address = f"{resource['type']}.{resource.get('name')}"
                if isinstance(module := resource.get("module"), str):
                    address = f"{module}.{address}"
                if (index := instance.get("index_key")) is not None:
                    address += f"[{index!r}]"
                path = ("resources", i, "instances", j, "attributes")
                yield _Found(address, kind, values, path)

    def _module(self, module: Any, path: Path, depth: int = 0) -> Iterator[_Found]:
        if not isinstance(module, Mapping) or depth > _MAX_MODULES:
            return
        resources = module.get("resources")
        for i, each in enumerate(resources if isinstance(resources, list) else ()):
            if not isinstance(each, Mapping) or each.get("mode", "managed") != "managed":
                continue
            at: Path = (*path, "resources", i)
            kind, values = self._kind(each.get("type"), (*at, "type")), each.get("values")
            if kind is not None and isinstance(values, Mapping):
                yield _Found(str(each.get("address")), kind, values, (*at, "values"))
        modules = module.get("child_modules")
        for i, each in enumerate(modules if isinstance(modules, list) else ()):
            yield from self._module(each, (*path, "child_modules", i), depth + 1)

    def _kind(self, type: Any, at: Path) -> Kind | None:
        kind = _KINDS.get(str(type))
        if kind is None and str(type).startswith(_PREFIX):
            self._problems.append(Problem(self._document.at(at), f"there is no {type}"))
        return kind

    # --- what one defines ----------------------------------------------------------------

    def _definition(self, found: _Found, named: Mapping[str, str]) -> Definition | None:
        values, names = found.values, NAMES[found.kind]
        body: dict[str, Any] = {}
        for member in names:
            spelt = "name" if member == names[-1] else _snake(member)
            value = values.get(spelt) or self._planned(found, spelt, named)
            if not isinstance(value, str) or not value:
                self._problems.append(
                    Problem(
                        self._document.at(found.path),
                        f"{found.address}: {spelt} is known only after terraform apply; "
                        "read the state then: terraform show -json",
                    )
                )
                return None
            body[member] = value
        # The provider fills in the owner; one that differs means a mesh of somebody else.
        owner = values.get("mesh_owner")
        if isinstance(owner, str) and owner and owner != values.get("resource_owner", owner):
            body["meshOwner"] = owner
        tags = values.get("tags_all") or values.get("tags")
        if isinstance(tags, Mapping):
            body["tags"] = [{"key": str(k), "value": str(v)} for k, v in sorted(tags.items())]
        origins: dict[Path, Path] = {}
        reader = _Spec(self._document, found, origins, self._warnings)
        body["spec"] = reader.block(
            values.get("spec"), shape_of(found.kind), (*found.path, "spec"), ("spec",)
        )
        if body["spec"] is None:
            body["spec"] = {}
        source = self._document.at(found.path)
        return Definition(found.kind, body, source, self._document, found.path, origins)

    def _planned(self, found: _Found, member: str, named: Mapping[str, str]) -> str | None:
        """The name behind a reference such as ``aws_appmesh_mesh.shop.id``, which a plan leaves open."""
        if not isinstance(self._document.value.get("configuration"), Mapping):
            return None
        *modules, type, name = _steps(found.address)
        module: Any = self._document.value["configuration"].get("root_module")
        for step in modules:
            calls = module.get("module_calls") if isinstance(module, Mapping) else None
            call = calls.get(step) if isinstance(calls, Mapping) else None
            module = call.get("module") if isinstance(call, Mapping) else None
        resources = module.get("resources") if isinstance(module, Mapping) else None
        prefix = found.address.rpartition(f"{type}.{name}")[0]
        for each in resources if isinstance(resources, list) else ():
            if isinstance(each, Mapping) and each.get("address") == f"{type}.{name}":
                expressions = each.get("expressions")
                expression = expressions.get(member) if isinstance(expressions, Mapping) else None
                references = (
                    expression.get("references") if isinstance(expression, Mapping) else None
                )
                for reference in references if isinstance(references, list) else ():
                    if given := named.get(f"{prefix}{str(reference).removesuffix('.id')}"):
                        return given
        return None


def _steps(address: str) -> list[str]:
    """``module.a["x"].module.b.TYPE.NAME[0]`` as ``[a, b, TYPE, NAME]``."""
    plain = re.sub(r"\[[^\]]*\]", "", address)
    parts = plain.split(".")
    return [*(parts[i] for i in range(1, len(parts) - 2, 2)), *parts[-2:]]


class _Spec:
    """Blocks as App Mesh's objects, with the place of each member."""

    def __init__(
        self,
        document: Document,
        found: _Found,
        origins: dict[Path, Path],
        warnings: list[Problem],
    ) -> None:
        self._document = document
        self._found = found
        self._origins = origins
        self._warnings = warnings

    def block(self, value: Any, shape: Shape, at: Path, to: Path) -> Any:
        """A list of at most one object; None when the block is not there."""
        if not isinstance(value, list):
            return self._value(value, shape, at, to)
        if not value or value[0] is None:
            return None
        return self._value(value[0], shape, (*at, 0), to)

    def _value(self, value: Any, shape: Shape, at: Path, to: Path) -> Any:
        self._origins[to] = at
        if isinstance(shape, Members) and isinstance(value, Mapping):
            return self._object(value, shape, at, to)
        return value

    def _object(self, value: Mapping[str, Any], shape: Members, at: Path, to: Path) -> Any:
        found: dict[str, Any] = {}
        known = {_BLOCKS.get(name, _snake(name)): name for name in shape.members}
        for name in value:
            if str(name) not in known:
                self._left_out(str(name), value[name], at)
        for spelt, name in known.items():
            below, inner = (*at, spelt), shape.members[name]
            read = self._member(value.get(spelt), inner, below, (*to, name))
            if read is None and name in shape.required and isinstance(inner, Members):
                # As the provider does: a match that is not given is one that takes everything.
                read = {}
            if read is None or (_is_unset(read) and name not in shape.required | _kept(shape)):
                continue
            found[name] = read
        match found:
            case {"healthCheck": {"port": probed}, "portMapping": {"port": port}} if probed == port:
                # Computed by the provider from what App Mesh adds itself.
                del found["healthCheck"]["port"]
        return found

    def _member(self, value: Any, shape: Shape, at: Path, to: Path) -> Any:
        match shape:
            case Members():
                return self.block(value, shape, at, to)
            case Items(of=Members() as of) if isinstance(value, Mapping):
                # The one map: attributes of Cloud Map.
                self._origins[to] = at
                keys = set(of.members) == {"key", "value"}
                return [{"key": k, "value": v} for k, v in value.items()] if keys else value
            case Items(of=of) if isinstance(value, list):
                self._origins[to] = at
                return [self._value(v, of, (*at, i), (*to, i)) for i, v in enumerate(value)]
            case Items() | Text():
                self._origins[to] = at
                return value

    def _left_out(self, name: str, value: Any, at: Path) -> None:
        if value not in (None, [], "", 0, False, {}):
            self._warnings.append(
                Problem(
                    self._document.at((*at, name)),
                    f"{self._found.address}: {name} is not known and left out",
                )
            )


def _is_unset(value: Any) -> bool:
    """Whether it is what the provider stores for what was not given; ``false`` is an answer."""
    return value in ("", []) or (value == 0 and not isinstance(value, bool))


def _kept(shape: Members) -> frozenset[str]:
    """A duration of 0 means "off"."""
    return frozenset(shape.members) if shape.is_duration else frozenset()
