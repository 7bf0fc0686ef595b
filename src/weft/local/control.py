"""
How other commands talk to a running ``weft up``: JSON lines over a Unix socket.

``{"op": "stop" | "start", "workload": NAME}`` and ``{"op": "status"}`` are answered
by one line, the result or ``{"error": {code, message, fix}}``. The socket is in the
data directory, for its owner only; where that path is too long for a socket, it is
in a short directory of its own whose name is kept in a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from weft import errors
from weft.settings import DATA

SOCKET = "up.sock"
ELSEWHERE = "up.sock.path"
# sun_path holds 108 bytes on Linux and 104 elsewhere, the closing zero included.
MAX_PATH_BYTES = 103
MAX_LINE_BYTES = 64 * 1024

Handler = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class ControlServer:
    """Answers for as long as the runner runs."""

    def __init__(self, data: Path, handler: Handler) -> None:
        self._data = data
        self._handler = handler
        self._path = data / SOCKET
        self._own_directory: Path | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        try:
            await self._listen()
        except OSError as error:
            raise errors.CannotStart(
                f"no socket for weft stop and weft start in {self._data}: {error.strerror}",
                fix=f"give another data directory: {DATA.flag} DIR",
            ) from error

    async def _listen(self) -> None:
        self._remove_files()
        if len(os.fsencode(self._path)) > MAX_PATH_BYTES:
            self._own_directory = Path(tempfile.mkdtemp(prefix="weft-"))
            self._path = self._own_directory / SOCKET
            (self._data / ELSEWHERE).write_text(str(self._path))
        # A socket file has the mode that the umask leaves it at the moment it is bound.
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, self._path, limit=MAX_LINE_BYTES
            )
        finally:
            os.umask(before)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._server.wait_closed()
        self._remove_files()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            # Whoever asked has gone, sends no lines, or the runner ends.
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> Mapping[str, Any]:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            return _error(errors.BadRequest("a request is one JSON object on one line"))
        try:
            return await self._handler(message)
        except errors.WeftError as error:
            return _error(error)

    def _remove_files(self) -> None:
        (self._data / SOCKET).unlink(missing_ok=True)
        (self._data / ELSEWHERE).unlink(missing_ok=True)
        if self._own_directory is not None:
            shutil.rmtree(self._own_directory, ignore_errors=True)


def _error(error: errors.WeftError) -> Mapping[str, Any]:
    return {"error": {"code": error.code, "message": error.message, "fix": error.fix}}


_CODES = {each.code: each for each in (errors.BadRequest, errors.NotFound, errors.Conflict)}


def request(data: Path, message: Mapping[str, Any], *, seconds: float = 60) -> dict[str, Any]:
    """Ask the ``weft up`` of a data directory, blocking; its errors are raised here."""
    not_there = errors.Unreachable(
        f"no weft up runs on {data}",
        fix=f"start it: weft up -f weft.yaml; if it has another data directory, give {DATA.flag} DIR",
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(_path(data))
            connection.sendall(json.dumps(dict(message)).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except TimeoutError as error:
            raise errors.TimedOut(
                f"weft up has not answered in {seconds:g} s", fix="look at its output"
            ) from error
        except OSError as error:
            raise not_there from error
    if not line:
        raise errors.Unreachable("weft up ended before it answered")
    answer: dict[str, Any] = json.loads(line)
    if refused := answer.get("error"):
        kind = _CODES.get(refused["code"], errors.WeftError)
        raise kind(refused["message"], fix=refused.get("fix"))
    return answer


def _path(data: Path) -> str:
    elsewhere = data / ELSEWHERE
    try:
        return elsewhere.read_text().strip()
    except OSError:
        return str(data / SOCKET)
