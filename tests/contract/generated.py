"""
Specs of all seven kinds, made from botocore's model: every member, within every limit it has.

What the model does not say is mended after the draw, in one place for each kind: the rules
between members, and what the neighbours in ``Neighbours`` listen to.
"""

from __future__ import annotations

import copy
from typing import Any

import botocore.session
from botocore.model import ListShape, Shape, StructureShape
from hypothesis import strategies as st

from weft.names import Kind

Json = dict[str, Any]
MODEL = botocore.session.get_session().get_service_model("appmesh")

PORTS = {"http": 9000, "http2": 9001, "grpc": 9002, "tcp": 9003}
"""Where the targets, the router and the gateway of a generated mesh listen for a protocol."""
TARGETS = ("target", "target-2")
SERVICE = "service.test"
ROUTER = "router"
GATEWAY = "gateway"

_TEXT = st.characters(codec="utf-8", exclude_categories=["C", "Z"])
_WORD = st.characters(categories=[], include_characters="abcXYZ019!~-")
_EVENTS = ("server-error", "gateway-error", "client-error", "stream-error")
_PATHS = st.text(_TEXT, max_size=12).map(lambda text: f"/{text}")


def _arn(service: str) -> st.SearchStrategy[Any]:
    return st.integers(0, 10**6).map(lambda n: f"arn:aws:{service}:us-west-2:000000000000:x/{n}")


_NAMED: dict[str, st.SearchStrategy[Any]] = {
    # By the name of a shape, or of a member where a shape serves several.
    "Arn": _arn("acm-pca"),
    "AwsCloudMapInstanceAttributeKey": st.text(_WORD, min_size=1, max_size=20),
    "AwsCloudMapInstanceAttributeValue": st.text(_WORD, min_size=1, max_size=20),
    "HeaderName": st.text(st.sampled_from("abz-X9_"), min_size=1, max_size=50),
    "HttpPathExact": _PATHS,
    "HttpPathRegex": st.sampled_from(["/a.*", "/[0-9]{1,3}(/.*)?", "/(a|b)+$"]),
    "HttpRetryPolicyEvent": st.sampled_from(_EVENTS),
    "HttpGatewayRoutePrefix": st.text(_WORD, max_size=9).map(lambda text: f"/{text}/"),
    "Hostname": st.sampled_from(["a.test", "b.test", "10.0.0.1", "x.y.z.test"]),
    "ExactHostName": st.sampled_from(["a.test", "www.b.test"]),
    "SubjectAlternativeName": st.sampled_from(["a.test", "b.test", "spiffe://shop/x"]),
    "SuffixHostname": st.sampled_from([".test", ".b.test"]),
    "regex": st.sampled_from(["a+", "[a-z]*", "^x$", "(?i)abc"]),
    "path": _PATHS,
    "prefix": _PATHS,
    "virtualServiceName": st.sampled_from([SERVICE, "other.test"]),
    "serviceName": st.sampled_from(["shop.Cart", "x.Y"]),
    "Long": st.integers(-(2**63), 2**63 - 2),
}


def shaped(shape: Shape, member: str = "") -> st.SearchStrategy[Any]:
    """Any value of a shape, as far as the model says what that is."""
    if shape.name == "HeaderMatch" and member == "prefix":
        return st.text(_TEXT, min_size=1, max_size=20)
    if shape.name in _NAMED:
        return _NAMED[shape.name]
    if member in _NAMED and shape.type_name == "string":
        return _NAMED[member]
    limits = shape.metadata
    match shape.type_name:
        case "structure":
            return _structure(shape)
        case "list":
            assert isinstance(shape, ListShape)
            most = min(limits.get("max", 3), 3)
            return st.lists(shaped(shape.member), min_size=limits.get("min", 0), max_size=most)
        case "boolean":
            return st.booleans()
        case "integer" | "long":
            most = limits.get("max", 2**31 - 1 if shape.type_name == "integer" else 2**63 - 1)
            return st.integers(limits.get("min", 0), most)
        case "string" if shape.enum:
            return st.sampled_from(shape.enum)
        case _:
            most = min(limits.get("max", 30), 30)
            return st.text(_TEXT, min_size=limits.get("min", 1), max_size=most)


