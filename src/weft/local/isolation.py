"""
Whether workloads can be isolated on this machine, found out by trying it.

Everything that isolation takes is done once in a network namespace that lives as long as
the trial, as root or else in a user namespace. What fails first is the reason said.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from weft.errors import CannotStart
from weft.manifests.workload import Workload
from weft.sidecar.rules import IPV4, IPV6, MARK, Interception, installed

_SECONDS = 20.0
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_PACKAGES = {
    "ip": "iproute2",
    "iptables-restore": "iptables",
    "iptables-save": "iptables",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
}
_NO_NAMESPACE = (
    "run it as root, or allow user namespaces (sysctl user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
)


class Isolate(StrEnum):
    """What ``--isolate`` can be."""

    NO = "no"
    YES = "yes"
    """Where it is possible."""
    REQUIRE = "require"
    """Or not at all."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """How workloads are isolated here."""

    user_namespace: bool
    """Without root: all is done in a user namespace, whose root is the user."""
    own_user: bool
    """In there, programs can be run as the user, and cannot change their network."""
    ipv6: bool
    path: str
    """``PATH`` with the directories that ordinary users often lack."""

    def program(self, name: str) -> str:
        """Where a program is: a workload's own ``PATH`` may lack it."""
        return shutil.which(name, path=self.path) or name

    @property
    def unshare(self) -> tuple[str, ...]:
        return _unshare(user_namespace=self.user_namespace)


def as_asked(
    isolate: Isolate, environment: Mapping[str, str], workloads: Sequence[Workload]
) -> tuple[Isolation | None, str]:
    """How workloads are isolated, or why they are not although it was asked for."""
    if isolate is Isolate.NO or not workloads:
        return None, ""
    try:
        return possible(environment, workloads), ""
    except CannotStart as error:
        if isolate is Isolate.REQUIRE:
            raise
        return None, error.message


def possible(environment: Mapping[str, str], workloads: Sequence[Workload] = ()) -> Isolation:
    """How workloads can be isolated; CannotStart says why they cannot be."""
    for sentence in _unfit(workloads):
        raise CannotStart(sentence, fix="let the app listen at the listener's own port")
    if not sys.platform.startswith("linux"):
        raise CannotStart("network namespaces are a part of Linux", fix="leave --isolate out")
    path = f"{environment.get('PATH', os.defpath)}:{_SBIN}"
    for program, package in _PACKAGES.items():
        if shutil.which(program, path=path) is None:
            raise CannotStart(
                f"there is no {program} here",
                fix=f"install the package {package} (apt-get install {package})",
            )
    refused: CannotStart | None = None
    for user_namespace in [False, True] if os.geteuid() == 0 else [True]:
        try:
            said = _tried(path, user_namespace=user_namespace)
        except CannotStart as error:
            refused = refused or error
        else:
            return Isolation(user_namespace, "own-user" in said, "ipv6" in said, path)
    assert refused is not None
    raise refused


def _unfit(workloads: Sequence[Workload]) -> Iterator[str]:
    for workload in workloads:
        for port in workload.ports or ():
            if workload.sidecar and port.fixed not in (None, port.listener):
                yield (
                    f"{workload.source}: the app of workload {workload.name} listens at {port.fixed}, "
                    f"and redirected connections reach it at {port.listener}"
                )


def _unshare(*, user_namespace: bool) -> tuple[str, ...]:
    user = ("--user", "--map-root-user") if user_namespace else ()
    return ("unshare", *user, "--net", "--mount")


def _trial(rules: str, rules6: str) -> str:
    return f"""
set -eu
step() {{ echo "at: $*"; }}
echo inside
step "a bridge cannot be made"
ip link add weft0 type bridge
ip link set lo up
ip link set weft0 up
step "a pair of interfaces cannot be made"
ip link add w1 type veth peer name eth0
step "traffic cannot be redirected by iptables"
iptables-restore --noflush <<'END'
{rules}END
iptables-save -t nat > /dev/null
step "files cannot be mounted over others"
mount --bind /etc/hosts /etc/hosts
mount --bind /etc/resolv.conf /etc/resolv.conf
step "no namespace can be made in it"
unshare --net --mount true
step ""
if test -e /proc/net/if_inet6 && ip -6 addr add fd57:6566:7400::1/64 dev weft0 nodad 2> /dev/null &&
  ip6tables-restore --noflush 2> /dev/null <<'END'
{rules6}END
then echo ipv6; fi
if unshare --user --map-user={os.geteuid()} --map-group={os.getegid()} true 2> /dev/null
then echo own-user; fi
"""


def _tried(path: str, *, user_namespace: bool) -> list[str]:
    asked = Interception()
    script = _trial(*(installed(asked, each, (80,), mark=MARK) for each in (IPV4, IPV6)))
    environment = {"PATH": path, "XTABLES_LOCKFILE": "/dev/null", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [*_unshare(user_namespace=user_namespace), "sh"],
            input=script,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotStart(f"no namespace can be made: {error}") from error
    said = done.stdout.splitlines()
    if done.returncode == 0:
        return said
    words = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    reason = f": {words[-1]}" if words else ""
    if "inside" not in said:
        who = "there is no root, and " if os.geteuid() else ""
        raise CannotStart(f"{who}no namespace can be made{reason}", fix=_NO_NAMESPACE)
    where = [line.removeprefix("at: ") for line in said if line.startswith("at: ")][-1]
    raise CannotStart(
        f"{where}{reason}",
        fix="load the modules bridge, veth, nf_nat, xt_REDIRECT, xt_multiport, xt_mark and xt_addrtype (modprobe)",
    )
