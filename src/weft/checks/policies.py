"""Policies that are kept and not in force, or not as they read."""

from __future__ import annotations

from collections.abc import Iterator

from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Mesh
from weft.model.policy import POLICIES, RoutePolicy, VirtualServicePolicy, decode_policy
from weft.model.schema import Model
from weft.model.virtual_router import RouteSpec
from weft.model.virtual_service import ByVirtualNode, ByVirtualRouter
from weft.names import Key
from weft.resolve import policies, rerouting
from weft.resolve.reading import Reading
from weft.store.state import MeshState


def _kept(mesh: Mesh) -> tuple[tuple[Key, Model], ...]:
    return mesh.once(_read)


def _read(mesh: Mesh) -> Iterator[tuple[Key, Model]]:
    for name, document in sorted(mesh.state.collection(POLICIES).items()):
        key = Key.parse(name)
        if key.mesh == mesh.name:
            yield key, decode_policy(key.kind, document)


def of_nothing(mesh: Mesh) -> Iterator[Found]:
    for key, _ in _kept(mesh):
        if mesh.state.resource(key) is None:
            yield Found(key, "", f"{key.kind} {key.name} does not exist (yet)")


def of_routers(mesh: Mesh) -> Iterator[Found]:
    for key, policy in _kept(mesh):
        spec = mesh.services.get(key.name) if isinstance(policy, VirtualServicePolicy) else None
        if spec is not None and isinstance(spec.provider, ByVirtualRouter):
            router = spec.provider.virtual_router.virtual_router_name
            yield Found(
                key,
                "",
                f"virtual router {router} answers for {key.name}: the timeouts and retries "
                "of its routes hold",
            )


def of_connections(mesh: Mesh) -> Iterator[Found]:
    for key, policy in _kept(mesh):
        spec = mesh.services.get(key.name)
        if not isinstance(policy, VirtualServicePolicy) or spec is None:
            continue
        if not isinstance(spec.provider, ByVirtualNode):
            continue
        node = mesh.nodes.get(spec.provider.virtual_node.virtual_node_name)
        listeners = node.listeners or () if node else ()
        if not listeners or any(each.port_mapping.protocol != "tcp" for each in listeners):
            continue
        if policy.retry_policy is not None:
            yield Found(key, "retryPolicy", "a TCP connection is not tried again")
        if policy.timeout is not None and policy.timeout.per_request is not None:
            yield Found(key, "timeout.perRequest", "a TCP connection has an idle timeout alone")


def of_one_target(mesh: Mesh) -> Iterator[Found]:
    for key, policy in _kept(mesh):
        resource = mesh.state.resource(key)
        if not isinstance(policy, RoutePolicy) or not policy.reroute or resource is None:
            continue
        spec = resource.spec
        if isinstance(spec, RouteSpec) and sum(bool(each.weight) for each in spec.targets) < 2:
            yield Found(key, "reroute", "the route has one target: there is nowhere else to go")


def left_out(mesh: Mesh) -> Iterator[Found]:
    routes = (key for key in rerouting.rerouting(mesh.state) if key.mesh == mesh.name)
    for found in rerouting.rerouted(Reading(mesh.state), routes):
        yield Found(found.route, "", found.message)


def exception_for_aws(mesh: Mesh) -> Iterator[Found]:
    asked = mesh.spec.egress_filter
    if asked is None or asked.type != "DROP_ALL":
        return
    if policies.mesh(Reading(mesh.state), mesh.name).amazonaws is None:
        yield Found(
            mesh.key,
            "spec.egressFilter",
            "*.amazonaws.com at port 443 may be called all the same",
            f"weft policy set {mesh.key} amazonaws=off closes it, amazonaws=on says that it is meant.",
        )


CHECKS = (
    Check(
        "WEFT-711",
        "A policy is about something that does not exist",
        Severity.WARNING,
        "It is kept, and holds from the moment the resource is created.",
        "Create the resource, or delete the policy (weft policy delete).",
        of_nothing,
    ),
    Check(
        "WEFT-712",
        "A policy of a virtual service is not in force",
        Severity.WARNING,
        "Timeouts and retries of a policy are for virtual services that a virtual node provides; "
        "a virtual router's routes have their own.",
        "Set them on the routes, or delete the policy.",
        of_routers,
    ),
    Check(
        "WEFT-713",
        "A setting of a policy means nothing to TCP",
        Severity.WARNING,
        "Connections have no requests that could be timed or tried again.",
        "Leave the setting out; timeout.idle is there for connections.",
        of_connections,
    ),
    Check(
        "WEFT-714",
        "A route is to reroute and has one target",
        Severity.INFO,
        "Its share can go nowhere else, so nothing changes.",
        "Give it another target with a weight, or take the policy back.",
        of_one_target,
    ),
    Check(
        "WEFT-715",
        "A target has no live instance, and its share is rerouted",
        Severity.WARNING,
        "Requests are answered, with less capacity than the weights say; where no target is left, "
        "all keep their shares and fail, as in App Mesh.",
        "Bring an instance back, or take the target out of the route.",
        left_out,
    ),
    Check(
        "WEFT-716",
        "An egress filter has App Mesh's exception",
        Severity.INFO,
        "App Mesh let *.amazonaws.com at port 443 through, whatever its filter said, so that AWS's "
        "own services can be called; so it is here, unless a policy says otherwise.",
        "Say whether it is meant: weft policy set mesh/M amazonaws=on, or off.",
        exception_for_aws,
    ),
)

_AT_ONCE = CHECKS[:4]
"""Those about a policy itself, for the answer to whoever sets it."""


def standing_against(state: MeshState, key: Key) -> Iterator[tuple[str, str]]:
    """Why one policy is not in force, or not as it reads: codes and messages."""
    mesh = Mesh(state, key.mesh)
    for each in _AT_ONCE:
        for found in each.find(mesh):
            if found.about == key:
                yield each.code, found.message
