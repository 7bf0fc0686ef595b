"""
The TCP echo: says first where it runs, then everything that it is told.

    NODE_NAME=here TCP_PORT=2701 python tcpecho.py
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import listener
from listener import Connection

READ_BYTES = 1024

BANNER = (
    ("NODE_NAME", "Welcome, you are connected to node %s.\n"),
    ("POD_NAME", "Running on Pod %s.\n"),
    ("POD_NAMESPACE", "In namespace %s.\n"),
    ("POD_IP", "With IP address %s.\n"),
    ("SERVICE_ACCOUNT", "Service %s.\n"),
)


def banner(environ: Mapping[str, str]) -> bytes:
    """One line for everything we are told about where we run."""
    lines = [line % environ[name] for name, line in BANNER if environ.get(name)]
    return os.fsencode("".join(lines))


def serve() -> listener.Serve:
    """The echo that the environment asks for."""
    welcome = banner(os.environ)

    async def echo(connection: Connection) -> None:
        connection.writer.write(welcome)
        while data := await connection.reader.read(READ_BYTES):
            connection.writer.write(data)
            await connection.writer.drain()

    return echo


if __name__ == "__main__":
    listener.run("tcpecho", serve, "TCP_PORT", 1025)
