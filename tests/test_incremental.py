"""
Cost follows the change, and the result is as if computed from scratch.

Random edits of a small mesh go through the pipeline one by one; after each, what
every view was told last must equal what a new resolution of the whole state says.
"""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from weft.clock import ManualClock
from weft.errors import WeftError
from weft.model import cloud_map
from weft.model.instance import Instance
from weft.model.policy import POLICIES
from weft.names import (
    DEFAULT_ACCOUNT,
    BackendPort,
    IngressPort,
    Key,
    Kind,
    Mode,
    Ports,
    ProxyId,
    View,
)
from weft.pipeline import Pipeline, snapshot_for
from weft.store.admission import admit
from weft.store.change import Delete, Deregister, Keep, Put, Register, Step
from weft.store.cloud_map import keep_instance, keep_namespace, keep_service
from weft.store.state import MeshState
from weft.store.store import Event, Watcher
from weft.translate.snapshot import Snapshot

CLOCK = ManualClock()
"""One for all: ids that it makes are of one kind, and must differ."""
MESH = Key.of_mesh("m")
NODES = [Key("m", Kind.VIRTUAL_NODE, f"n{i}") for i in range(4)]
SERVICES = [Key("m", Kind.VIRTUAL_SERVICE, f"s{i}.local") for i in range(3)]
ROUTERS = [Key("m", Kind.VIRTUAL_ROUTER, f"r{i}") for i in range(2)]
ROUTES = [Key("m", Kind.ROUTE, f"x{i}", router.name) for router in ROUTERS for i in range(2)]
GATEWAY = Key("m", Kind.VIRTUAL_GATEWAY, "g")
GATEWAY_ROUTES = [Key("m", Kind.GATEWAY_ROUTE, f"y{i}", "g") for i in range(2)]
PROTOCOLS = st.sampled_from(["http", "http2", "grpc", "tcp"])

EXPLICIT = Ports((IngressPort(80, 10080, 10081),), 15999, (BackendPort("s0.local", 80, 12000),))
VIEWS = [
    View(ProxyId("m", Kind.VIRTUAL_NODE, node.name), mode, ports)
    for node in NODES
    for mode, ports in (
        (Mode.TRANSPARENT, Ports()),
        (Mode.TRANSPARENT, Ports(dns=15353)),
        (Mode.EXPLICIT, EXPLICIT),
    )
]
OF_GATEWAY = View(ProxyId("m", Kind.VIRTUAL_GATEWAY, "g"))


class FakeStore:
    """As much of a store as the pipeline sees."""

    def __init__(self, state: MeshState) -> None:
        self.state = state

    def watch(self) -> Watcher:
        return Watcher()


class Told:
    """What every view was told last, and how often something was said."""

    def __init__(self) -> None:
        self.snapshots: dict[View, Snapshot] = {}
        self.published: Counter[View] = Counter()
        self.processed_revision = 0

    def publish(self, view: View, snapshot: Snapshot, revision: int) -> None:
        self.snapshots[view] = snapshot
        self.published[view] += 1

    def failed(self, view: View, reason: str, revision: int) -> None:
        raise AssertionError(f"{view.proxy}: {reason}")

    def gone(self, view: View, reason: str, revision: int) -> None:
        self.snapshots.pop(view, None)

    def processed(self, revision: int) -> None:
        self.processed_revision = revision


DISCOVERIES: list[dict[str, Any]] = [
    {"dns": {"hostname": "a.io"}},
    {"dns": {"hostname": "b.io"}},
    {"awsCloudMap": {"namespaceName": "ns", "serviceName": "s"}},
    {
        "awsCloudMap": {
            "namespaceName": "ns",
            "serviceName": "s",
            "attributes": [{"key": "colour", "value": "red"}],
        }
    },
    {"awsCloudMap": {"namespaceName": "ns", "serviceName": "other"}},
]


@st.composite
def virtual_nodes(draw: st.DrawFn) -> dict[str, Any]:
    ports = draw(st.lists(st.sampled_from([80, 81]), unique=True, max_size=2))
    listeners = [{"portMapping": {"port": port, "protocol": draw(PROTOCOLS)}} for port in ports]
    backends = draw(st.lists(st.sampled_from(SERVICES), unique=True, max_size=3))
    spec: dict[str, Any] = {
        "backends": [{"virtualService": {"virtualServiceName": key.name}} for key in backends]
    }
    if listeners:
        spec["listeners"] = listeners
        spec["serviceDiscovery"] = draw(st.sampled_from(DISCOVERIES))
    return spec


