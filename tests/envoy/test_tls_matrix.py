"""
Every mode of a listener against every policy of a client, with real traffic.

One Envoy stands for all the servers and one for all the clients: each case is a virtual
node of its own with an address of the same server, called under a policy of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.envoy.proxies import ControlPlane, directory_of_certificates, proxy
from tests.envoy.running import ask, free_ports, upstream
from tests.envoy.secret_server import SecretServer, secret_server
from weft.names import IngressPort

pytestmark = pytest.mark.envoy

PORT = 9080
SERVER_ARN = "arn:aws:acm:us-west-2:000000000000:certificate/server"
AUTHORITY_ARN = "arn:aws:acm-pca:us-west-2:000000000000:certificate-authority/root"
REFUSED = "reset reason: remote connection failure"
SOURCES = ("file", "sds", "acm")
MODES = ("DISABLED", "PERMISSIVE", "STRICT")
NAMES = ("none", "right", "wrong")


@dataclass(frozen=True)
class Server:
    mode: str
    source: str = ""

    @property
    def offers(self) -> bool:
        return self.mode in ("PERMISSIVE", "STRICT")


@dataclass(frozen=True)
class Policy:
    kind: str
    names: str = "none"
    trust: str = ""


@dataclass(frozen=True)
class Case:
    server: Server
    policy: Policy

    def __str__(self) -> str:
        one, other = self.server, self.policy
        return "-".join(
            filter(None, (one.mode, one.source, other.kind, other.trust, f"san_{other.names}"))
        )

    @property
    def status(self) -> int:
        """Worked out from app-mesh.md 3.8, not from the code."""
        if self.policy.kind in ("no policy", "other port"):
            return 200
        if not self.server.offers:
            return 503 if self.policy.kind == "enforced" else 200
        return 503 if self.policy.names == "wrong" else 200

    @property
    def speaks_tls(self) -> bool:
        return self.server.offers


SERVERS = (Server("none"), *(Server(mode, source) for mode, source in product(MODES, SOURCES)))
POLICIES = (
    Policy("no policy"),
    Policy("other port", trust="file"),
    *(
        Policy(kind, names, trust)
        for kind, names, trust in product(("enforced", "lax"), NAMES, SOURCES)
    ),
)
CASES = tuple(Case(server, policy) for server, policy in product(SERVERS, POLICIES))


@dataclass(frozen=True)
class Outcome:
    status: int
    body: str
    stats: dict[str, int]


def listener_tls(server: Server, directory: Path) -> dict[str, Any]:
    certificate: dict[str, Any] = {
        "file": {
            "certificateChain": str(directory / "server.pem"),
            "privateKey": str(directory / "server.key"),
        }
    }
    if server.source == "sds":
        certificate = {"sds": {"secretName": "spiffe://shop/server"}}
    if server.source == "acm":
        certificate = {"acm": {"certificateArn": SERVER_ARN}}
    return {"mode": server.mode, "certificate": certificate}


def client_tls(policy: Policy, directory: Path) -> dict[str, Any]:
    trust: dict[str, Any] = {"file": {"certificateChain": str(directory / "root.pem")}}
    if policy.trust == "sds":
        trust = {"sds": {"secretName": "spiffe://shop"}}
    if policy.trust == "acm":
        trust = {"acm": {"certificateAuthorityArns": [AUTHORITY_ARN]}}
    validation: dict[str, Any] = {"trust": trust}
    if policy.names != "none":
        name = "spiffe://shop/server" if policy.names == "right" else "spiffe://shop/other"
        validation["subjectAlternativeNames"] = {"match": {"exact": ["else.test", name]}}
    made: dict[str, Any] = {"validation": validation}
    if policy.kind == "other port":
        made["ports"] = [PORT + 1]
    if policy.kind == "lax":
        made["enforce"] = False
    return made


def listening(server: Server, directory: Path, port: int = PORT) -> dict[str, Any]:
    made: dict[str, Any] = {"portMapping": {"port": port, "protocol": "http"}}
    if server.mode != "none":
        made["tls"] = listener_tls(server, directory)
    return made


async def measured(directory: Path) -> dict[Case, Outcome]:
    authority = Authority(directory, "root")
    leaf = authority.leaf("server", hosts=("*.server.test",), uri="spiffe://shop/server")
    egress, *sockets = free_ports(1 + len(SERVERS))
    nodes: dict[str, Any] = {"server": {"listeners": []}, "client": {"backends": []}}
    said: dict[str, Any] = {"nodes": nodes, "services": {}, "instances": {}}
    said["certificates"] = {
        SERVER_ARN: {
            "certificateChain": leaf.certificate.read_text(),
            "privateKey": leaf.key.read_text(),
            "rootChain": authority.certificate.read_text(),
        }
    }
    said["authorities"] = {AUTHORITY_ARN: {"certificateChain": authority.certificate.read_text()}}
    for i, server in enumerate(SERVERS):
        nodes["server"]["listeners"].append(listening(server, directory, PORT + i))
    for i, case in enumerate(CASES):
        name, socket = f"n{i}", sockets[SERVERS.index(case.server)]
        nodes[name] = {
            "listeners": [listening(case.server, directory)],
            "serviceDiscovery": {"dns": {"hostname": f"{name}.server.test"}},
        }
        said["services"][f"{name}.local"] = f"node {name}"
        said["instances"][name] = {name: {PORT: f"127.0.0.1:{socket}"}}
        backend: dict[str, Any] = {"virtualServiceName": f"{name}.local"}
        if case.policy.kind != "no policy":
            backend["clientPolicy"] = {"tls": client_tls(case.policy, directory)}
        nodes["client"]["backends"].append({"virtualService": backend})

    def on_sds(server: SecretServer) -> None:
        server.certificate("spiffe://shop/server", leaf)
        server.trust("spiffe://shop", authority.certificate)

    async with upstream("app") as app, secret_server(directory / "sds.sock") as sds:
        on_sds(sds)
        ingress = tuple(IngressPort(PORT + i, socket, app.port) for i, socket in enumerate(sockets))
        control_plane = ControlPlane(said)
        await control_plane.start()
        try:
            async with (
                proxy(control_plane, "server", egress=0, ingress=ingress, sds_socket=sds.socket),
                proxy(control_plane, "client", egress=egress, sds_socket=sds.socket) as client,
            ):
                told = await control_plane.settled()
                assert (told.total, told.accepted) == (2, 2), told
                answers = [
                    await ask(egress, f"GET / HTTP/1.1\nHost: n{i}.local:{PORT}")
                    for i in range(len(CASES))
                ]
                stats = await client.stats(r"^cluster\.cds_egress_shop_n\d+_http_9080\.ssl\.")
                assert sds.refusals == []
        finally:
            await control_plane.server.stop()
    return {
        case: Outcome(
            answer.status,
            answer.body,
            {
                name.rpartition(".")[2]: value
                for name, value in stats.items()
                if name.startswith(f"cluster.cds_egress_shop_n{i}_http_")
            },
        )
        for i, (case, answer) in enumerate(zip(CASES, answers, strict=True))
    }


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[Case, Outcome]]:
    with directory_of_certificates() as directory:
        yield asyncio.run(measured(directory))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_mode_a_policy_and_a_name_come_to(case: Case, outcomes: dict[Case, Outcome]) -> None:
    found = outcomes[case]
    assert found.status == case.status, found
    handshakes = found.stats.get("handshake", 0)
    if case.status == 200:
        assert found.body == "app"
        assert handshakes == (1 if case.speaks_tls else 0)
        return
    assert REFUSED in found.body, found
    assert handshakes == 0
    if case.speaks_tls:
        assert found.stats["fail_verify_san"] >= 1
        assert found.stats["fail_verify_error"] == 0
    else:
        assert found.stats["connection_error"] >= 1
