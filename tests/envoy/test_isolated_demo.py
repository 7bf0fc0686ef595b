"""Color App in network namespaces: unchanged programs on unchanged ports, on real Envoys."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo import MESH, Demo, demo, descendants, get, wait_for
from tests.isolated import NOBODY, fetch, inside, nat_rules, needs_root, of_nobody
from tests.shares import assert_shares
from weft.local.demo import example

pytestmark = [pytest.mark.envoy, needs_root]

THIRDS = {"white": 1 / 3, "blue": 1 / 3, "red": 1 / 3}
ECHO = (
    "Response from tcpecho server: Welcome, you are connected to node "
    f"mesh/{MESH}/virtualNode/tcpecho-vn.\n"
)
# As iptables-save has them; of IPv6 there is no metadata address to be let alone.
RULES = """\
:APPMESH_EGRESS -
:APPMESH_INGRESS -
-A PREROUTING -p tcp -m addrtype ! --src-type LOCAL -j APPMESH_INGRESS
-A OUTPUT -p tcp -m addrtype ! --dst-type LOCAL -j APPMESH_EGRESS
-A APPMESH_EGRESS -m mark --mark 0x539 -j RETURN
-A APPMESH_EGRESS -p tcp -m multiport --dports 22 -j RETURN
-A APPMESH_EGRESS -d 169.254.169.254/32 -p tcp -j RETURN
-A APPMESH_EGRESS -d 169.254.170.2/32 -p tcp -j RETURN
-A APPMESH_EGRESS -p tcp -j REDIRECT --to-ports 15001
-A APPMESH_INGRESS -p tcp -m multiport --dports 9080 -j REDIRECT --to-ports 15000
""".splitlines()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("isolated"), "--no-traffic", "--isolate=require") as found:
        yield found


@pytest.fixture(scope="module")
def nobodys(running: Demo) -> Iterator[Demo]:
    """Of a user without rights, while another runner has the same addresses."""
    with of_nobody("--no-traffic", "--isolate=require") as found:
        yield found


def test_each_of_three_colours_gets_a_third_and_black_nothing(running: Demo) -> None:
    assert_shares(running.colors(600), THIRDS)


def test_the_tcp_echo_answers_its_exact_line(running: Demo) -> None:
    assert get(running.gateway, "/tcpecho") == (200, ECHO)


def test_every_app_listens_on_its_listeners_own_port(running: Demo) -> None:
    tellers = [f"colorteller-{color}" for color in ("white", "blue", "red", "black")]
    found = [running.replicas(each)[0] for each in (*tellers, "colorgateway")]

    assert [each["appPorts"] for each in found] == [{"9080": 9080}] * 5
    assert len({each["addresses"]["9080"] for each in found}) == 5
    assert running.replicas("tcpecho")[0]["appPorts"] == {"2701": 2701}


def test_without_interception_the_service_is_what_dns_says_white(running: Demo) -> None:
    answers = fetch(running, "tcpecho", "colorteller.myapp.local", 9080, count=30)

    assert answers == ["200 white"] * 30


def test_names_of_services_are_answered_by_the_mesh(running: Demo) -> None:
    said = inside(running, "colorgateway", "getent", "ahostsv4", "colorteller.myapp.local")

    assert said.startswith("240."), "an address that stands for the service, not white's"
    assert inside(running, "colorgateway", "cat", "/etc/resolv.conf").startswith(
        "nameserver 127.0.0.1\n"
    )


def test_whoever_is_redirected_gets_what_the_route_says(running: Demo) -> None:
    answers = fetch(running, "colorgateway", "colorteller.myapp.local", 9080, count=60)

    assert set(answers) == {"200 white", "200 blue", "200 red"}


def test_the_rules_in_force_are_app_meshs(running: Demo) -> None:
    def found(tool: str) -> list[str]:
        return nat_rules(inside(running, "colorgateway", tool, "-t", "nat"))

    assert found("iptables-save") == RULES
    assert found("ip6tables-save") == [line for line in RULES if "169.254" not in line]


def test_health_is_checked_through_the_ingress_of_the_checked(running: Demo) -> None:
    def pings() -> int:
        found = running.sidecar_page("colorteller-black-vn", "/clusters")
        requests: int = found[f"cds_ingress_{MESH}_colorteller-black-vn_http_9080"]["requests"]
        return requests

    # Nobody calls black but who has it among its targets.
    route = running.aws(
        *("appmesh", "describe-route", "--mesh-name", MESH, "--virtual-router-name"),
        *("colorteller-vr", "--route-name", "colorteller-route"),
    )["route"]["spec"]
    targets = route["httpRoute"]["action"]["weightedTargets"]
    targets.append({"virtualNode": "colorteller-black-vn", "weight": 0})
    running.aws(
        *("appmesh", "update-route", "--mesh-name", MESH, "--virtual-router-name"),
        *("colorteller-vr", "--route-name", "colorteller-route", "--spec", json.dumps(route)),
    )
    running.run("wait")

    wait_for(lambda: pings() > 0, "black is pinged through its proxy")


def test_a_killed_sidecar_comes_back_and_its_rules_are_there_once(running: Demo) -> None:
    before = nat_rules(inside(running, "colorgateway", "iptables-save", "-t", "nat"))
    (replica,) = running.replicas("colorgateway")
    os.kill(replica["sidecarPid"], signal.SIGKILL)

    def back() -> bool:
        (now,) = running.replicas("colorgateway")
        return now["state"] == "running" and now["sidecarPid"] != replica["sidecarPid"]

    wait_for(back, "the sidecar is back")
    assert nat_rules(inside(running, "colorgateway", "iptables-save", "-t", "nat")) == before
    assert set(running.colors(20)) <= set(THIRDS)


def test_a_stopped_workload_starts_again_at_the_same_address(running: Demo) -> None:
    address = running.replicas("colorteller-white")[0]["addresses"]
    running.run("stop", "colorteller-white")
    running.run("start", "colorteller-white")

    assert running.replicas("colorteller-white")[0]["addresses"] == address
    assert fetch(running, "tcpecho", "colorteller.myapp.local", 9080) == ["200 white"]


def test_a_user_without_rights_gets_the_same(nobodys: Demo, running: Demo) -> None:
    assert_shares(nobodys.colors(300), THIRDS)
    assert get(nobodys.gateway, "/tcpecho") == (200, ECHO)
    same = "the addresses are the runner's own"
    assert nobodys.replicas("tcpecho")[0]["ipv4"] == running.replicas("tcpecho")[0]["ipv4"], same


def test_an_app_is_the_user_and_cannot_touch_its_rules(nobodys: Demo) -> None:
    (replica,) = nobodys.replicas("colorgateway")
    status = Path(f"/proc/{replica['pid']}/status").read_text()
    inside_uid = Path(f"/proc/{replica['pid']}/uid_map").read_text().split()

    assert f"Uid:\t{NOBODY}" in status
    assert inside_uid[0] == str(NOBODY), "it sees its own number, not root's"
    assert (
        Path(f"/proc/{replica['pid']}/ns/user").readlink()
        != Path(f"/proc/{replica['sidecarPid']}/ns/user").readlink()
    ), "its rights do not reach over the network"


def test_nothing_of_it_is_seen_on_the_machine(running: Demo) -> None:
    links = Path("/sys/class/net").iterdir()

    assert not [each.name for each in links if each.name.startswith(("weft", "w1"))]


@pytest.mark.parametrize(
    "preference", ["IPv6_ONLY", pytest.param("IPv6_PREFERRED", marks=pytest.mark.soak)]
)
def test_over_ipv6_it_is_the_same(tmp_path: Path, preference: str) -> None:
    file = tmp_path / "weft.yaml"
    text = example().read_text().replace("dir: .", f"dir: {example().parent}")
    mesh = '    meshName: "${MESH_NAME:-my-first-appmesh}"\n'
    assert mesh in text
    spec = f"    spec: {{serviceDiscovery: {{ipPreference: {preference}}}}}\n"
    file.write_text(text.replace(mesh, mesh + spec))

    with demo(tmp_path, "--isolate=require", file=file) as running:
        assert_shares(running.colors(150), THIRDS)
        assert get(running.gateway, "/tcpecho") == (200, ECHO)
        addresses = running.replicas("colorteller-white")[0]["addresses"]
        assert addresses["9080"].startswith("[fd57:6566:7400::"), "the registry has this one"
        name = "colorteller.myapp.local"
        said = inside(running, "colorgateway", "getent", "ahostsv6", name).split()[0]
        assert not said.startswith("::ffff:"), "names have addresses of this family"
        # Both ways of the kernel's rules: out of one workload, and into another.
        out = fetch(running, "colorgateway", said, 9080, count=30, named=name)
        assert set(out) == {"200 white", "200 blue", "200 red"}
        white = addresses["9080"].partition("]")[0].lstrip("[")
        assert fetch(running, "tcpecho", white, 9080) == ["200 white"]
        requests = running.sidecar_page("colorteller-white-vn", "/clusters")
        assert requests[f"cds_ingress_{MESH}_colorteller-white-vn_http_9080"]["requests"] > 0


def test_the_runner_killed_leaves_nothing_that_blocks_the_next(tmp_path: Path) -> None:
    with demo(tmp_path, "--no-traffic", "--isolate=require") as first:
        children = descendants(first.process.pid)
        first.process.kill()
        first.process.wait()
        first.start()  # At once, with the same ports and addresses.
        first.wait_ready()
        assert set(first.colors(20)) <= set(THIRDS)
        wait_for(lambda: not [p for p in children if Path(f"/proc/{p}").exists()], "all are gone")
