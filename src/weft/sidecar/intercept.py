"""
Installs the kernel's rules that bring a workload's traffic to its proxy, and removes them.

    Nothing ──prepare──▶ Checked ──install──▶ In force ──remove──▶ Nothing
                            └─ cannot: says what is missing, and changes nothing

The proxy's own connections must pass the rules by, or each would come back to it for
ever. They are known by their owner where Envoy runs as the ignored user or group, else
by a mark (SO_MARK), for which Envoy needs CAP_NET_ADMIN: that is checked before any rule
is made.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from weft.errors import CannotStart, WeftError
from weft.names import INGRESS_LISTENER
from weft.sidecar.admin import Admin
from weft.sidecar.machine import SO_MARK
from weft.sidecar.rules import IPV4, IPV6, MARK, Family, Interception, installed, removed

_CAP_NET_ADMIN = 12
_LOCK = "\0weft-intercept"
"""An abstract socket: such names belong to a network namespace, as the rules do."""
_PATH = "/usr/sbin:/sbin:/usr/local/sbin"
_TIMEOUT_SECONDS = 10.0

_PACKAGE = "install the package iptables (apt-get install iptables)"
_PRIVILEGE = (
    "run it as root or with CAP_NET_ADMIN (setpriv --ambient-caps +net_admin --inh-caps "
    "+net_admin), have weft up --isolate make a namespace for it, or use --mode explicit"
)


class Interceptor:
    """The rules of one network namespace."""

    def __init__(self, asked: Interception, mark: int | None) -> None:
        """``mark``: what Envoy's own connections carry, unless their owner tells them apart."""
        self.asked = asked
        self.mark = mark
        self._lock: socket.socket | None = None
        self._families: tuple[Family, ...] = ()
        self._app_ports: tuple[int, ...] | None = None
        self._followed_bytes = -1

    @property
    def in_force(self) -> bool:
        """Whether the ports are known whose connections go to the proxy, and do go there."""
        return self._app_ports is not None

    # --- before ---

    def prepare(self) -> None:
        """See that everything is there; CannotStart says what is not, and no rule was made."""
        _refuse_unmapped(self.asked)
        if self.mark is not None and not may_mark(self.mark):
            raise CannotStart(
                "traffic cannot be redirected: Envoy may not mark its own connections",
                fix=_PRIVILEGE,
            )
        self._families = families(self.asked)
        self._take_lock()
        try:
            for family in self._families:
                self._saved(family)
        except CannotStart:
            self._release_lock()
            raise

    # --- while it runs ---

    def install(self, listeners: Iterable[int] | None) -> bool:
        """
        Bring the rules in line with the virtual node's listeners; None while they are not known.

        Ports that were asked for win. True when something was changed.
        """
        wanted = self.asked.app_ports
        if wanted is None and listeners is not None:
            wanted = tuple(sorted(set(listeners)))
        if wanted is not None and wanted == self._app_ports:
            return False
        for family in self._families:
            text = installed(
                self.asked, family, wanted or (), mark=self.mark, saved=self._saved(family)
            )
            self._restore(family, text)
        self._app_ports = wanted
        return True

    def follow(
        self, admin: Admin, received_bytes: int, *, from_control_plane: bool
    ) -> Iterator[tuple[str, str]]:
        """
        Lead what others send to the listeners of an Envoy to it; what there is to say, with its level.

        ``received_bytes`` of its control plane: while they stand still, so do its listeners.
        """
        if self.in_force and received_bytes == self._followed_bytes:
            return
        try:
            found = listener_ports(admin, from_control_plane=from_control_plane)
            if self.install(found):
                ports = ", ".join(map(str, found)) or "none"
                yield f"redirected to the proxy: all egress, and ingress of ports {ports}", "info"
            self._followed_bytes = received_bytes
        except WeftError as error:
            yield error.message, "error"

    def leave(self) -> None:
        """Go, and let the rules stay."""
        self._release_lock()

    def remove(self) -> None:
        """Take out whatever is there of ours; CannotStart says what stays and why."""
        try:
            for family in self._families:
                if text := removed(self._saved(family)):
                    self._restore(family, text)
        finally:
            self._app_ports = None
            self._release_lock()

    # --- the tools ---

    def _saved(self, family: Family) -> str:
        return self._run(family.save, ["-t", "nat"], "")

    def _restore(self, family: Family, text: str) -> None:
        self._run(family.restore, ["--noflush", "--wait", "5"], text)

    def _run(self, tool: str, arguments: list[str], text: str) -> str:
        try:
            done = subprocess.run(
                [path_of(tool), *arguments],
                input=text,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                env=self._environment(),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotStart(f"{tool} cannot be run: {error}", fix=_PACKAGE) from error
        if done.returncode:
            raise _refusal(tool, done.stderr)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        if not os.access("/run", os.W_OK):
            # In a user namespace /run belongs to somebody else; nobody shares its rules with us.
            environment.setdefault("XTABLES_LOCKFILE", "/dev/null")
        return environment

    def _take_lock(self) -> None:
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(_LOCK)
        except OSError as error:
            held.close()
            raise CannotStart(
                "another sidecar redirects the traffic of this network namespace",
                fix="stop it first: a namespace has one proxy (weft up --isolate makes one for each workload)",
            ) from error
        self._lock = held

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def listener_ports(admin: Admin, *, from_control_plane: bool) -> tuple[int, ...]:
    """The virtual node's listeners, from the filter chains that Envoy has in force."""
    kind = "dynamic_listeners" if from_control_plane else "static_listeners"
    dump: Any = admin.json(f"/config_dump?resource={kind}")
    found: set[int] = set()
    for entry in dump.get("configs", ()):
        listener = entry.get("active_state", entry).get("listener") or {}
        if listener.get("name") != INGRESS_LISTENER:
            continue
        for chain in listener.get("filter_chains", ()):
            if port := chain.get("filter_chain_match", {}).get("destination_port"):
                found.add(int(port))
    return tuple(sorted(found))


def families(asked: Interception) -> tuple[Family, ...]:
    """The sets of rules to be made; CannotStart when IPv6 is asked for and is not there."""
    has = os.path.exists("/proc/net/if_inet6")
    if asked.ipv6 and not has:
        raise CannotStart(
            "IPv6 cannot be redirected: this kernel has none", fix="give --intercept-ipv6 no"
        )
    return (IPV4, IPV6) if has and asked.ipv6 is not False else (IPV4,)


def may_mark(mark: int) -> bool:
    """Whether Envoy, as our child, may set a mark: we can, and it keeps what that takes."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
        except OSError:
            return False
    return os.geteuid() == 0 or bool(_capabilities("CapAmb") >> _CAP_NET_ADMIN & 1)


def path_of(tool: str) -> str:
    """Where a tool is; ordinary users often have no sbin in their PATH."""
    for directory in f"{os.environ.get('PATH', '')}:{_PATH}".split(":"):
        path = os.path.join(directory, tool)
        if directory and os.access(path, os.X_OK):
            return path
    raise CannotStart(f"traffic cannot be redirected: there is no {tool} here", fix=_PACKAGE)


def _capabilities(which: str) -> int:
    with suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(which):
                return int(line.split()[1], 16)
    return 0


def mark_for(asked: Interception) -> int | None:
    """None where Envoy runs, as we do, as the user or the group whose connections are ignored."""
    ignored = asked.ignored_uid == os.geteuid() or asked.ignored_gid == os.getegid()
    return None if ignored else MARK


def _refuse_unmapped(asked: Interception) -> None:
    """The kernel would say: Invalid argument."""
    for what, number, flag in (
        ("uid", asked.ignored_uid, "--ignore-uid"),
        ("gid", asked.ignored_gid, "--ignore-gid"),
    ):
        if number is not None and not _is_mapped(f"/proc/self/{what}_map", number):
            raise CannotStart(
                f"traffic of {what} {number} cannot be ignored: this user namespace has no such {what}",
                fix=f"leave {flag} out: Envoy's own connections are known by a mark",
            )


def _is_mapped(path: str, number: int) -> bool:
    try:
        with open(path, encoding="ascii") as lines:
            ranges = [list(map(int, line.split())) for line in lines]
    except (OSError, ValueError):
        return True
    return any(first <= number < first + count for first, _, count in ranges)


def _refusal(tool: str, words: str) -> CannotStart:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    said = lines[0] if lines else "no reason is given"
    lower = words.lower()
    if "permission denied" in lower or "not permitted" in lower:
        return CannotStart(f"traffic cannot be redirected: {said}", fix=_PRIVILEGE)
    if "does not exist" in lower or "no such" in lower or "not supported" in lower:
        return CannotStart(
            f"traffic cannot be redirected, the kernel lacks a part: {said}",
            fix="load the modules nf_nat, xt_REDIRECT, xt_multiport, xt_mark, xt_owner and "
            "xt_addrtype (modprobe), or use --mode explicit",
        )
    return CannotStart(f"{tool} refuses the rules: {said}")
