"""The two processes of a replica, its app and its sidecar, as things that are kept running."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from weft.clock import Clock
from weft.local import http
from weft.local.board import Board
from weft.local.client import ControlPlane
from weft.local.kept import Kept
from weft.local.netns import Network, Room
from weft.local.output import LogStream
from weft.local.plan import Plan, sidecar_environment
from weft.local.ports import LOOPBACK, PortPool
from weft.local.processes import Child, Processes
from weft.local.residents import Residents
from weft.local.watch import Watch

SIDECAR_PATIENCE_SECONDS = 30.0
STAYED_SECONDS = 0.5
"""An app without a port runs once it has not ended for so long."""
# Without -P a directory here that is named weft would be run.
THIS_PROGRAM = (sys.executable, "-P", "-m", "weft")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all replicas of a runner share."""

    control_plane: ControlPlane
    watch: Watch
    processes: Processes
    ports: PortPool
    board: Board
    log: LogStream
    clock: Clock
    xds: str
    data: Path
    environment: Mapping[str, str] = field(repr=False)
    weft: tuple[str, ...]
    """How this very program is started again."""
    network: Network | None = None
    """Where workloads are isolated: their own."""
    residents: Residents | None = None
    """And the addresses they have there."""

    def ready_file(self, instance: str) -> Path:
        return self.data / "run" / f"{instance}.json"

    def apps_file(self, instance: str) -> Path:
        """Where a sidecar reads at which ports its app listens."""
        return self.data / "run" / f"{instance}.apps.json"


def kept_app(
    name: str,
    plan: Plan,
    around: Surroundings,
    note: Callable[[str], None],
    room: Room | None = None,
) -> Kept:
    """Ready once it listens on every port that is meant for it; without one, once it has stayed."""
    ports = plan.allocation.app_ports
    command: Sequence[str] = plan.command
    directory: Path | None = plan.directory
    if room is not None and around.network is not None:
        command = room.app_command(plan.command, plan.directory, around.network.isolation)
        directory = None
    started = 0.0

    async def start() -> Child:
        nonlocal started
        started = around.clock.monotonic()
        around.ports.release(*ports)
        return await around.processes.start(
            command,
            on_line=lambda line: around.log.line(name, line),
            environment=plan.environment,
            directory=directory,
        )

    async def is_ready() -> bool:
        if room is not None and not room.listens(ports):
            return False
        for port in ports:
            if room is None and not await http.accepts(LOOPBACK, port):
                return False
        return bool(ports) or around.clock.monotonic() - started >= STAYED_SECONDS

    def slow() -> str:
        where = ", ".join(
            f"{LOOPBACK}:{port} for listener {listener}" if room is None else f"port {port}"
            for listener, port in plan.allocation.apps.items()
        )
        return (
            f"does not listen yet on {where}; its command or env should use "
            "${port.LISTENER}, or ports: {LISTENER: PORT} say where it listens"
        )

    return Kept(
        start=start,
        is_ready=is_ready,
        note=note,
        board=around.board,
        clock=around.clock,
        ports=ports if room is None else (),
        slow=slow,
    )


def kept_sidecar(
    name: str,
    instance: str,
    plan: Plan,
    around: Surroundings,
    note: Callable[[str], None],
    room: Room | None = None,
) -> Kept | None:
    """Ready once it says so in its ready file."""
    if plan.sidecar is None:
        return None
    command = [*around.weft, "sidecar", *plan.sidecar]
    inherited: tuple[int, ...] = ()
    if room is not None:
        inherited = (room.status.fileno(),)
        command = room.sidecar_command([*command, "--status-fd", str(inherited[0])], Path.cwd())
    ready_file = around.ready_file(instance)
    ports = plan.allocation.sidecar_ports

    async def start() -> Child:
        ready_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ready_file.unlink(missing_ok=True)
        around.ports.release(*ports)
        return await around.processes.start(
            command,
            on_line=lambda line: around.log.line(name, line, of="sidecar"),
            environment=sidecar_environment(around.environment),
            pass_fds=inherited,
        )

    async def is_ready() -> bool:
        return ready_file.exists()

    return Kept(
        start=start,
        is_ready=is_ready,
        note=lambda text: note(f"sidecar {text}"),
        board=around.board,
        clock=around.clock,
        ports=ports,
        slow=lambda: "is not ready yet; weft get proxies shows what the control plane says",
        patience_seconds=SIDECAR_PATIENCE_SECONDS,
    )
