"""One HTTP request over a fresh connection, without blocking the loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import h11

from weft.settings import Address

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


async def request(
    address: Address,
    method: str,
    target: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 10.0,
) -> Answer:
    """Ask once; OSError or TimeoutError when there is no answer that can be read."""
    async with asyncio.timeout(seconds):
        reader, writer = await _connection(address)
        try:
            return await _exchange(reader, writer, address, method, target, body, headers or {})
        except h11.ProtocolError as error:
            raise ConnectionError(f"what answers at {address} does not speak HTTP") from error
        finally:
            await _closed(writer)


async def accepts(host: str, port: int, *, seconds: float = 1.0) -> bool:
    """Whether somebody listens there."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    await _closed(writer)
    return True


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _connection(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.path:
        return await asyncio.open_unix_connection(address.path)
    return await asyncio.open_connection(address.host, address.port)


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    address: Address,
    method: str,
    target: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    fields = {"host": "localhost" if address.path else str(address), "connection": "close"}
    fields |= {name.lower(): value for name, value in headers.items()}
    if body is not None:
        fields |= {"content-type": "application/json", "content-length": str(len(body))}
    sent = connection.send(h11.Request(method=method, target=target, headers=list(fields.items())))
    sent = (sent or b"") + (connection.send(h11.Data(data=body)) or b"" if body else b"")
    writer.write(sent + (connection.send(h11.EndOfMessage()) or b""))
    await writer.drain()

    status, found, content = 0, {}, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
            found = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            content += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, found, bytes(content))
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionError(f"{address} closed the connection")
