"""``weft up`` as a process: what it starts, keeps running, and leaves behind (nothing)."""

import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.unit.local.runner import HERE, Up, alive, free_port, until
from weft.errors import NotFound, Unreachable
from weft.local import control

Start = Callable[..., Up]

WEB = f"""
mesh: shop
resources:
  - kind: mesh
  - kind: virtualNode
    virtualNodeName: db-vn
    spec:
      listeners: [{{portMapping: {{port: 5432, protocol: tcp}}}}]
      serviceDiscovery: {{dns: {{hostname: db.local}}}}
  - kind: virtualService
    virtualServiceName: db.local
    spec: {{provider: {{virtualNode: {{virtualNodeName: db-vn}}}}}}
  - kind: virtualNode
    virtualNodeName: web-vn
    spec:
      listeners: [{{portMapping: {{port: 9080, protocol: http}}}}]
      serviceDiscovery: {{dns: {{hostname: web.local}}}}
      backends: [{{virtualService: {{virtualServiceName: db.local}}}}]
workloads:
  web:
    virtualNode: web-vn
    command: "${{python}} {HERE}/app.py ${{port.9080}}"
    env: {{DB: "${{backend.db.local}}", WHICH: "${{replica}}"}}
"""


def with_replicas(number: int) -> str:
    return WEB + f"    replicas: {number}\n"


def plain(command: str) -> str:
    """A workload that is no part of the mesh."""
    return f"workloads:\n  job:\n    command: {command}\n"


def test_a_workload_comes_up_with_its_sidecar_and_is_registered(up: Start) -> None:
    running = up(WEB).ready()

    web = running.in_state("web", "running")
    found = running.ask("web")
    egress = f"http://127.0.0.1:{web['egress']}"
    assert (found["http_proxy"], found["HTTP_PROXY"]) == (egress, egress)
    assert found["no_proxy"] == "127.0.0.1,localhost,::1"
    assert found["DB"] == web["backends"]["db.local:5432"] == found["WEFT_BACKEND_DB_LOCAL_5432"]
    assert running.instances() == {"web-0": web["addresses"]}
    running.says(r"(?m)^web           \| asked for /$")
    running.says(r"(?m)^web           \| sidecar: stub sidecar of mesh/shop/virtualNode/web-vn")
    running.says("mesh shop   4 created")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_process_and_no_port(up: Start, number: int) -> None:
    running = up(WEB).ready()
    web = running.in_state("web", "running")

    assert running.end(number) == 0
    assert not [pid for pid in running.pids if alive(pid)]
    for port in (web["egress"], *web["appPorts"].values()):
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            pass
    assert running.instances() == {}
    with pytest.raises(Unreachable, match="no weft up runs on"):
        control.request(running.data, {"op": "status"})


