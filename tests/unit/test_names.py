"""Names that leave the process survive the round trip."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.errors import BadRequest
from weft.names import (
    Arn,
    BackendPort,
    EgressCluster,
    IngressPort,
    Key,
    Kind,
    Mode,
    Ports,
    ProxyId,
    View,
    bare_name,
    certificate_files,
    egress_cluster,
    mesh_of,
    owner_of,
    parse_egress_cluster,
    parse_file_secret,
    trust_file,
    trust_of,
)

NAMES = st.text("abcXYZ019-_.", min_size=1, max_size=12)
PORTS = st.integers(1, 65535)
PROXY_IDS = st.builds(
    ProxyId, NAMES, st.sampled_from([Kind.VIRTUAL_NODE, Kind.VIRTUAL_GATEWAY]), NAMES
)


@st.composite
def keys(draw: st.DrawFn) -> Key:
    kind = draw(st.sampled_from(Kind))
    mesh = draw(NAMES)
    if kind is Kind.MESH:
        return Key.of_mesh(mesh)
    parent = draw(NAMES) if kind.parent is not Kind.MESH else ""
    return Key(mesh, kind, draw(NAMES), parent)


@given(keys())
def test_a_key_survives_the_round_trip(key: Key) -> None:
    assert Key.parse(str(key)) == key


@given(NAMES, st.sampled_from(["000000000000", "123456789012"]))
def test_a_mesh_of_another_account_carries_its_owner(name: str, owner: str) -> None:
    mesh = mesh_of(name, owner, "000000000000")

    assert (bare_name(mesh), owner_of(mesh, "000000000000")) == (name, owner)
    assert (mesh == name) is (owner == "000000000000")
    assert egress_cluster(mesh, "n", "http", 80) == f"cds_egress_{name}_n_http_80"


@given(keys())
def test_an_arn_survives_the_round_trip(key: Key) -> None:
    arn = Arn("us-west-2", "123456789012", key)

    assert Arn.parse(str(arn)) == arn


@given(PROXY_IDS)
def test_a_proxy_id_survives_the_round_trip_in_every_form(proxy_id: ProxyId) -> None:
    short = str(proxy_id)
    shared = short.replace(f"mesh/{proxy_id.mesh}/", f"mesh/{proxy_id.mesh}@123456789012/", 1)

    assert ProxyId.parse(short) == proxy_id
    assert ProxyId.parse(shared) == replace(proxy_id, mesh=f"{proxy_id.mesh}@123456789012")
    assert ProxyId.parse(f"arn:aws:appmesh:eu-west-1:123456789012:{short}") == proxy_id


@given(
    PROXY_IDS,
    st.sampled_from(Mode),
    st.lists(st.builds(IngressPort, PORTS, PORTS, PORTS), max_size=3),
    PORTS,
    st.lists(st.builds(BackendPort, NAMES, PORTS, PORTS), max_size=3),
    PORTS,
    st.booleans(),
)
def test_a_view_survives_envoys_node_metadata(
    proxy_id: ProxyId,
    mode: Mode,
    ingress: list[IngressPort],
    egress: int,
    backends: list[BackendPort],
    dns: int,
    metrics: bool,
) -> None:
    ports = Ports(tuple(sorted(ingress)), egress, tuple(sorted(backends)), dns)
    view = View(proxy_id, mode, ports, metrics)

    assert View.from_metadata(proxy_id, view.to_metadata()) == view


def test_a_proxy_that_says_nothing_is_transparent() -> None:
    proxy_id = ProxyId.parse("mesh/m/virtualNode/n")

    assert View.from_metadata(proxy_id, {}) == View(proxy_id, Mode.TRANSPARENT, Ports())


@given(NAMES, NAMES, st.sampled_from(["http", "http2", "grpc", "tcp"]), PORTS)
def test_an_egress_clusters_name_can_be_read_back(
    mesh: str, node: str, protocol: str, port: int
) -> None:
    name = egress_cluster(mesh, node, protocol, port)

    assert parse_egress_cluster(mesh, name) == EgressCluster(node, protocol, port)


@pytest.mark.parametrize(
    "text", ["", "mesh", "mesh/", "mesh/m/virtualNode", "mesh/m/virtualnode/n", "mesh/m/a/b/c/d"]
)
def test_what_is_no_name_is_refused_with_the_right_form(text: str) -> None:
    for parse in (Key.parse, ProxyId.parse):
        with pytest.raises(BadRequest) as caught:
            parse(text)
        assert caught.value.fix


PATHS = st.text("ab/.:% ", min_size=1, max_size=12)


@given(PATHS, PATHS)
def test_the_name_of_a_secret_says_its_files(one: str, other: str) -> None:
    assert parse_file_secret(certificate_files(one, other)) == (one, other)
    assert parse_file_secret(trust_file(one)) == (one,)
    assert parse_file_secret(trust_of(one, other)) == ()
    assert parse_file_secret("arn:aws:acm:us-west-2:000000000000:certificate/1") == ()