@st.composite
def routes(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["httpRoute", "http2Route", "grpcRoute", "tcpRoute"]))
    targets = draw(st.lists(st.sampled_from(NODES), min_size=1, max_size=3))
    action = {
        "weightedTargets": [
            {"virtualNode": key.name, "weight": draw(st.integers(1, 30)), "port": 80}
            for key in targets
        ]
    }
    match: dict[str, Any] = {"port": 80}
    if kind in ("httpRoute", "http2Route"):
        match["prefix"] = draw(st.sampled_from(["/", "/a", "/a/b"]))
    return {kind: {"action": action, "match": match}, "priority": draw(st.integers(0, 3))}


RETRY = {
    "maxRetries": 1,
    "perRetryTimeout": {"unit": "s", "value": 1},
    "httpRetryEvents": ["server-error"],
}
SWITCH = st.booleans()
POLICIES_KEPT = st.one_of(
    st.tuples(
        st.just("mesh/m"), st.builds(lambda r, a: {"reroute": r, "amazonaws": a}, SWITCH, SWITCH)
    ),
    st.tuples(
        st.sampled_from([str(r) for r in ROUTES]), st.builds(lambda r: {"reroute": r}, SWITCH)
    ),
    st.tuples(st.sampled_from([str(s) for s in SERVICES]), st.just({"retryPolicy": RETRY})),
    st.tuples(
        st.sampled_from([str(n) for n in NODES]), st.just({"egressFilter": {"type": "ALLOW_ALL"}})
    ),
    st.tuples(st.sampled_from(["mesh/m", str(ROUTES[0])]), st.none()),
)


@st.composite
def gateway_routes(draw: st.DrawFn) -> dict[str, Any]:
    target = {"virtualService": {"virtualServiceName": draw(st.sampled_from(SERVICES)).name}}
    action: dict[str, Any] = {"target": target}
    if draw(st.booleans()):
        action["rewrite"] = {"hostname": {"defaultTargetHostname": "DISABLED"}}
    match = {"port": 80, "prefix": draw(st.sampled_from(["/", "/a"]))}
    return {"httpRoute": {"match": match, "action": action}}


@st.composite
def edits(draw: st.DrawFn) -> Step:
    match draw(st.integers(0, 13)):
        case 0:
            filter = draw(st.sampled_from(["ALLOW_ALL", "DROP_ALL"]))
            return Put(MESH, {"egressFilter": {"type": filter}})
        case 1 | 2:
            return Put(draw(st.sampled_from(NODES)), draw(virtual_nodes()))
        case 3:
            provider = draw(
                st.sampled_from(
                    [
                        *({"virtualNode": {"virtualNodeName": k.name}} for k in NODES),
                        *({"virtualRouter": {"virtualRouterName": k.name}} for k in ROUTERS),
                    ]
                )
            )
            return Put(draw(st.sampled_from(SERVICES)), {"provider": provider})
        case 4:
            listener = {"portMapping": {"port": 80, "protocol": draw(PROTOCOLS)}}
            return Put(draw(st.sampled_from(ROUTERS)), {"listeners": [listener]})
        case 5:
            return Put(draw(st.sampled_from(ROUTES)), draw(routes()))
        case 6:
            node, id = draw(st.sampled_from(NODES)), draw(st.sampled_from(["i", "j"]))
            if draw(st.booleans()):
                return Deregister(node, id)
            address = f"127.0.0.1:{draw(st.integers(2000, 2002))}"
            return Register(Instance(node, id, ((80, address),)))
        case 7 | 8:
            id = draw(st.sampled_from(["k", "l"]))
            if draw(st.booleans()):
                return Keep(cloud_map.instances_of("srv-s"), id, None)
            health = draw(st.sampled_from(cloud_map.Health))
            attributes = {
                cloud_map.IPV4: f"10.0.0.{draw(st.integers(1, 2))}",
                "colour": draw(st.sampled_from(["red", "blue"])),
            }
            instance = cloud_map.Instance(id, attributes, health)
            return Keep(cloud_map.instances_of("srv-s"), id, instance.document())
        case 9 | 10:
            return Keep(POLICIES, *draw(POLICIES_KEPT))
        case 11 | 12:
            if draw(st.booleans()):
                return Put(draw(st.sampled_from(GATEWAY_ROUTES)), draw(gateway_routes()))
            ports = draw(st.sampled_from([[80], [80, 81]]))
            return Put(GATEWAY, gateway_spec(*ports))
        case _:
            some = [*NODES, *SERVICES, *ROUTERS, *ROUTES, *GATEWAY_ROUTES]
            return Delete(draw(st.sampled_from(some)))