def test_even_a_killed_runner_leaves_no_process(up: Start, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    grandchild = f"'sh -c \"sleep 1000 & echo $! > {pids}; wait\"'"
    running = up(WEB + f"  job: {{command: {grandchild}}}\n").ready()
    until(lambda: pids.exists() and pids.read_text().strip())
    running.pids.add(int(pids.read_text()))
    assert len(running.pids) == 5

    assert running.end(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not [pid for pid in running.pids if alive(pid)], "everything ended")


def test_a_crashed_workload_is_out_of_the_registry_at_once_and_comes_back(up: Start) -> None:
    running = up(WEB).ready()
    before = running.in_state("web", "running")
    seen = len(running.requests())

    os.kill(before["pid"], signal.SIGKILL)

    running.says(r"web +\| weft: was ended by signal 9 after .* s; starts again in 0.5 s")
    after = until(lambda: (r := running.in_state("web", "running"))["pid"] != before["pid"] and r)
    assert running.ask("web")["pid"] == after["pid"]
    assert after["sidecarPid"] == before["sidecarPid"], "the sidecar stayed up"
    assert after["addresses"] == before["addresses"]
    moves = [line.split()[0] for line in running.requests()[seen:] if line.endswith("/web-0")]
    assert moves[:2] == ["DELETE", "PUT"]


def test_a_crashed_sidecar_comes_back_at_the_same_ports(up: Start) -> None:
    running = up(WEB).ready()
    before = running.in_state("web", "running")

    os.kill(before["sidecarPid"], signal.SIGKILL)

    running.says(r"web +\| weft: sidecar was ended by signal 9")
    after = until(
        lambda: (
            (r := running.in_state("web", "running"))["sidecarPid"] != before["sidecarPid"] and r
        )
    )
    assert after["pid"] == before["pid"], "the app stayed up"
    assert (after["egress"], after["addresses"]) == (before["egress"], before["addresses"])
    assert int(running.ask("web")["pid"]) == after["pid"]


def test_a_killed_control_plane_comes_back_while_everything_else_stays(up: Start) -> None:
    running = up(WEB).ready()
    web, pid = running.in_state("web", "running"), running.status()["controlPlane"]["pid"]

    os.kill(pid, signal.SIGKILL)

    running.says(r"control plane \| weft: was ended by signal 9")
    until(lambda: (c := running.status()["controlPlane"])["ready"] and c["pid"] != pid)
    after = running.in_state("web", "running")
    assert (after["pid"], after["sidecarPid"]) == (web["pid"], web["sidecarPid"])
    assert int(running.ask("web")["pid"]) == web["pid"]


def test_a_stopped_workload_stays_down_until_it_is_started(up: Start) -> None:
    running = up(with_replicas(2)).ready()
    seen = len(running.requests())

    answer = control.request(running.data, {"op": "stop", "workload": "web/0"})

    assert [each["state"] for each in answer["replicas"]] == ["stopped"]
    order = [line for line in running.requests()[seen:] if "heartbeat" not in line]
    assert [line.rpartition("/")[2] for line in order] == ["web-0", "wait", "sidecar web-0 drains"]
    assert running.in_state("web/1", "running")["pid"]
    again = control.request(running.data, {"op": "stop", "workload": "web/0"})
    assert again["unchanged"] == ["web/0"]

    answer = control.request(running.data, {"op": "start", "workload": "web"})
    assert [each["state"] for each in answer["replicas"]] == ["running", "running"]
    assert [running.ask(f"web/{i}")["WHICH"] for i in (0, 1)] == ["0", "1"]


def test_an_unknown_workload_is_told_with_the_nearest_name(up: Start) -> None:
    running = up(WEB).ready()
    with pytest.raises(NotFound) as caught:
        control.request(running.data, {"op": "stop", "workload": "wbe"})
    assert (caught.value.message, caught.value.fix) == (
        "there is no workload 'wbe'",
        "did you mean 'web'?",
    )


def test_workloads_wait_for_a_mesh_that_others_create(up: Start) -> None:
    running = up(WEB, applying="nothing").ready()
    assert running.in_state("web", "waiting")["waitsFor"] == "virtual node web-vn of mesh shop"
    assert running.output.count("waits for virtual node") == 1

    apply(running, "mesh", "virtualNode db-vn", "virtualNode web-vn")
    running.says("waits for virtual service db.local to lead somewhere, for")
    apply(running, "virtualService db.local")
    assert running.in_state("web", "running")["waitsFor"] is None


def apply(running: Up, *names: str) -> None:
    """As an operator would, beside the runner."""
    import asyncio

    from weft.local.client import ControlPlane
    from weft.manifests.files import load
    from weft.settings import API, Address

    wanted = [
        {"kind": each.kind.value, **each.body}
        for each in load([str(running.data.parent / "weft.yaml")], {}).definitions
        if f"{each.kind} {each.key.name}" in names or each.kind.value in names
    ]
    assert len(wanted) == len(names)
    address = Address.parse(running.status()["api"].removeprefix("http://"), API)
    asyncio.run(ControlPlane(address).apply(wanted))


def test_a_new_backend_is_noted_while_the_workload_runs(up: Start) -> None:
    without = re.sub("    (  backends|env):.*\n", "", WEB)
    running = up(without).ready()
    running.in_state("web", "running")
    file = running.data.parent / "weft.yaml"
    file.write_text(WEB)
    apply(running, "virtualNode web-vn")
    running.says(r"new backend db.local:5432 \(tcp\) needs a port of its own: restart the workload")


def test_a_workload_that_fails_at_once_is_started_ever_more_slowly(up: Start) -> None:
    running = up(plain(f"[{sys.executable}, -c, 'raise SystemExit(7)']"))
    running.says(r"job +\| weft: exited with status 7 .* starts again in 0.5 s")
    running.says(r"starts again in 1 s")
    running.says(r"! 0 of 1 workloads run.*: job is restarting")
    assert running.end() == 0


def test_a_workload_that_ignores_sigterm_is_killed_by_a_second_signal(up: Start) -> None:
    running = up(plain("'sh -c \"trap : TERM; while :; do sleep 0.1; done\"'")).ready()
    pid = running.in_state("job", "running")["pid"]
    running.process.send_signal(signal.SIGINT)
    running.says("stopping")
    assert running.end() == 0
    assert "at once, then" in running.output
    assert not alive(pid)


def test_an_interrupted_start_says_so_in_its_exit_code(up: Start) -> None:
    running = up(WEB.replace(f"{HERE}/app.py", "-c 'import time; time.sleep(1000)'"))
    running.says("stub sidecar of")
    assert running.end() == 130


def test_without_a_file_an_empty_control_plane_says_what_to_do_next(up: Start) -> None:
    running = up().ready()
    running.says(r"Ready in .* No mesh yet. Try:  weft demo   or   weft up -f weft.yaml")
    assert running.end() == 0


def test_one_data_directory_has_one_runner(up: Start) -> None:
    first = up().ready()
    second = up()
    assert second.process.wait(60) == 1
    second.close()
    assert f"weft up runs already on {first.data} (process {first.process.pid})" in second.output


def test_a_taken_port_is_named_with_its_flag_before_anything_starts(up: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = up(**{"--xds": f"127.0.0.1:{port}"})
        assert running.process.wait(60) == 1
    running.close()
    assert running.output == (
        f"error: port {port}, for xDS, is taken by another program / fix: stop what listens "
        "there, or give another: --xds 127.0.0.1:PORT (or WEFT_XDS)"
    )


def test_an_api_address_that_cannot_be_served_is_refused(up: Start) -> None:
    running = up(**{"--api": "unix:/nowhere/api.sock"})
    assert running.process.wait(60) == 1
    running.close()
    assert "error: the API cannot be served at unix:/nowhere/api.sock" in running.output


def test_a_fixed_ingress_port_is_served_and_refused_when_taken(up: Start) -> None:
    port = free_port()
    running = up(WEB + f"    ingress: {port}\n").ready()
    assert running.in_state("web", "running")["addresses"] == {"9080": f"127.0.0.1:{port}"}

    other = up(WEB + f"    ingress: {port}\n", data=running.data.parent / "other")
    assert other.process.wait(60) == 1
    other.close()
    assert f"port {port}, for workload web, is taken" in other.output
    assert "change ingress: in " in other.output


def test_a_control_plane_that_cannot_start_is_the_reason_given(up: Start) -> None:
    running = up(environment={"STUB_REFUSES": "1"})
    assert running.process.wait(60) == 1
    running.close()
    assert "control plane | stub: cannot serve" in running.output
    assert "error: the control plane ended / fix: its own words are above" in running.output


def test_a_program_that_is_not_there_is_a_problem_before_anything_starts(up: Start) -> None:
    running = up(plain("no-such-program --flag"))
    assert running.process.wait(60) == 1
    running.close()
    assert "weft.yaml:2: workload job: no program 'no-such-program'" in running.output
    assert "stub serves" not in running.output


def test_what_a_workload_wrote_last_is_shown_even_without_a_line_end(up: Start) -> None:
    running = up(plain(f'[{sys.executable}, -c, \'print("caf\\u00e9", end="")\']'))
    running.says("job +\\| café")


def test_a_port_that_another_program_took_is_replaced(up: Start) -> None:
    running = up(WEB).ready()
    before = running.in_state("web", "running")
    control.request(running.data, {"op": "stop", "workload": "web"})
    control.request(running.data, {"op": "start", "workload": "web"})
    after = running.in_state("web", "running")
    assert after["egress"] != before["egress"]

    # The sidecar goes, and its port is taken before it is back.
    port = int(after["addresses"]["9080"].rpartition(":")[2])
    os.kill(after["sidecarPid"], signal.SIGSTOP)
    os.kill(after["sidecarPid"], signal.SIGKILL)
    with taken(port):
        running.says(f"port {port} was taken by another program; it is started anew")
        again = until(
            lambda: (
                (r := running.replica("web"))["state"] == "running"
                and r["addresses"] != after["addresses"]
                and r
            )
        )
    assert int(running.ask("web")["pid"]) == again["pid"]


class taken:
    """Takes a port as soon as it is free."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def __enter__(self) -> None:
        def bound() -> bool:
            try:
                self._socket.bind(("127.0.0.1", self._port))
            except OSError:
                return False
            self._socket.listen()
            return True

        until(bound)

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_a_request_that_crashes_the_app_does_not_end_the_runner(up: Start) -> None:
    running = up(WEB).ready()
    with pytest.raises((URLError, ConnectionError, OSError)):
        running.ask("web", "/crash")
    running.says("exited with status 3")
    running.in_state("web", "running")


def test_certificates_that_the_files_name_and_nobody_knows_are_told_with_the_command(
    up: Start,
) -> None:
    arn = "arn:aws:acm:us-west-2:111122223333:certificate/1"
    tls = f"tls: {{mode: STRICT, certificate: {{acm: {{certificateArn: '{arn}'}}}}}}"
    running = up(WEB.replace("protocol: http}", "protocol: http}, " + tls)).ready()
    running.says(f"no certificate or authority is known as {arn}")
    running.says("weft cert fill makes them all")
