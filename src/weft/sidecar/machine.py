"""What the sidecar asks the machine: may files be opened, does the control plane accept."""

from __future__ import annotations

import resource
import socket

from weft.sidecar.values import Address, Pipe, Tcp

SO_MARK = 36
"""The option's number on Linux (``asm-generic/socket.h``)."""
_PROBE_TIMEOUT_SECONDS = 0.5
_MOST = 1_000_000


def most_connections() -> int:
    """How many connections Envoy may accept: each takes two files, one for either side."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # As App Mesh's agent does: Envoy inherits the limit, and 1024 is soon used up.
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            hard = soft
    if hard == resource.RLIM_INFINITY:
        return _MOST
    return max(1, min(hard // 2, _MOST))


def connected(host: str, port: int, seconds: float, mark: int | None = None) -> socket.socket:
    """A TCP connection; with a mark the kernel lets it pass where it redirects others."""
    if mark is None:
        return socket.create_connection((host, port), seconds)
    refusal = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(seconds)
            made.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
            made.connect(address)
        except OSError as error:
            made.close()
            refusal = error
        else:
            return made
    raise refusal


def reachable(xds: Address, mark: int | None = None) -> bool:
    """Whether something accepts connections there now."""
    try:
        match xds:
            case Tcp(host, port):
                connected(host, port, _PROBE_TIMEOUT_SECONDS, mark).close()
            case Pipe(path):
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(_PROBE_TIMEOUT_SECONDS)
                    connection.connect(path)
    except OSError:
        return False
    return True
