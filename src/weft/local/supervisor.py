"""All workloads of a runner: started, stopped and shown by name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from weft.errors import CannotStart, NotFound, WeftError
from weft.local.parts import Surroundings
from weft.local.replica import Replica, State
from weft.manifests.workload import Workload

KNOWN_SECONDS = 5.0
"""How long the proxies get to accept a new replica before the old one goes."""


class Supervisor:
    def __init__(self, workloads: Sequence[Workload], around: Surroundings) -> None:
        self.replicas = [
            Replica(workload, number, around)
            for workload in workloads
            for number in range(workload.replicas)
        ]
        self._around = around
        self._tasks: asyncio.TaskGroup | None = None
        self._lives: dict[Replica, asyncio.Task[None]] = {}
        self._restarting = asyncio.Lock()

    async def run(self) -> None:
        """Keep every replica going, until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            for replica in self.replicas:
                self._keep(self._tasks, replica)
            self._tasks.create_task(self._notice_changes(), name="changes")

    def _keep(self, tasks: asyncio.TaskGroup, replica: Replica) -> None:
        self._lives[replica] = tasks.create_task(replica.run(), name=replica.name)

    async def settled(self, seconds: float) -> bool:
        """Whether every replica has got where it can get for now, in that time."""
        return await self._around.board.until(
            lambda: all(replica.settled for replica in self.replicas), seconds
        )

    async def close(self) -> None:
        """Take everything down together."""
        if self._tasks is not None:
            async with asyncio.TaskGroup() as tasks:
                for replica in self._lives:
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
        async with self._restarting:
            return {"replicas": await self._restarted(self.named(name), workloads, seconds)}

    async def _restarted(
        self, replicas: Sequence[Replica], workloads: Mapping[str, Workload], seconds: float
    ) -> list[dict[str, Any]]:
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
            paused = None
            if replica.isolated:
                replica = await self._another(replica, workload, seconds)
            else:
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
        return found

    async def _another(self, before: Replica, workload: Workload, seconds: float) -> Replica:
        """
        A replica in a namespace of its own beside one that runs, and then in its place.

        First all proxies know the new one, then none any longer the old one, and then it goes.
        """
        around = self._around
        assert self._tasks is not None
        after = Replica(workload, before.number, around, side=1 - before.side, beside=before)
        self._keep(self._tasks, after)
        await around.board.until(
            lambda: after.state in (State.RUNNING, State.RESTARTING) or bool(after.waits_for),
            seconds,
        )
        if after.state is not State.RUNNING:
            await self._gone(after)
            why = f"waits for {after.waits_for}" if after.waits_for else "does not run"
            raise CannotStart(
                f"the new {before.name} {why}; the old one goes on",
                fix="its own words are in the log of weft up",
            )
        with contextlib.suppress(WeftError):
            await around.control_plane.wait(None, KNOWN_SECONDS)
        after.take_ways(before)
        self.replicas[self.replicas.index(before)] = after
        await self._gone(before)
        return after

    async def _gone(self, replica: Replica) -> None:
        await replica.stop()
        task = self._lives.pop(replica)
        task.cancel()
        await asyncio.wait({task})

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
