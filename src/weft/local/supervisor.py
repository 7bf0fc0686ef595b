"""All workloads of a runner: started, stopped and shown by name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from weft.errors import NotFound
from weft.local.parts import Surroundings
from weft.local.replica import Replica, State
from weft.manifests.workload import Workload


class Supervisor:
    def __init__(self, workloads: Sequence[Workload], around: Surroundings) -> None:
        self.replicas = [
            Replica(workload, number, around)
            for workload in workloads
            for number in range(workload.replicas)
        ]
        self._around = around
        self._running = False

    async def run(self) -> None:
        """Keep every replica going, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._running = True
            for replica in self.replicas:
                tasks.create_task(replica.run(), name=replica.name)
            tasks.create_task(self._notice_changes(), name="changes")

    async def settled(self, seconds: float) -> bool:
        """Whether every replica has got where it can get for now, in that time."""
        return await self._around.board.until(
            lambda: all(replica.settled for replica in self.replicas), seconds
        )

    async def close(self) -> None:
        """Take everything down together."""
        if self._running:
            async with asyncio.TaskGroup() as tasks:
                for replica in self.replicas:
                    tasks.create_task(replica.stop(closing=True))

    # --- by name ---

    async def stop(self, name: str) -> dict[str, Any]:
        replicas = self.named(name)
        before = [replica.name for replica in replicas if not replica.wanted]
        async with asyncio.TaskGroup() as tasks:
            for replica in replicas:
                tasks.create_task(replica.stop())
        return _answer(replicas, before)

    async def start(self, name: str, seconds: float) -> dict[str, Any]:
        """Bring back, and wait a while until it runs or is known not to."""
        replicas = self.named(name)
        before = [replica.name for replica in replicas if replica.wanted]
        for replica in replicas:
            replica.start()
        await self._around.board.until(
            lambda: (
                all(replica.state in (State.RUNNING, State.RESTARTING) for replica in replicas)
                or any(replica.waits_for for replica in replicas)
            ),
            seconds,
        )
        return _answer(replicas, before)

    async def restart(
        self, name: str, workloads: Mapping[str, Workload], seconds: float
    ) -> dict[str, Any]:
        """Replace one replica after the other, from what the files say now."""
        replicas = self.named(name)
        found = []
        for replica in replicas:
            workload = workloads.get(replica.workload.name)
            if workload is None:
                raise NotFound(
                    f"the files no longer have a workload {replica.workload.name}",
                    fix=f"put it back, or take it down: weft stop {replica.workload.name}",
                )
            began = self._around.clock.monotonic()
            changed = workload != replica.workload
            paused = await replica.replace(workload, seconds)
            took = round(self._around.clock.monotonic() - began, 3)
            found.append(
                {
                    **replica.to_json(),
                    "paused": paused,
                    "changed": changed,
                    "seconds": took,
                }
            )
        return {"replicas": found}

    def named(self, name: str) -> list[Replica]:
        """``web`` is all replicas of a workload, ``web/1`` one of them."""
        if found := [each for each in self.replicas if each.workload.name == name]:
            return found
        workload, _, number = name.rpartition("/")
        if found := [
            each
            for each in self.replicas
            if each.workload.name == workload and str(each.number) == number
        ]:
            return found
        known = list(dict.fromkeys(each.workload.name for each in self.replicas))
        known += [each.name for each in self.replicas if each.name not in known]
        near = get_close_matches(name, known, n=1, cutoff=0.6)
        raise NotFound(
            f"there is no workload {name!r}",
            fix=f"did you mean {near[0]!r}?"
            if near
            else f"known are {', '.join(known)}"
            if known
            else "this weft up runs no workloads; start it with -f weft.yaml",
        )

    def to_json(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for replica in self.replicas:
            entry = found.setdefault(
                replica.workload.name,
                {
                    "name": replica.workload.name,
                    "source": replica.workload.source,
                    "sidecar": replica.workload.sidecar,
                    "replicas": [],
                },
            )
            entry["replicas"].append(replica.to_json())
        return list(found.values())

    async def _notice_changes(self) -> None:
        watch = self._around.watch
        while True:
            seen = watch.topology
            for replica in self.replicas:
                replica.notice()
            await self._around.board.until(lambda: watch.topology is not seen)  # noqa: B023 - awaited here


def _answer(replicas: Sequence[Replica], unchanged: Sequence[str]) -> dict[str, Any]:
    return {
        "replicas": [replica.to_json() for replica in replicas],
        "unchanged": list(unchanged),
    }
