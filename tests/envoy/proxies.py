"""Several real Envoys of one mesh over our own ADS server; the mesh changes under them."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.builders import state_from
from tests.envoy.envoy_binary import envoy_binary
from tests.envoy.running import DEADLINE
from weft.clock import SystemClock
from weft.names import BackendPort, IngressPort, Kind, Mode, Ports, ProxyId, View
from weft.resolve.proxy import resolve
from weft.sidecar.admin import Admin
from weft.sidecar.bootstrap import bootstrap
from weft.sidecar.values import Tcp
from weft.translate.proxy import translate
from weft.xds.delivery import Delivery
from weft.xds.server import AdsServer
from weft.xds.status import Settled

Said = Mapping[str, Any]


class ControlPlane:
    """Serves what a mesh that was said in short comes to, for whoever connects."""

    def __init__(self, said: Said, *, port: int = 0, look_again_seconds: float = 0.2) -> None:
        self.said = said
        self.revision = 1
        self.delivery = Delivery(SystemClock())
        self.server = AdsServer(
            self,
            self.delivery,
            SystemClock(),
            f"127.0.0.1:{port}",
            patience_seconds=DEADLINE,
            look_again_seconds=look_again_seconds,
        )
        self.port = 0
        self._views: set[View] = set()

    async def start(self) -> None:
        self.port = await self.server.start()
        self.server.processed(self.revision)

    def attach(self, view: View) -> None:
        self._views.add(view)
        self._publish(view)

    def detach(self, view: View) -> None:
        self._views.discard(view)

    def change(self, said: Said) -> None:
        self.said = said
        self.revision += 1
        for view in self._views:
            self._publish(view)
        self.server.processed(self.revision)

    async def settled(self) -> Settled:
        """Once every proxy has accepted what is said now, or refused it."""
        return await self.delivery.wait_settled(self.revision, timedelta(seconds=DEADLINE))

    async def changed(self, said: Said) -> None:
        """Change the mesh, and wait until all have accepted it."""
        self.change(said)
        told = await self.settled()
        assert not told.waiting, told
        assert not told.rejected, told

    def _publish(self, view: View) -> None:
        state = state_from(self.said, view.proxy.mesh, self.revision)
        self.server.publish(view, translate(resolve(state, view)), self.revision)


class Proxy:
    """One Envoy, asked at its admin socket."""

    def __init__(self, view: View, directory: Path) -> None:
        self.view = view
        self.directory = directory
        self.admin = Admin(str(directory / "admin.sock"))

    @property
    def egress(self) -> int:
        return self.view.ports.egress

    async def stats(self, pattern: str) -> dict[str, int]:
        found = await asyncio.to_thread(self.admin.stats, pattern)
        return {name: value for name, value in found.items() if isinstance(value, int)}

    async def stat(self, name: str) -> int:
        pattern = "^" + name.replace(".", r"\.") + "$"
        return (await self.stats(pattern)).get(name, 0)

    async def config_dump(self) -> str:
        return (await asyncio.to_thread(self.admin.get, "/config_dump?include_eds")).decode()

    @property
    def log(self) -> str:
        return (self.directory / "envoy.log").read_text()


@asynccontextmanager
async def proxy(
    control_plane: ControlPlane,
    node: str,
    *,
    mesh: str = "shop",
    kind: Kind = Kind.VIRTUAL_NODE,
    egress: int = 15001,
    ingress: tuple[IngressPort, ...] = (),
    backends: tuple[BackendPort, ...] = (),
    sds_socket: str | None = None,
    state_of_the_world: bool = False,
) -> AsyncIterator[Proxy]:
    """An Envoy for a virtual node, or a gateway, in explicit mode; ended by its pid."""
    view = View(
        ProxyId(mesh, kind, node),
        Mode.EXPLICIT,
        Ports(ingress, egress, backends),
        sds=sds_socket is not None,
    )
    with tempfile.TemporaryDirectory(prefix="weft-envoy-") as made:
        directory = Path(made)
        said = bootstrap(
            view,
            node,
            xds=Tcp("127.0.0.1", control_plane.port),
            status="",
            admin=str(directory / "admin.sock"),
            max_connections=1000,
            sds_socket=sds_socket,
        )
        if state_of_the_world:
            # The other protocol, which AWS's own image speaks.
            said["dynamic_resources"]["ads_config"]["api_type"] = "GRPC"
        (directory / "envoy.json").write_text(json.dumps(said))
        with (directory / "envoy.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                envoy_binary(),
                *("-c", str(directory / "envoy.json"), "--use-dynamic-base-id"),
                *("--concurrency", "1", "-l", "warn", "--drain-time-s", "1"),
                stderr=log,
            )
        made_proxy = Proxy(view, directory)
        try:
            async with asyncio.timeout(DEADLINE):
                while not await _live(made_proxy):
                    assert process.returncode is None, made_proxy.log
                    await asyncio.sleep(0.02)
            yield made_proxy
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _live(proxy: Proxy) -> bool:
    try:
        found = await proxy.stats(r"^server\.state$|^listener_manager\.workers_started$")
    except Exception:  # noqa: BLE001 - it is starting
        return False
    return found.get("server.state") == 0 and found.get("listener_manager.workers_started") == 1


@contextmanager
def directory_of_certificates() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="weft-certs-") as made:
        yield Path(made)
