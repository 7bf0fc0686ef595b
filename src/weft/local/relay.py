"""
Carries connections between the network of isolated workloads and the machine's own.

A program of its own, run by path with the standard library only. A socket stays in the
network namespace it was made in, whoever holds it, and a connection is made in the
namespace of the process that makes it. So the same program serves both directions:

    relay.py inside FD         in the workloads' network: it makes sockets there, sends them
                               over FD, and then takes others: each of the machine's, with
                               the address in its own network to which it leads
    relay.py outside FD FDS    in the machine's network: what is accepted at those sockets
                               goes to where the workload meant to go, and questions for
                               names to the machine's own name servers

It ends with whoever started it, when FD closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

REDIRECTED_PORT = 1
"""Where connections to the outside arrive, in the workloads' network."""
DNS_PORT = 53
RESOLV_CONF = "/etc/resolv.conf"

_BACKLOG = 512
_CHUNK = 64 * 1024
_MOST_CONNECTIONS = 2048
_MOST_QUESTIONS = 512
_CONNECT_SECONDS = 15.0
_ANSWER_SECONDS = 6.0
_ORIGINAL_DESTINATION = 80
"""``SO_ORIGINAL_DST`` and ``IP6T_SO_ORIGINAL_DST`` of the kernel's netfilter."""
_SOL_IPV6 = 41
# Nothing of these is out there: our own network, and addresses that stand for names.
_NOT_OUTSIDE = tuple(
    map(
        ipaddress.ip_network,
        ("198.18.0.0/15", "240.0.0.0/4", "127.0.0.0/8", "fd57:6566:7400::/48", "::1/128"),
    )
)

Way = Callable[[socket.socket], Coroutine[Any, Any, tuple[str, int] | None]]
"""Where an accepted connection leads to; None: nowhere."""


class Relay:
    """Every listening socket and every connection; a task for each, all in one group."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._free = asyncio.Semaphore(_MOST_CONNECTIONS)

    def serve(self, listening: socket.socket, way: Way) -> asyncio.Task[None]:
        listening.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        return self._tasks.create_task(self._accept(listening, way))

    async def _accept(self, listening: socket.socket, way: Way) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError:
                self._free.release()
                await asyncio.sleep(0.1)
                continue
            except BaseException:
                self._free.release()
                raise
            self._tasks.create_task(self._connection(accepted, way))

    async def _connection(self, accepted: socket.socket, way: Way) -> None:
        try:
            with accepted, contextlib.suppress(OSError, TimeoutError):
                target = await way(accepted)
                if target is not None:
                    await _joined(accepted, target)
        finally:
            self._free.release()


async def _joined(accepted: socket.socket, target: tuple[str, int]) -> None:
    """Both ends, until both have said all they have to say."""
    async with asyncio.timeout(_CONNECT_SECONDS):
        out_reader, out_writer = await asyncio.open_connection(*target)
    in_reader, in_writer = await asyncio.open_connection(sock=accepted)
    try:
        await asyncio.gather(_pumped(in_reader, out_writer), _pumped(out_reader, in_writer))
    finally:
        for writer in (in_writer, out_writer):
            writer.transport.abort()


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


# --- inside -----------------------------------------------------------------------------------


async def inside(channel: socket.socket) -> None:
    """Send the sockets of this network, then lead those we are given into it."""
    made = list(_made())
    socket.send_fds(channel, [b"{}"], [each.fileno() for each in made])
    for each in made:
        each.close()
    loop = asyncio.get_running_loop()
    served: dict[str, tuple[asyncio.Task[None], socket.socket]] = {}
    targets: dict[str, tuple[str, int]] = {}
    async with asyncio.TaskGroup() as tasks:
        relay = Relay(tasks)
        async for message, descriptors in _messages(loop, channel):
            for name in message.get("close", ()):
                if found := served.pop(name, None):
                    found[0].cancel()
                    found[1].close()
            if (name := message.get("lead", message.get("name"))) is not None:
                targets[name] = (str(message["host"]), int(message["port"]))
            if descriptors:
                listening = socket.socket(fileno=descriptors[0])
                served[name] = (relay.serve(listening, _as_told(targets, name)), listening)
        raise SystemExit


def _made() -> list[socket.socket]:
    """Sockets for what leaves this network: connections and questions, of both families."""
    found = []
    families = [(socket.AF_INET, "0.0.0.0")]
    if socket.has_ipv6:
        families.append((socket.AF_INET6, "::"))
    for family, host in families:
        for kind, port in (
            (socket.SOCK_STREAM, REDIRECTED_PORT),
            (socket.SOCK_STREAM, DNS_PORT),
            (socket.SOCK_DGRAM, DNS_PORT),
        ):
            made = socket.socket(family, kind)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
            if kind == socket.SOCK_STREAM:
                made.listen(_BACKLOG)
            found.append(made)
    return found


async def _messages(
    loop: asyncio.AbstractEventLoop, channel: socket.socket
) -> AsyncIterator[tuple[dict[str, Any], list[int]]]:
    """What the runner says, until it is gone."""
    channel.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    while True:
        there = asyncio.Event()
        loop.add_reader(channel, there.set)
        try:
            await there.wait()
        finally:
            loop.remove_reader(channel)
        message, descriptors, _, _ = socket.recv_fds(channel, _CHUNK, 4)
        if not message:
            return
        yield json.loads(message), descriptors


def _as_told(targets: dict[str, tuple[str, int]], name: str) -> Way:
    """Where the runner has said last."""

    async def way(_: socket.socket) -> tuple[str, int]:
        return targets[name]

    return way


# --- outside ----------------------------------------------------------------------------------


async def outside(channel: socket.socket, listening: list[socket.socket]) -> None:
    """Lead what leaves the workloads' network on."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        relay = Relay(tasks)
        for each in listening:
            if each.type == socket.SOCK_DGRAM:
                await loop.create_datagram_endpoint(lambda: _Questions(tasks), sock=each)
            elif each.getsockname()[1] == DNS_PORT:
                relay.serve(each, _name_server)
            else:
                relay.serve(each, _meant)
        async for _ in _messages(loop, channel):
            pass
        raise SystemExit


