"""
The kernel's rules that bring a workload's traffic to its proxy, as text (pure).

They are App Mesh's own, the same that its script for EC2, its init container and its
CNI plugin made: https://docs.aws.amazon.com/app-mesh/latest/userguide/getting-started-ec2.html
Each text is input of ``iptables-restore --noflush``, which takes all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

INGRESS = "APPMESH_INGRESS"
EGRESS = "APPMESH_EGRESS"
MARK = 1337
"""What the proxy's own connections carry (SO_MARK) where their owner does not tell them apart."""

ALWAYS_IGNORED_PORT = 22
"""App Mesh's script never redirected SSH."""
METADATA_ADDRESSES = ("169.254.169.254", "169.254.170.2")
"""Where AWS serves what is known of an instance and of a task."""

_MOST_PORTS = 15
"""What one multiport match takes; App Mesh's CNI plugin left the others out without a word."""
_HOOKS = ("OUTPUT", "PREROUTING")


@dataclass(frozen=True, slots=True)
class Interception:
    """What is redirected to the proxy, and what is not."""

    app_ports: tuple[int, ...] | None = None
    """Ports whose connections from elsewhere go to the proxy; None: the virtual node's listeners."""
    ignored_uid: int | None = None
    ignored_gid: int | None = None
    egress_ignored_ports: tuple[int, ...] = (ALWAYS_IGNORED_PORT,)
    egress_ignored_ips: tuple[str, ...] = METADATA_ADDRESSES
    """Addresses and networks (CIDR) of both families."""
    ingress_port: int = 15000
    egress_port: int = 15001
    ipv6: bool | None = None
    """None: where the kernel has it."""


@dataclass(frozen=True, slots=True)
class Family:
    """One of the two sets of rules."""

    version: int
    """4 or 6."""
    restore: str
    save: str

    def has(self, address: str) -> bool:
        return (":" in address) == (self.version == 6)


IPV4 = Family(4, "iptables-restore", "iptables-save")
IPV6 = Family(6, "ip6tables-restore", "ip6tables-save")


def installed(
    asked: Interception,
    family: Family,
    app_ports: Iterable[int],
    *,
    mark: int | None,
    saved: str = "",
) -> str:
    """
    All rules of one family; ``saved`` is the table as it stands (``iptables-save -t nat``).

    Chains of the same names, left by a proxy that was killed, are replaced in the same step.
    """
    ports = sorted(set(app_ports))
    chains = [EGRESS, *([INGRESS] if ports else [])]
    gone = [chain for chain in (EGRESS, INGRESS) if chain not in chains and _has(saved, chain)]
    return _table(
        [
            # Named so, a chain that is there is emptied.
            *(f":{chain} - [0:0]" for chain in (*chains, *gone)),
            *_unhooked(saved),
            *(f"-X {chain}" for chain in gone),
            *_egress(asked, family, mark),
            *_ingress(asked, ports),
        ]
    )


def removed(saved: str) -> str:
    """What takes our rules out of a table; empty where there are none."""
    chains = [chain for chain in (EGRESS, INGRESS) if _has(saved, chain)]
    lines = [*_unhooked(saved)]
    lines += [f"-F {chain}" for chain in chains]
    lines += [f"-X {chain}" for chain in chains]
    return _table(lines) if lines else ""


def _egress(asked: Interception, family: Family, mark: int | None) -> Iterator[str]:
    if asked.ignored_uid is not None:
        yield f"-A {EGRESS} -m owner --uid-owner {asked.ignored_uid} -j RETURN"
    if asked.ignored_gid is not None:
        yield f"-A {EGRESS} -m owner --gid-owner {asked.ignored_gid} -j RETURN"
    if mark is not None:
        yield f"-A {EGRESS} -m mark --mark {mark} -j RETURN"
    for ports in _groups(asked.egress_ignored_ports):
        yield f"-A {EGRESS} -p tcp -m multiport --dports {ports} -j RETURN"
    for address in asked.egress_ignored_ips:
        if family.has(address):
            yield f"-A {EGRESS} -p tcp -d {address} -j RETURN"
    yield f"-A {EGRESS} -p tcp -j REDIRECT --to-ports {asked.egress_port}"
    yield f"-A OUTPUT -p tcp -m addrtype ! --dst-type LOCAL -j {EGRESS}"


def _ingress(asked: Interception, ports: list[int]) -> Iterator[str]:
    for group in _groups(ports):
        yield (
            f"-A {INGRESS} -p tcp -m multiport --dports {group} "
            f"-j REDIRECT --to-ports {asked.ingress_port}"
        )
    if ports:
        yield f"-A PREROUTING -p tcp -m addrtype ! --src-type LOCAL -j {INGRESS}"


def _groups(ports: Iterable[int]) -> Iterator[str]:
    every = list(dict.fromkeys(ports))
    for start in range(0, len(every), _MOST_PORTS):
        yield ",".join(map(str, every[start : start + _MOST_PORTS]))


def _table(lines: list[str]) -> str:
    return "\n".join(["*nat", *lines, "COMMIT"]) + "\n"


def _has(saved: str, chain: str) -> bool:
    return any(line.startswith(f":{chain} ") for line in saved.splitlines())


def _unhooked(saved: str) -> Iterator[str]:
    """Every jump into our chains, to be deleted; a jump that is there twice is deleted twice."""
    for line in saved.splitlines():
        words = line.split()
        jumps = words[:1] == ["-A"] and words[1] in _HOOKS and words[-2:-1] == ["-j"]
        if jumps and words[-1] in (EGRESS, INGRESS):
            yield "-D" + line[2:]
