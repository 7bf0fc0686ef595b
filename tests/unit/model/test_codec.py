"""Decoding: every problem at once, at the operator's own path, with the fix where we know it."""

from typing import Any

import pytest

from weft.errors import Invalid
from weft.model.codec import decode
from weft.model.virtual_node import ByDns, VirtualNodeSpec
from weft.model.virtual_router import Exact, RouteSpec
from weft.names import Kind


def refused(kind: Kind, sent: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        decode(kind, sent)
    return {problem.path: problem.message for problem in caught.value.problems}


def route(**changes: Any) -> dict[str, Any]:
    body = {
        "action": {"weightedTargets": [{"virtualNode": "a", "weight": 1}]},
        "match": {"prefix": "/"},
    }
    return {"httpRoute": {**body, **changes}}


def node(**listener: Any) -> dict[str, Any]:
    return {
        "listeners": [{"portMapping": {"port": 80, "protocol": "http"}, **listener}],
        "serviceDiscovery": {"dns": {"hostname": "a.local"}},
    }


def test_a_union_decodes_to_the_class_of_its_choice() -> None:
    spec = decode(Kind.VIRTUAL_NODE, node())

    assert isinstance(spec, VirtualNodeSpec)
    assert isinstance(spec.service_discovery, ByDns)


def test_specs_are_values() -> None:
    assert decode(Kind.ROUTE, route()) == decode(Kind.ROUTE, route())
    assert hash(decode(Kind.ROUTE, route())) == hash(decode(Kind.ROUTE, route()))


def test_every_problem_is_found_at_once() -> None:
    found = refused(
        Kind.ROUTE,
        {
            "httpRoute": {
                "action": {
                    "weightedTargets": [
                        {"virtualNode": "a", "weight": 200},
                        {"virtualNod": "b", "weight": "3"},
                    ]
                },
                "match": {"prefix": "x", "headers": [{"name": "h", "match": {}}]},
            },
            "priority": -1,
        },
    )

    assert found == {
        "spec.httpRoute.action.weightedTargets[0].weight": "must be at most 100, not 200",
        "spec.httpRoute.action.weightedTargets[1].virtualNod": "unknown member (did you mean 'virtualNode'?)",
        "spec.httpRoute.action.weightedTargets[1].virtualNode": "is missing",
        "spec.httpRoute.action.weightedTargets[1].weight": "must be a whole number, not '3'",
        "spec.httpRoute.match.headers[0].match": "must have exactly one of exact, prefix, range, regex, suffix",
        "spec.httpRoute.match.prefix": "must start with /",
        "spec.priority": "must be at least 0, not -1",
    }


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ({}, "spec"),
        ({**route(), "tcpRoute": {"action": route()["httpRoute"]["action"]}}, "spec"),
        (route(match={}), "spec.httpRoute.match.prefix"),
        (route(match={"prefix": "/", "path": {"exact": "/a"}}), "spec.httpRoute.match"),
        (route(match={"path": {"exact": "/a", "regex": "b"}}), "spec.httpRoute.match.path"),
        (route(match={"path": {"regex": "(("}}), "spec.httpRoute.match.path.regex"),
        (route(match={"path": {"regex": "(?=a)"}}), "spec.httpRoute.match.path.regex"),
        (route(match={"path": {"regex": "(abc){800}"}}), "spec.httpRoute.match.path.regex"),
        (
            route(match={"prefix": "/", "headers": [{"name": "a b"}]}),
            "spec.httpRoute.match.headers[0].name",
        ),
        (route(match={"prefix": "/", "scheme": "http"}), "spec.httpRoute.match.scheme"),
        (route(action={"weightedTargets": []}), "spec.httpRoute.action.weightedTargets"),
        (
            route(action={"weightedTargets": [{"virtualNode": "a", "weight": 0}]}),
            "spec.httpRoute.action.weightedTargets",
        ),
        (
            route(
                action={
                    "weightedTargets": [
                        {"virtualNode": "a", "weight": 60},
                        {"virtualNode": "b", "weight": 60},
                    ]
                }
            ),
            "spec.httpRoute.action.weightedTargets",
        ),
        (
            route(retryPolicy={"maxRetries": 1, "perRetryTimeout": {"unit": "s", "value": 1}}),
            "spec.httpRoute.retryPolicy",
        ),
        (
            route(timeout={"perRequest": {"value": 1}}),
            "spec.httpRoute.timeout.perRequest.unit",
        ),
        (
            {"grpcRoute": {**route()["httpRoute"], "match": {"methodName": "m"}}},
            "spec.grpcRoute.match.serviceName",
        ),
    ],
)
def test_rules_within_a_route(sent: Any, place: str) -> None:
    assert place in refused(Kind.ROUTE, sent)


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        (
            node(connectionPool={"tcp": {"maxConnections": 1}}),
            "spec.listeners[0].connectionPool.tcp",
        ),
        (node(timeout={"grpc": {}}), "spec.listeners[0].timeout.grpc"),
        (
            node(
                healthCheck={
                    "protocol": "http",
                    "port": 81,
                    "healthyThreshold": 2,
                    "unhealthyThreshold": 2,
                    "intervalMillis": 5000,
                    "timeoutMillis": 2000,
                }
            ),
            "spec.listeners[0].healthCheck.port",
        ),
        ({"listeners": node()["listeners"]}, "spec.serviceDiscovery"),
        (
            {**node(), "listeners": node()["listeners"] * 2},
            "spec.listeners[1].portMapping.port",
        ),
        ({"serviceDiscovery": {}}, "spec.serviceDiscovery"),
        ([], "spec"),
        (None, "spec"),
    ],
)
def test_rules_within_a_virtual_node(sent: Any, place: str) -> None:
    assert place in refused(Kind.VIRTUAL_NODE, sent)


