"""Where workloads register: one instance for each replica, kept as long as it is heard of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from weft.api.appmesh import accounts, inputs
from weft.api.exchange import Answer, Call, answer, nothing
from weft.api.parts import Parts
from weft.discovery.registry import MAX_LEASE_SECONDS, MIN_LEASE_SECONDS
from weft.errors import Invalid, NotFound, Problem
from weft.model.instance import Instance
from weft.names import Key, Kind
from weft.store.rules import Missing

DEFAULT_LEASE_SECONDS = 15.0


class Instances:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._registry = parts.registry
        self._account = parts.settings.account

    async def list_instances(self, call: Call) -> Answer:
        call.known_query()
        node, state = self._node(call), self._store.state
        if state.resource(node) is None:
            raise NotFound(str(Missing(node, self._account)))
        return answer({"instances": [instance_document(each) for each in state.instances(node)]})

    async def register(self, call: Call) -> Answer:
        call.known_query()
        body = await call.json_object()
        found: list[Problem] = []
        inputs.members(body, ("addresses", "leaseSeconds"), found)
        addresses = _addresses(body.get("addresses"), found)
        lease_seconds = _lease_seconds(body.get("leaseSeconds"), found)
        if found:
            raise Invalid(found)
        instance = Instance(self._node(call), call.labels["id"], addresses, lease_seconds)
        applied = await self._registry.register(instance, call.author)
        return answer({"revision": applied.revision}, revision=applied.revision)

    async def heartbeat(self, call: Call) -> Answer:
        call.known_query()
        node, id = self._node(call), call.labels["id"]
        if not self._registry.heartbeat(node, id):
            raise NotFound(
                f"no instance {id} of {node} is registered", fix="register it with PUT first"
            )
        return nothing()

    async def deregister(self, call: Call) -> Answer:
        call.known_query()
        applied = await self._registry.deregister(self._node(call), call.labels["id"], call.author)
        return answer({"revision": applied.revision}, revision=applied.revision)

    def _node(self, call: Call) -> Key:
        mesh = accounts.mesh_said(call, call.labels["mesh"], self._account)
        return Key(mesh, Kind.VIRTUAL_NODE, call.labels["node"])


def instance_document(instance: Instance) -> Mapping[str, Any]:
    return {
        "id": instance.id,
        "addresses": {str(port): address for port, address in instance.addresses},
        "leaseSeconds": instance.lease_seconds,
    }


def _addresses(value: Any, found: list[Problem]) -> tuple[tuple[int, str], ...]:
    if not isinstance(value, dict):
        what = "is missing" if value is None else "must be an object of listener port to host:port"
        found.append(Problem("addresses", what))
        return ()
    addresses: dict[int, str] = {}
    for port, address in value.items():
        place = f"addresses.{port}"
        if not _is_port(port):
            found.append(Problem(place, "must be named by a listener's port, 1 to 65535"))
        elif not isinstance(address, str) or not _is_address(address):
            found.append(Problem(place, "must be host:port, as in 127.0.0.1:8080"))
        elif int(port) in addresses:
            found.append(Problem(place, "is given twice"))
        else:
            addresses[int(port)] = address
    return tuple(sorted(addresses.items()))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= 65535


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    return bool(host) and _is_port(port) and (bracketed or ":" not in host) and " " not in text


def _lease_seconds(value: Any, found: list[Problem]) -> float:
    if value is None:
        return DEFAULT_LEASE_SECONDS
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not MIN_LEASE_SECONDS <= value <= MAX_LEASE_SECONDS
    ):
        found.append(
            Problem(
                "leaseSeconds",
                f"must be a number from {MIN_LEASE_SECONDS:g} to {MAX_LEASE_SECONDS:g}",
            )
        )
        return DEFAULT_LEASE_SECONDS
    return float(value)
