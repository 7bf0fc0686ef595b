"""The control plane, put together: the only file that knows every part."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import structlog
import uvicorn

from weft.api import exposure
from weft.api.app import app
from weft.api.connection import Connection
from weft.api.parts import Parts
from weft.clock import Clock, SystemClock
from weft.discovery.catalog import Catalog
from weft.discovery.registry import Registry
from weft.errors import CannotStart
from weft.identity.certificate import host_names
from weft.identity.certificates import Certificates
from weft.identity.credentials import Credentials
from weft.identity.rotation import Rotation
from weft.pipeline import Pipeline
from weft.settings import API, Address, Settings
from weft.store.store import Store
from weft.xds.delivery import Delivery
from weft.xds.gate import Gate
from weft.xds.listening import server_credentials
from weft.xds.server import AdsServer

log = structlog.get_logger(__name__)

ADDRESSES = "serve.json"
"""In the data directory while the control plane runs: the addresses really bound, and the pid."""

_GRACE_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Running:
    """A control plane that serves."""

    settings: Settings
    """With the addresses that are really bound."""
    parts: Parts
    pipeline: Pipeline
    ads: AdsServer
    broken: asyncio.Future[object]
    """Holds the exception once a part has failed."""


def run(settings: Settings) -> int:
    """Serve until told to stop; the exit code."""
    _log_to_stderr(settings)
    try:
        import uvloop
    except ImportError:  # Not made for every system; the standard loop does the same.
        return asyncio.run(_until_told(settings))
    return uvloop.run(_until_told(settings))


async def _until_told(settings: Settings) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    async with serving(settings) as running:
        xds = running.settings.xds
        print(f"weft serves the API at {running.settings.url} and xDS at {xds}", flush=True)  # noqa: T201 - what the caller waits for
        waiting: asyncio.Future[object] = asyncio.ensure_future(told.wait())
        await asyncio.wait([waiting, running.broken], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        log.info("stopping")
        running.parts.stopping.set()
        return 1 if running.broken.done() and running.broken.exception() else 0


@asynccontextmanager
async def serving(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Running]:
    """A control plane for the length of a block; CannotStart says why there is none."""
    clock = clock or SystemClock()
    if settings.api.path:
        raise CannotStart(
            f"{API.flag} is {settings.api}: the API is not served on a Unix socket",
            fix=f"give HOST:PORT, as in {API.flag} {API.default}",
        )
    exposure.check_addresses(settings)
    context = exposure.server_context(settings.tls) if settings.tls else None
    xds_tls = server_credentials(settings.tls, settings.client_ca) if settings.tls else None
    async with AsyncExitStack() as stack:
        # Ports first: a taken one must not cost a start of the store.
        api_socket = stack.enter_context(_listening(settings.api))
        store = await stack.enter_async_context(
            Store.open(settings.data, clock, settings.account, settings.quotas)
        )
        credentials = await Credentials.open(store, settings.data)
        exposure.check_credentials(settings, len(credentials))
        assert credentials.seal is not None, "those of a data directory have one"
        certificates = await Certificates.open(
            store, credentials.seal, clock, settings.region, settings.account
        )
        pipeline = Pipeline(store)
        delivery = Delivery(clock)
        gate = Gate(credentials, clock, required=settings.auth_required, names=_names(settings))
        ads = AdsServer(
            pipeline,
            delivery,
            clock,
            str(settings.xds),
            named=pipeline.named,
            quotas=settings.quotas,
            gate=gate,
            tls=xds_tls,
            socket=str(settings.xds_socket or ""),
            max_age=settings.xds_max_age,
        )
        pipeline.publish_to(ads)
        registry = Registry(store, clock)
        catalog = Catalog(store, clock)
        broken = asyncio.get_running_loop().create_future()
        rotation = Rotation(store, certificates, delivery.accepted)
        for part in (pipeline, registry, catalog, rotation):
            stack.push_async_callback(_ended, asyncio.create_task(_run(part, broken)))
        xds_port = await ads.start()
        stack.push_async_callback(ads.stop)
        bound = replace(settings, api=_bound(api_socket), xds=_with_port(settings.xds, xds_port))
        parts = Parts(
            store=store,
            registry=registry,
            catalog=catalog,
            delivery=delivery,
            settings=bound,
            clock=clock,
            version=version("weft"),
            started_at=clock.now(),
            credentials=credentials,
            pipeline=pipeline,
            certificates=certificates,
            rotation=rotation,
        )
        await stack.enter_async_context(_http(parts, api_socket, context))
        stack.enter_context(_announced(bound))
        for sentence in exposure.given_up(bound):
            log.warning(sentence)
        log.info("serving", api=str(bound.api), xds=str(bound.xds), revision=store.state.revision)
        # What is alive now stays alive; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # A wave of proxies makes much that stays and hardly a cycle: with the defaults a
        # third of its time goes into looking for them.
        gc.set_threshold(50_000, 20, 100)
        yield Running(bound, parts, pipeline, ads, broken)
        parts.stopping.set()


def _names(settings: Settings) -> tuple[str, ...]:
    """Under which proxies may know this server, and so what they may have signed as its host."""
    certified = host_names(settings.tls.certificate) if settings.tls else ()
    bound = (str(settings.xds).rpartition(":")[0],) if not settings.xds.path else ()
    return (*settings.hosts, *certified, *bound, socket.gethostname())


class _Part(Protocol):
    async def run(self) -> None: ...


async def _run(part: _Part, broken: asyncio.Future[object]) -> None:
    try:
        await part.run()
    except Exception as error:  # Whoever owns the server decides; nobody else would notice.
        log.exception("a part of the control plane failed", part=type(part).__name__)
        if not broken.done():
            broken.set_exception(error)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def _http(
    parts: Parts, listening: socket.socket, context: ssl.SSLContext | None
) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app(parts),
        access_log=False,
        backlog=2048,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=75,
    )
    config.load()
    config.ssl = context
    server = _Quiet(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    try:
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task


class _Quiet(uvicorn.Server):
    """Leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # The protocol is named because asyncio switches delays off only where it sees TCP.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address.host, address.port))
            listening.listen(2048)
        except OSError as error:
            raise CannotStart(
                f"port {address.port} of {address.host} cannot be used for the API: {error.strerror}",
                fix=f"stop what listens there, or give another address with {API.flag}",
            ) from error
        listening.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        yield listening


def _bound(listening: socket.socket) -> Address:
    host, port = listening.getsockname()[:2]
    return Address(host, port)


def _with_port(address: Address, port: int) -> Address:
    return address if address.path else replace(address, port=port)


@contextlib.contextmanager
def _announced(settings: Settings) -> Iterator[None]:
    """Tell whoever looks into the data directory where we are."""
    file = settings.data / ADDRESSES
    text = json.dumps({"api": settings.url, "xds": str(settings.xds), "pid": os.getpid()})
    _replace(file, text)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _replace(file: Path, text: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(text + "\n")
    fresh.replace(file)


def _log_to_stderr(settings: Settings) -> None:
    level = getattr(logging, settings.log_level.upper())
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if settings.log_format == "json" else _unchanged,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr)


def _unchanged(
    _logger: structlog.typing.WrappedLogger, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return event
