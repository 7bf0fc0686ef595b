"""The API behind a real HTTP server, in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
import uvicorn
from botocore.config import Config

from weft.api.app import app
from weft.api.connection import Connection
from weft.api.parts import Parts
from weft.clock import Clock, SystemClock
from weft.discovery.catalog import Catalog
from weft.discovery.registry import Registry
from weft.identity.certificates import Certificates
from weft.identity.credentials import Credentials
from weft.quotas import Quotas
from weft.settings import Address, Settings
from weft.store.store import Store
from weft.xds.delivery import Delivery

T = TypeVar("T")
NO_QUOTAS = Quotas()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Served:
    """One control plane without proxies, reachable over HTTP."""

    port: int
    parts: Parts
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def revision(self) -> int:
        return self.parts.store.state.revision

    def client(self, service: str = "appmesh", **named: Any) -> Any:
        """boto3's client, as it comes."""
        settings = {
            "endpoint_url": self.url,
            "region_name": "us-west-2",
            "aws_access_key_id": "AKIATEST",
            "aws_secret_access_key": "secret",
            "config": Config(retries={"total_max_attempts": 1}),
        }
        return boto3.client(service, **{**settings, **named})

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One plain HTTP request; a body that is not bytes is sent as JSON."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, sent, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        parsed = json.loads(content) if content else None
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, parsed)

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def put(self, path: str, body: Any) -> Reply:
        return self.request("PUT", path, body)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


@contextmanager
def served(
    directory: Path,
    *,
    clock: Clock | None = None,
    protocol: type[Connection] = Connection,
    quotas: Quotas = NO_QUOTAS,
    **settings: Any,
) -> Iterator[Served]:
    # Said to be TCP, or asyncio leaves Nagle's algorithm on and every answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    ready = threading.Event()
    found: list[Served] = []
    stop: list[uvicorn.Server] = []

    async def serve() -> None:
        time = clock or SystemClock()
        async with Store.open(directory, time, quotas=quotas) as store:
            address = Address("127.0.0.1", port)
            credentials = await Credentials.open(store, directory)
            seal = credentials.seal
            assert seal is not None
            certificates = await Certificates.open(store, seal, time, "us-west-2", "000000000000")
            parts = Parts(
                store=store,
                registry=Registry(store, time),
                catalog=Catalog(store, time),
                delivery=Delivery(time),
                settings=Settings(
                    api=address, xds=Address("127.0.0.1", 1), data=directory, **settings
                ),
                credentials=credentials,
                certificates=certificates,
                clock=time,
                version="0.0.0",
                started_at=time.now(),
            )
            config = uvicorn.Config(
                app(parts),
                http=protocol,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=5,
            )
            server = uvicorn.Server(config)
            found.append(Served(port, parts, asyncio.get_running_loop()))
            stop.append(server)
            ready.set()
            await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="weft-api")
    thread.start()
    try:
        assert ready.wait(30), "the server did not come up"
        yield found[0]
    finally:
        for server in stop:
            found[0].loop.call_soon_threadsafe(found[0].parts.stopping.set)
            server.should_exit = True
        thread.join(30)
        listener.close()