def _structure(shape: Shape) -> st.SearchStrategy[Json]:
    assert isinstance(shape, StructureShape)
    members = {name: shaped(member, name) for name, member in shape.members.items()}
    match shape.name:
        case "Duration":  # Whole, or empty.
            return st.fixed_dictionaries(members) | st.just({})
        case "MatchRange":
            return st.tuples(members["start"], st.integers(1, 1000)).map(
                lambda pair: {"start": pair[0], "end": pair[0] + pair[1]}
            )
        case "HttpPathMatch" | "GatewayRouteHostnameMatch" | "HttpGatewayRoutePrefixRewrite":
            return _one_of(members)  # A union, although the model does not call it one.
        case "RouteSpec" | "GatewayRouteSpec":
            return _one_of({k: v for k, v in members.items() if k != "priority"}).flatmap(
                lambda spec: st.fixed_dictionaries(
                    {name: st.just(value) for name, value in spec.items()},
                    optional={"priority": members["priority"]},
                )
            )
    if shape.is_tagged_union:
        return _one_of(members)
    required = {name: members[name] for name in shape.required_members}
    optional = {name: value for name, value in members.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def _one_of(members: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Json]:
    return st.one_of(
        st.builds(lambda value, name=name: {name: value}, value) for name, value in members.items()
    )


# --- the rules that the model does not have ------------------------------------------------


def _mesh(spec: Json) -> Json:
    return spec


def _virtual_node(spec: Json) -> Json:
    if spec.get("listeners"):
        spec.setdefault("serviceDiscovery", {"dns": {"hostname": "a.test"}})
    _listeners(spec, ("connectionPool", "timeout"))
    return spec


def _virtual_service(spec: Json) -> Json:
    for kind, name in (("virtualNode", TARGETS[0]), ("virtualRouter", ROUTER)):
        if kind in spec.get("provider", {}):
            spec["provider"] = {kind: {f"{kind}Name": name}}
    return spec


def _virtual_router(spec: Json) -> Json:
    _listeners(spec, ())
    return spec


def _virtual_gateway(spec: Json) -> Json:
    if not spec["listeners"]:
        spec["listeners"] = [{"portMapping": {"port": 80, "protocol": "http"}}]
    _listeners(spec, ("connectionPool",))
    return spec


def _listeners(spec: Json, of_protocol: tuple[str, ...]) -> None:
    """One listener for each port, and everything in it for its protocol."""
    for i, listener in enumerate(spec.get("listeners", ())):
        mapping = listener["portMapping"]
        mapping["port"] = (mapping["port"] + i) % 65535 + 1
        taken = {each["portMapping"]["port"] for each in spec["listeners"][:i]}
        while mapping["port"] in taken:
            mapping["port"] = mapping["port"] % 65535 + 1
        if "port" in listener.get("healthCheck", {}):
            listener["healthCheck"]["port"] = mapping["port"]
        for name in of_protocol:
            if name in listener and mapping["protocol"] not in listener[name]:
                del listener[name]


def _route(spec: Json) -> Json:
    ((name, route),) = ((k, v) for k, v in spec.items() if k != "priority")
    port = PORTS[name.removesuffix("Route")]
    targets = route["action"]["weightedTargets"]
    for target in targets:
        target.update(virtualNode=TARGETS[target["weight"] % 2], port=port)
        target["weight"] //= len(targets)
    targets[0]["weight"] = max(1, targets[0]["weight"])
    match = route.setdefault("match", {})
    match["port"] = port
    _match(match, name)
    if policy := route.get("retryPolicy"):
        lists = ("httpRetryEvents", "tcpRetryEvents", "grpcRetryEvents")
        if not any(each in policy for each in lists):
            policy["tcpRetryEvents"] = ["connection-error"]
    return spec


def _gateway_route(spec: Json) -> Json:
    ((name, route),) = ((k, v) for k, v in spec.items() if k != "priority")
    port = PORTS[name.removesuffix("Route")]
    match, action = route["match"], route["action"]
    match["port"] = port
    action["target"] = {"virtualService": {"virtualServiceName": SERVICE}, "port": port}
    _match(match, name)
    rewrite = action.get("rewrite", {})
    if "path" in rewrite and "prefix" in rewrite:
        del rewrite["path"]
    for each in ("path", "prefix"):
        if each in rewrite and each not in match:
            del rewrite[each]
    if "value" in rewrite.get("prefix", {}) and not match["prefix"].endswith("/"):
        match["prefix"] += "/"
    if "rewrite" in action and not rewrite:
        del action["rewrite"]
    return spec


def _match(match: Json, name: str) -> None:
    if "path" in match:
        match.pop("prefix", None)
    if name == "httpRoute":
        match.pop("scheme", None)
    if "methodName" in match:
        match.setdefault("serviceName", "shop.Cart")


_MENDED = {
    Kind.MESH: _mesh,
    Kind.VIRTUAL_NODE: _virtual_node,
    Kind.VIRTUAL_SERVICE: _virtual_service,
    Kind.VIRTUAL_ROUTER: _virtual_router,
    Kind.ROUTE: _route,
    Kind.VIRTUAL_GATEWAY: _virtual_gateway,
    Kind.GATEWAY_ROUTE: _gateway_route,
}


def specs(kind: Kind) -> st.SearchStrategy[Json]:
    """Any valid spec of a kind."""
    shape = MODEL.operation_model(f"Create{kind.title}").input_shape.members["spec"]
    # What is drawn belongs to the strategies; what is mended is a copy.
    return shaped(shape).map(lambda spec: _MENDED[kind](copy.deepcopy(spec)))
