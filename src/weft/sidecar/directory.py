"""
Where the files of one proxy are, and what an earlier run may have left behind.

    DIR/sidecar/<proxy id>/<instance>/
        lock                 held while its sidecar runs
        ports.json           the free ports it took, to be taken again
        dns_port             the same for the port at which its Envoy answers names
        bootstrap.json       what Envoy was started with
        last_accepted.json   the same, without a control plane
        snap.json            the last accepted configuration
        secret-N.json        secrets of last_accepted.json, as its Envoy reads them
        run                  sockets; a link to a short temporary directory where DIR is long
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from weft.errors import CannotStart
from weft.names import BackendPort, IngressPort, Ports, ProxyId
from weft.sidecar import last_good, secrets

_MADE = "made-"
# sun_path holds 108 bytes with its end; the longest name in the directory is Envoy's
# hot_udp_parent_ with up to ten digits.
_LONGEST_RUN = 107 - len("/hot_udp_parent_0000000000")
_SHM = "/dev/shm/envoy_shared_memory_{}0"  # noqa: S108  # where Envoy puts it


@dataclass(frozen=True, slots=True)
class Directory:
    """The directory of one proxy, locked for this process until it ends."""

    path: str
    instance: str
    lock: int
    run: str

    @classmethod
    def take(cls, data: str, proxy: ProxyId, instance: str | None, ports: Ports) -> Directory:
        """
        The directory of this instance, or, where none is named, one that an earlier run made.

        A workload that was given no instance id is thus the same instance after a
        restart, and finds its last accepted configuration again.
        """
        parent = os.path.join(os.path.abspath(data), "sidecar", _flattened(proxy))
        try:
            os.makedirs(parent, mode=0o700, exist_ok=True)
            candidates = [instance] if instance else [*_made_before(parent, ports), None]
            for name in candidates:
                found = _locked(parent, name or _MADE + os.urandom(4).hex())
                if found:
                    return cls(found[0], os.path.basename(found[0]), found[1], _run(found[0]))
        except OSError as error:
            raise CannotStart(
                f"the data directory {data} cannot be used",
                fix="give a directory that can be written with --data DIR",
            ) from error
        raise CannotStart(
            f"instance {instance} of {proxy} is already running here",
            fix="stop it, or give this one its own --instance",
        )

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def socket(self, name: str) -> str:
        return os.path.join(self.run, name)

    def keep_secrets(self, kept: Iterable[secrets.Json]) -> dict[str, str]:
        """Write secrets down for an Envoy that no control plane tells them; their files, by name."""
        paths: dict[str, str] = {}
        for i, secret in enumerate(kept):
            path = paths[secret["name"]] = self.file(f"secret-{i}.json")
            last_good.write(path, secrets.response(secret))
        return paths

    def base_id(self) -> int | None:
        """The number under which the Envoy of this directory shares memory with its successor."""
        try:
            with open(self.socket("base-id")) as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    def sweep(self) -> None:
        """Remove sockets and shared memory of Envoys that have ended; Envoy itself leaves them."""
        if (base_id := self.base_id()) is not None:
            _remove(_SHM.format(base_id))
        for entry in os.scandir(self.run):
            _remove(entry.path)

    def give_back(self) -> None:
        """Leave what the next start needs, and nothing else."""
        self.sweep()
        run = self.file("run")
        with suppress(OSError):  # Something that is not ours lies there; it may stay.
            os.rmdir(self.run)
            if os.path.islink(run):
                os.unlink(run)
        os.close(self.lock)


def _flattened(proxy: ProxyId) -> str:
    # App Mesh's names have no "+", so two proxies never share a directory.
    flat = str(proxy).replace("/", "+")
    return flat if len(flat.encode()) <= 200 else f"{flat[:60]}+{zlib.crc32(flat.encode()):08x}"


def _made_before(parent: str, ports: Ports) -> list[str]:
    """Instance ids that earlier runs made; first those that had the ports asked for now."""
    wanted = _by_flag(ports)

    def agrees(name: str) -> bool:
        before = _remembered(os.path.join(parent, name, "ports.json"))
        return before.keys() == wanted.keys() and all(
            not port or port == before[flag] for flag, port in wanted.items()
        )

    made = [name for name in os.listdir(parent) if name.startswith(_MADE)]
    return sorted(made, key=lambda name: (not agrees(name), name))


def _locked(parent: str, name: str) -> tuple[str, int] | None:
    """The directory and its lock, or None while another sidecar holds it."""
    path = os.path.join(parent, name)
    os.makedirs(path, mode=0o700, exist_ok=True)
    lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return path, lock


def _run(path: str) -> str:
    run = os.path.join(path, "run")
    if len(run.encode()) <= _LONGEST_RUN:
        os.makedirs(run, mode=0o700, exist_ok=True)
        return run
    if os.path.isdir(run):
        return os.readlink(run)
    _remove(run)
    import tempfile  # Here alone: it brings random and hashlib with it.

    short = tempfile.mkdtemp(prefix="weft-")
    if len(short.encode()) > _LONGEST_RUN:
        os.rmdir(short)
        short = tempfile.mkdtemp(prefix="weft-", dir="/tmp")
    os.symlink(short, run)
    return short


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


# --- ports ---------------------------------------------------------------------------------


def with_free_ports(directory: Directory, ports: Ports) -> Ports:
    """
    The same ports with each 0 replaced by a free one: the one taken last time if it is free.

    A port that was asked for and is taken is a CannotStart: Envoy would share it with
    another Envoy without a word, and each would get some of the connections.
    """
    before = _remembered(directory.file("ports.json"))
    held: list[socket.socket] = []
    try:
        # The ones asked for first, or a free one might be among them.
        now = {flag: _claim(held, flag, port) for flag, port in _by_flag(ports).items() if port}
        now |= {
            flag: _free(held, before.get(flag, 0))
            for flag, port in _by_flag(ports).items()
            if not port
        }
    finally:
        for one in held:
            one.close()
    try:
        last_good.write(directory.file("ports.json"), json.dumps(now).encode())
    except OSError as error:
        raise CannotStart(
            f"{directory.path} cannot be written",
            fix="give a directory that can be written with --data DIR",
        ) from error
    return Ports(
        tuple(replace(p, socket=now[_ingress_flag(p)]) for p in ports.ingress),
        now["--egress"],
        tuple(replace(p, socket=now[_backend_flag(p)]) for p in ports.backends),
    )


def _by_flag(ports: Ports) -> dict[str, int]:
    return {
        "--egress": ports.egress,
        **{_ingress_flag(p): p.socket for p in ports.ingress},
        **{_backend_flag(p): p.socket for p in ports.backends},
    }


def _ingress_flag(port: IngressPort) -> str:
    return f"--ingress {port.listener}"


def _backend_flag(port: BackendPort) -> str:
    return f"--backend {port.service}:{port.listener}"


def _remembered(path: str) -> dict[str, int]:
    try:
        with open(path) as file:
            return {str(name): int(port) for name, port in json.load(file).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _free(held: list[socket.socket], preferred: int) -> int:
    for port in (preferred, 0) if preferred else (0,):
        try:
            return _bound(held, port)
        except OSError:
            continue
    raise CannotStart("there is no free port on 127.0.0.1", fix="stop something that holds them")


def _claim(held: list[socket.socket], flag: str, port: int) -> int:
    # An Envoy whose sidecar was killed a moment ago may still be on its way out.
    deadline = time.monotonic() + 2
    while True:
        try:
            return _bound(held, port)
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise CannotStart(
                f"port {port} cannot be used for {flag}: {error.strerror}",
                fix=f"stop what listens on 127.0.0.1:{port}, or give {flag.split()[0]} another port",
            ) from error


def _bound(held: list[socket.socket], port: int) -> int:
    one = socket.socket()
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
        one.listen()
    except OSError:
        one.close()
        raise
    held.append(one)
    return int(one.getsockname()[1])
