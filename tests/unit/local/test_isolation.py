"""Where isolated workloads live, under which names, what they are started with, and why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from weft.errors import CannotStart
from weft.local import outside, relay
from weft.local import plan as plans
from weft.local.addressing import GATEWAY, Home, Named, hosts, resolv_conf
from weft.local.isolation import possible
from weft.local.residents import Residents
from weft.local.topology import Backend, Listener, Needs, Topology
from weft.manifests.template import Template
from weft.manifests.workload import AppPort, Ingress, Workload, node_key

SRC = Path(__file__).parents[3] / "src"
MESH = "shop"


def workload(name: str, **more: Any) -> Workload:
    made = {
        "name": name,
        "command": (Template.parse("./app ${bind} ${port.9080} ${backend.db.local}", {}),),
        "source": "weft.yaml:7",
        "directory": Path("/srv"),
        "node": node_key(MESH, f"{name}-vn"),
        **more,
    }
    return Workload(**made)


NEEDS = Needs(
    (Listener(9080, "http"),),
    (Backend("api.local", 8080, "http"), Backend("db.local", 5432, "tcp")),
)


def planned(needs: Needs = NEEDS, *, ipv6: bool = True, **more: Any) -> plans.Plan:
    asked = workload("web", **more)
    place = plans.Place(
        instance="web-0",
        xds="unix:/run/x",
        data=Path("/data"),
        ready_file=Path("/data/r"),
        apps_file=Path("/data/a"),
        environment={"HTTP_PROXY": "http://proxy.corp:3128", "https_proxy": "x", "LANG": "C"},
        home=Home(7, ipv6),
    )
    return plans.plan(asked, 0, needs, plans.alone(plans.demand(asked, needs)), place)


# --- addresses and names ---


def test_every_workload_has_addresses_and_hardware_of_its_own() -> None:
    homes = [GATEWAY, *(Home(number) for number in range(1, 600))]

    for member in ("v4", "v6", "hardware"):
        assert len({getattr(home, member) for home in homes}) == len(homes)
    assert (GATEWAY.v4, homes[1].v4, homes[255].v4) == ("198.18.0.1", "198.18.0.2", "198.18.1.0")


def test_a_hosts_file_keeps_the_machines_own_lines() -> None:
    text = hosts("127.0.0.1 localhost\n", [Named("b.local", ("198.18.0.3",)), Named("a", ("::2",))])

    assert text.splitlines() == [
        "127.0.0.1 localhost",
        "",
        "# Virtual nodes.",
        "::2 a",
        "198.18.0.3 b.local",
    ]


def test_a_resolv_conf_asks_others_and_keeps_search_and_options() -> None:
    text = resolv_conf("nameserver 10.0.0.2\nsearch corp.example\noptions ndots:2\n", ["127.0.0.1"])

    assert text == "nameserver 127.0.0.1\nsearch corp.example\noptions ndots:2\n"


def topology(**mesh: Any) -> Topology:
    def node(host: str, **more: str) -> dict[str, Any]:
        return {"serviceDiscovery": {"dns": {"hostname": host, **more}}}

    def entry(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        return {"key": f"mesh/{MESH}/{kind}/{name}", "spec": spec}

    return Topology(
        [
            {"key": f"mesh/{MESH}", "spec": mesh},
            entry("virtualNode", "web-vn", node("web.local")),
            entry("virtualNode", "six-vn", node("six.local", ipPreference="IPv6_ONLY")),
            entry("virtualNode", "elsewhere-vn", node("elsewhere.example")),
            entry("virtualService", "web.local", {}),
        ]
    )


def test_host_names_lead_to_the_workloads_of_their_nodes_as_dns_would() -> None:
    residents = Residents(
        [workload("web", replicas=2), workload("six"), workload("tool", node=None)], ipv6=True
    )

    found = residents.names(topology(), MESH)

    assert set(found) == {
        Named("web.local", ("198.18.0.2", "198.18.0.3")),
        Named("six.local", ("fd57:6566:7400::4",)),
    }
    assert residents.names(topology(), None) == found


def test_what_mesh_dns_answers_stands_in_no_file() -> None:
    residents = Residents([workload("web"), workload("six")], ipv6=True)

    (found,) = residents.names(topology(), MESH, {"web.local"})

    assert found.name == "six.local"


def test_the_preference_of_a_mesh_is_that_of_its_nodes() -> None:
    residents = Residents([workload("web")], ipv6=True)
    preferring = topology(serviceDiscovery={"ipPreference": "IPv4_PREFERRED"})

    (found,) = residents.names(preferring, MESH)

    assert found.addresses == ("198.18.0.2", "fd57:6566:7400::2")


# --- what a workload is started with ---


def test_an_isolated_app_has_its_listeners_port_and_its_backends_have_their_names() -> None:
    made = planned()

    assert made.command == ("./app :: 9080 db.local:5432",)
    assert made.environment["WEFT_BACKEND_API_LOCAL_8080"] == "api.local:8080"
    assert made.environment["LANG"] == "C"
    assert not [name for name in made.environment if name.lower().endswith("_proxy")]


def test_without_ipv6_an_app_listens_on_ipv4() -> None:
    assert planned(ipv6=False).command[0].split()[1] == "0.0.0.0"


def test_its_sidecar_redirects_and_answers_names() -> None:
    arguments = planned().sidecar

    assert arguments is not None
    said = " ".join(arguments)
    assert "--mode transparent --xds unix:/run/x" in said
    assert said.endswith("--intercept --dns 127.0.0.1")
    assert planned(sidecar=False).sidecar is None


@pytest.mark.parametrize(
    ("preference", "address"),
    [
        (None, "198.18.0.8:9080"),
        ("IPv4_ONLY", "198.18.0.8:9080"),
        ("IPv4_PREFERRED", "198.18.0.8:9080"),
        ("IPv6_PREFERRED", "[fd57:6566:7400::8]:9080"),
        ("IPv6_ONLY", "[fd57:6566:7400::8]:9080"),
    ],
)
def test_the_registry_gets_the_address_of_the_preferred_family(
    preference: str | None, address: str
) -> None:
    needs = Needs(NEEDS.listeners, NEEDS.backends, ip_preference=preference)

    assert planned(needs).addresses == {"9080": address}


def test_the_machine_reaches_what_was_asked_for_and_programs_outside_the_mesh() -> None:
    meshed = workload("web", ingress=(Ingress(None, 7480),))
    tool = workload("tool", node=None, sidecar=False, ports=(AppPort(3000, 3000),))

    def published(asked: Workload) -> tuple[tuple[int, int], ...]:
        return outside.published(asked, plans.demand(asked, NEEDS), lambda port: port)

    assert published(meshed) == ((9080, 7480),)
    assert published(tool) == ((3000, 3000),)


# --- what is asked of the machine ---


def test_name_servers_are_the_machines(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# none here\nsearch a\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\n")

    assert relay.name_servers(str(file)) == ["10.0.0.2", "fe80::1%eth0"]
    assert relay.name_servers("/no/such/file") == []


def test_a_question_that_nobody_answers_is_answered_with_servfail() -> None:
    question = bytes.fromhex("1234010000010000000000000161000001 0001".replace(" ", ""))

    answer = relay.refused(question)

    assert answer[:2] == question[:2]
    assert (answer[2] & 0x80, answer[2] & 0x01, answer[3] & 0x0F) == (0x80, 0x01, 2)
    assert answer[4:] == question[4:]
    assert relay.refused(b"short") == b""


# --- why not ---


def test_an_app_at_another_port_than_its_listener_cannot_be_isolated() -> None:
    with pytest.raises(CannotStart, match=r"weft\.yaml:7: the app of workload web listens at 8080"):
        possible(os.environ, [workload("web", ports=(AppPort(9080, 8080),))])


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.local.isolation._SBIN", "/nowhere")
    monkeypatch.setattr("sys.platform", "linux")

    with pytest.raises(CannotStart, match="there is no ip here") as found:
        possible({"PATH": "/nowhere"})

    assert found.value.fix == "install the package iproute2 (apt-get install iproute2)"


def test_other_systems_have_no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")

    with pytest.raises(CannotStart, match="network namespaces are a part of Linux"):
        possible(os.environ)


NO_NAMESPACES = """
set -e
echo 0 > /proc/sys/user/max_user_namespaces
echo 0 > /proc/sys/user/max_net_namespaces
exec "$@"
"""
SAY = """
import json, os
from weft.errors import CannotStart
from weft.local.isolation import possible
try:
    print(json.dumps([str(possible(os.environ)), ""]))
except CannotStart as error:
    print(json.dumps([error.message, error.fix]))
"""


def test_a_machine_that_forbids_namespaces_is_told_so() -> None:
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c", NO_NAMESPACES, "sh"]
    try:
        done = subprocess.run(
            [*inside, sys.executable, "-c", SAY],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SRC)},
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if "unshare" in done.stderr:
        pytest.skip(f"no user namespace to try it in: {done.stderr.strip()}")
    message, fix = json.loads(done.stdout)

    assert message.startswith("no namespace can be made: unshare")
    assert "user.max_user_namespaces" in fix
