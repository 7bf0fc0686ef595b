"""A request as its caller's proxy treats it: where it arrives, whose host it is, what lies outside."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from tests.builders import http_route, state_from, to, view_of
from weft.ir.listener import Chain, ChainMatch, Close, Direction, Listener
from weft.names import BackendPort, Mode, Ports, View
from weft.resolve.explained import Explanation, Setting
from weft.resolve.matching import Request
from weft.resolve.walk import Connection, chain, virtual_host
from weft.resolve.why import why
from weft.resolve.why_caller import Asked

EXPLICIT = view_of(
    "web",
    Mode.EXPLICIT,
    Ports(egress=15999, backends=(BackendPort("db.local", 5432, 12001),)),
)
TRANSPARENT = view_of("web")


def mesh(**more: Any) -> dict[str, Any]:
    return {
        "nodes": {
            "web": {"calls": ["shop.local", "cart.local", "db.local", "idle.local"]},
            "a": {"listen": "9080/http"},
            "b": {"listen": "9080/http"},
            "db": {"listen": "5432/tcp"},
        },
        "routers": {
            "shop": {"listen": "9080/http", "routes": {"all": http_route("a:1", "b:1")}},
            "idle": {"listen": "5433/tcp"},
        },
        "services": {
            "shop.local": "router shop",
            "cart.local": "node a",
            "db.local": "node db",
            "idle.local": "router idle",
            "other.local": "node b",
        },
        "instances": {"a": {"one": {9080: "127.0.0.1:1"}}, "b": {"two": {9080: "127.0.0.1:2"}}},
        **more,
    }


def asked(
    host: str,
    said: dict[str, Any] | None = None,
    view: View = TRANSPARENT,
    request: Request | None = None,
    **how: Any,
) -> Explanation:
    found = why(state_from(said or mesh()), "shop", host, request, view=view, asked=Asked(**how))
    json.dumps(asdict(found))
    return found


def test_transparent_a_request_arrives_at_the_chain_of_its_port() -> None:
    found = asked("shop.local")
    assert found.arrival is not None
    assert (found.arrival.listener, found.arrival.chain, found.arrival.route_configuration) == (
        "lds_egress_0.0.0.0_15001",
        "http_9080",
        "rds_egress_http_9080",
    )
    assert found.host == "shop.local:9080"
    assert [(each.name, each.matches) for each in found.hosts] == [
        ("cart.local", False),
        ("shop.local", True),
    ]
    assert (found.route, found.caller) == ("all", "mesh/shop/virtualNode/web")


def test_explicit_a_request_arrives_by_http_proxy() -> None:
    found = asked("shop.local", view=EXPLICIT)
    assert found.arrival is not None
    assert found.arrival.because == "http_proxy leads to 127.0.0.1:15999"
    assert found.route == "all"


def test_explicit_a_tcp_backend_is_reached_by_its_own_socket() -> None:
    found = asked("db.local", view=EXPLICIT)
    assert found.arrival is not None
    assert found.arrival.listener == "lds_egress_127.0.0.1_db.local_5432"
    assert found.summary == "all connections: db 100 %"


def test_an_unknown_host_is_denied_by_the_egress_filter() -> None:
    for view in (TRANSPARENT, EXPLICIT):
        found = asked("example.com", view=view, port=9080)
        assert (found.service, found.status) == (None, 404)
        assert found.outside is not None
        assert found.outside.startswith("denied: example.com:9080 is no backend, and the egress")
        assert "mesh shop is DROP_ALL" in found.outside


def test_an_unknown_host_is_let_out_where_all_is_allowed() -> None:
    said = mesh(mesh={"egressFilter": {"type": "ALLOW_ALL"}})
    for view in (TRANSPARENT, EXPLICIT):
        found = asked("example.com", said, view)
        assert found.outside == "allowed: the egress filter of mesh shop is ALLOW_ALL"
        assert "mesh-allow-all" in found.summary
    own = mesh(policies={"virtualNode/web": {"egressFilter": {"type": "ALLOW_ALL"}}})
    found = asked("example.com", own)
    assert (
        found.outside == "allowed: the egress filter of the policy of virtual node web is ALLOW_ALL"
    )
    assert [each.setting for each in found.policies] == ["egress=ALLOW_ALL"]


@pytest.mark.parametrize("view", [TRANSPARENT, EXPLICIT])
def test_amazonaws_is_an_exception_that_a_policy_closes(view: View) -> None:
    https = Request(scheme="https")
    found = asked("s3.us-west-2.amazonaws.com", view=view, request=https)
    assert found.outside is not None
    assert found.outside.startswith("allowed: *.amazonaws.com at port 443 is App Mesh's exception")
    closed = mesh(policies={"mesh": {"amazonaws": False}})
    found = asked("s3.us-west-2.amazonaws.com", closed, view, https)
    assert found.outside is not None
    assert found.outside.startswith("denied")


def test_a_port_that_nothing_serves_is_said_with_the_ports_there_are() -> None:
    found = asked("shop.local", port=81)
    assert found.summary == "nothing is for port 81: the connection is closed"
    assert found.notes == ("shop.local is not called at port 81; its ports: 9080",)


def test_a_service_that_is_no_backend_is_unknown_to_the_callers_proxy() -> None:
    found = asked("other.local")
    assert (found.service, found.status) == ("other.local", 404)
    assert "does not have other.local among its backends" in found.notes[0]


def test_a_tcp_backend_without_a_route_is_closed() -> None:
    assert asked("idle.local").summary == "it has no route for TCP: connections are closed"


def test_a_proxy_without_the_listener_refuses_the_connection() -> None:
    found = asked("shop.local", view=view_of("web", Mode.EXPLICIT, Ports(egress=0)))
    assert "the connection is refused" in found.summary


def test_grpc_clients_are_told_in_their_own_status() -> None:
    call = Request("POST", "/s/m", (("content-type", "application/grpc"),))
    found = asked("example.com", request=call, port=9080)
    assert (found.status, found.grpc_status) == (404, 12)
    assert "for gRPC clients status 12" in found.summary


def test_who_was_left_out_is_said_with_the_weights_that_were_asked_for() -> None:
    said = mesh(policies={"mesh": {"reroute": True}}, forgotten=["b"])
    del said["instances"]["b"]
    found = asked("shop.local", said)
    assert found.rerouted == "rerouted: 1 of 2 targets, b has no live instance"
    assert found.summary == f"route all matches: a 100 %; {found.rerouted}"
    assert [(e.virtual_node, e.weight, e.configured_weight, e.alive) for e in found.targets] == [
        ("a", 1, 1, True),
        ("b", 0, 1, False),
    ]
    (policy,) = found.policies
    assert (policy.about, policy.setting) == ("mesh/shop", "reroute=on")
    assert found.retries is not None
    assert found.retries.elsewhere


def test_nodes_found_by_dns_are_said_to_be_beyond_rerouting() -> None:
    said = mesh(policies={"virtualRouter/shop/route/all": {"reroute": True}})
    said["instances"] = {}
    (policy,) = asked("shop.local", said).policies
    assert policy.about == "mesh/shop/virtualRouter/shop/route/all"
    assert "a, b found by DNS: only what fails is tried elsewhere" in policy.says


def test_the_lower_of_two_limits_is_said_to_end_the_request() -> None:
    said = mesh()
    slow = {"timeout": {"perRequest": {"unit": "s", "value": 30}}}
    said["routers"]["shop"]["routes"]["all"]["httpRoute"] |= slow
    found = asked("shop.local", said)
    assert found.request_timeout == Setting("30s", default=False)
    assert found.ends_after == Setting("15s", default=True)
    assert found.notes == tuple(
        f"the listener of {node} ends requests after 15s, App Mesh's default, "
        "before the route's 30s"
        for node in "ab"
    )


def test_a_policy_of_a_service_is_no_hidden_default() -> None:
    given = {
        "timeout": {"perRequest": {"unit": "s", "value": 5}},
        "retryPolicy": {
            "maxRetries": 4,
            "perRetryTimeout": {"unit": "s", "value": 1},
            "httpRetryEvents": ["gateway-error"],
        },
    }
    found = asked("cart.local", mesh(policies={"virtualService/cart.local": given}))
    assert found.request_timeout == Setting("5s", default=False)
    assert found.retries is not None
    assert (found.retries.limit, found.retries.default) == (4, False)
    assert [each.setting for each in found.policies] == ["timeout", "retryPolicy"]


def test_live_instances_are_told_with_health_and_lease() -> None:
    said = mesh()
    said["nodes"]["b"] = {"listen": "9080/http", "found": "test/b"}
    del said["instances"]["b"]
    said["cloudmap"] = {
        "test/b": {
            "ill": {"AWS_INSTANCE_IPV4": "10.0.0.1", "health": "UNHEALTHY"},
            "well": {"AWS_INSTANCE_IPV4": "10.0.0.2", "health": "HEALTHY"},
        }
    }
    a, b = asked("shop.local", said).targets
    assert [(e.instance, e.health, e.lease, e.used) for e in a.instances] == [
        ("one", "registered", "15s", True)
    ]
    assert [(e.address, e.health, e.used) for e in b.instances] == [
        ("10.0.0.1:9080", "UNHEALTHY", False),
        ("10.0.0.2:9080", "HEALTHY", True),
    ]


def test_health_checks_and_outlier_detection_of_the_target_are_told() -> None:
    said = mesh()
    said["nodes"]["a"]["listeners"] = [
        {
            "portMapping": {"port": 9080, "protocol": "http"},
            "healthCheck": {
                "protocol": "http", "path": "/ping", "intervalMillis": 5000,
                "timeoutMillis": 2000, "healthyThreshold": 2, "unhealthyThreshold": 3,
            },
            "outlierDetection": {
                "baseEjectionDuration": {"unit": "s", "value": 5},
                "interval": {"unit": "s", "value": 1},
                "maxEjectionPercent": 50, "maxServerErrors": 4,
            },
        }
    ]  # fmt: skip
    del said["nodes"]["a"]["listen"]
    said["nodes"]["a"]["serviceDiscovery"] = {"dns": {"hostname": "a.test"}}
    (target,) = asked("cart.local", said).targets
    assert target.health_check == Setting(
        "HTTP /ping every 5s, out after 3, back after 2", default=False
    )
    assert target.outliers == Setting("4 errors in a row: out for 5s, 50 % at most", default=False)


def test_with_mesh_dns_two_tcp_backends_on_one_port_are_told_apart() -> None:
    said = mesh()
    said["nodes"]["db-b"] = {"listen": "5432/tcp"}
    said["services"]["db-b.local"] = "node db-b"
    said["nodes"]["web"]["calls"].append("db-b.local")
    named = view_of("web", Mode.TRANSPARENT, Ports(dns=53))
    for host, node in (("db.local", "db"), ("db-b.local", "db-b")):
        found = asked(host, said, named)
        assert found.summary == f"all connections: {node} 100 %"
        assert found.arrival is not None
        assert "dialled at 240." in found.arrival.because
    assert asked("shop.local", said, named).route == "all"


def test_how_the_caller_speaks_to_a_target_is_told() -> None:
    chain = {"certificateChain": "/c.pem"}
    offered = {
        "mode": "STRICT",
        "certificate": {"file": {**chain, "privateKey": "/k.pem"}},
    }
    said = mesh()
    said["nodes"]["a"] = {
        "listeners": [{"portMapping": {"port": 9080, "protocol": "http"}, "tls": offered}],
        "serviceDiscovery": {"dns": {"hostname": "a.test"}},
    }
    (target,) = asked("cart.local", said).targets
    assert target.tls == Setting(
        "TLS, server name a.test, any certificate is accepted", default=False
    )
    (target,) = asked("db.local").targets
    assert target.tls == Setting("plain text", default=True)

    trust = {"validation": {"trust": {"file": {"certificateChain": "/ca.pem"}}}}
    said["nodes"]["web"]["backendDefaults"] = {"clientPolicy": {"tls": trust}}
    (target,) = asked("cart.local", said).targets
    assert target.tls is not None
    assert target.tls.value.startswith("TLS, server name a.test, believes ")
    assert target.tls.value.endswith(" for a.test")

    arn = "arn:aws:acm-pca:us-west-2:000000000000:certificate-authority/none"
    lacking = {"validation": {"trust": {"acm": {"certificateAuthorityArns": [arn]}}}}
    said["nodes"]["web"]["backendDefaults"] = {"clientPolicy": {"tls": lacking}}
    (target,) = asked("cart.local", said).targets
    assert target.tls is not None
    assert target.tls.value.startswith("closed: ")
    assert target.endpoints == ()


def test_the_most_specific_domain_wins_whatever_the_order() -> None:
    said = mesh(mesh={"egressFilter": {"type": "ALLOW_ALL"}})
    said["services"] = {"*.local": "node a", "*": "node b", "SHOP.local": "node a"}
    said["nodes"]["web"] = {"calls": ["*", "*.local", "SHOP.local"]}
    found = asked("shop.local", said, port=9080)
    assert [each.name for each in found.hosts if each.matches] == ["SHOP.local"]
    found = asked("x.local", said, port=9080)
    assert [each.name for each in found.hosts if each.matches] == ["*.local"]


def test_a_route_whose_targets_are_gone_answers_503() -> None:
    said = mesh()
    gone = {"httpRoute": {"match": {"prefix": "/"}, "action": to("nobody:1")}}
    said["routers"]["shop"]["routes"] = {"all": gone}
    found = asked("shop.local", said)
    assert (found.route, found.status) == ("all", 503)


def test_a_chain_for_the_port_alone_is_not_left_for_one_for_any_port() -> None:
    def named(name: str, *match: Any) -> Chain:
        return Chain(name, ChainMatch(*match), Close())

    aws = named("aws", 443, ("*.amazonaws.com",))
    rest = named("rest")
    listener = Listener("l", (), Direction.OUTBOUND, (aws, named("80", 80)), rest)
    to_80 = Connection("l", 80)
    assert chain(listener, to_80).name == "80"  # type: ignore[union-attr]
    said = replace(to_80, port=443, server_name="s3.amazonaws.com")
    assert chain(listener, said) is aws
    assert chain(listener, replace(said, server_name="example.com")) is rest
    assert chain(replace(listener, default_chain=None), Connection("l", 81)) is None
    assert virtual_host((), "x") is None
