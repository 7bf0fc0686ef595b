"""
One replica of a workload: its sidecar, its app and its place in the registry.

    Stopped ──start──▶ Waiting ──virtual node there──▶ Starting ──all ready, registered──▶ Running
       ▲                  ▲                                ▲                                 │
       │                  │ another has a port             └──ready again── Restarting ◀─exit┤
       └──all gone── Stopping ◀──────────────────────── stop ────────────────────────────────┘

App and sidecar are restarted each on its own, with the same ports, so that a
sidecar finds its last accepted configuration again and the other one stays up.
Running is also left and entered again in place: see ``replacement``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from weft.errors import Conflict, WeftError
from weft.local import outside, replacement
from weft.local import plan as plans
from weft.local.addressing import hosts
from weft.local.kept import Kept, PortsTaken
from weft.local.netns import Room, machine_hosts
from weft.local.parts import Surroundings, kept_app, kept_sidecar
from weft.local.plan import NotYet, Plan
from weft.local.ports import LOOPBACK
from weft.local.registration import Registration
from weft.local.topology import Needs
from weft.manifests.workload import Workload
from weft.sidecar.wakeup import RENEW_SIGNAL

DRAIN_SECONDS = 9.0
"""The sidecar's own drain time, and what it takes to end Envoy after that."""
CLOSING_DRAIN_SECONDS = 1.0
GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL for an app."""
_RETRY_SECONDS = 1.0


class State(StrEnum):
    STOPPED = "stopped"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"


class _Unwanted(Exception):
    """The replica is to be stopped."""


class Replica:
    def __init__(
        self,
        workload: Workload,
        number: int,
        around: Surroundings,
        *,
        side: int = 0,
        beside: Replica | None = None,
    ) -> None:
        """``beside`` one that runs, whose place it is to take: what is there once stays that one's."""
        self.workload = workload
        self.number = number
        self.side = side
        self.name = plans.name_of(workload, number)
        self.instance = plans.instance_of(workload, number, side)
        self._slot = plans.instance_of(workload, number)
        self._has_ways = beside is None
        """Whether the machine's ports that lead into its namespace are its own."""
        self._ways: tuple[tuple[int, int], ...] = ()
        self._inherited = beside.published if beside is not None else None
        self.waits_for = ""
        """What keeps it in the state Waiting."""
        self._around = around
        self._phase = State.WAITING
        self._wanted = True
        self._closing = False
        self._plan: Plan | None = None
        self._app: Kept | None = None
        self._sidecar: Kept | None = None
        self._registration: Registration | None = None
        self._room: Room | None = None
        self._noticed: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._successor: Kept | None = None
        """An app that is to take the place of the present one."""
        self._replacing = asyncio.Lock()

    # --- for the supervisor ---

    @property
    def state(self) -> State:
        if self._phase is not State.STARTING:
            return self._phase
        if self._all_ready() and (self._registration is None or self._registration.held):
            return State.RUNNING
        if any(part.failing for part in self._parts):
            return State.RESTARTING
        return State.STARTING

    @property
    def settled(self) -> bool:
        """Whether it has got where it can get, unless something happens."""
        if self.state is State.WAITING:
            return bool(self.waits_for)
        return self.state in (State.RUNNING, State.RESTARTING, State.STOPPED)

    @property
    def wanted(self) -> bool:
        return self._wanted

    @property
    def isolated(self) -> bool:
        """Whether it runs, in a network namespace of its own."""
        return self._room is not None and self.state is State.RUNNING

    @property
    def published(self) -> tuple[tuple[int, int], ...]:
        """Listener, and the port of the machine that leads there."""
        return self._ways

    def take_ways(self, before: Replica) -> None:
        """From now on the machine's ports lead here, and no longer to another."""
        around = self._around
        assert around.network is not None
        assert around.residents is not None
        assert self._plan is not None
        home = around.residents.home(self.workload, self.number, self.side)
        for port, target in self._plan.forwards:
            around.network.lead(f"{self._slot}:{port}", home.v4, target)
        around.residents.move(self.workload, self.number, self.side)
        self._has_ways, before._has_ways = True, False

    async def run(self) -> None:
        """One life after the other, until cancelled."""
        while True:
            await self._around.board.until(lambda: self._wanted)
            with contextlib.suppress(_Unwanted):
                plan = await self._possible_plan()
                await self._live(plan)
            if not self._wanted:
                self._enter(State.STOPPED)

    @property
    def urls(self) -> Mapping[int, str]:
        """Where a gateway is reached, by listener."""
        return outside.urls(self._plan) if self._plan is not None else {}

    def start(self) -> None:
        self._wanted = True
        self._around.board.poke()

    async def stop(self, *, closing: bool = False) -> None:
        """Take it down in order; ``closing``: with all the others, so none need be told first."""
        self._closing = self._closing or closing
        self._wanted = False
        self._around.board.poke()
        await self._around.board.until(lambda: self._phase is State.STOPPED or self._wanted)

    async def replace(self, workload: Workload, seconds: float) -> str | None:
        """
        Another process in its place, as the workload is written now.

        None: nobody noticed; else why there was a pause. WeftError: the old one goes on.
        """
        async with self._replacing:
            if not self._wanted:
                self.workload = workload
                return "it is stopped, and will start with it"
            why: str | None = "it was not running"
            if self.state is State.RUNNING and self._plan is not None:
                needs = self._needs(workload)
                why = replacement.obstacle(self.workload, workload, self._plan.needs, needs)
                if why is None:
                    await self._replace_in_place(workload, needs)
                    return None
            await self.stop()
            self.workload = workload
            self.start()
            await self._around.board.until(
                lambda: self.state in (State.RUNNING, State.RESTARTING) or bool(self.waits_for),
                seconds,
            )
            return why

    def notice(self) -> None:
        """Say how its virtual node has outgrown it, each thing once."""
        if self._room is not None and self._around.network is not None:
            self._around.network.files(self.instance).renew_hosts(self._hosts())
        if self._plan is None or self.workload.node is None or self._phase is not State.STARTING:
            return
        needs = self._around.watch.topology.needs(self.workload.node)
        found = plans.outgrown(self._plan, needs)
        for sentence in found:
            if sentence not in self._noticed:
                self._note(sentence)
        self._noticed = set(found)

    def to_json(self) -> dict[str, Any]:
        node = self.workload.node
        found: dict[str, Any] = {
            "name": self.name,
            "workload": self.workload.name,
            "replica": self.number,
            "state": self.state.value,
            "mesh": node.mesh if node else None,
            "virtualNode": node.name if node and not self.workload.is_gateway else None,
            "virtualGateway": node.name if node and self.workload.is_gateway else None,
            "instance": self.instance,
            "pid": self._app.pid if self._app else None,
            "sidecarPid": self._sidecar.pid if self._sidecar else None,
            "restarts": sum(part.exits for part in self._parts),
            "waitsFor": self.waits_for or None,
        }
        if self._room is not None:
            home = self._room.home
            found |= {"ipv4": home.v4, "ipv6": home.v6, "enter": self._room.enter}
        if self._plan is not None:
            found |= _ports_json(self._plan)
        return found

    # --- waiting ---

    async def _possible_plan(self) -> Plan:
        """A plan with its ports held, as soon as the mesh and the machine allow one."""
        around = self._around
        self._enter(State.WAITING)
        while self._wanted:
            seen = around.watch.topology
            try:
                plan = self._planned()
            except NotYet as reason:
                self._wait_for(str(reason))
            else:
                self.waits_for = ""
                return plan
            await around.board.until(
                lambda: not self._wanted or around.watch.topology is not seen,  # noqa: B023 - awaited here
                _RETRY_SECONDS,
            )
        raise _Unwanted

    def _wait_for(self, reason: str) -> None:
        if reason != self.waits_for:
            self.waits_for = reason
            self._note(f"waits for {reason}")
            self._around.board.poke()

    def _planned(self) -> Plan:
        around = self._around
        needs = self._needs(self.workload)
        demand = plans.demand(self.workload, needs)
        held: list[int] = []

        def take() -> int:
            held.append(around.ports.take())
            return held[-1]

        def own(port: int) -> int:
            try:
                around.ports.hold_fixed(port)
            except NotYet:
                return take()
            held.append(port)
            return port

        try:
            if around.residents is not None:
                published = self._inherited
                if published is None:
                    for port in outside.fixed(self.workload, demand):
                        around.ports.hold_fixed(port)
                        held.append(port)
                    published = outside.published(self.workload, demand, own)
                # Only while it is beside another; later it holds them itself.
                self._ways, self._inherited = published, None
                home = around.residents.home(self.workload, self.number, self.side)
                place = replace(self._place(), home=home, published=published)
                return plans.plan(self.workload, self.number, needs, plans.alone(demand), place)
            for port in demand.fixed:
                around.ports.hold_fixed(port)
                held.append(port)
            ports = plans.allocation(demand, take, own)
            return plans.plan(self.workload, self.number, needs, ports, self._place())
        except NotYet:
            around.ports.release(*held)
            raise

    def _needs(self, workload: Workload) -> Needs | None:
        node = workload.node
        return self._around.watch.topology.needs(node) if node is not None else None

    def _place(self) -> plans.Place:
        around = self._around
        return plans.Place(
            instance=self.instance,
            xds=around.xds,
            data=around.data,
            ready_file=around.ready_file(self.instance),
            apps_file=around.apps_file(self.instance),
            environment=around.environment,
        )

    # --- living ---

    async def _live(self, plan: Plan) -> None:
        """From the first process to the last one gone."""
        around = self._around
        self._plan, self._noticed = plan, set()
        room: Room | None = None
        try:
            room = await self._furnished(plan)
        except (WeftError, OSError) as error:
            self._wait_for(str(error))
            around.ports.release(*(port for port, _ in plan.forwards))
            self._plan = None
            await around.board.until(lambda: not self._wanted, _RETRY_SECONDS)
            return
        if plan.sidecar is not None and room is None:
            replacement.tell(around.apps_file(self.instance), plan.allocation.apps)
        # A gateway is a sidecar alone.
        self._app = kept_app(self.name, plan, around, self._note, room) if plan.command else None
        self._sidecar = kept_sidecar(self.name, self.instance, plan, around, self._note, room)
        if plan.node is not None and plan.addresses:
            self._registration = Registration(
                plan.node,
                self.instance,
                plan.addresses,
                is_ready=self._all_ready,
                control_plane=around.control_plane,
                board=around.board,
                note=self._note,
            )
        self._enter(State.STARTING)
        taken = ""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                tasks = self._tasks
                if self._sidecar is not None:
                    tasks.create_task(self._sidecar.run(), name=f"{self.name} sidecar")
                if self._app is not None:
                    tasks.create_task(self._run_app(self._app, self._sidecar), name=self.name)
                if self._registration is not None:
                    tasks.create_task(self._registration.run(), name=f"{self.name} registration")
                await self._until_unwanted()
        except* _Unwanted:
            pass
        except* PortsTaken as found:
            taken = str(found.exceptions[0])
        finally:
            await self._end(self._plan)
        if taken:
            self._note(f"{taken}; it is started anew")

    async def _furnished(self, plan: Plan) -> Room | None:
        """Where workloads are isolated: its namespace, with the ways into it from the machine."""
        around = self._around
        if around.network is None or around.residents is None:
            return None
        home = around.residents.home(self.workload, self.number, self.side)
        room = self._room = await around.network.room(
            home, self.instance, self._hosts(), own_names=self._has_mesh_dns
        )
        for port, target in plan.forwards if self._has_ways else ():
            around.ports.release(port)
            try:
                around.network.forward(f"{self._slot}:{port}", port, home.v4, target)
            except OSError:
                await self._leave_room(plan)
                raise
        return room

    async def _leave_room(self, plan: Plan) -> None:
        room, self._room = self._room, None
        if room is not None and self._around.network is not None:
            if self._has_ways:
                self._around.network.unforward(
                    *(f"{self._slot}:{port}" for port, _ in plan.forwards)
                )
            await room.close()

    def _hosts(self) -> str:
        assert self._around.residents is not None
        mesh = self.workload.node.mesh if self.workload.node is not None else None
        needs = self._needs(self.workload) if self._has_mesh_dns else None
        answered = {each.service.lower() for each in needs.backends} if needs else set()
        names = self._around.residents.names(self._around.watch.topology, mesh, answered)
        return hosts(machine_hosts(), names)

    @property
    def _has_mesh_dns(self) -> bool:
        """Whether its sidecar answers names; a gateway's has nobody to answer."""
        return self.workload.sidecar and not self.workload.is_gateway

    async def _until_unwanted(self) -> None:
        await self._around.board.until(lambda: not self._wanted)
        raise _Unwanted

    async def _run_app(self, app: Kept, sidecar: Kept | None) -> None:
        # It may call others as soon as it runs.
        await self._around.board.until(lambda: sidecar is None or sidecar.ready)
        await app.run()

    async def _end(self, plan: Plan) -> None:
        """Deregister, let the others accept that, drain the sidecar, stop the app."""
        self._enter(State.STOPPING)
        if self._registration is not None:
            await self._registration.leave(settle=not self._closing)
        app, sidecar = self._app, self._sidecar
        if self._successor is not None:
            await self._successor.end(GRACE_SECONDS, group=True)
        if sidecar is not None and not self._closing:
            await sidecar.end(DRAIN_SECONDS)
        elif sidecar is not None:
            # Nobody is left to be served: the app's going ends what is in flight.
            await sidecar.ask_to_end(CLOSING_DRAIN_SECONDS)
        if app is not None:
            await app.end(GRACE_SECONDS, group=True)
        if sidecar is not None:
            await sidecar.end(GRACE_SECONDS)
        await self._leave_room(plan)
        self._around.ports.release(*plan.allocation.app_ports, *plan.allocation.sidecar_ports)
        self._app = self._sidecar = self._registration = self._plan = None

    # --- another in its place ---

    async def _replace_in_place(self, workload: Workload, needs: Needs | None) -> None:
        around, before, old = self._around, self._plan, self._app
        assert before is not None
        if old is None:
            assert self._sidecar is not None, "a workload is an app, a sidecar or both"
            await replacement.renewed(self._sidecar, around.ready_file(self.instance))
            self.workload = workload
            return
        assert self._tasks is not None
        apps = {listener: around.ports.take() for listener in before.allocation.apps}
        try:
            allocation = replacement.moved(before.allocation, apps)
            plan = plans.plan(workload, self.number, needs, allocation, self._place())
        except NotYet as reason:
            around.ports.release(*apps.values())
            raise Conflict(f"the new one would wait for {reason}; the old one goes on") from None
        new = self._successor = kept_app(self.name, plan, around, self._note)
        self._note("a new one starts beside it")
        self._tasks.create_task(new.run(), name=f"{self.name} successor")
        try:
            await replacement.until_it_runs(new)
            await self._lead_to(plan, before)
        except BaseException:
            await new.end(GRACE_SECONDS, group=True)
            around.ports.release(*apps.values())
            self._successor = None
            raise
        self._app, self._plan, self._successor = new, plan, None
        self.workload = workload
        await old.end(GRACE_SECONDS, group=True)
        around.ports.release(*before.allocation.app_ports)
        self._note("the new one has its place")

    async def _lead_to(self, plan: Plan, before: Plan) -> None:
        """Requests go to a new app from now on; WeftError, and they go where they went."""
        around, sidecar = self._around, self._sidecar
        if sidecar is None:
            if self._registration is not None:
                await self._registration.move(plan.addresses)
            return
        apps_file = around.apps_file(self.instance)
        replacement.tell(apps_file, plan.allocation.apps)
        try:
            await replacement.renewed(sidecar, around.ready_file(self.instance))
        except WeftError:
            replacement.tell(apps_file, before.allocation.apps)
            sidecar.signal(RENEW_SIGNAL)
            raise

    # --- small ---

    @property
    def _parts(self) -> tuple[Kept, ...]:
        return tuple(part for part in (self._app, self._sidecar) if part is not None)

    def _all_ready(self) -> bool:
        return bool(self._parts) and all(part.ready for part in self._parts)

    def _enter(self, phase: State) -> None:
        self._phase = phase
        self._around.board.poke()

    def _note(self, text: str) -> None:
        self._around.log.note(self.name, text)


def _ports_json(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = {
        "appPorts": {str(listener): port for listener, port in plan.allocation.apps.items()},
        "addresses": dict(plan.addresses),
    }
    if urls := outside.urls(plan):
        found["urls"] = {str(listener): url for listener, url in urls.items()}
    if ports := plan.allocation.sidecar:
        found["egress"] = ports.egress
        found["backends"] = {
            f"{each.service}:{each.listener}": f"{LOOPBACK}:{each.socket}"
            for each in ports.backends
        }
    return found
