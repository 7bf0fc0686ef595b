"""Names that a proxy answers for its own workload."""

from __future__ import annotations

from weft.ir.cluster import SocketAddress
from weft.ir.value import value


@value
class Named:
    """A name in lower case, and the addresses it stands for."""

    name: str
    addresses: tuple[str, ...]


@value
class NameServer:
    """DNS over UDP at one address; names that are not in its table it does not know."""

    name: str
    address: SocketAddress
    table: tuple[Named, ...]
