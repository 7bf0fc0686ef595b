"""The control plane as a process of the runner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from weft.clock import Clock
from weft.errors import WeftError
from weft.local.board import Board
from weft.local.client import ControlPlane
from weft.local.kept import Kept
from weft.local.output import LogStream
from weft.local.ports import PortPool
from weft.local.processes import Child, Processes
from weft.settings import (
    ACCOUNT,
    API,
    DATA,
    HOST,
    LOG_FORMAT,
    LOG_LEVEL,
    QUOTA,
    QUOTAS,
    REGION,
    XDS,
    XDS_SOCKET,
    Settings,
)

NAME = "control plane"


def with_ports(settings: Settings, ports: PortPool) -> Settings:
    """Port 0 stands for a free one; it stays the same when the control plane is restarted."""
    api, xds = settings.api, settings.xds
    if not api.path and api.port == 0:
        api = replace(api, port=ports.take())
    if not xds.path and xds.port == 0:
        xds = replace(xds, port=ports.take())
    return replace(settings, api=api, xds=xds)


def xds_for_sidecars(settings: Settings) -> str:
    """Bound to every address, it is reached at one."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    return str(replace(settings.xds, host=everywhere.get(settings.xds.host, settings.xds.host)))


def arguments(settings: Settings) -> list[str]:
    return [
        *("serve", API.flag, str(settings.api), XDS.flag, str(settings.xds)),
        *((XDS_SOCKET.flag, str(settings.xds_socket)) if settings.xds_socket else ()),
        *(DATA.flag, str(settings.data), REGION.flag, settings.region),
        *(ACCOUNT.flag, settings.account),
        *((HOST.flag, ",".join(settings.hosts)) if settings.hosts else ()),
        *(QUOTAS.flag, "none", QUOTA.flag, str(settings.quotas)),
        *(LOG_LEVEL.flag, settings.log_level, LOG_FORMAT.flag, settings.log_format),
    ]


def kept_control_plane(
    settings: Settings,
    control_plane: ControlPlane,
    *,
    weft: tuple[str, ...],
    environment: Mapping[str, str],
    processes: Processes,
    ports: PortPool,
    board: Board,
    log: LogStream,
    clock: Clock,
) -> Kept:
    """Ready once it answers; when it ends, everything else stays up until it is back."""

    async def start() -> Child:
        ports.release(settings.api.port, settings.xds.port)
        return await processes.start(
            [*weft, *arguments(settings)],
            on_line=lambda line: log.line(NAME, line),
            environment=environment,
        )

    async def is_ready() -> bool:
        try:
            await control_plane.status()
        except WeftError:
            return False
        return True

    return Kept(
        start=start,
        is_ready=is_ready,
        note=lambda text: log.note(NAME, text),
        board=board,
        clock=clock,
        slow=lambda: f"does not answer yet at {settings.api}",
    )
