"""What Envoy refuses whatever is meant by it: such things must not reach it."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from weft.ir.cluster import SocketAddress

LARGEST_COUNT = 2**32 - 1


def sayable(text: str) -> bool:
    """Names and header values may hold anything but line ends and NUL."""
    return bool(text) and not any(character in text for character in "\r\n\0")


def is_port(number: int) -> bool:
    return 1 <= number <= 65535


@lru_cache(maxsize=1 << 16)  # Whenever one address comes, all others of its service are read again.
def endpoint(text: str) -> SocketAddress | None:
    """``ip:port``, brackets around version 6 allowed; None for what no endpoint can be."""
    host, _, port = text.rpartition(":")
    try:
        address = SocketAddress(str(ip_address(host.strip("[]"))), int(port))
    except ValueError:
        return None
    return address if is_port(address.port) else None
