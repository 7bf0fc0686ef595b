"""
Whether a change keeps to the quotas: counted on the result, and only where it adds something.

What was there before a quota was set stays, can be changed and can be deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from weft.errors import LimitExceeded
from weft.model.meta import Spec
from weft.model.virtual_node import VirtualNodeSpec
from weft.model.virtual_router import RouteSpec
from weft.names import Key, Kind, owner_of
from weft.quotas import (
    BACKENDS,
    GATEWAY_ROUTES,
    MESHES,
    ROUTES,
    VIRTUAL_GATEWAYS,
    VIRTUAL_NODES,
    VIRTUAL_ROUTERS,
    VIRTUAL_SERVICES,
    WEIGHTED_TARGETS,
    Quotas,
)
from weft.store.state import MeshState

_OF_KIND = {
    Kind.MESH: MESHES,
    Kind.VIRTUAL_NODE: VIRTUAL_NODES,
    Kind.VIRTUAL_SERVICE: VIRTUAL_SERVICES,
    Kind.VIRTUAL_ROUTER: VIRTUAL_ROUTERS,
    Kind.ROUTE: ROUTES,
    Kind.VIRTUAL_GATEWAY: VIRTUAL_GATEWAYS,
    Kind.GATEWAY_ROUTE: GATEWAY_ROUTES,
}

_Place = tuple[Key | str, Kind]
"""What holds the resources that a quota counts: their parent, or the account of a mesh."""


class Counting:
    """One change, counted step by step."""

    def __init__(
        self, quotas: Quotas, before: MeshState, after: MeshState, put: Iterable[Key], home: str
    ) -> None:
        self._quotas = quotas
        self._before = before
        self._after = after
        self._home = home
        self._made: dict[_Place, int] = {}
        """How many are created, for each place and kind."""
        self._room: dict[_Place, int] = {}
        """For how many more of them there is room."""
        if quotas.limits:
            self._made = Counter(self._place(key) for key in put if before.resource(key) is None)

    def excess(self, key: Key) -> Iterator[LimitExceeded]:
        """What speaks against a resource that was created or updated."""
        if not self._quotas.limits:
            return
        if self._before.resource(key) is None:
            yield from self._too_many_siblings(key)
        after = self._after.resource(key)
        assert after is not None, "a key that was put stands in the result"
        before = self._before.resource(key)
        for name, count in _counts(after.spec).items():
            limit = self._quotas.of(name)
            least = _counts(before.spec).get(name, 0) if before else 0
            if limit is not None and count > max(limit, least):
                yield _exceeded(
                    f"{key.kind} {key.name} would have {count} {_words(name)}", name, limit
                )

    def _too_many_siblings(self, key: Key) -> Iterator[LimitExceeded]:
        name = _OF_KIND[key.kind]
        limit = self._quotas.of(name)
        if limit is None:
            return
        place = self._place(key)
        count = self._count(self._after, key)
        if place not in self._room:
            excess = count - max(self._count(self._before, key), limit)
            self._room[place] = self._made[place] - max(excess, 0)
        self._room[place] -= 1
        if self._room[place] < 0:
            where = f"account {place[0]}" if key.parent is None else _where(key.parent)
            yield _exceeded(
                f"no room for {key.kind} {key.shown}: {where} would have {count} {_words(name)}",
                name,
                limit,
            )

    def _place(self, key: Key) -> _Place:
        return key.parent or owner_of(key.mesh, self._home), key.kind

    def _count(self, state: MeshState, key: Key) -> int:
        if key.kind is not Kind.MESH:
            return state.count(key.parent, key.kind)
        owner = owner_of(key.mesh, self._home)
        return sum(owner_of(mesh, self._home) == owner for mesh in state.names(None, Kind.MESH))


def _where(parent: Key) -> str:
    return f"{parent.kind} {parent.shown}"


def _counts(spec: Spec) -> dict[str, int]:
    match spec:
        case VirtualNodeSpec():
            return {BACKENDS: len(spec.backends or ())}
        case RouteSpec():
            return {WEIGHTED_TARGETS: len(spec.targets)}
        case _:
            return {}


def _words(name: str) -> str:
    return name.replace("-", " ")


def _exceeded(what: str, name: str, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"{what}; the quota is {limit}",
        fix=f"raise it with --quota {name}=N, or lift it with --quota {name}=unlimited",
    )