def gateway_spec(*ports: int) -> dict[str, Any]:
    return {"listeners": [{"portMapping": {"port": port, "protocol": "http"}} for port in ports]}


HTTP_NODE: dict[str, Any] = {
    "listeners": [{"portMapping": {"port": 80, "protocol": "http"}}],
    "serviceDiscovery": {"dns": {"hostname": "a.io"}},
    "backends": [{"virtualService": {"virtualServiceName": "s0.local"}}],
}
ROUTER = {"listeners": [{"portMapping": {"port": 80, "protocol": "http"}}]}
ROUTE = {
    "httpRoute": {
        "action": {"weightedTargets": [{"virtualNode": "n1", "weight": 1}]},
        "match": {"prefix": "/"},
    }
}
BASE: list[Step] = [
    Put(MESH, {}),
    *(Put(node, HTTP_NODE) for node in NODES),
    Put(ROUTERS[0], ROUTER),
    Put(ROUTES[0], ROUTE),
    Put(SERVICES[0], {"provider": {"virtualRouter": {"virtualRouterName": "r0"}}}),
    Put(SERVICES[1], {"provider": {"virtualNode": {"virtualNodeName": "n2"}}}),
    *keep_namespace(cloud_map.Namespace("ns-1", "ns", cloud_map.NamespaceType.HTTP, 0)),
    *keep_service(cloud_map.Service("srv-s", "s", "ns-1", "HTTP", 0), "ns"),
]


