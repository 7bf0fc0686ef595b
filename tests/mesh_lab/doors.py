"""Virtual gateways of the lab: a sidecar without a workload, and what clients outside get from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.envoy.running import Answer, ask
from tests.envoy.sidecar_harness import Sidecar
from tests.mesh_lab.lab import Lab, until


@dataclass
class Door:
    """A gateway's listeners, at their sockets."""

    sockets: dict[int, int]
    sidecar: Sidecar

    async def get(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        method: str = "GET",
    ) -> Answer:
        """One request on a connection of its own; at the only listener if none is named."""
        given = {"Host": "outside.example", **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in given.items())]
        return await ask(self.socket(port), "\n".join(lines))

    async def says(self, path: str, headers: Mapping[str, str] | None = None, **how: object) -> str:
        """The body, or the status where that is not 200."""
        found = await self.get(path, headers, **how)  # type: ignore[arg-type]
        return found.body if found.status == 200 else str(found.status)

    async def replies(self, path: str, count: int) -> Counter[str]:
        return Counter([await self.says(path) for _ in range(count)])

    async def fits(self, path: str, expected: set[str]) -> None:
        """Until twenty replies in a row are of these, and each of these was among them."""

        async def so() -> bool:
            return set(await self.replies(path, 20)) == expected

        await until(so, 10)

    def socket(self, port: int | None) -> int:
        if port is not None:
            return self.sockets[port]
        (socket,) = self.sockets.values()
        return socket


async def door(weft: Lab, mesh: str, gateway: str, *listeners: int) -> Door:
    """A sidecar for a virtual gateway, ready."""
    weft.workloads += 1
    directory = weft.directory / f"{gateway}-{weft.workloads}"
    directory.mkdir()
    arguments = [
        *("--proxy", f"mesh/{mesh}/virtualGateway/{gateway}"),
        *("--instance", f"i{weft.workloads}"),
    ]
    for listener in listeners:
        arguments += ["--ingress", f"{listener}=0"]
    sidecar = Sidecar(directory, str(weft.running.settings.xds), *arguments)
    weft.sidecars.append(await sidecar.start())
    ports = (await sidecar.ready())["ports"]
    return Door({each["listener"]: each["socket"] for each in ports["ingress"]}, sidecar)
