"""What proxies report, and what the registry knows of those who should be there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from weft.checks.finding import Area, Check, Found, Severity
from weft.ir.proxy import Note
from weft.model.virtual_node import VirtualNodeSpec
from weft.names import Key, Kind, ProxyId
from weft.store.state import MeshState
from weft.xds.status import ProxyStatus, State

UNFULFILLED = "WEFT-905"
UNREADABLE = (
    "Put the file there, where the proxy runs, whole and readable by it: it is looked for again "
    "within seconds. Until then what uses it is closed, and the rest serves."
)
LEASE_NEARLY_OVER = 1 / 3
"""A third of a lease left: two heartbeats in a row did not come."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known besides the state, at one moment."""

    processed: int = 0
    """The revision up to which configurations have been made."""
    proxies: tuple[ProxyStatus, ...] = ()
    notes: tuple[tuple[ProxyId, Note], ...] = ()
    """What connected proxies were asked for and cannot do."""
    leases: Mapping[tuple[Key, str], float] = field(default_factory=dict)
    """Seconds left, by virtual node and instance id."""
    now: datetime | None = None
    """None: nothing is found that depends on the time."""
    renewals: Mapping[str, str] = field(default_factory=dict)
    """Why certificates and authorities could not be renewed, by ARN."""


class Live:
    """A mesh and its proxies, as checks see them; without a name, all meshes."""

    def __init__(self, state: MeshState, observed: Observed, mesh: str | None = None) -> None:
        self.state = state
        self.observed = observed
        self.mesh = mesh

    def concerns(self, mesh: str) -> bool:
        return self.mesh in (None, mesh)

    @cached_property
    def proxies(self) -> tuple[ProxyStatus, ...]:
        return tuple(each for each in self.observed.proxies if self.concerns(each.proxy.mesh))

    @cached_property
    def connected(self) -> tuple[ProxyStatus, ...]:
        return tuple(each for each in self.proxies if each.state is not State.DISCONNECTED)


def behind(live: Live) -> Iterator[Found]:
    if live.observed.processed < live.state.revision:
        for mesh in live.state.children(None, Kind.MESH):
            if live.concerns(mesh.key.name):
                yield Found(
                    mesh.key,
                    "",
                    f"configurations are made up to revision {live.observed.processed}, "
                    f"the newest is {live.state.revision}",
                )


def rejected(live: Live) -> Iterator[Found]:
    for proxy in live.proxies:
        for each in (refusal for type_ in proxy.types for refusal in type_.rejected):
            unsaid = [name for name in each.resources if name not in each.words]
            more = f" ({', '.join(unsaid)})" if unsaid else ""
            yield Found(
                proxy.proxy,
                proxy.instance,
                f"{proxy.instance} rejected {each.type} of revision {each.revision}; "
                f"Envoy says: {each.words}{more}",
                UNREADABLE
                if each.type == "SDS"
                else f"weft change {each.revision} shows what was changed; "
                f"weft revert {each.revision} undoes it",
            )


def failed(live: Live) -> Iterator[Found]:
    for proxy in live.proxies:
        if proxy.failure:
            said = f"no configuration could be made for {proxy.instance}: {proxy.failure}"
            yield Found(proxy.proxy, proxy.instance, said)


def silent(live: Live) -> Iterator[Found]:
    for proxy in live.connected:
        types = [each.type for each in proxy.types if each.suspect_since]
        if types:
            said = f"{proxy.instance} has not answered for {', '.join(types)}"
            yield Found(proxy.proxy, proxy.instance, said)


def departed(live: Live) -> Iterator[Found]:
    connected = {each.proxy for each in live.connected}
    for proxy in live.proxies:
        if proxy.state is not State.DISCONNECTED or live.state.resource(proxy.proxy.key) is None:
            continue
        registered = proxy.instance in live.state.workloads.get(proxy.proxy.key, {})
        if registered or proxy.proxy not in connected:
            still = "it is still registered" if registered else "no other replica is connected"
            yield Found(proxy.proxy, proxy.instance, f"{proxy.instance} has left, and {still}")


def unfulfilled(live: Live) -> Iterator[Found]:
    for proxy, note in live.observed.notes:
        if live.concerns(proxy.mesh):
            place = note.path.removeprefix(str(proxy)).strip()
            yield Found(proxy, place, note.message)


