"""A virtual gateway of the lab: a sidecar without a workload, asked from outside."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.envoy.running import Answer, ask
from tests.envoy.sidecar_harness import Sidecar
from tests.mesh_lab.lab import Lab, Workload, until
from weft.names import Key, Kind


@dataclass
class Front:
    """A gateway's listener, and its proxy."""

    proxy: Workload
    port: int

    async def get(self, path: str, host: str = "any") -> Answer:
        return await ask(self.port, f"GET {path} HTTP/1.1\nHost: {host}")

    async def replies(self, path: str, count: int) -> Counter[str]:
        """The bodies of so many requests, or the status where that is not 200."""
        answers = [await self.get(path) for _ in range(count)]
        return Counter(a.body if a.status == 200 else str(a.status) for a in answers)

    async def fits(self, path: str, expected: set[str]) -> None:
        """Until twenty replies in a row are of these, and each of these was among them."""

        async def so() -> bool:
            return set(await self.replies(path, 20)) == expected

        await until(so, 10)


async def gateway(lab: Lab, mesh: str, name: str, listener: int) -> Front:
    """A proxy for a virtual gateway, ready."""
    lab.workloads += 1
    directory = lab.directory / f"{name}-{lab.workloads}"
    directory.mkdir()
    sidecar = Sidecar(
        directory,
        str(lab.running.settings.xds),
        *("--proxy", f"mesh/{mesh}/virtualGateway/{name}", "--ingress", f"{listener}=0"),
    )
    lab.sidecars.append(await sidecar.start())
    found = await sidecar.ready()
    key = Key(mesh, Kind.VIRTUAL_GATEWAY, name)
    proxy = Workload(key, sidecar, found["ports"]["egress"], envoy_pid=found["envoy"])
    return Front(proxy, found["ports"]["ingress"][0]["socket"])
