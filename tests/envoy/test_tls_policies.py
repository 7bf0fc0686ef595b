"""Which of two policies counts, and what a wildcard stands for, with real traffic."""

from __future__ import annotations

from typing import Any

import pytest

from tests.certificates import Authority
from tests.envoy.proxies import directory_of_certificates, proxy
from tests.envoy.running import ask, free_ports, upstream
from tests.envoy.test_tls_mutual import file, listener, serving, trust
from weft.names import IngressPort

pytestmark = pytest.mark.envoy


async def test_a_backends_own_policy_replaces_the_default_and_a_wildcard_is_one_label() -> None:
    with directory_of_certificates() as directory:
        ours, theirs = Authority(directory, "ours"), Authority(directory, "theirs")
        server = ours.leaf("server", hosts=("api.shop.test",))
        strict = {"mode": "STRICT", "certificate": file(server)}

        def lax(*names: str) -> dict[str, Any]:
            return {"tls": {"enforce": False, "validation": trust(ours, *names)}}

        # Service → its own policy, what comes of a request, and what the caller counts.
        cases: dict[str, tuple[dict[str, Any] | None, int, str]] = {
            "default": (None, 503, "fail_verify_error"),
            "own": ({"tls": {"validation": trust(ours, "api.shop.test")}}, 200, "handshake"),
            "none": ({}, 200, "handshake"),
            "wildcard": (lax("*.shop.test"), 200, "handshake"),
            "higher": (lax("*.test"), 503, "fail_verify_san"),
            "same": (lax("*.api.shop.test"), 503, "fail_verify_san"),
            "dots": (lax("*.shopXtest"), 503, "fail_verify_san"),
        }
        nodes: dict[str, Any] = {
            "server": {"listeners": [listener(80, strict)]},
            "web": {
                "backendDefaults": {"clientPolicy": {"tls": {"validation": trust(theirs)}}},
                "backends": [],
            },
        }
        mesh: dict[str, Any] = {"nodes": nodes, "services": {}, "instances": {}}
        async with upstream("app") as app:
            egress, socket = free_ports(2)
            for name, (policy, _, _) in cases.items():
                nodes[name] = {
                    "listeners": [listener(80, strict)],
                    "serviceDiscovery": {"dns": {"hostname": "api.shop.test"}},
                }
                mesh["services"][f"{name}.local"] = f"node {name}"
                mesh["instances"][name] = {"one": {80: f"127.0.0.1:{socket}"}}
                backend: dict[str, Any] = {"virtualServiceName": f"{name}.local"}
                if policy is not None:
                    backend["clientPolicy"] = policy
                nodes["web"]["backends"].append({"virtualService": backend})
            async with (
                serving(mesh) as control_plane,
                proxy(
                    control_plane, "server", egress=0, ingress=(IngressPort(80, socket, app.port),)
                ),
                proxy(control_plane, "web", egress=egress) as web,
            ):
                assert (await control_plane.settled()).accepted == 2
                for name, (_, status, counted) in cases.items():
                    answer = await ask(egress, f"GET / HTTP/1.1\nHost: {name}.local")
                    assert answer.status == status, (name, answer)
                    stat = f"cluster.cds_egress_shop_{name}_http_80.ssl.{counted}"
                    assert await web.stat(stat) >= 1, stat
