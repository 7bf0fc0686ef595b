"""gRPC through a virtual gateway: by service, host and metadata, and status 12 for what nobody takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from tests.builders import state_from, view_of
from tests.envoy.running import DEADLINE, envoy, free_ports
from tests.envoy.test_explicit_grpc import grpc_server
from tests.envoy.test_gateways import FRONT, leads
from weft.names import IngressPort, Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy


class Client:
    def __init__(self, port: int) -> None:
        self._target = f"127.0.0.1:{port}"

    async def says(self, method: str, host: str = "front.example", **metadata: str) -> str:
        """The name of the server that answers, or the status."""
        options = [("grpc.default_authority", host)]
        async with grpc.aio.insecure_channel(self._target, options=options) as channel:
            call = channel.unary_unary(method)
            sent = tuple((name.replace("_", "-"), text) for name, text in metadata.items())
            try:
                answer: bytes = await call(b"", metadata=sent, timeout=DEADLINE)
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
            return answer.decode()


@asynccontextmanager
async def hello(directory: Path) -> AsyncIterator[Client]:
    device = {"name": "device", "match": {"exact": "phone"}}
    routes = {
        "hello": leads({"serviceName": "Hello"}, "plain.local", "grpcRoute"),
        "phone": leads({"serviceName": "Hello", "metadata": [device]}, "phone.local", "grpcRoute"),
        "tagged": leads({"serviceName": "Tag", "metadata": [{"name": "tag"}]}, "plain.local", "grpcRoute"),
        "untagged": leads({"serviceName": "Not", "metadata": [{"name": "tag", "invert": True}]}, "plain.local", "grpcRoute"),
        "host": leads({"hostname": {"suffix": ".phone.example"}}, "phone.local", "grpcRoute"),
    }  # fmt: skip
    names = ("plain", "phone")
    async with AsyncExitStack() as stack:
        servers = {n: await stack.enter_async_context(grpc_server(n.encode())) for n in names}
        mesh = {
            "gateways": {"front": {"listen": "8080/grpc", "routes": routes}},
            "nodes": {name: {"listen": "9090/grpc"} for name in names},
            "services": {f"{name}.local": f"node {name}" for name in names},
            "instances": {n: {n: {9090: f"127.0.0.1:{port}"}} for n, port in servers.items()},
        }
        egress, socket = free_ports(2)
        ports = Ports((IngressPort(8080, socket, 0),), egress)
        snapshot = translate(resolve(state_from(mesh), view_of(FRONT, Mode.EXPLICIT, ports)))
        await stack.enter_async_context(envoy(snapshot, socket, directory))
        yield Client(socket)


async def test_calls_are_led_by_service_host_and_metadata(tmp_path: Path) -> None:
    async with hello(tmp_path) as client:
        assert await client.says("/Hello/Say") == "plain"
        assert await client.says("/Hello/Say", device="phone") == "phone"
        assert await client.says("/Hello/Say", device="tablet") == "plain"
        assert await client.says("/Hello2/Say") == "UNIMPLEMENTED"
        assert await client.says("/Tag/Say", tag="any") == "plain"
        assert await client.says("/Tag/Say") == "UNIMPLEMENTED"
        assert await client.says("/Not/Say") == "plain"
        assert await client.says("/Not/Say", tag="any") == "UNIMPLEMENTED"
        assert await client.says("/Any/Say", "a.phone.example:8080") == "phone"
        assert await client.says("/Hello/Say", "a.phone.example") == "phone"
