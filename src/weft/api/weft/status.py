"""The control plane at a glance: where it stands, what it holds, how its proxies are."""

from __future__ import annotations

import asyncio
from typing import Any

from weft.api.appmesh.shapes import WRAPPERS
from weft.api.exchange import Answer, Call, answer
from weft.api.parts import Parts
from weft.api.weft.documents import moment
from weft.model.certificate import AUTHORITIES, CERTIFICATES
from weft.model.policy import POLICIES
from weft.names import Key, Kind
from weft.resolve import policies, rerouting, specs
from weft.resolve.reading import Reading
from weft.store.state import MeshState
from weft.xds.delivery import Counters
from weft.xds.status import State


class Status:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def describe(self, call: Call) -> Answer:
        call.known_query()
        parts, settings = self._parts, self._parts.settings
        state = parts.store.state
        proxies = parts.delivery.proxies()
        states = [each.state for each in proxies]
        return answer(
            {
                "version": parts.version,
                "revision": state.revision,
                "processed": parts.delivery.processed_revision,
                "startedAt": moment(parts.started_at),
                "data": str(settings.data),
                "api": str(settings.api),
                "xds": str(settings.xds),
                "account": settings.account,
                "region": settings.region,
                "meshes": meshes(state),
                "proxies": {
                    "connected": len(states) - states.count(State.DISCONNECTED),
                    "settled": states.count(State.ACCEPTED),
                    "waiting": states.count(State.WAITING),
                    "rejected": states.count(State.REJECTED),
                },
                "rerouted": await asyncio.to_thread(rerouted, state),
                "delivery": delivery(parts.delivery.counters),
                "certificates": self._certificates(),
                "failures": [
                    {
                        "proxy": str(each.proxy),
                        "instance": each.instance,
                        "reason": each.failure,
                        "revision": each.failed_revision,
                    }
                    for each in proxies
                    if each.failure is not None and each.state is not State.DISCONNECTED
                ],
            }
        )

    def _certificates(self) -> dict[str, Any]:
        """How many there are, which are not renewed and why, and which authorities change their key."""
        state, rotation = self._parts.store.state, self._parts.rotation
        return {
            "count": len(state.collection(CERTIFICATES)),
            "notRenewed": [
                {"arn": arn, "reason": each.reason}
                for arn, each in (rotation.failures if rotation else {}).items()
            ],
            "changingKey": [
                {"arn": arn, "phase": each["phase"]}
                for arn, each in state.collection(AUTHORITIES).items()
                if each["phase"] is not None
            ],
        }


def delivery(counters: Counters) -> dict[str, Any]:
    """What was sent to proxies since the start, and what they said to it."""
    by_type = {
        "responses": counters.pushes,
        "resources": counters.resources,
        "acks": counters.acks,
        "nacks": counters.nacks,
        "suspects": counters.suspects,
    }
    return {
        **{
            name: {kind.short: count for kind, count in counted.items()}
            for name, counted in by_type.items()
        },
        "bytes": counters.bytes_sent,
    }


def meshes(state: MeshState) -> list[dict[str, Any]]:
    """What each mesh holds, counted."""
    found: dict[str, dict[str, Any]] = {
        mesh.key.name: {
            "name": mesh.key.name,
            **{wrapper: 0 for kind, wrapper in WRAPPERS.items() if kind is not Kind.MESH},
            "instances": 0,
            "policies": 0,
            "egress": egress(state, mesh.key.name),
        }
        for mesh in state.children(None, Kind.MESH)
    }
    for (parent, kind), table in state.tables.items():
        if parent is not None:
            found[parent.mesh][WRAPPERS[kind]] += len(table)
    for node, instances in state.workloads.items():
        found[node.mesh]["instances"] += len(instances)
    for name in state.collection(POLICIES):
        if (mesh_name := Key.parse(name).mesh) in found:
            found[mesh_name]["policies"] += 1
    return list(found.values())


def egress(state: MeshState, mesh: str) -> dict[str, Any]:
    """What may leave a mesh, its exceptions included."""
    reading = Reading(state)
    everything = specs.mesh(reading, mesh).allows_all
    return {
        "type": "ALLOW_ALL" if everything else "DROP_ALL",
        "amazonaws": everything or policies.mesh(reading, mesh).amazonaws is not False,
    }


def rerouted(state: MeshState) -> list[dict[str, str]]:
    """Routes that do without a target, because nobody of it is there."""
    found = rerouting.rerouted(Reading(state), rerouting.rerouting(state))
    return [{"route": str(each.route), "message": each.message} for each in found]