def leases_running_out(live: Live) -> Iterator[Found]:
    for (node, id), left in live.observed.leases.items():
        instance = live.state.workloads.get(node, {}).get(id)
        if instance is None or not live.concerns(node.mesh):
            continue
        if left < instance.lease_seconds * LEASE_NEARLY_OVER:
            yield Found(
                node,
                id,
                f"instance {id} leaves in {max(left, 0):.0f} s unless it is heard of; its lease is "
                f"{instance.lease_seconds:g} s",
            )


def without_proxy(live: Live) -> Iterator[Found]:
    connected = {each.proxy.key for each in live.connected}
    for mesh in live.state.children(None, Kind.MESH):
        if not live.concerns(mesh.key.name):
            continue
        for node in live.state.children(mesh.key, Kind.VIRTUAL_NODE):
            assert isinstance(node.spec, VirtualNodeSpec)
            if node.spec.backends and node.key not in connected:
                count = len(node.spec.backends)
                yield Found(
                    node.key,
                    "",
                    f"no proxy stands for {node.key.name}, which has {count} backend(s)",
                )


def several_versions(live: Live) -> Iterator[Found]:
    found: dict[ProxyId, set[str]] = defaultdict(set)
    for proxy in live.connected:
        if proxy.envoy_version:
            found[proxy.proxy].add(proxy.envoy_version)
    for proxy_id, versions in found.items():
        if len(versions) > 1:
            said = f"its replicas run Envoy {' and '.join(sorted(versions))}"
            yield Found(proxy_id, "", said)


CHECKS = (
    Check(
        "WEFT-901",
        "A proxy rejected its configuration",
        Severity.ERROR,
        "Envoy refused what it was sent; the last good configuration stays in force, and a replica "
        "that starts now would come up without the refused part.",
        "Mend what Envoy names, or revert the revision.",
        rejected,
        Area.DATA_PLANE,
    ),
    Check(
        "WEFT-902",
        "No configuration could be made for a proxy",
        Severity.ERROR,
        "This is a fault of the control plane; the proxy keeps its last good configuration.",
        "Revert the last change (weft changes), and report the words with the server's log.",
        failed,
        Area.DATA_PLANE,
    ),
    Check(
        "WEFT-903",
        "A proxy does not answer",
        Severity.WARNING,
        "Envoy answers within milliseconds; it may be starved of CPU, or may wait for something.",
        "Look at its log, and at the status page that weft get proxies -o wide shows.",
        silent,
        Area.DATA_PLANE,
    ),
    Check(
        "WEFT-904",
        "A proxy has left",
        Severity.WARNING,
        "It keeps what it accepted and hears of no change, or it has ended and requests to its "
        "workload fail.",
        "Look whether the workload runs; its sidecar connects by itself when it can.",
        departed,
        Area.DATA_PLANE,
    ),
    Check(
        UNFULFILLED,
        "A proxy cannot do all that it was asked for",
        Severity.WARNING,
        "What could be served is; this part could not be said to Envoy.",
        "Change the place that is named.",
        unfulfilled,
        Area.DATA_PLANE,
    ),
    Check(
        "WEFT-906",
        "A lease is running out",
        Severity.WARNING,
        "The instance has missed heartbeats. When the lease ends, it leaves the registry and gets "
        "no more requests.",
        "Look whether the workload's sidecar runs and reaches the API.",
        leases_running_out,
        Area.DATA_PLANE,
    ),
    Check(
        "WEFT-907",
        "No proxy stands for a virtual node with backends",
        Severity.WARNING,
        "The mesh acts in the proxy of the caller: without one, its calls are not routed, or it "
        "does not run at all.",
        "Start its workload with weft sidecar beside it.",
        without_proxy,
        Area.DATA_PLANE,
    ),
    Check(
        "WEFT-908",
        "Replicas run different versions of Envoy",
        Severity.INFO,
        "The same configuration may behave differently, or be refused by one of them.",
        "Bring all to one version.",
        several_versions,
        Area.DATA_PLANE,
    ),
    Check(
        "WEFT-909",
        "Configurations lag behind the newest revision",
        Severity.WARNING,
        "They follow within milliseconds; if this stays, the control plane is overloaded or a part "
        "of it has failed.",
        "Ask again; if it stays, look at the control plane's log.",
        behind,
        Area.CONTROL_PLANE,
    ),
)
