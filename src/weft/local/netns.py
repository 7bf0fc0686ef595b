"""
A network of namespaces for the workloads of one runner, apart from the machine's own.

    machine ── relay outside ─┐                    ┌─ relay inside ── 127.0.0.1:PORT of the machine
                              hub: a bridge, weft0
              ┌───────────────┼───────────────┐
        room of web      room of db      room of …      each with eth0, rules, /etc/hosts

A namespace lives as long as a process in it: the hub as long as the relay, a room as long
as a process that sleeps. None has a name, so nothing is left when they have ended, and
runners do not see each other.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote

from weft.errors import CannotStart
from weft.local import addressing, relay
from weft.local.addressing import GATEWAY, OWN_NAME_SERVER, Home
from weft.local.isolation import Isolation
from weft.local.processes import Child, Processes

_READY_SECONDS = 20.0
_GRACE_SECONDS = 1.0
_BRIDGE = "weft0"
_HOLDER = ("sh", "-c", "echo ready; exec sleep 2000000000")

_HUB = f"""
set -eu
ip link set lo up
ip link add {_BRIDGE} type bridge
ip addr add {GATEWAY.v4}/16 dev {_BRIDGE}
ip link set {_BRIDGE} up
iptables-restore --noflush <<'END'
*nat
-A PREROUTING -i {_BRIDGE} -p tcp ! -d {addressing.NETWORK4} -j REDIRECT --to-ports {relay.REDIRECTED_PORT}
COMMIT
END
"""
_HUB6 = f"""
ip -6 addr add {GATEWAY.v6}/64 dev {_BRIDGE} nodad
ip6tables-restore --noflush <<'END'
*nat
-A PREROUTING -i {_BRIDGE} -p tcp ! -d {addressing.NETWORK6} -j REDIRECT --to-ports {relay.REDIRECTED_PORT}
COMMIT
END
"""


class Room:
    """The namespace of one workload."""

    def __init__(
        self, home: Home, holder: Child, enter: tuple[str, ...], beside: tuple[str, ...]
    ) -> None:
        """``beside`` leads to the same network, and not to the files that are the workload's."""
        self.home = home
        self._beside = beside
        self.status = socket.create_server(("127.0.0.1", 0))
        """For the sidecar's status page: of the machine, so that it is read from there."""
        self._holder = holder
        self._enter = enter

    @property
    def pid(self) -> int:
        """Of the process that holds it open."""
        return self._holder.pid

    def sidecar_command(self, arguments: Sequence[str], directory: Path) -> list[str]:
        """
        The command line that runs a sidecar in here; in the end it is the sidecar's process.

        It sees the machine's names: the mesh's are what it gives to others.
        """
        # With a mount namespace comes another root, and with it another working directory.
        return [*self._beside, *_at(directory), *arguments]

    def app_command(
        self, arguments: Sequence[str], directory: Path, isolation: Isolation
    ) -> list[str]:
        """The same for the workload, which is not to change its network where that can be helped."""
        if not (isolation.user_namespace and isolation.own_user):
            return [*self._enter, *_at(directory), *arguments]
        user = (f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}")
        unshare = (isolation.program("unshare"), "--user", *user)
        return [*self._enter, *unshare, *_at(directory), *arguments]

    @property
    def enter(self) -> list[str]:
        """What runs a program beside the workload's own."""
        return list(self._enter)

    def listens(self, ports: Sequence[int]) -> bool:
        """Whether something listens at each of these ports in here."""
        return set(ports) <= listening_ports(self.pid)

    async def close(self) -> None:
        self.status.close()
        await self._holder.end(_GRACE_SECONDS)


