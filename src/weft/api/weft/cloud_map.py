"""Cloud Map at a glance: services by the names people know them by, with who is in them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from weft.api.exchange import Answer, Call, answer
from weft.api.parts import Parts
from weft.discovery import cloud_map
from weft.model.cloud_map import Namespace, Service
from weft.store.cloud_map import revision_of
from weft.store.state import MeshState


class CloudMapServices:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store

    async def list_namespaces(self, call: Call) -> Answer:
        call.known_query()
        state = self._store.state
        inside: dict[str, list[str]] = {}
        for service in cloud_map.services(state):
            inside.setdefault(service.namespace_id, []).append(service.name)
        found = [
            {
                "name": each.name,
                "id": each.id,
                "type": each.type.value,
                "services": sorted(inside.get(each.id, ())),
            }
            for each in sorted(cloud_map.namespaces(state), key=lambda each: each.name)
        ]
        return answer({"revision": state.revision, "namespaces": found})

    async def list_services(self, call: Call) -> Answer:
        """All, those of one namespace, or one, each with its instances."""
        query = call.known_query("namespace", "service")
        state = self._store.state
        # Many instances take a while, and proxies are served meanwhile.
        return await asyncio.to_thread(
            _services, state, query.get("namespace"), query.get("service")
        )


def _services(state: MeshState, namespace: str | None, service: str | None) -> Answer:
    namespaces = {each.id: each for each in cloud_map.namespaces(state)}
    found = [
        _document(state, namespaces[each.namespace_id], each)
        for each in cloud_map.services(state)
        if namespace in (None, namespaces[each.namespace_id].name, each.namespace_id)
        and service in (None, each.name, each.id)
    ]
    found.sort(key=lambda each: (each["namespace"], each["name"]))
    return answer({"revision": state.revision, "services": found})


def _document(state: MeshState, namespace: Namespace, service: Service) -> Mapping[str, Any]:
    return {
        "namespace": namespace.name,
        "name": service.name,
        "id": service.id,
        "type": service.type,
        "instancesRevision": revision_of(state, service.id),
        "instances": [
            {
                "id": each.id,
                "health": each.health.value,
                "leaseSeconds": each.lease_seconds,
                "attributes": dict(each.attributes),
            }
            for each in cloud_map.instances(state, service)
        ],
    }
