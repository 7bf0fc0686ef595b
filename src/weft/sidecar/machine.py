"""What the sidecar asks the machine: may files be opened, does the control plane accept."""

from __future__ import annotations

import resource
import socket

from weft.sidecar.values import Address, Pipe, Tcp

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


def reachable(xds: Address) -> bool:
    """Whether something accepts connections there now."""
    try:
        match xds:
            case Tcp(host, port):
                socket.create_connection((host, port), _PROBE_TIMEOUT_SECONDS).close()
            case Pipe(path):
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(_PROBE_TIMEOUT_SECONDS)
                    connection.connect(path)
    except OSError:
        return False
    return True