def versions(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    return {
        (kind.short, name): resource.version
        for kind, resources in snapshot.resources.items()
        for name, resource in resources.items()
    }


def started(*steps: Step) -> tuple[Pipeline, Told, MeshState]:
    admitted = admit(MeshState(), steps, CLOCK, DEFAULT_ACCOUNT)
    state = admitted.draft.freeze(1)
    pipeline, told = Pipeline(FakeStore(state)), Told()  # type: ignore[arg-type]
    pipeline.publish_to(told)
    for view in VIEWS:
        pipeline.attach(view)
    if state.resource(GATEWAY) is not None:
        pipeline.attach(OF_GATEWAY)
    return pipeline, told, state


async def follow(pipeline: Pipeline, state: MeshState, steps: list[Step]) -> MeshState:
    admitted = admit(state, steps, CLOCK, DEFAULT_ACCOUNT)
    state = admitted.draft.freeze(state.revision + 1)
    await pipeline.follow([Event(state, admitted.outcomes, admitted.kept)])
    return state


@given(st.lists(edits(), min_size=1, max_size=15))
@settings(max_examples=150, deadline=None)
async def test_the_incremental_result_is_the_one_from_scratch(steps: list[Step]) -> None:
    pipeline, told, state = started(*BASE, Put(GATEWAY, gateway_spec(80)))
    for step in steps:
        try:
            state = await follow(pipeline, state, [step])
        except WeftError:
            continue  # Refused: nothing happened.
        assert told.processed_revision == state.revision
        for view in (*VIEWS, OF_GATEWAY):
            if state.resource(view.proxy.key) is not None:
                scratch = versions(snapshot_for(state, view))
                assert versions(told.snapshots[view]) == scratch, f"{view} after {step}"


async def test_a_change_publishes_only_to_views_that_read_what_it_touched() -> None:
    pipeline, told, state = started(*BASE)
    told.published.clear()
    spare = Key("m", Kind.VIRTUAL_NODE, "spare")

    state = await follow(pipeline, state, [Put(spare, HTTP_NODE)])
    assert not told.published

    state = await follow(
        pipeline, state, [Register(Instance(NODES[2], "i", ((80, "127.0.0.1:1"),)))]
    )
    assert not told.published, "nobody calls n2: s1.local is no one's backend"

    weights = {
        **ROUTE["httpRoute"],
        "action": {"weightedTargets": [{"virtualNode": "n1", "weight": 9}]},
    }
    await follow(pipeline, state, [Put(ROUTES[0], {"httpRoute": weights})])
    assert set(told.published) == set(VIEWS), "all of them call s0.local"


async def test_a_gateway_is_told_only_of_services_that_its_routes_lead_to() -> None:
    route = {"virtualService": {"virtualServiceName": "s0.local"}}
    leads = {"httpRoute": {"match": {"prefix": "/"}, "action": {"target": route}}}
    pipeline, told, state = started(
        *BASE, Put(GATEWAY, gateway_spec(80)), Put(GATEWAY_ROUTES[0], leads)
    )
    before = versions(told.snapshots[OF_GATEWAY])
    told.published.clear()
    state = await follow(
        pipeline, state, [Register(Instance(NODES[2], "i", ((80, "127.0.0.1:1"),)))]
    )
    assert not told.published, "n2 is behind s1.local"

    two = {"weightedTargets": [{"virtualNode": n, "weight": 1} for n in ("n1", "n3")]}
    await follow(
        pipeline, state, [Put(ROUTES[0], {"httpRoute": {"match": {"prefix": "/"}, "action": two}})]
    )
    after = versions(told.snapshots[OF_GATEWAY])
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {("RDS", "rds_egress_http_15001"), ("CDS", "cds_egress_m_n3_http_80")}


async def test_a_policy_is_published_only_to_views_it_means_something_to() -> None:
    both = {"weightedTargets": [{"virtualNode": n, "weight": 1} for n in ("n1", "n2")]}
    route = {"httpRoute": {"action": both, "match": {"prefix": "/"}}}
    pipeline, told, state = started(*BASE, Put(ROUTES[0], route))
    told.published.clear()

    state = await follow(pipeline, state, [Keep(POLICIES, str(ROUTES[1]), {"reroute": True})])
    state = await follow(pipeline, state, [Keep(POLICIES, str(SERVICES[1]), {"timeout": {}})])
    assert not told.published, "nobody calls through that route, or that service"

    mine = [view for view in VIEWS if view.proxy.key == NODES[0]]
    open_to_all = {"egressFilter": {"type": "ALLOW_ALL"}}
    state = await follow(pipeline, state, [Keep(POLICIES, str(NODES[0]), open_to_all)])
    assert set(told.published) == set(mine)

    await follow(pipeline, state, [Keep(POLICIES, str(ROUTES[0]), {"reroute": True})])
    assert set(told.published) == set(VIEWS), "all of them call s0.local"


async def test_an_instance_of_another_service_of_cloud_map_concerns_nobody() -> None:
    by_cloud_map = {**HTTP_NODE, "serviceDiscovery": DISCOVERIES[2]}
    pipeline, told, state = started(*BASE, Put(NODES[1], by_cloud_map))
    other = cloud_map.Service("srv-other", "other", "ns-1", "HTTP", 0)
    instance = cloud_map.Instance("i", {cloud_map.IPV4: "10.0.0.1"})

    told.published.clear()
    state = await follow(pipeline, state, list(keep_service(other, "ns")))
    state = await follow(pipeline, state, list(keep_instance(state, "srv-other", instance)))
    assert not told.published

    await follow(pipeline, state, list(keep_instance(state, "srv-s", instance)))
    assert set(told.published) == set(VIEWS), "all of them call s0.local, which n1 provides"


async def test_a_view_shares_with_others_what_is_the_same_for_both() -> None:
    _, told, _ = started(*BASE)
    ours, theirs = (
        {
            (kind, name): resource
            for kind, resources in told.snapshots[view].resources.items()
            for name, resource in resources.items()
        }
        for view in (VIEWS[0], VIEWS[2])
    )
    shared = ours.keys() & theirs.keys()

    assert shared
    assert [
        each for each in shared if ours[each] == theirs[each] and ours[each] is not theirs[each]
    ] == []


async def test_a_deleted_resource_ends_its_view_and_its_return_is_served_again() -> None:
    pipeline, told, state = started(*BASE)
    lonely = next(v for v in VIEWS if v.proxy.name == "n3")

    state = await follow(pipeline, state, [Delete(NODES[3])])
    assert lonely not in told.snapshots
    await follow(pipeline, state, [Put(NODES[3], HTTP_NODE)])
    assert lonely in told.snapshots


async def test_what_nobody_views_any_more_is_forgotten() -> None:
    pipeline, _, _ = started(*BASE)
    for view in VIEWS:
        pipeline.detach(view)

    assert len(pipeline._parts) == 0
