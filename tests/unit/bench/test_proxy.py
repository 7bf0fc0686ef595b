"""What a simulated proxy asks for, and what it says it holds."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2,
)
from envoy.service.discovery.v3 import discovery_pb2

from bench.proxy import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    ROUTE,
    Change,
    Proxy,
    Response,
    ack,
    nack,
    node,
    response,
)


def a_proxy() -> Proxy:
    return Proxy(node("mesh/m/virtualNode/n", "one", {"mode": "transparent"}))


def told(
    type_url: str, *resources: tuple[str, str, Any], removed: list[str] | None = None
) -> Response:
    message = discovery_pb2.DeltaDiscoveryResponse(
        type_url=type_url, nonce="7", removed_resources=removed or []
    )
    for name, version, value in resources:
        message.resources.add(name=name, version=version).resource.Pack(value)
    found = response(message.SerializeToString())
    assert found is not None
    return found


def eds(name: str) -> Any:
    return cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)


def listener_with_routes(name: str) -> Any:
    manager = http_connection_manager_pb2.HttpConnectionManager()
    manager.rds.route_config_name = name
    value = listener_pb2.Listener(name="l")
    value.filter_chains.add().filters.add(name="hcm").typed_config.Pack(manager)
    return value


def requests(messages: list[bytes]) -> list[Any]:
    return [discovery_pb2.DeltaDiscoveryRequest.FromString(each) for each in messages]


def configured() -> Proxy:
    proxy = a_proxy()
    list(proxy.opening())
    for each in (
        told(CLUSTER, ("a", "1", eds("a"))),
        told(LISTENER, ("l", "1", listener_with_routes("r"))),
        told(ENDPOINT, ("a", "1", endpoint_pb2.ClusterLoadAssignment())),
        told(ROUTE, ("r", "1", route_pb2.RouteConfiguration())),
    ):
        proxy.follow(each, Change())
    return proxy


def test_the_first_request_says_who_asks_and_the_next_do_not() -> None:
    first, second = requests(list(a_proxy().opening()))

    assert (first.type_url, first.node.id) == (CLUSTER, "mesh/m/virtualNode/n")
    assert first.node.metadata.fields["weft"].struct_value.fields["instance"].string_value == "one"
    assert second.type_url == LISTENER
    assert not second.HasField("node")


def test_endpoints_and_routes_are_asked_for_as_soon_as_they_are_named() -> None:
    proxy = a_proxy()
    static = cluster_pb2.Cluster(name="s", type=cluster_pb2.Cluster.STRICT_DNS)

    clusters = told(CLUSTER, ("a", "1", eds("a")), ("s", "1", static))
    (endpoints,) = requests(proxy.follow(clusters, Change()))
    listeners = told(LISTENER, ("l", "1", listener_with_routes("r")))
    (routes,) = requests(proxy.follow(listeners, Change()))

    assert (endpoints.type_url, list(endpoints.resource_names_subscribe)) == (ENDPOINT, ["a"])
    assert (routes.type_url, list(routes.resource_names_subscribe)) == (ROUTE, ["r"])


def test_a_proxy_is_configured_once_everything_asked_for_was_answered() -> None:
    proxy = a_proxy()
    list(proxy.opening())
    proxy.follow(told(CLUSTER, ("a", "1", eds("a"))), Change())
    proxy.follow(told(LISTENER), Change())

    assert not proxy.is_configured
    proxy.follow(told(ENDPOINT, removed=["a"]), Change())
    assert proxy.is_configured


def test_after_a_reconnect_it_says_what_it_holds() -> None:
    proxy = configured()

    opening = {each.type_url: each for each in requests(list(proxy.opening()))}

    assert list(opening) == [CLUSTER, ENDPOINT, LISTENER, ROUTE]
    assert dict(opening[ROUTE].initial_resource_versions) == {"r": "1"}
    assert list(opening[ROUTE].resource_names_subscribe) == ["r"]
    assert list(opening[CLUSTER].resource_names_subscribe) == []
    assert not proxy.is_configured  # Not before it was told that nothing is new.


def test_what_a_removed_cluster_named_is_given_up() -> None:
    proxy = configured()

    (request,) = requests(proxy.follow(told(CLUSTER, removed=["a"]), Change()))

    assert (request.type_url, list(request.resource_names_unsubscribe)) == (ENDPOINT, ["a"])
    assert "a" not in proxy.held[ENDPOINT]


def test_only_what_differs_counts_as_changed() -> None:
    proxy, change = configured(), Change()
    routes = route_pb2.RouteConfiguration(name="r")

    proxy.follow(told(ROUTE, ("r", "1", routes)), change)
    proxy.follow(told(ROUTE, ("r", "2", routes)), change)
    proxy.follow(told(ROUTE, ("other", "1", routes)), change)

    assert (change.resources, change.changed, change.unwanted) == (3, 2, 1)
    assert change.changed_bytes == 2 * routes.ByteSize()


def test_an_acknowledgement_carries_type_and_nonce() -> None:
    received = told(ROUTE)
    accepted, refused = requests([ack(received), nack(received, "why")])

    assert (accepted.type_url, accepted.response_nonce) == (ROUTE, "7")
    assert not accepted.HasField("error_detail")
    assert refused.error_detail.message == "why"


def test_bytes_that_are_no_response_are_not_taken_for_one() -> None:
    assert response(b"\xff\xff") is None