async def _meant(accepted: socket.socket) -> tuple[str, int] | None:
    """Where the workload connected to, before the kernel redirected it."""
    if accepted.family == socket.AF_INET:
        raw = accepted.getsockopt(socket.IPPROTO_IP, _ORIGINAL_DESTINATION, 16)
        host, port = socket.inet_ntop(socket.AF_INET, raw[4:8]), struct.unpack("!H", raw[2:4])[0]
    else:
        raw = accepted.getsockopt(_SOL_IPV6, _ORIGINAL_DESTINATION, 28)
        host, port = socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack("!H", raw[2:4])[0]
    address = ipaddress.ip_address(host)
    if any(address in network for network in _NOT_OUTSIDE):
        return None
    return host, port


async def _name_server(_: socket.socket) -> tuple[str, int] | None:
    found = name_servers(RESOLV_CONF)
    return (found[0], DNS_PORT) if found else None


def name_servers(path: str) -> list[str]:
    """Those of a resolv.conf, read at every question: a laptop changes its network."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            words = [line.split() for line in lines]
    except OSError:
        return []
    return [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]


class _Questions(asyncio.DatagramProtocol):
    """Questions for names; each is asked of the machine's name servers, one after the other."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._free = _MOST_QUESTIONS
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every loop's own class says that it is one.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._free:
            self._free -= 1
            self._tasks.create_task(self._asked(data, addr))

    async def _asked(self, question: bytes, addr: Any) -> None:
        try:
            answer = refused(question)
            for server in name_servers(RESOLV_CONF)[:3]:
                with contextlib.suppress(OSError, TimeoutError):
                    answer = await _answer(server, question)
                    break
            if self._transport is not None and answer:
                self._transport.sendto(answer, addr)
        finally:
            self._free += 1


def refused(question: bytes) -> bytes:
    """SERVFAIL (RFC 1035, 4.1.1): who has to wait for an answer that never comes waits long."""
    if len(question) < 12:
        return b""
    return question[:2] + bytes([question[2] | 0x80, 0x82]) + question[4:]


async def _answer(server: str, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Answer(answered), remote_addr=(server, DNS_PORT)
    )
    try:
        transport.sendto(question)
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await answered
    finally:
        transport.close()


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)


def main() -> int:
    """Run one of the two; see above."""
    match sys.argv[1:]:
        case ["inside", descriptor]:
            asyncio.run(inside(socket.socket(fileno=int(descriptor))))
        case ["outside", descriptor, descriptors]:
            found = [socket.socket(fileno=int(each)) for each in descriptors.split(",")]
            asyncio.run(outside(socket.socket(fileno=int(descriptor)), found))
        case _:
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
