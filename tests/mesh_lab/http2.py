"""HTTP/2 without TLS for tests: a server of one connection at a time, and a client, on ``h2``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events

PREFACE = b"PRI * HTTP/2.0\r\n\r\n"

Headers = Mapping[str, str]
Answerer = Callable[[Headers], Awaitable[tuple[int, str]]]
"""From the request's headers, pseudo headers among them, to a status and a body."""


async def serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Answerer,
    begun: bytes = b"",
    refuses: Callable[[], bool] = lambda: False,
) -> None:
    """Answer every stream of a connection, each by itself, until the client goes."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())

    async def respond(stream: int, headers: Headers) -> None:
        status, body = await answer(headers)
        length = ("content-length", str(len(body)))
        connection.send_headers(stream, [(":status", str(status)), length])
        connection.send_data(stream, body.encode(), end_stream=True)
        writer.write(connection.data_to_send())

    asked: dict[int, Headers] = {}
    async with asyncio.TaskGroup() as streams:
        data = begun or await reader.read(65536)
        while data:
            for event in connection.receive_data(data):
                match event:
                    case h2.events.RequestReceived():
                        asked[event.stream_id] = _decoded(event.headers)
                    case h2.events.DataReceived():
                        size = event.flow_controlled_length
                        connection.acknowledge_received_data(size, event.stream_id)
                    case h2.events.StreamEnded() if refuses():
                        connection.reset_stream(
                            event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM
                        )
                    case h2.events.StreamEnded():
                        headers = asked.pop(event.stream_id)
                        streams.create_task(respond(event.stream_id, headers))
                    case _:
                        pass
            writer.write(connection.data_to_send())
            data = await reader.read(65536)


@dataclass
class Response:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


async def requests(
    port: int, count: int, authority: str, path: str = "/", headers: Headers | None = None
) -> list[Response]:
    """So many GETs at once, all on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    pseudo = {":method": "GET", ":scheme": "http", ":authority": authority, ":path": path}
    found: dict[int, Response] = {}
    for _ in range(count):
        stream = connection.get_next_available_stream_id()
        found[stream] = Response()
        asked = [*pseudo.items(), *(headers or {}).items()]
        connection.send_headers(stream, asked, end_stream=True)
    writer.write(connection.data_to_send())
    open_streams = set(found)
    try:
        while open_streams and (data := await reader.read(65536)):
            for event in connection.receive_data(data):
                match event:
                    case h2.events.ResponseReceived():
                        decoded = _decoded(event.headers)
                        found[event.stream_id].headers = decoded
                        found[event.stream_id].status = int(decoded[":status"])
                    case h2.events.DataReceived():
                        found[event.stream_id].body += event.data.decode()
                        size = event.flow_controlled_length
                        connection.acknowledge_received_data(size, event.stream_id)
                    case h2.events.StreamEnded() | h2.events.StreamReset():
                        open_streams.discard(event.stream_id)
                    case _:
                        pass
            writer.write(connection.data_to_send())
    finally:
        writer.close()
    return list(found.values())


def _decoded(headers: object) -> dict[str, str]:
    pairs = headers if isinstance(headers, list) else []
    return {
        (name.decode() if isinstance(name, bytes) else name): (
            value.decode() if isinstance(value, bytes) else value
        )
        for name, value in pairs
    }
