"""
Which addresses isolated workloads have, and what their names are (pure).

The network is the runner's own: nobody outside sees its addresses, so all runners use
the same ones. They are of ranges that are used nowhere else: 198.18.0.0/15 is for tests
of networks (RFC 2544), and the prefix of IPv6 is a unique local one (RFC 4193).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NETWORK4 = "198.18.0.0/16"
NETWORK6 = "fd57:6566:7400::/64"
_PREFIX4 = "198.18."
_PREFIX6 = "fd57:6566:7400::"
MOST_WORKLOADS = 60_000
OWN_NAME_SERVER = "127.0.0.1"
"""Where a workload with a sidecar asks for names."""


@dataclass(frozen=True, slots=True)
class Home:
    """The addresses of one workload."""

    number: int
    """0 is the network's own end; workloads count from 1."""
    ipv6: bool = True
    """Whether the machine has IPv6."""

    @property
    def v4(self) -> str:
        high, low = divmod(self.number + 1, 256)
        return f"{_PREFIX4}{high}.{low}"

    @property
    def v6(self) -> str:
        return f"{_PREFIX6}{self.number + 1:x}"

    @property
    def hardware(self) -> str:
        """The same at every start: others may remember it for half a minute."""
        high, low = divmod(self.number, 256)
        return f"02:57:45:46:{high:02x}:{low:02x}"

    def at(self, port: int, *, v6: bool) -> str:
        """``host:port``, as registries have it."""
        return f"[{self.v6}]:{port}" if v6 and self.ipv6 else f"{self.v4}:{port}"

    def of(self, families: Families) -> tuple[str, ...]:
        return tuple(
            address
            for wanted, address in ((families.v4, self.v4), (families.v6 and self.ipv6, self.v6))
            if wanted
        )


GATEWAY = Home(0)


@dataclass(frozen=True, slots=True)
class Families:
    """By which families a virtual node is called."""

    v4: bool = True
    v6: bool = False
    v6_first: bool = False
    """A registry knows one address of a listener: whether it is the one of IPv6."""


# A mesh without a preference has proxies that listen on IPv4 alone.
FAMILIES: Mapping[str | None, Families] = {
    None: Families(),
    "IPv4_ONLY": Families(),
    "IPv4_PREFERRED": Families(v6=True),
    "IPv6_PREFERRED": Families(v6=True, v6_first=True),
    "IPv6_ONLY": Families(v4=False, v6=True, v6_first=True),
}


@dataclass(frozen=True, slots=True)
class Named:
    """A name, and the addresses behind it."""

    name: str
    addresses: tuple[str, ...]


def hosts(base: str, names: Iterable[Named]) -> str:
    """An ``/etc/hosts``: the machine's own lines, then the host names of virtual nodes."""
    lines = [base.rstrip("\n"), "", "# Virtual nodes."]
    for each in sorted(names, key=lambda named: named.name):
        lines += [f"{address} {each.name}" for address in each.addresses]
    return "\n".join(lines) + "\n"


def resolv_conf(base: str, servers: Iterable[str]) -> str:
    """A ``resolv.conf`` that asks other servers; search list and options stay."""
    kept = [line for line in base.splitlines() if line.split()[:1] in (["search"], ["options"])]
    return "\n".join([*(f"nameserver {server}" for server in servers), *kept]) + "\n"
