"""Mesh DNS: the names of a proxy's backends, and what connections to their addresses lead to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from weft import names
from weft.ir.cluster import SocketAddress
from weft.ir.listener import AddressRange
from weft.ir.names import Named, NameServer
from weft.ir.proxy import Note
from weft.ir.value import value
from weft.names import Key, Kind
from weft.resolve.virtual_addresses import RANGE, RANGE_6, VirtualAddress, virtual_addresses

LOOPBACK = "127.0.0.1"

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?!.*\.[0-9]+$)(?![0-9]+$){_LABEL}(?:\.{_LABEL})*")
_LONGEST = 253


@value
class Answered:
    """A virtual service whose name is answered, and its address."""

    service: str
    name: str
    """In lower case: names are compared without regard to case."""
    address: VirtualAddress


@value
class Names:
    """What a proxy answers for; by service."""

    found: tuple[Answered, ...] = ()
    both_families: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(each.service for each in self.found)

    def elsewhere(self, services: Iterable[str]) -> tuple[str, ...]:
        """The services that are answered and are none of these."""
        here = set(services)
        return tuple(each.service for each in self.found if each.service not in here)

    def prefixes(self, service: str) -> tuple[AddressRange, ...]:
        """Exactly the address of one service; empty where it has none."""
        found = self._by_service.get(service)
        if found is None:
            return ()
        return self._each(AddressRange(found.v4, 32), AddressRange(found.v6, 128))

    @cached_property
    def _by_service(self) -> Mapping[str, VirtualAddress]:
        return {each.service: each.address for each in self.found}

    @property
    def ranges(self) -> tuple[AddressRange, ...]:
        """All virtual addresses, whoever has them."""
        return self._each(RANGE, RANGE_6)

    def _each(self, v4: AddressRange, v6: AddressRange) -> tuple[AddressRange, ...]:
        return (v4, v6) if self.both_families else (v4,)


NOBODY = Names()


def answered(mesh: str, node: str, services: Iterable[str], *, both_families: bool) -> Names:
    """The names of these services, as far as they can be names in DNS."""
    key = str(Key(mesh, Kind.VIRTUAL_NODE, node))
    first: dict[str, str] = {}
    notes: list[Note] = []
    for service in sorted(set(services)):
        name = service.lower()
        if not is_name(name):
            notes.append(Note(key, f"{service!r} is no name that mesh DNS can answer"))
        elif first.setdefault(name, service) != service:
            notes.append(
                Note(
                    key,
                    f"{service!r} and {first[name]!r} are one name in DNS: it leads to the latter",
                )
            )
    addresses = virtual_addresses(mesh, first)
    return Names(
        tuple(Answered(service, name, addresses[name]) for name, service in sorted(first.items())),
        both_families,
        tuple(notes),
    )


def is_name(name: str) -> bool:
    """Whether a name in lower case can be asked for, and means no machine of its own."""
    if len(name) > _LONGEST or name == "localhost" or name.endswith(".localhost"):
        return False
    return _NAME.fullmatch(name) is not None


def name_server(known: Names, port: int) -> NameServer:
    """What answers for these names, at a port of the proxy's own machine."""
    return NameServer(
        names.dns_listener(port),
        SocketAddress(LOOPBACK, port),
        tuple(
            Named(each.name, tuple(p.address for p in known.prefixes(each.service)))
            for each in known.found
        ),
    )
