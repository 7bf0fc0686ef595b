"""A virtual gateway and its mesh in network namespaces, reached from the machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo import Demo, demo, free_ports, get
from tests.isolated import fetch, needs_root

pytestmark = [pytest.mark.envoy, needs_root]

APP = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{sys.argv[1]} {self.path}".encode())
    def log_message(self, *_):
        pass

ThreadingHTTPServer(("", 80), Pages).serve_forever()
"""

# Both apps listen on port 80, and so does the gateway.
FILE = """
mesh: shop
resources:
  - kind: mesh
  - kind: virtualGateway
    virtualGatewayName: edge
    spec: {{listeners: [{{portMapping: {{port: 80, protocol: http}}}}]}}
  - kind: gatewayRoute
    virtualGatewayName: edge
    gatewayRouteName: cart
    spec:
      httpRoute:
        match: {{prefix: /cart}}
        action: {{target: {{virtualService: {{virtualServiceName: cart.local}}}}}}
  - kind: virtualNode
    virtualNodeName: cart-vn
    spec:
      listeners: [{{portMapping: {{port: 80, protocol: http}}}}]
      serviceDiscovery: {{dns: {{hostname: cart.local}}}}
      backends: [{{virtualService: {{virtualServiceName: stock.local}}}}]
  - kind: virtualService
    virtualServiceName: cart.local
    spec: {{provider: {{virtualNode: {{virtualNodeName: cart-vn}}}}}}
  - kind: virtualNode
    virtualNodeName: stock-vn
    spec:
      listeners: [{{portMapping: {{port: 80, protocol: http}}}}]
      serviceDiscovery: {{dns: {{hostname: stock.internal}}}}
  - kind: virtualService
    virtualServiceName: stock.local
    spec: {{provider: {{virtualNode: {{virtualNodeName: stock-vn}}}}}}
workloads:
  edge: {{virtualGateway: edge, ingress: {port}}}
  cart: {{virtualNode: cart-vn, command: ["${{python}}", {app}, cart]}}
  stock: {{virtualNode: stock-vn, command: ["${{python}}", {app}, stock], replicas: 2}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    directory = tmp_path_factory.mktemp("gateway")
    app = directory / "app.py"
    app.write_text(APP)
    (port,) = free_ports(1)
    file = directory / "weft.yaml"
    file.write_text(FILE.format(app=app, port=port))
    with demo(directory, "--isolate=require", file=file) as found:
        found.gateway = port
        yield found


def test_the_machine_reaches_the_mesh_through_its_gateway(running: Demo) -> None:
    assert get(running.gateway, "/cart/1", host="shop.example") == (200, "cart /1")
    assert get(running.gateway, "/other")[0] == 404


def test_a_name_that_no_dns_has_leads_to_every_replica(running: Demo) -> None:
    assert set(fetch(running, "cart", "stock.local", 80, count=10)) == {"200 stock /"}
    first, second = running.proxies()["stock-vn"]
    assert first["instance"] != second["instance"]


def test_a_replica_that_is_replaced_costs_no_request(running: Demo) -> None:
    running.run("restart", "stock")

    assert fetch(running, "cart", "stock.local", 80, count=20) == ["200 stock /"] * 20
