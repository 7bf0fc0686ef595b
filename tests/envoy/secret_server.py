"""A secret server as SPIRE's agent is one: SDS on a Unix socket; secrets come and change while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from tests.certificates import Leaf

# What these modules hold is made at import, which no type checker sees.
discovery: Any = discovery_pb2
secrets: Any = secret_pb2
rpc: Any = grpc

_SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"


class SecretServer:
    """What it serves, by name, and a bell for when that changes."""

    def __init__(self, socket: Path) -> None:
        self.socket = str(socket)
        self.refusals: list[str] = []
        self._secrets: dict[str, Any] = {}
        self._streams: set[asyncio.Queue[Any]] = set()

    def certificate(self, name: str, leaf: Leaf) -> None:
        made = secrets.Secret(name=name)
        made.tls_certificate.certificate_chain.inline_bytes = leaf.certificate.read_bytes()
        made.tls_certificate.private_key.inline_bytes = leaf.key.read_bytes()
        self._serve(made)

    def trust(self, name: str, authority: Path) -> None:
        made = secrets.Secret(name=name)
        made.validation_context.trusted_ca.inline_bytes = authority.read_bytes()
        self._serve(made)

    def _serve(self, secret: Any) -> None:
        self._secrets[secret.name] = secret
        for stream in self._streams:
            stream.put_nowait(None)

    async def stream(self, requests: Any, context: Any) -> None:
        events: asyncio.Queue[Any] = asyncio.Queue()
        self._streams.add(events)
        wanted: set[str] = set()
        sent: dict[str, bytes] = {}
        nonce = 0

        async def read() -> None:
            async for request in requests:
                events.put_nowait(request)
            events.put_nowait(False)

        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(read())
            try:
                while (event := await events.get()) is not False:
                    if event is not None:
                        wanted = set(event.resource_names)
                        if event.HasField("error_detail"):
                            self.refusals.append(event.error_detail.message)
                    for name in wanted & self._secrets.keys():
                        content = self._secrets[name].SerializeToString(deterministic=True)
                        if sent.get(name) == content:
                            continue
                        sent[name] = content
                        nonce += 1
                        response = discovery.DiscoveryResponse(
                            version_info=str(nonce),
                            nonce=str(nonce),
                            type_url=f"type.googleapis.com/{secrets.Secret.DESCRIPTOR.full_name}",
                        )
                        response.resources.add().Pack(self._secrets[name])
                        await context.write(response)
            finally:
                self._streams.discard(events)
                reader.cancel()


@asynccontextmanager
async def secret_server(socket: Path) -> AsyncIterator[SecretServer]:
    served = SecretServer(socket)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (
            rpc.method_handlers_generic_handler(
                _SERVICE,
                {
                    "StreamSecrets": rpc.stream_stream_rpc_method_handler(
                        served.stream,
                        request_deserializer=discovery.DiscoveryRequest.FromString,
                        response_serializer=discovery.DiscoveryResponse.SerializeToString,
                    )
                },
            ),
        )
    )
    server.add_insecure_port(f"unix:{served.socket}")
    await server.start()
    try:
        yield served
    finally:
        await server.stop(None)
