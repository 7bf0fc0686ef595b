"""A network namespace that a test made: programs run in it, and sockets of the test itself."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

V4 = "10.77.0.2"
V6 = "fd00:77::2"
_CLONE_NEWNET = 0x40000000
_TOOLS = ("ip", "iptables", "unshare", "nsenter")


def missing() -> str:
    """Why no namespace can be made here; empty where one can."""
    for tool in _TOOLS:
        if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            return f"there is no {tool} (apt-get install iproute2 iptables util-linux)"
    tried = subprocess.run(["unshare", "-nm", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 and os.geteuid() == 0 else "only root makes namespaces"


@dataclass(frozen=True)
class Namespace:
    """One with a loopback, an address of each family, and a way out that leads nowhere."""

    name: str
    directory: Path

    @property
    def path(self) -> str:
        return f"/run/netns/{self.name}"

    def command(self, *arguments: str, resolv_conf: Path | None = None) -> list[str]:
        """What runs a program inside, with a resolv.conf of its own if one is given."""
        if resolv_conf is None:
            return ["nsenter", f"--net={self.path}", *arguments]
        script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
        mounted = ["unshare", "-m", "sh", "-c", script, "sh", str(resolv_conf), *arguments]
        return ["nsenter", f"--net={self.path}", *mounted]

    def inside(self, make: Callable[[], T]) -> T:
        """What ``make`` returns, called inside: its sockets stay there for good."""
        found: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                descriptor = os.open(self.path, os.O_RDONLY)
                try:
                    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(descriptor)
                found.append(make())
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                failed.append(error)

        # A thread of its own: it never comes back out.
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    def listening(self, host: str, port: int) -> socket.socket:
        def make() -> socket.socket:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            made = socket.socket(family)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((host, port))
            made.listen(128)
            return made

        return self.inside(make)


@contextmanager
def namespace(directory: Path, suffix: str, *more: str) -> Iterator[Namespace]:
    """``more``: further addresses of version 6; of version 4 every 127.x.x.x is there."""
    made = Namespace(f"weft-{os.getpid()}-{suffix}", directory)
    _ip("netns", "add", made.name)
    try:
        for line in (
            "link set lo up",
            "link add d0 type veth peer name d1",
            "link set d0 up",
            "link set d1 up",
            f"address add {V4}/24 dev d0",
            "route add default dev d0",
            f"-6 address add {V6}/64 dev d0 nodad",
            *(f"-6 address add {host}/128 dev lo nodad" for host in more),
            "-6 route add default dev d0",
        ):
            _ip("-n", made.name, *line.split())
        yield made
    finally:
        _ip("netns", "delete", made.name)


@contextmanager
def neighbour(of: Namespace) -> Iterator[Namespace]:
    """Another machine on the same wire."""
    made = Namespace(f"{of.name}-n", of.directory)
    _ip("netns", "add", made.name)
    try:
        _ip("-n", of.name, "link", "set", "d1", "netns", made.name)
        for line in (
            "link set lo up",
            "link set d1 up",
            "address add 10.77.0.1/24 dev d1",
            "-6 address add fd00:77::1/64 dev d1 nodad",
        ):
            _ip("-n", made.name, *line.split())
        yield made
    finally:
        _ip("netns", "delete", made.name)


def _ip(*arguments: str) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    subprocess.run(
        ["ip", *arguments], check=True, capture_output=True, env={**os.environ, "PATH": path}
    )
