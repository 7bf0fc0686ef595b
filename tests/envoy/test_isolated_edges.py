"""Isolation's edges: the way out to the machine's network, and machines where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo import DEADLINE_SECONDS, Demo, started
from tests.envoy import way_out
from tests.isolated import SRC, needs_root

pytestmark = [pytest.mark.envoy, needs_root]

# Inside a user namespace of its own it may forbid itself what some machines forbid to all.
FORBIDDEN = (
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 0 > /proc/sys/user/max_user_namespaces; echo 0 > /proc/sys/user/max_net_namespaces; exec "$@"',
    "sh",
)
SURROUNDINGS = f"""
set -e
ip link set lo up
ip addr add {way_out.V4}/32 dev lo
ip addr add {way_out.V6}/128 dev lo nodad
mount --bind "$0" /etc/resolv.conf
exec "$@"
"""


def test_a_workload_reaches_the_outside_by_name_and_by_either_family(tmp_path: Path) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(f"nameserver {way_out.V4}\n")
    script = [sys.executable, way_out.__file__, str(tmp_path / "run")]
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", SURROUNDINGS, str(resolv_conf), *script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )
    assert done.returncode == 0, done.stderr

    assert json.loads(done.stdout) == {
        "name": way_out.V4,
        # Seen from there it is the machine that asks.
        way_out.V4: way_out.V4,
        f"[{way_out.V6}]": way_out.V6,
        "nowhere": True,
    }


def test_where_it_cannot_be_done_workloads_run_in_explicit_mode_and_are_told_why(
    tmp_path: Path,
) -> None:
    file = tmp_path / "weft.yaml"
    mesh = "mesh: shop\nresources: [{kind: mesh}]\n"
    file.write_text(mesh + "workloads: {tool: {command: sleep 1000}}\n")
    with started(Demo(tmp_path, ("--isolate",), file, prefix=FORBIDDEN)) as running:
        (said,) = [line for line in running.log().splitlines() if "not isolated" in line]
        assert "no namespace can be made" in said
        assert said.endswith("workloads run in explicit mode")
        (tool,) = running.replicas("tool")
        assert (tool["state"], "ipv4" in tool) == ("running", False)


def test_what_is_required_and_cannot_be_done_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    refused = Demo(tmp_path, ("--isolate=require",), prefix=FORBIDDEN)
    refused.start()

    assert refused.process.wait(DEADLINE_SECONDS) == 1
    assert "no namespace can be made" in refused.log()
    assert "user.max_user_namespaces" in refused.log()
    assert "Traceback" not in refused.log()


def test_another_word_is_refused(tmp_path: Path) -> None:
    refused = Demo(tmp_path, ("--isolate=perhaps",))
    refused.start()

    assert refused.process.wait(DEADLINE_SECONDS) != 0
    assert "--isolate is 'perhaps'" in refused.log()
