"""What Envoy is started with."""

from __future__ import annotations

from itertools import pairwise

import pytest

from weft.names import IngressPort, Mode, Ports, ProxyId, View
from weft.sidecar.bootstrap import Json, bootstrap, latency_buckets, without_control_plane
from weft.sidecar.values import Address, Pipe, Tcp

VIEW = View(
    ProxyId.parse("mesh/shop/virtualNode/web"),
    Mode.EXPLICIT,
    Ports((IngressPort(9080, 19080, 8080),), 17000),
)


def made(xds: Address = Tcp("127.0.0.1", 7401)) -> Json:  # noqa: B008  # a frozen value
    return bootstrap(
        VIEW, "one", xds=xds, status="127.0.0.1:9", admin="/run/admin.sock", max_connections=100
    )


def test_the_node_says_who_it_is_and_which_view_it_has() -> None:
    node = made()["node"]
    weft = node["metadata"]["weft"]

    assert node["id"] == node["cluster"] == "mesh/shop/virtualNode/web"
    assert (weft["instance"], weft["status"]) == ("one", "127.0.0.1:9")
    assert View.from_metadata(VIEW.proxy, weft) == VIEW


@pytest.mark.parametrize(
    ("xds", "kind", "address"),
    [
        (
            Tcp("127.0.0.1", 1),
            "STATIC",
            {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
        ),
        (Tcp("::1", 1), "STATIC", {"socket_address": {"address": "::1", "port_value": 1}}),
        (
            Tcp("mesh.example", 1),
            "STRICT_DNS",
            {"socket_address": {"address": "mesh.example", "port_value": 1}},
        ),
        (Pipe("/x"), "STATIC", {"pipe": {"path": "/x"}}),
    ],
)
def test_the_control_plane_is_where_it_was_said_to_be(
    xds: Address, kind: str, address: Json
) -> None:
    [cluster] = made(xds)["static_resources"]["clusters"]
    [locality] = cluster["load_assignment"]["endpoints"]

    assert cluster["type"] == kind
    assert locality["lb_endpoints"][0]["endpoint"]["address"] == address


def test_without_a_control_plane_everything_is_static_and_the_rest_the_same() -> None:
    base = made()
    alone = without_control_plane(base, [{"name": "l"}], [{"name": "c"}])

    assert "dynamic_resources" not in alone
    assert [c["name"] for c in alone["static_resources"]["clusters"]] == ["weft_xds", "c"]
    assert alone["static_resources"]["listeners"] == [{"name": "l"}]
    assert alone["node"] == base["node"]
    assert "dynamic_resources" in base, "the one it was made from is untouched"


def test_latencies_are_known_to_a_tenth() -> None:
    bounds = latency_buckets()

    assert bounds[0] == 100
    assert bounds[-1] >= 60_000_000
    assert all(low < high <= low * 1.1 for low, high in pairwise(bounds))
