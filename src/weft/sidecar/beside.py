"""What runs beside the sidecar's own work where App Mesh's variables ask for it."""

from __future__ import annotations

from collections.abc import Callable

from weft.errors import Unreachable
from weft.names import View
from weft.sidecar.admin import Admin
from weft.sidecar.agent_api import AgentServer, Interface, LogLevel
from weft.sidecar.app_mesh import AppMesh
from weft.sidecar.prometheus import Page
from weft.sidecar.statsd import ConnectionReporter
from weft.sidecar.status import Standing
from weft.sidecar.values import seconds


class Beside:
    """The agent's HTTP interface, and the reporter of connections: each, or none."""

    def __init__(
        self,
        asked: AppMesh,
        view: View,
        log_level: str,
        standing: Callable[[], Standing],
        admin: Callable[[], Admin | None],
        warn: Callable[[str], None],
    ) -> None:
        self._parts: list[AgentServer | ConnectionReporter] = []

        def running() -> Admin:
            if (found := admin()) is None:
                raise Unreachable("Envoy is not running")
            return found

        if asked.api is not None:
            level = LogLevel(running, log_level, asked.api.log_level_seconds, warn)
            interface = Interface(standing, admin, Page(view), level, asked.disconnected_seconds)
            self._parts.append(AgentServer(asked.api, interface, warn))
        if asked.statsd is not None and asked.metrics:
            interval = seconds(asked.flush_interval) if asked.flush_interval else 5.0
            self._parts.append(ConnectionReporter(asked.statsd, view, admin, interval))

    def start(self) -> None:
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        for part in reversed(self._parts):
            part.stop()
