"""What a replica is started with, worked out from its workload and the mesh."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from weft.local import outside
from weft.local import plan as plans
from weft.local.addressing import Home
from weft.local.plan import NotYet, Place, Plan
from weft.local.topology import Backend, Listener, Needs, Topology
from weft.manifests.template import Template
from weft.manifests.workload import AppPort, Ingress, Workload, gateway_key, node_key
from weft.names import BackendPort, IngressPort, Ports

NODE = node_key("shop", "web-vn")
HTTP, TCP, GRPC = (
    Backend("cart.local", 80, "http"),
    Backend("db.local", 5432, "tcp"),
    Backend("api.local", 9000, "grpc"),
)
NEEDS = Needs((Listener(9080, "http"),), (HTTP, TCP, GRPC))


def workload(command: str = "run", **members: Any) -> Workload:
    made: dict[str, Any] = {"name": "web", "source": "weft.yaml:1", "directory": Path("/app")}
    env = tuple(
        (name, None if text is None else Template.parse(text, {}))
        for name, text in members.pop("env", {}).items()
    )
    words = tuple(Template.parse(word, {}) for word in command.split())
    return Workload(**made | {"command": words, "env": env, "node": NODE} | members)


def planned(of: Workload, needs: Needs | None = NEEDS, replica: int = 0) -> Plan:
    take = itertools.count(30000)
    allocation = plans.allocation(plans.demand(of, needs), lambda: next(take))
    place = Place(
        "web-0", "127.0.0.1:7401", Path("/data"), Path("/data/r"), Path("/data/a"), {"HOME": "/h"}
    )
    return plans.plan(of, replica, needs, allocation, place)


def test_every_listener_and_every_backend_that_is_not_http_gets_a_port() -> None:
    found = planned(workload()).allocation
    assert found.apps == {9080: 30000}
    assert found.sidecar == Ports(
        (IngressPort(9080, 30001, 30000),),
        30002,
        (BackendPort("api.local", 9000, 30004), BackendPort("db.local", 5432, 30003)),
    )


def test_the_sidecar_is_told_everything_by_its_flags() -> None:
    found = planned(workload()).sidecar
    assert found is not None
    assert " ".join(found) == (
        "--proxy mesh/shop/virtualNode/web-vn --instance web-0 --mode explicit "
        "--xds 127.0.0.1:7401 --data /data --ready-file /data/r --egress 30002 "
        "--apps /data/a "
        "--ingress 9080=30001:30000 "
        "--backend api.local:9000=30004 --backend db.local:5432=30003"
    )


def test_placeholders_are_filled_in_per_replica() -> None:
    found = planned(
        workload(
            "${python} -p ${port.9080}",
            env={
                "DB": "${backend.db.local}",
                "CART": "http://${backend.cart.local:80}/",
                "N": "${replica}",
            },
        ),
        replica=2,
    )
    assert found.command == (sys.executable, "-p", "30000")
    assert (found.environment["DB"], found.environment["CART"], found.environment["N"]) == (
        "127.0.0.1:30003",
        "http://cart.local:80/",
        "2",
    )


def test_a_workloads_own_environment_wins_over_ours() -> None:
    found = planned(workload(env={"http_proxy": "http://other", "HTTP_PROXY": None})).environment
    assert found["http_proxy"] == "http://other"
    assert "HTTP_PROXY" not in found
    assert found["WEFT_BACKEND_DB_LOCAL_5432"] == "127.0.0.1:30003"
    assert found["HOME"] == "/h"


def test_without_a_sidecar_the_app_itself_is_registered() -> None:
    found = planned(workload(sidecar=False))
    assert found.sidecar is None
    assert found.addresses == {"9080": "127.0.0.1:30000"}
    assert "http_proxy" not in found.environment


def test_fixed_ports_are_taken_as_they_are() -> None:
    found = planned(workload(ports=(AppPort(9080, 8080),), ingress=(Ingress(None, 7480),)))
    assert found.allocation.sidecar is not None
    assert found.allocation.sidecar.ingress == (IngressPort(9080, 7480, 8080),)
    assert found.addresses == {"9080": "127.0.0.1:7480"}


def test_a_workload_that_is_no_part_of_the_mesh_has_just_its_ports() -> None:
    found = planned(workload(node=None, sidecar=False, ports=(AppPort(80),)), None)
    assert (found.addresses, found.allocation.apps) == ({}, {80: 30000})


@pytest.mark.parametrize(
    ("of", "needs", "reason"),
    [
        (workload(), None, "virtual node web-vn of mesh shop"),
        (workload(ports=(AppPort(81),)), NEEDS, "a listener 81 of virtual node web-vn"),
        (workload("x ${port.81}"), NEEDS, "a listener 81, for ${port.81}"),
        (
            workload("x ${backend.no.local}"),
            NEEDS,
            "a backend no.local, for ${backend.no.local}",
        ),
        (
            workload("x ${backend.no.local}"),
            Needs(dangling=("no.local",)),
            "virtual service no.local to lead somewhere, for ${backend.no.local}",
        ),
        (
            workload("x ${backend.two.local}"),
            Needs(backends=(Backend("two.local", 1, "tcp"), Backend("two.local", 2, "tcp"))),
            "${backend.two.local} to name one of the ports 1, 2, as in ${backend.two.local:1}",
        ),
        (
            workload(ingress=(Ingress(None, 7480),)),
            Needs(),
            "a virtual node with one listener, to serve it at 7480 (it has 0)",
        ),
    ],
)
def test_what_is_missing_is_what_a_replica_waits_for(
    of: Workload, needs: Needs | None, reason: str
) -> None:
    with pytest.raises(NotYet) as caught:
        planned(of, needs)
    assert str(caught.value) == reason


def test_a_node_that_has_changed_is_told_in_sentences() -> None:
    started = planned(workload(), Needs((Listener(9080, "http"),), ()))
    assert plans.outgrown(started, None) == ["its virtual node is gone"]
    assert plans.outgrown(started, started.needs) == []
    grown = Needs((Listener(9080, "http"), Listener(9081, "http")), (HTTP, TCP))
    assert plans.outgrown(started, grown) == [
        "new backend cart.local:80 (http), reached through http_proxy",
        "new backend db.local:5432 (tcp) needs a port of its own: restart the workload",
        "new listener 9081 is not served: restart the workload",
    ]


def test_a_sidecar_hears_nothing_of_another_proxy() -> None:
    given = {"WEFT_PROXY": "x", "APPMESH_VIRTUAL_NODE_NAME": "x", "WEFT_ENVOY": "/e", "PATH": "/p"}
    assert plans.sidecar_environment(given) == {"WEFT_ENVOY": "/e", "PATH": "/p"}


# --- what a virtual node needs ---


def resource(key: str, **spec: Any) -> dict[str, Any]:
    return {"key": f"mesh/shop/{key}", "spec": spec}


def listeners(*ports: tuple[int, str]) -> list[dict[str, Any]]:
    return [{"portMapping": {"port": port, "protocol": protocol}} for port, protocol in ports]


def backend(service: str) -> dict[str, Any]:
    return {"virtualService": {"virtualServiceName": service}}


@pytest.mark.parametrize(
    ("service", "protocol", "by_proxy"),
    [("b.local", "http", True), ("b_1.local", "http", False), ("b.local", "grpc", False)],
)
def test_what_http_proxy_cannot_reach_needs_a_port_of_its_own(
    service: str, protocol: str, by_proxy: bool
) -> None:
    assert Backend(service, 80, protocol).by_proxy is by_proxy


def test_backends_are_followed_through_services_to_the_listeners_behind_them() -> None:
    topology = Topology(
        [
            {"key": "mesh/shop", "spec": {}},
            resource(
                "virtualNode/web-vn",
                listeners=listeners((9080, "http")),
                backends=[backend(name) for name in ("a", "b", "c", "d")],
            ),
            resource("virtualNode/a-vn", listeners=listeners((1, "tcp"), (2, "http"))),
            resource("virtualRouter/b-vr", listeners=listeners((3, "http2"))),
            resource("virtualService/a", provider={"virtualNode": {"virtualNodeName": "a-vn"}}),
            resource("virtualService/b", provider={"virtualRouter": {"virtualRouterName": "b-vr"}}),
            resource("virtualService/c"),
        ]
    )
    assert topology.needs(NODE) == Needs(
        (Listener(9080, "http"),),
        (Backend("a", 1, "tcp"), Backend("a", 2, "http"), Backend("b", 3, "http2")),
        ("c", "d"),
    )
    assert topology.needs(node_key("shop", "none")) is None


FRONT = Workload("front", (), "weft.yaml:1", Path("/app"), node=gateway_key("shop", "front-vg"))
FRONT_NEEDS = Needs((Listener(443, "http"), Listener(8080, "http")), tls=(443,))


def planned_gateway(of: Workload = FRONT, needs: Needs | None = FRONT_NEEDS) -> Plan:
    take = itertools.count(30000)

    def own(port: int) -> int:
        return port if port > 1024 else next(take)

    allocation = plans.allocation(plans.demand(of, needs), lambda: next(take), own)
    place = Place("f", "127.0.0.1:7401", Path("/d"), Path("/d/r"), Path("/d/a"), {"HOME": "/h"})
    return plans.plan(of, 0, needs, allocation, place)


def test_a_gateway_is_a_sidecar_alone_at_its_own_ports() -> None:
    found = planned_gateway()
    assert (found.command, found.addresses) == ((), {})
    assert found.allocation.sidecar == Ports(
        (IngressPort(443, 30000, 0), IngressPort(8080, 8080, 0)), 30001
    )
    assert outside.urls(found) == {443: "https://127.0.0.1:30000", 8080: "http://127.0.0.1:8080"}
    assert found.sidecar is not None
    assert " ".join(found.sidecar) == (
        "--proxy mesh/shop/virtualGateway/front-vg --instance f --mode explicit "
        "--xds 127.0.0.1:7401 --data /d --ready-file /d/r --egress 30001 "
        "--ingress 443=30000 --ingress 8080=8080"
    )


def test_a_gateway_waits_for_what_it_stands_for_and_for_the_listener_of_a_fixed_port() -> None:
    with pytest.raises(NotYet, match="virtual gateway front-vg of mesh shop"):
        planned_gateway(needs=None)
    with pytest.raises(NotYet, match="a virtual gateway with one listener"):
        planned_gateway(replace(FRONT, ingress=(Ingress(None, 7480),)))
    found = planned_gateway(replace(FRONT, ingress=(Ingress(8080, 7480),)))
    assert outside.urls(found)[8080] == "http://127.0.0.1:7480"


def test_what_a_gateway_has_outgrown_is_said() -> None:
    found = planned_gateway()
    assert plans.outgrown(found, FRONT_NEEDS) == []
    more = Needs((*FRONT_NEEDS.listeners, Listener(9000, "grpc")))
    assert plans.outgrown(found, more) == ["new listener 9000 is not served: restart the workload"]
    assert plans.outgrown(found, None) == ["its virtual gateway is gone"]


def test_an_isolated_gateway_is_reached_from_the_machine_and_redirects_nothing() -> None:
    demand = plans.demand(FRONT, FRONT_NEEDS)
    published = outside.published(FRONT, demand, lambda port: port + 10000)
    assert published == ((443, 10443), (8080, 18080))
    place = Place(
        *("f", "unix:/x", Path("/d"), Path("/d/r"), Path("/d/a"), {}), Home(1), published
    )  # fmt: skip
    found = plans.plan(FRONT, 0, FRONT_NEEDS, plans.alone(demand), place)
    assert found.forwards == ((10443, 443), (18080, 8080))
    assert outside.urls(found) == {443: "https://127.0.0.1:10443", 8080: "http://127.0.0.1:18080"}
    assert found.sidecar is not None
    assert "--intercept" not in found.sidecar
    assert found.sidecar[5] == "transparent"


def test_tls_of_a_listener_is_read_from_the_mesh() -> None:
    def listener(port: int, mode: str | None) -> dict[str, Any]:
        tls = {"tls": {"mode": mode}} if mode else {}
        return {"portMapping": {"port": port, "protocol": "http"}, **tls}

    listeners = [listener(1, "STRICT"), listener(2, "PERMISSIVE"), listener(3, "DISABLED"), listener(4, None)]  # fmt: skip
    key = gateway_key("shop", "front-vg")
    topology = Topology([{"key": str(key), "spec": {"listeners": listeners}}])
    needs = topology.needs(key)
    assert needs is not None
    assert (needs.tls, len(needs.listeners), needs.backends) == ((1, 2), 4, ())
