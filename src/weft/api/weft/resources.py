"""Resources of every kind in one shape, as they stand now or stood at a revision."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from weft.api.appmesh import accounts, shapes
from weft.api.exchange import Answer, Call, answer, whole_number
from weft.api.parts import Parts
from weft.api.weft.instances import instance_document
from weft.api.weft.named import kind_named
from weft.errors import Invalid, NotFound, Problem
from weft.model.meta import Resource
from weft.names import Key, Kind
from weft.store.rules import Missing, outermost
from weft.store.state import MeshState

ORDER = {kind: i for i, kind in enumerate(Kind)}


class Resources:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._account = parts.settings.account
        self._shapes = shapes.Shapes(parts.settings.region, parts.settings.account)

    async def list_resources(self, call: Call) -> Answer:
        query = call.known_query("kind", "mesh", "revision")
        kind = None
        if (text := query.get("kind")) is not None:
            kind = kind_named(text)
            if kind is None:
                known = ", ".join(Kind)
                raise Invalid([Problem("kind", f"must be one of {known}, not {text[:40]!r}")])
        state = await self._state(call)
        mesh = None
        if (said := query.get("mesh")) is not None:
            mesh = accounts.mesh_said(call, said, self._account)
        if mesh is not None and state.resource(Key.of_mesh(mesh)) is None:
            raise NotFound(str(Missing(Key.of_mesh(mesh), self._account)))
        # A large mesh takes a while, and proxies are served meanwhile.
        return await asyncio.to_thread(self._listed, state, kind, mesh)

    def _listed(self, state: MeshState, kind: Kind | None, mesh: str | None) -> Answer:
        chosen = [
            each
            for each in state.resources()
            if kind in (None, each.key.kind) and mesh in (None, each.key.mesh)
        ]
        chosen.sort(key=lambda each: (ORDER[each.key.kind], each.key))
        return answer(
            {"revision": state.revision, "resources": [self.document(each) for each in chosen]}
        )

    async def describe(self, call: Call) -> Answer:
        call.known_query("revision")
        key = Key.parse(call.labels["key"])
        state = await self._state(call)
        found = state.resource(key)
        if found is None:
            raise NotFound(str(Missing(outermost(state, key), self._account)))
        document: dict[str, Any] = {
            "revision": state.revision,
            **self.document(found),
            "referrers": sorted(map(str, state.referrers.get(key, ()))),
        }
        if key.kind is Kind.VIRTUAL_NODE:
            document["instances"] = [instance_document(each) for each in state.instances(key)]
        return answer(document)

    def document(self, resource: Resource) -> Mapping[str, Any]:
        """A resource in the shape that ``apply`` takes back; the spec is as it was sent."""
        metadata = self._shapes.metadata(resource)
        return {
            "kind": resource.key.kind.value,
            "key": str(resource.key),
            "arn": self._shapes.arn(resource),
            **shapes.names(resource.key),
            **(
                {}
                if metadata["meshOwner"] == self._account
                else {"meshOwner": metadata["meshOwner"]}
            ),
            "spec": resource.sent,
            "metadata": metadata,
            "tags": [{"key": name, "value": value} for name, value in resource.tags],
        }

    async def _state(self, call: Call) -> MeshState:
        newest = self._store.state
        wanted = whole_number(call.query, "revision", default=newest.revision, least=0)
        return newest if wanted == newest.revision else await self._store.state_at(wanted)
