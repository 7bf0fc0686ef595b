"""The kinds that commands take, in every spelling people use for them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum

from weft.cli.exits import Usage
from weft.errors import BadRequest
from weft.names import Arn, Key, Kind


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind as the command line knows it."""

    singular: str
    plural: str
    short: str
    kind: Kind | None = None
    """None for what App Mesh does not know."""
    within_mesh: bool = True
    """Whether one has to say which mesh is meant."""

    @property
    def title(self) -> str:
        return self.singular.replace("-", " ")


class Nouns(Enum):
    """Everything that can be got."""

    MESH = Noun("mesh", "meshes", "", Kind.MESH, within_mesh=False)
    VIRTUAL_NODE = Noun("virtual-node", "virtual-nodes", "vn", Kind.VIRTUAL_NODE)
    VIRTUAL_SERVICE = Noun("virtual-service", "virtual-services", "vs", Kind.VIRTUAL_SERVICE)
    VIRTUAL_ROUTER = Noun("virtual-router", "virtual-routers", "vr", Kind.VIRTUAL_ROUTER)
    ROUTE = Noun("route", "routes", "", Kind.ROUTE)
    VIRTUAL_GATEWAY = Noun("virtual-gateway", "virtual-gateways", "vg", Kind.VIRTUAL_GATEWAY)
    GATEWAY_ROUTE = Noun("gateway-route", "gateway-routes", "gwr", Kind.GATEWAY_ROUTE)
    PROXY = Noun("proxy", "proxies", "")
    INSTANCE = Noun("instance", "instances", "")
    CHANGE = Noun("change", "changes", "")
    NAMESPACE = Noun("namespace", "namespaces", "", within_mesh=False)
    CLOUD_MAP_SERVICE = Noun("cloudmap-service", "cloudmap-services", "", within_mesh=False)
    CLOUD_MAP_INSTANCE = Noun("cloudmap-instance", "cloudmap-instances", "", within_mesh=False)
    WORKLOAD = Noun("workload", "workloads", "")

    @property
    def noun(self) -> Noun:
        found: Noun = self.value
        return found


NOUNS = tuple(each.noun for each in Nouns)
RESOURCES = tuple(noun for noun in NOUNS if noun.kind)


def _spellings(noun: Noun) -> set[str]:
    return {_folded(text) for text in (noun.singular, noun.plural, noun.short) if text} | (
        {f"{noun.short}s"} if noun.short else set()
    )


def _folded(text: str) -> str:
    return text.lower().replace("-", "").replace("_", "")


_BY_SPELLING = {spelling: noun for noun in NOUNS for spelling in _spellings(noun)}


def noun_of(text: str) -> Noun:
    """The kind meant: ``vn``, ``virtual-node``, ``virtualNodes``…"""
    if found := _BY_SPELLING.get(_folded(text)):
        return found
    listed = ", ".join(
        f"{noun.plural} ({noun.short})" if noun.short else noun.plural for noun in NOUNS
    )
    near = difflib.get_close_matches(_folded(text), _BY_SPELLING, n=1, cutoff=0.6)
    guess = f"did you mean {_BY_SPELLING[near[0]].plural}? " if near else ""
    raise Usage(f"{text!r} is no kind", fix=f"{guess}Kinds: {listed}")


def noun_of_kind(kind: Kind) -> Noun:
    return next(noun for noun in NOUNS if noun.kind is kind)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of a kind: all, one by name (within its parent), or one by its whole key."""

    noun: Noun
    name: str | None = None
    parent: str | None = None
    mesh: str | None = None


def wanted(kind: str, name: str | None) -> Wanted:
    """``KIND``, ``KIND NAME``, ``KIND/NAME``, ``KIND PARENT/NAME``, a key or an ARN."""
    if name is None and (key := _key(kind)):
        return _of_key(key)
    if name is None and "/" in kind:
        kind, _, name = kind.partition("/")
    noun = noun_of(kind)
    if name is None:
        return Wanted(noun)
    if noun.kind is not None and (key := _key(name)):
        if key.kind is not noun.kind:
            raise Usage(f"{name} is no {noun.title}", fix=f"weft describe {key}")
        return _of_key(key)
    if noun.kind in (Kind.ROUTE, Kind.GATEWAY_ROUTE) and "/" in name:
        parent, _, name = name.partition("/")
        return Wanted(noun, name, parent)
    return Wanted(noun, name)


def _key(text: str) -> Key | None:
    try:
        if text.startswith("arn:"):
            return Arn.parse(text).key
        return Key.parse(text)
    except BadRequest:
        return None


def _of_key(key: Key) -> Wanted:
    return Wanted(noun_of_kind(key.kind), key.name, key.parent_name or None, key.mesh)


_POLICY = "policies//"


def short(key: str, *, mesh: bool = False) -> str:
    """A key without its mesh, for reading: ``route/colorteller-vr/colorteller-route``."""
    if key.startswith(_POLICY):
        return f"policy of {short(key.removeprefix(_POLICY), mesh=mesh)}"
    owner, _, instance = key.partition("/instance/")
    try:
        parsed = Key.parse(owner)
    except BadRequest:
        return key
    parts = [str(parsed.kind), parsed.parent_name, parsed.name]
    if mesh and parsed.kind is not Kind.MESH:
        parts.insert(0, parsed.mesh)
    text = "/".join(part for part in parts if part)
    return f"{text}/instance/{instance}" if instance else text


def did_you_mean(name: str, known: list[str]) -> str:
    """The nearest name there is, or nothing."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return near[0]
    return next((each for each in sorted(known) if name and name in each), "")
