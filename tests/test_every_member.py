"""
Every member of the model counts: changed in a mesh, it changes what some proxy is told.

A definition that is accepted and silently does nothing is the complaint App Mesh's users
repeat most. What each member does to traffic is for the tests named in docs/members.md;
this one finds the member that nobody thought of.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.members import members
from tests.whole_mesh import (
    AUTHORITY,
    CERTIFICATE,
    OTHER_AUTHORITY,
    OTHER_CERTIFICATE,
    Json,
    specs,
    state,
    views,
)
from weft.errors import WeftError
from weft.model import codec
from weft.names import Key
from weft.pipeline import snapshot_for
from weft.store.state import MeshState

WITHOUT_EFFECT = {
    f"virtualGateway.listeners[].healthCheck.{member}": "nobody inside a mesh checks a gateway"
    for member in (
        "healthyThreshold",
        "intervalMillis",
        "path",
        "port",
        "protocol",
        "timeoutMillis",
        "unhealthyThreshold",
    )
} | {
    "virtualNode.listeners[].healthCheck.port": "it can only be the listener's own port",
}
"""The members that change nothing, and why that is so."""

REFUSED = {"route.httpRoute.match.scheme"}
"""The model has them and App Mesh refused them: scheme is for http2Route only."""

ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "type": ("ALLOW_ALL",),
    "ipPreference": ("IPv6_ONLY",),
    "responseType": ("LOADBALANCER",),
    "mode": ("PERMISSIVE",),
    "protocol": ("http", "http2", "grpc", "tcp"),
    "unit": ("ms",),
    "method": ("POST",),
    "scheme": ("https",),
    "defaultPrefix": ("ENABLED",),
    "defaultTargetHostname": ("ENABLED",),
    "httpRetryEvents": ("gateway-error",),
    "grpcRetryEvents": ("cancelled",),
    "certificateArn": (OTHER_CERTIFICATE,),
    "certificateAuthorityArns": (OTHER_AUTHORITY,),
    "virtualNodeName": ("server",),
    "virtualNode": ("plain",),
    "virtualServiceName": ("single.local",),
    "value": ("/newer/",),
}


def leaves(value: Any, path: str, steps: tuple[str | int, ...]) -> Iterator[tuple[str, Any]]:
    """Every leaf of a spec: the member as the model writes it, and the steps to it."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from leaves(inner, f"{path}.{name}", (*steps, name))
        case list():
            for i, inner in enumerate(value):
                yield from leaves(inner, f"{path}[]", (*steps, i))
        case _:
            yield path, steps


def others(member: str, value: Any) -> Iterator[Any]:
    """Other values that the member may have; one that is gone, last."""
    name = member.rpartition(".")[2].removesuffix("[]")
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
            yield value - 1
        case str():
            yield from (each for each in ALTERNATIVES.get(name, ()) if each != value)
            yield f"{value}x"
            yield f"x{value}"
    yield None


def changed(spec: Json, steps: tuple[str | int, ...], value: Any) -> Json:
    made = copy.deepcopy(spec)
    places: list[Any] = [made]
    for step in steps[:-1]:
        places.append(places[-1][step])
    if value is not None:
        places[-1][steps[-1]] = value
        return made
    for place, step in zip(reversed(places), reversed(steps), strict=True):
        del place[step]
        if place:
            break  # A list that is empty is no list of App Mesh's.
    return made


@cache
def told_before() -> dict[Any, Any]:
    made = specs()
    return {view: versions(state(made), view) for view in views(made)}


def versions(of: MeshState, view: Any) -> Any:
    snapshot = snapshot_for(of, view)
    return {
        type: {name: each.version for name, each in named.items()}
        for type, named in snapshot.resources.items()
    }


@cache
def occurrences() -> dict[str, list[tuple[Key, tuple[str | int, ...]]]]:
    found: dict[str, list[tuple[Key, tuple[str | int, ...]]]] = {}
    for key, spec in specs().items():
        for member, steps in leaves(spec, key.kind.value, ()):
            found.setdefault(member, []).append((key, steps))
    return found


def has_effect(key: Key, steps: tuple[str | int, ...], member: str) -> bool:
    """Whether another value there is heard of by some proxy."""
    before = specs()
    value: Any = before[key]
    for step in steps:
        value = value[step]
    for other in others(member, value):
        spec = changed(before[key], steps, other)
        try:
            codec.decode(key.kind, spec)
        except WeftError:
            continue
        after = state({**before, key: spec})
        if any(versions(after, view) != told for view, told in told_before().items()):
            return True
    return False


def test_the_mesh_of_this_test_gives_every_member() -> None:
    assert set(occurrences()) == set(members()) - REFUSED


@pytest.mark.parametrize("member", sorted(set(members()) - REFUSED))
def test_a_member_changes_what_a_proxy_is_told(member: str) -> None:
    found = any(has_effect(key, steps, member) for key, steps in occurrences()[member])

    assert found != (member in WITHOUT_EFFECT), WITHOUT_EFFECT.get(member, "it does nothing")


def test_certificates_of_this_test_are_those_of_its_mesh() -> None:
    assert CERTIFICATE != OTHER_CERTIFICATE
    assert AUTHORITY != OTHER_AUTHORITY
