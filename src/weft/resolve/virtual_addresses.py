"""
The addresses that stand for virtual services inside a mesh: nobody's own, and the same everywhere.

An address follows from the mesh and the service's name alone, so every proxy gives the
same one, a restart changes nothing, and what a client remembers stays right. Where two
names of one proxy want the same address, the first by name has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from weft.ir.listener import AddressRange
from weft.ir.value import value

RANGE = AddressRange("240.0.0.0", 8)
"""Of the addresses that no network may use (RFC 1112, "class E"): nothing real is hidden."""
RANGE_6 = AddressRange("fd77:6566:7400::", 96)
"""Unique local addresses (RFC 4193), under an identifier of our own."""

_FIRST = int(IPv4Address(RANGE.address))
_FIRST_6 = int(IPv6Address(RANGE_6.address))
_HOSTS = 254
"""Of each 256 addresses, without the two that look like a network and a broadcast."""
_COUNT = 65536 * _HOSTS


@value
class VirtualAddress:
    """One address, as both families write it."""

    v4: str
    v6: str


def virtual_addresses(mesh: str, names: Iterable[str]) -> Mapping[str, VirtualAddress]:
    """
    The address of each name; a name that comes or goes moves no other, save where two collide.

    First everybody who can has the address of its own; only then are the others, in order
    of their names, placed where nobody is.
    """
    given: dict[str, int] = {}
    taken: dict[int, str] = {}
    late: list[str] = []
    for name in sorted(set(names)):
        wanted = _wanted(mesh, name, 0)
        if taken.setdefault(wanted, name) == name:
            given[name] = wanted
        else:
            late.append(name)
    for name in late:
        attempt = 1
        while taken.setdefault(wanted := _wanted(mesh, name, attempt), name) != name:
            attempt += 1
        given[name] = wanted
    return {name: _address(number) for name, number in given.items()}


@lru_cache(maxsize=1 << 16)  # A name is a backend of many proxies.
def _wanted(mesh: str, name: str, attempt: int) -> int:
    digest = hashlib.sha256(f"{mesh}/{name}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8]) % _COUNT


def _address(number: int) -> VirtualAddress:
    block, host = divmod(number, _HOSTS)
    offset = block * 256 + host + 1
    v4 = _FIRST + offset
    return VirtualAddress(str(IPv4Address(v4)), str(IPv6Address(_FIRST_6 + v4)))
