"""What an isolated workload may reach outside its mesh, and what reaches it past its proxy."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.demo import Demo, demo, free_ports, get
from tests.isolated import fetch, inside, needs_root

pytestmark = [pytest.mark.envoy, needs_root]

# Serves HTTP on its first ports, and on the others reads what comes first and closes. It
# tells at /N how many connections port N has had.
OUTSIDER = """
import sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer

http, raw = ([int(p) for p in each.split(",") if p] for each in sys.argv[1:3])
counts = dict.fromkeys(http + raw, 0)

class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        counts[self.server.server_address[1]] += 1
        asked = self.path[1:]
        body = str(counts[int(asked)]) if asked else sys.argv[3]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_):
        pass

class Raw(StreamRequestHandler):
    def handle(self):
        counts[self.server.server_address[1]] += 1
        self.request.recv(4096)

for port in http:
    threading.Thread(target=ThreadingHTTPServer(("", port), Pages).serve_forever).start()
for port in raw:
    threading.Thread(target=ThreadingTCPServer(("", port), Raw).serve_forever).start()
"""

# Says hello as a TLS client that wants a server of that name; "closed" is no answer either way.
HELLO = """
import socket, ssl, sys
context = ssl.create_default_context()
try:
    with socket.create_connection((sys.argv[1], 443), timeout=5) as plain:
        context.wrap_socket(plain, server_hostname=sys.argv[2])
except (OSError, ssl.SSLError) as error:
    print("closed", type(error).__name__)
"""

FILE = """
mesh: shop
resources:
  - kind: mesh
    spec: {{egressFilter: {{type: DROP_ALL}}}}
  - kind: virtualNode
    virtualNodeName: web-vn
    spec:
      listeners: [{{portMapping: {{port: 8080, protocol: http}}}}]
      serviceDiscovery: {{dns: {{hostname: web.local}}}}
workloads:
  web:
    virtualNode: web-vn
    command: ["${{python}}", {program}, "8080,8081", "", web]
  outsider:
    command: ["${{python}}", {program}, "{port},8022,8023", "443", outsider]
    ports: {{{port}: {port}}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    directory = tmp_path_factory.mktemp("egress")
    program = directory / "outsider.py"
    program.write_text(OUTSIDER)
    file = directory / "weft.yaml"
    (port,) = free_ports(1)
    file.write_text(FILE.format(program=program, port=port))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEFT_EGRESS_IGNORED_PORTS", "8022")
        with demo(directory, "--isolate=require", file=file) as found:
            yield found


def address(running: Demo, workload: str, family: str = "ipv4") -> str:
    found: str = running.replicas(workload)[0][family]
    return found


def own_port(running: Demo) -> int:
    """The outsider's, which the machine has, too."""
    return int(next(iter(running.replicas("outsider")[0]["appPorts"])))


def counted(running: Demo, port: int) -> int:
    """Connections that a port of the outsider has had, as it says itself."""
    (answer,) = fetch(running, "outsider", "127.0.0.1", own_port(running), path=f"/{port}")
    return int(answer.split()[1])


@pytest.fixture
def egress(running: Demo, request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    spec = f'{{"egressFilter": {{"type": "{kind}"}}}}'
    running.aws("appmesh", "update-mesh", "--mesh-name", "shop", "--spec", spec)
    running.run("wait")
    return kind


@pytest.mark.parametrize("egress", ["DROP_ALL"], indirect=True)
def test_with_drop_all_the_outside_is_out_of_reach(running: Demo, egress: str) -> None:
    before = counted(running, 8023)
    (answer,) = fetch(running, "web", address(running, "outsider"), 8023)

    assert answer.startswith("failed")
    assert counted(running, 8023) == before


@pytest.mark.parametrize("egress", ["ALLOW_ALL"], indirect=True)
def test_with_allow_all_a_connection_goes_where_it_was_meant_once(
    running: Demo, egress: str
) -> None:
    before = counted(running, 8023)

    assert fetch(running, "web", address(running, "outsider"), 8023) == ["200 outsider"]
    assert counted(running, 8023) == before + 1, "and does not go round"


@pytest.mark.parametrize("egress", ["DROP_ALL"], indirect=True)
def test_an_ignored_port_is_let_alone(running: Demo, egress: str) -> None:
    assert fetch(running, "web", address(running, "outsider"), 8022) == ["200 outsider"]


@pytest.mark.parametrize("egress", ["DROP_ALL"], indirect=True)
def test_aws_is_reached_by_name_even_with_drop_all(running: Demo, egress: str) -> None:
    outsider = address(running, "outsider")

    def say_hello(name: str) -> int:
        before = counted(running, 443)
        inside(running, "web", sys.executable, "-c", HELLO, outsider, name)
        return counted(running, 443) - before

    assert say_hello("sqs.us-west-2.amazonaws.com") == 1, "once: it does not go round"
    assert say_hello("www.example.com") == 0


def test_what_is_no_listener_bypasses_the_proxy(running: Demo) -> None:
    web = address(running, "web")

    assert fetch(running, "outsider", web, 8081) == ["200 web"]
    assert fetch(running, "outsider", web, 8080) == ["200 web"]


def test_a_program_outside_the_mesh_is_reached_from_the_machine(running: Demo) -> None:
    assert get(own_port(running), "/") == (200, "outsider")


def test_the_host_names_of_virtual_nodes_resolve_outside_the_mesh(running: Demo) -> None:
    hosts = inside(running, "outsider", "cat", "/etc/hosts")

    assert f"{address(running, 'web')} web.local" in hosts