def policy(name: str) -> dict[str, Any]:
    validation = {
        "trust": {"sds": {"secretName": "ca"}},
        "subjectAlternativeNames": {"match": {"exact": [name]}},
    }
    return {"backendDefaults": {"clientPolicy": {"tls": {"validation": validation}}}}


NAMES = "spec.backendDefaults.clientPolicy.tls.validation.subjectAlternativeNames.match.exact[0]"


@pytest.mark.parametrize("name", ["a.test", "*.a.test", "spiffe://mesh/a", "A-1.test.", "urn:x"])
def test_a_subject_is_a_domain_name_or_a_uri(name: str) -> None:
    assert decode(Kind.VIRTUAL_NODE, policy(name))


@pytest.mark.parametrize("name", ["a b", "a.*.test", "-a", "a_ ", "/a", "*"])
def test_a_subject_is_nothing_else(name: str) -> None:
    assert NAMES in refused(Kind.VIRTUAL_NODE, policy(name))


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        (
            node(connectionPool={"http": {"maxConnections": 2**31}}),
            "spec.listeners[0].connectionPool.http.maxConnections",
        ),
        (
            node(timeout={"http": {"idle": {"unit": "s", "value": 2**63}}}),
            "spec.listeners[0].timeout.http.idle.value",
        ),
    ],
)
def test_a_number_is_one_that_the_service_model_has(sent: Any, place: str) -> None:
    assert place in refused(Kind.VIRTUAL_NODE, sent)


def test_the_ends_of_a_range_are_numbers_that_envoy_has() -> None:
    header = {"name": "h", "match": {"range": {"start": -(2**70), "end": 2**70}}}
    found = refused(Kind.ROUTE, route(match={"prefix": "/", "headers": [header]}))
    place = "spec.httpRoute.match.headers[0].match.range"
    assert {f"{place}.start", f"{place}.end"} <= set(found)


def test_a_rewrite_of_a_grpc_gateway_route_rewrites_something() -> None:
    action = {"target": {"virtualService": {"virtualServiceName": "a"}}, "rewrite": {}}
    sent = {"grpcRoute": {"action": action, "match": {"serviceName": "s"}}}
    assert "spec.grpcRoute.action.rewrite" in refused(Kind.GATEWAY_ROUTE, sent)


@pytest.mark.parametrize(
    ("match", "place"),
    [
        ({"prefix": "/aws-appmesh/x"}, "spec.httpRoute.match.prefix"),
        ({"hostname": {"exact": "a", "suffix": "b"}}, "spec.httpRoute.match.hostname"),
        ({}, "spec.httpRoute.match.prefix"),
    ],
)
def test_rules_within_a_gateway_route(match: Any, place: str) -> None:
    action = {"target": {"virtualService": {"virtualServiceName": "a"}}}

    assert place in refused(Kind.GATEWAY_ROUTE, {"httpRoute": {"action": action, "match": match}})


def test_a_header_match_says_how() -> None:
    spec = decode(
        Kind.ROUTE,
        route(match={"prefix": "/", "headers": [{"name": "h", "match": {"exact": "v"}}]}),
    )

    assert isinstance(spec, RouteSpec)
    assert spec.http_route is not None
    assert spec.http_route.match.headers is not None
    assert spec.http_route.match.headers[0].match == Exact(exact="v")
