"""
A control plane of a page: it serves what a file says, over delta ADS, and writes down what Envoy answers.

Run as a process, so that a test can end it as a machine would: ``python scripted_ads.py
ADDRESS RESOURCES JOURNAL``. RESOURCES is JSON, ``{type: {name: resource}}`` with the
short type names below, and is read again at SIGHUP. Each line of JOURNAL is one event.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import grpc.aio
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401  # for Any
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2,  # noqa: F401  # for Any
)
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2  # noqa: F401  # for Any
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format

from weft.translate import proxy as _  # noqa: F401  # for Any, whatever the control plane says

# What these modules hold is made at import, which no type checker sees.
discovery: Any = discovery_pb2
rpc: Any = grpc

# In the order in which they are sent: what is referred to comes first.
TYPES: dict[str, Any] = {
    kind: getattr(module, name)
    for kind, module, name in (
        ("cluster", cluster_pb2, "Cluster"),
        ("endpoint", endpoint_pb2, "ClusterLoadAssignment"),
        ("listener", listener_pb2, "Listener"),
        ("route", route_pb2, "RouteConfiguration"),
    )
}
URLS = {f"type.googleapis.com/{made.DESCRIPTOR.full_name}": name for name, made in TYPES.items()}
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


class Script:
    """What is served now, and a bell for when it changes."""

    def __init__(self, resources: Path, journal: Path) -> None:
        self._resources = resources
        self._journal = journal.open("a", buffering=1)
        self.streams: set[asyncio.Queue[Any]] = set()
        self.served: dict[str, dict[str, Any]] = {}
        self.read()

    def read(self) -> None:
        stated = json.loads(self._resources.read_text())
        self.served = {
            name: {
                key: self._resource(name, key, value) for key, value in stated.get(name, {}).items()
            }
            for name in TYPES
        }
        for stream in self.streams:
            stream.put_nowait(None)

    def note(self, **event: Any) -> None:
        self._journal.write(json.dumps({"at": time.monotonic(), **event}) + "\n")

    @staticmethod
    def _resource(kind: str, name: str, value: Any) -> Any:
        message = json_format.ParseDict(value, TYPES[kind]())
        packed = any_pb2.Any()
        packed.Pack(message, deterministic=True)
        version = hashlib.sha256(packed.value).hexdigest()[:12]
        return discovery.Resource(name=name, version=version, resource=packed)


class Subscription:
    """One type on one stream."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.wildcard = False
        self.known: dict[str, str] = {}
        self.owed = True
        """The first answer is owed even when it is empty: Envoy's start waits for it."""


async def stream(request_iterator: Any, context: Any, script: Script) -> None:
    events: asyncio.Queue[Any] = asyncio.Queue()
    script.streams.add(events)
    subscriptions: dict[str, Subscription] = {}
    nonce = 0

    async def read() -> None:
        async for request in request_iterator:
            events.put_nowait(request)
        events.put_nowait(False)

    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(read())
        try:
            while (event := await events.get()) is not False:
                if event is not None:
                    _on_request(event, subscriptions, script)
                for url, kind in URLS.items():
                    subscription = subscriptions.get(url)
                    response = subscription and _response(subscription, script.served[kind])
                    if response:
                        nonce += 1
                        response.type_url, response.nonce = url, str(nonce)
                        await context.write(response)
        finally:
            script.streams.discard(events)
            reader.cancel()


def _on_request(
    request: Any,
    subscriptions: dict[str, Subscription],
    script: Script,
) -> None:
    kind = URLS[request.type_url]
    if request.HasField("node") and request.node.id:
        script.note(event="node", node=json_format.MessageToDict(request.node)["metadata"]["weft"])
    if request.response_nonce:
        if request.HasField("error_detail"):
            script.note(event="nack", type=kind, words=request.error_detail.message)
        else:
            script.note(event="ack", type=kind)
    first = request.type_url not in subscriptions
    subscription = subscriptions.setdefault(request.type_url, Subscription())
    subscription.known.update(request.initial_resource_versions)
    added = set(request.resource_names_subscribe)
    if "*" in added or (first and not added):
        subscription.wildcard = True
    subscription.names |= added - {"*"}
    subscription.names -= set(request.resource_names_unsubscribe)
    for name in request.resource_names_unsubscribe:
        subscription.known.pop(name, None)
    if first:
        script.note(event="subscribed", type=kind, known=sorted(request.initial_resource_versions))


def _response(subscription: Subscription, served: dict[str, Any]) -> Any | None:
    names = set(served) if subscription.wildcard else subscription.names
    changed = [
        resource
        for name in sorted(names)
        if (resource := served.get(name)) and subscription.known.get(name) != resource.version
    ]
    removed = sorted(set(subscription.known) - set(served))
    if not (changed or removed or subscription.owed):
        return None
    subscription.owed = False
    for name in removed:
        del subscription.known[name]
    subscription.known.update({resource.name: resource.version for resource in changed})
    return discovery.DeltaDiscoveryResponse(
        resources=changed, removed_resources=removed, system_version_info=str(len(changed))
    )


async def main(address: str, resources: Path, journal: Path) -> None:
    script = Script(resources, journal)
    server = grpc.aio.server()

    async def handler(request_iterator: Any, context: Any) -> None:
        await stream(request_iterator, context, script)

    server.add_generic_rpc_handlers(
        (
            rpc.method_handlers_generic_handler(
                METHOD.split("/")[1],
                {
                    METHOD.split("/")[2]: rpc.stream_stream_rpc_method_handler(
                        handler,
                        request_deserializer=discovery.DeltaDiscoveryRequest.FromString,
                        response_serializer=discovery.DeltaDiscoveryResponse.SerializeToString,
                    )
                },
            ),
        )
    )
    server.add_insecure_port(address)
    await server.start()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, script.read)
    script.note(event="serving")
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
