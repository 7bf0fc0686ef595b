"""Where proxies connect: the address in gRPC's form, why it cannot be bound, and TLS on it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

import grpc

from weft.errors import CannotStart
from weft.settings import CLIENT_CA, Tls


def server_credentials(tls: Tls, client_ca: Path | None) -> grpc.ServerCredentials:
    """TLS as proxies see it; with an authority for them, each has to show a certificate of it."""
    return grpc.ssl_server_credentials(
        [(_bytes(tls.key, "--tls-key"), _bytes(tls.certificate, "--tls-cert"))],
        root_certificates=_bytes(client_ca, CLIENT_CA.flag) if client_ca else None,
        require_client_auth=client_ca is not None,
    )


def _bytes(file: Path, flag: str) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CannotStart(f"{flag} {file} cannot be read: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        # gRPC would take it, and then shake hands with nobody.
        raise CannotStart(f"{flag} {file} is not a PEM file")
    return content


async def listenable(address: str) -> str:
    """The address in gRPC's form; CannotStart if it is none, or a socket in use."""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if len(os.fsencode(path)) > 107:
            raise CannotStart(
                f"the path of the xDS socket is longer than a socket's may be: {path}",
                fix="choose a shorter one with --xds unix:PATH",
            )
        # gRPC would silently take the place of a server that listens there.
        with suppress(OSError):
            _, writer = await asyncio.open_unix_connection(path)
            writer.close()
            raise CannotStart(
                f"another process serves xDS at {address}",
                fix="stop it, or choose another path with --xds unix:PATH",
            )
        return address
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise CannotStart(
            f"not an xDS address: {address!r}",
            fix="write --xds as HOST:PORT (127.0.0.1:7401) or unix:PATH",
        )
    return address


def cannot_listen(address: str, words: str) -> CannotStart:
    """Say why an address cannot be bound; gRPC only says that."""
    if address.startswith("unix:"):
        return CannotStart(
            f"xDS cannot listen at {address}: {words}", fix="choose another with --xds unix:PATH"
        )
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    reason = words
    try:
        family, kind, protocol, _, name = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(name)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} is taken by another process"
        else:
            reason = error.strerror or str(error)
    return CannotStart(
        f"xDS cannot listen on {address}: {reason}", fix="choose another with --xds HOST:PORT"
    )