class Network:
    """All rooms of a runner, and the ways into them and out."""

    def __init__(
        self,
        isolation: Isolation,
        processes: Processes,
        directory: Path,
        on_line: Callable[[str], None],
    ) -> None:
        """``on_line`` hears what the relays say, which is nothing unless something is wrong."""
        self.isolation = isolation
        self._on_line = on_line
        self.directory = directory
        """For the files that are mounted over ``/etc/hosts`` and ``/etc/resolv.conf``."""
        self._processes = processes
        self._hub: Child | None = None
        self._channel: socket.socket | None = None
        self._outside: Child | None = None
        self._outside_channel: socket.socket | None = None
        self._made = 0

    async def open(self) -> None:
        """Make the hub; CannotStart says what the machine refused."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = ours
        with theirs:
            self._hub = await self._processes.start(
                [*self.isolation.unshare, *_relay("inside", theirs.fileno())],
                on_line=self._on_line,
                environment=self._environment(),
                pass_fds=(theirs.fileno(),),
            )
        sockets = await self._sockets(ours)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        resolv_conf = self._resolv_conf(GATEWAY.v4, *((GATEWAY.v6,) if self.isolation.ipv6 else ()))
        try:
            await self._run(
                self._enter_hub(),
                _HUB
                + (_HUB6 if self.isolation.ipv6 else "")
                + f"mount --bind {quote(str(resolv_conf))} /etc/resolv.conf\n",
            )
            await self._open_outside(sockets)
        finally:
            for each in sockets:
                os.close(each)

    @property
    def hub_gone(self) -> asyncio.Future[int]:
        """Done when the network is gone, and nobody reaches anybody any more."""
        assert self._hub is not None
        return self._hub.exited

    async def room(self, home: Home, name: str, hosts: str, *, own_names: bool) -> Room:
        """
        A namespace for one workload, with its addresses and names.

        ``own_names``: its sidecar answers them.
        """
        assert self._hub is not None
        ready = asyncio.Event()
        said: list[str] = []

        def on_line(line: str) -> None:
            said.append(line)
            ready.set()

        holder = await self._processes.start(
            [*self._enter_hub(), "unshare", "--net", "--mount", *_HOLDER],
            on_line=on_line,
            environment=self._environment(),
        )
        await _first(ready, holder)
        if said[:1] != ["ready"]:
            holder.kill()
            raise CannotStart(f"no namespace for {name}: {' '.join(said) or 'no answer'}")
        self._made += 1
        # The kernel takes interfaces away some time after their namespace: no name twice.
        interface = f"w{self._made}"
        enter = (*self._enter(holder.pid), "--")
        files = self.files(name)
        files.hosts.write_text(hosts)
        try:
            await self._run(
                self._enter_hub(),
                f"set -eu\nip link add {interface} type veth peer name eth0 "
                f"address {home.hardware} netns {holder.pid}\n"
                f"ip link set {interface} master {_BRIDGE} up\n",
            )
            resolv_conf = self._resolv_conf(OWN_NAME_SERVER) if own_names else None
            await self._run(enter, self._furnished(home, files.hosts, resolv_conf))
        except CannotStart:
            holder.kill()
            raise
        return Room(home, holder, enter, (*self._enter(holder.pid, mount=self._hub.pid), "--"))

    def files(self, name: str) -> RoomFiles:
        return RoomFiles(self.directory / f"{name}.hosts")

    def forward(self, name: str, port: int, host: str, target: int) -> None:
        """Lead 127.0.0.1:port of the machine to an address in here; OSError when it is taken."""
        assert self._channel is not None
        message = {"name": name, "host": host, "port": target}
        with socket.create_server(("127.0.0.1", port), backlog=512) as listening:
            socket.send_fds(self._channel, [_json(message)], [listening.fileno()])

    def lead(self, name: str, host: str, target: int) -> None:
        """Lead new connections of a way in to another address; those there are go on as they were."""
        assert self._channel is not None
        self._channel.send(_json({"lead": name, "host": host, "port": target}))

    def unforward(self, *names: str) -> None:
        if self._channel is not None:
            with suppress(OSError):  # With the network gone, so are the ways into it.
                self._channel.send(_json({"close": list(names)}))

    async def close(self) -> None:
        for channel in (self._channel, self._outside_channel):
            if channel is not None:
                channel.close()
        self._channel = self._outside_channel = None
        for child in (self._outside, self._hub):
            if child is not None:
                await child.end(_GRACE_SECONDS)

    # --- small ---

    async def _open_outside(self, sockets: Sequence[int]) -> None:
        self._outside_channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._outside = await self._processes.start(
                [*_relay("outside", theirs.fileno()), ",".join(map(str, sockets))],
                on_line=self._on_line,
                environment=self._environment(),
                pass_fds=(theirs.fileno(), *sockets),
            )

    async def _sockets(self, channel: socket.socket) -> list[int]:
        """Those that the hub made, once it is there."""
        assert self._hub is not None
        loop = asyncio.get_running_loop()
        there = asyncio.Event()
        loop.add_reader(channel, there.set)
        try:
            await _first(there, self._hub)
        finally:
            loop.remove_reader(channel)
        if there.is_set():
            _, found, _, _ = socket.recv_fds(channel, 1024, 16)
            if found:
                return found
        raise CannotStart("no network for the workloads: the process that holds it has ended")

    def _enter_hub(self) -> tuple[str, ...]:
        assert self._hub is not None
        return self._enter(self._hub.pid)

    def _enter(self, pid: int, *, mount: int | None = None) -> tuple[str, ...]:
        assert self._hub is not None
        user = (
            (f"--user=/proc/{self._hub.pid}/ns/user", "--preserve-credentials")
            if self.isolation.user_namespace
            else ()
        )
        nsenter = self.isolation.program("nsenter")
        return (nsenter, *user, f"--net=/proc/{pid}/ns/net", f"--mount=/proc/{mount or pid}/ns/mnt")

    def _resolv_conf(self, *servers: str) -> Path:
        """A file that names these name servers."""
        path = self.directory / f"resolv.conf.{servers[0]}"
        path.write_text(addressing.resolv_conf(_text("/etc/resolv.conf"), servers))
        return path

    def _furnished(self, home: Home, hosts: Path, resolv_conf: Path | None) -> str:
        v6 = (
            f"ip -6 addr add {home.v6}/64 dev eth0 nodad\nip -6 route add default via {GATEWAY.v6}\n"
            if self.isolation.ipv6
            else ""
        )
        names = f"mount --bind {quote(str(resolv_conf))} /etc/resolv.conf\n" if resolv_conf else ""
        return (
            "set -eu\nip link set lo up\n"
            f"ip addr add {home.v4}/16 dev eth0\nip link set eth0 up\n"
            f"ip route add default via {GATEWAY.v4}\n{v6}"
            f"mount --bind {quote(str(hosts))} /etc/hosts\n{names}"
            # Programs keep their ports, and some have low ones.
            "{ echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start; } 2> /dev/null || :\n"
        )

    def _environment(self) -> dict[str, str]:
        return {"PATH": self.isolation.path, "LC_ALL": "C", "XTABLES_LOCKFILE": "/dev/null"}

    async def _run(self, prefix: Sequence[str], script: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *prefix,
            "sh",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )
        _, errors = await process.communicate(script.encode())
        if process.returncode:
            words = errors.decode("utf-8", "replace").strip().splitlines()
            raise CannotStart(
                f"no network for the workloads: {words[-1] if words else process.returncode}"
            )


class RoomFiles:
    """What is mounted over a workload's own files."""

    def __init__(self, hosts: Path) -> None:
        self.hosts = hosts

    def renew_hosts(self, text: str) -> None:
        """Write in place: another file would not be the one that is mounted."""
        content = text.encode()
        with self.hosts.open("r+b") as file:
            if file.read() == content:
                return
            file.seek(0)
            file.write(content)
            file.truncate()


def listening_ports(pid: int) -> set[int]:
    """Where anything listens in the network namespace of a process."""
    found: set[int] = set()
    for name in ("tcp", "tcp6"):
        for line in _text(f"/proc/{pid}/net/{name}").splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                found.add(int(words[1].rpartition(":")[2], 16))
    return found


async def _first(event: asyncio.Event, child: Child) -> None:
    """Until something has happened, or the process that would make it happen has ended."""
    waiting = asyncio.ensure_future(event.wait())
    exited = asyncio.ensure_future(child.ended_within(_READY_SECONDS))
    try:
        await asyncio.wait({waiting, exited}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        exited.cancel()


def machine_hosts() -> str:
    """The machine's own ``/etc/hosts``."""
    return _text("/etc/hosts")


def _relay(*arguments: object) -> list[str]:
    return [sys.executable, "-I", "-S", relay.__file__, *map(str, arguments)]


def _at(directory: Path | None) -> list[str]:
    if directory is None:
        return []
    return ["/bin/sh", "-c", 'cd -- "$0" && exec "$@"', str(directory)]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _json(message: Mapping[str, object]) -> bytes:
    return json.dumps(message).encode()
