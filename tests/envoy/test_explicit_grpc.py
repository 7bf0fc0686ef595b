"""gRPC in explicit mode: by the backend's own socket, and through the tunnel clients make of http_proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from tests.builders import state_from, to, view_of
from tests.envoy.running import DEADLINE, envoy, free_ports
from weft.names import BackendPort, Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy


@asynccontextmanager
async def grpc_server(name: bytes) -> AsyncIterator[int]:
    """Answers every method with its own name."""

    async def answer(request: bytes, context: object) -> bytes:
        return name

    class Everything(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Everything(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def call(target: str, method: str, **options: str) -> bytes:
    named = [(f"grpc.{name}", value) for name, value in options.items()]
    async with grpc.aio.insecure_channel(target, options=named) as channel:
        answer: bytes = await channel.unary_unary(method)(b"", timeout=DEADLINE)
        return answer


async def test_methods_are_routed_by_both_ways(tmp_path: Path) -> None:
    egress, local = free_ports(2)
    async with grpc_server(b"get") as get, grpc_server(b"rest") as rest:
        mesh = {
            "nodes": {
                "web": {"calls": ["stock.local"]},
                "get": {"listen": "9090/grpc"},
                "rest": {"listen": "9090/grpc"},
            },
            "services": {"stock.local": "router stock"},
            "routers": {
                "stock": {
                    "listen": "9090/grpc",
                    "routes": {
                        "get": {
                            "grpcRoute": {
                                "match": {"serviceName": "stock.Stock", "methodName": "Get"},
                                "action": to("get:1"),
                            }
                        },
                        "rest": {
                            "grpcRoute": {
                                "match": {"serviceName": "stock.Stock"},
                                "action": to("rest:1"),
                            }
                        },
                    },
                }
            },
            "instances": {
                "get": {"g": {9090: f"127.0.0.1:{get}"}},
                "rest": {"r": {9090: f"127.0.0.1:{rest}"}},
            },
        }
        ports = Ports(egress=egress, backends=(BackendPort("stock.local", 9090, local),))
        snapshot = translate(resolve(state_from(mesh), view_of("web", Mode.EXPLICIT, ports)))
        async with envoy(snapshot, egress, tmp_path):
            proxy = {"http_proxy": f"http://127.0.0.1:{egress}"}
            for target, options in ((f"127.0.0.1:{local}", {}), ("stock.local:9090", proxy)):
                assert await call(target, "/stock.Stock/Get", **options) == b"get"
                assert await call(target, "/stock.Stock/Put", **options) == b"rest"
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call(target, "/other.Other/Get", **options)
                assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
