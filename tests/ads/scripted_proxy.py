"""A proxy that says and hears exactly what a test wants, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from tests.ads.handmade import name_of
from weft.names import ProxyId, View
from weft.translate.snapshot import ResourceType
from weft.xds.wire import Variant

PROXY = "mesh/m/virtualNode/n"
DEADLINE_SECONDS = 15

METHODS = {
    Variant.DELTA: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    Variant.SOTW: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
}

CLUSTERS, ENDPOINTS = ResourceType.CLUSTER, ResourceType.ENDPOINT
LISTENERS, ROUTES = ResourceType.LISTENER, ResourceType.ROUTE


@dataclass(frozen=True)
class Response:
    """What arrived: the resources' names with their messages, and what was removed."""

    kind: ResourceType
    nonce: str
    version: str
    resources: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return sorted(self.resources)


class StreamEnded(Exception):
    """The server closed the stream."""

    def __init__(self, code: grpc.StatusCode, words: str) -> None:
        super().__init__(f"{code.name}: {words}")
        self.code = code
        self.words = words


class ScriptedProxy:
    """One proxy on one stream; use as a context."""

    def __init__(
        self,
        target: int | str,
        variant: Variant = Variant.DELTA,
        proxy: str = PROXY,
        *,
        instance: str | None = "i1",
        channel: grpc.aio.Channel | None = None,
        metadata: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.variant = variant
        self._channel = channel or grpc.aio.insecure_channel(
            target if isinstance(target, str) else f"127.0.0.1:{target}",
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )
        self._owns_channel = channel is None
        self._proxy = proxy
        self._instance = instance
        self._node_sent = False
        self._metadata = tuple(metadata)
        self._call: Any = None
        self.held: dict[ResourceType, dict[str, str]] = {}
        """Name and version of every resource accepted by ``accept``, as a real proxy keeps them."""

    async def __aenter__(self) -> Self:
        self._call = self._channel.stream_stream(METHODS[self.variant])(
            metadata=self._metadata or None
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        self._call.cancel()
        if self._owns_channel:
            await self._channel.close()

    async def send(self, message: Any) -> None:
        if not self._node_sent:
            self._node_sent = True
            self.introduce(message.node)
        await self._call.write(message.SerializeToString())

    def introduce(self, node: Any) -> None:
        node.id = self._proxy
        node.user_agent_name = "envoy"
        node.user_agent_build_version.version.major_number = 1
        node.user_agent_build_version.version.minor_number = 40
        if self._instance is not None:
            view = View(ProxyId.parse(self._proxy)).to_metadata()
            node.metadata.update(
                {"weft": {**view, "instance": self._instance, "status": "127.0.0.1:19000"}}
            )

    async def ask(
        self,
        kind: ResourceType,
        *names: str,
        known: Mapping[str, str] | None = None,
        unsubscribe: Iterable[str] = (),
        version: str = "",
        nonce: str = "",
    ) -> None:
        """Subscribe: in delta to these in addition, in state of the world to exactly these."""
        if self.variant is Variant.DELTA:
            await self.send(
                discovery_pb2.DeltaDiscoveryRequest(
                    type_url=kind.value,
                    resource_names_subscribe=names,
                    resource_names_unsubscribe=unsubscribe,
                    initial_resource_versions=known or {},
                    response_nonce=nonce,
                )
            )
        else:
            await self.send(
                discovery_pb2.DiscoveryRequest(
                    type_url=kind.value,
                    resource_names=names,
                    version_info=version,
                    response_nonce=nonce,
                )
            )

    async def hear(self, kind: ResourceType | None = None) -> Response:
        """The next response, which must be of this type if one is given."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            data = await self._read()
        response = self._parsed(data)
        assert kind in (None, response.kind), f"{response.kind.short} came: {response}"
        return response

    async def ended(self) -> StreamEnded:
        """How the server ends the stream; nothing else may come before."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            try:
                data = await self._read()
            except StreamEnded as ended:
                return ended
        raise AssertionError(f"still open, and says {self._parsed(data)}")

    async def ack(self, response: Response, *names: str) -> None:
        """Accept; in state of the world with the names that are wanted."""
        if self.variant is Variant.DELTA:
            held = self.held.setdefault(response.kind, {})
            held.update(response.versions)
            for name in response.removed:
                held.pop(name, None)
        await self.ask(
            response.kind,
            *(names if self.variant is Variant.SOTW else ()),
            version=response.version,
            nonce=response.nonce,
        )

    async def nack(self, response: Response, words: str, *names: str, version: str = "") -> None:
        if self.variant is Variant.DELTA:
            message = discovery_pb2.DeltaDiscoveryRequest(
                type_url=response.kind.value, response_nonce=response.nonce
            )
        else:
            message = discovery_pb2.DiscoveryRequest(
                type_url=response.kind.value,
                response_nonce=response.nonce,
                resource_names=names,
                version_info=version,
            )
        message.error_detail.code = 13
        message.error_detail.message = words
        await self.send(message)

    async def accept(self, kind: ResourceType, *names: str) -> Response:
        """Hear a response of this type and accept it."""
        response = await self.hear(kind)
        await self.ack(response, *names)
        return response

    async def start(self, *routes: str) -> None:
        """What Envoy does at its start: everything of every type, accepted."""
        await self.ask(CLUSTERS)
        clusters = await self.hear(CLUSTERS)
        if clusters.resources:
            await self.ask(ENDPOINTS, *clusters.names)
            await self.accept(ENDPOINTS, *clusters.names)
        await self.ack(clusters)
        await self.ask(LISTENERS)
        listeners = await self.hear(LISTENERS)
        if routes:
            await self.ask(ROUTES, *routes)
        await self.ack(listeners)
        if routes:
            await self.accept(ROUTES, *routes)

    async def _read(self) -> bytes:
        try:
            data = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise StreamEnded(error.code(), error.details() or "") from None
        if data is grpc.aio.EOF:
            raise StreamEnded(await self._call.code(), await self._call.details() or "")
        return bytes(data)

    def _parsed(self, data: bytes) -> Response:
        if self.variant is Variant.DELTA:
            delta = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            return Response(
                ResourceType(delta.type_url),
                delta.nonce,
                delta.system_version_info,
                {entry.name: _unpacked(entry.resource) for entry in delta.resources},
                {entry.name: entry.version for entry in delta.resources},
                tuple(delta.removed_resources),
            )
        sotw = discovery_pb2.DiscoveryResponse.FromString(data)
        unpacked = [_unpacked(resource) for resource in sotw.resources]
        return Response(
            ResourceType(sotw.type_url),
            sotw.nonce,
            sotw.version_info,
            {name_of(resource): resource for resource in unpacked},
        )


def _unpacked(packed: Any) -> Any:
    from google.protobuf import symbol_database

    message = symbol_database.Default().GetSymbol(packed.type_url.split("/")[1])()
    packed.Unpack(message)
    return message
