"""
``weft up``: the control plane and the workloads of some files, on this machine, until told to stop.

    Coming up ──ready──▶ Up ──SIGINT, SIGTERM──▶ Going down ──▶ gone, exit 0
        ├──cannot──▶ Going down ──▶ gone, the reason is raised
        └──SIGINT, SIGTERM──▶ Going down ──▶ gone, exit 130 or 143

Down goes everything in order: traffic, workloads with their sidecars, control
plane. A second signal cuts every patience short, a third one cuts it off.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from weft.clock import Clock, SystemClock
from weft.errors import BadRequest, CannotStart, Invalid, Problem, TimedOut, WeftError
from weft.local import preflight, serving
from weft.local.applying import Applying, apply
from weft.local.board import Board
from weft.local.client import ControlPlane
from weft.local.control import MAX_PATH_BYTES, ControlServer
from weft.local.isolation import Isolate, Isolation, as_asked
from weft.local.kept import Kept
from weft.local.lock import locked
from weft.local.netns import Network
from weft.local.output import LogStream
from weft.local.parts import THIS_PROGRAM, Surroundings
from weft.local.ports import PortPool
from weft.local.processes import Processes
from weft.local.replica import State
from weft.local.residents import Residents
from weft.local.supervisor import Supervisor
from weft.local.traffic import Traffic
from weft.local.watch import Watch
from weft.manifests import specs
from weft.manifests.files import Loaded, load
from weft.manifests.workload import Workload
from weft.settings import Address, Setting, Settings

CONTROL_PLANE_SECONDS = 60.0
SETTLED_SECONDS = 90.0
ACCEPTED_SECONDS = 20.0
START_SECONDS = 45.0
CONTROL_PLANE_GRACE_SECONDS = 8.0
REQUESTS_PER_SECOND = 10.0


@dataclass(frozen=True, slots=True)
class Invitation:
    """What is said once everything is up."""

    urls: tuple[tuple[str, str], ...] = ()
    """What is there, and where."""
    commands: tuple[str, ...] = ()
    """What is worth trying."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """All that ``weft up`` can be told."""

    settings: Settings
    files: tuple[str, ...] = ()
    mesh: str | None = None
    """Fills in the mesh name where the files leave it open."""
    applying: Applying = Applying.EVERYTHING
    color: str = "auto"
    fold_seconds: float = 0.0
    """On a terminal, show a line that repeats itself no more often than that."""
    traffic: tuple[Address, str] | None = None
    """Where light traffic goes: address and path."""
    invite: Callable[[Settings], Invitation] = field(default=lambda _: Invitation())
    setting_of_port: Mapping[int, Setting] = field(default_factory=dict)
    """The flag behind a port that a file fixes."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    weft: tuple[str, ...] = THIS_PROGRAM
    isolate: Isolate = Isolate.NO
    """Whether each workload gets a network namespace of its own."""


def up(options: UpOptions) -> int:
    """Run until told to stop; a WeftError says why that is not possible."""
    loaded = load(options.files, options.environment, mesh=options.mesh)
    if loaded.templates:
        said = "a CloudFormation template is for weft apply, not for weft up"
        raise Invalid(Problem(f"{each.path}:1", said) for each in loaded.templates)
    specs.check(loaded.definitions)
    isolation, why_not = as_asked(options.isolate, options.environment, loaded.workloads)
    with locked(options.settings.data):
        preflight.check(
            options.settings,
            loaded.workloads,
            options.environment,
            setting_of_port=options.setting_of_port,
            isolated=isolation is not None,
        )
        runner = Runner(options, loaded, SystemClock(), isolation)
        if why_not:
            runner.say_first(f"not isolated: {why_not}; workloads run in explicit mode")
        return asyncio.run(runner.run())


class Runner:
    def __init__(
        self,
        options: UpOptions,
        loaded: Loaded,
        clock: Clock,
        isolation: Isolation | None = None,
    ) -> None:
        self._options = options
        self._loaded = loaded
        self._clock = clock
        self._ports = PortPool()
        self._settings = serving.with_ports(options.settings, self._ports)
        self._said_first: list[str] = []
        self._directory: str | None = None
        if isolation is not None:
            socket = self._settings.xds_socket or self._settings.data / "xds.sock"
            if len(os.fsencode(socket)) > MAX_PATH_BYTES:
                self._directory = tempfile.mkdtemp(prefix="weft-")
                socket = Path(self._directory) / "xds.sock"
            self._settings = replace(self._settings, xds_socket=socket)
        self._log = LogStream(
            clock=clock,
            color=options.color,
            as_json=options.settings.log_format == "json",
            environment=options.environment,
            on_broken=self._on_broken_output,
            fold_seconds=options.fold_seconds,
        )
        self._board = Board()
        self._processes = Processes()
        self._client = ControlPlane(self._settings.api)
        self._watch = Watch(self._client, self._board)
        self._network: Network | None = None
        if isolation is not None:
            run = self._settings.data / "run"
            self._network = Network(
                isolation, self._processes, run, lambda line: self._log.note("network", line)
            )
        self._around = Surroundings(
            control_plane=self._client,
            watch=self._watch,
            processes=self._processes,
            ports=self._ports,
            board=self._board,
            log=self._log,
            clock=clock,
            xds=serving.xds_for_sidecars(self._settings)
            if isolation is None
            else f"unix:{self._settings.xds_socket}",
            data=self._settings.data,
            environment=options.environment,
            weft=options.weft,
            network=self._network,
            residents=None
            if isolation is None
            else Residents(loaded.workloads, ipv6=isolation.ipv6),
        )
        self._control_plane = self._kept_control_plane()
        self._supervisor = Supervisor(loaded.workloads, self._around)
        self._control = ControlServer(self._settings.data, self._handle)
        self._started = clock.monotonic()
        self._told = asyncio.Event()
        self._signals: list[int] = []
        self._is_up = False
        self._failure: WeftError | None = None

    def say_first(self, sentence: str) -> None:
        """Once it runs."""
        self._said_first.append(sentence)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup has a hang-up ignored, and means it.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self._on_signal, number)
        try:
            async with self._processes, asyncio.TaskGroup() as tasks:
                await self._from_start_to_end(tasks)
        except* WeftError as found:
            self._failure = _first(found)
        finally:
            self._ports.close()
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
            self._log.close()
        if self._failure is not None:
            raise self._failure
        if not self._is_up and self._signals:
            return 128 + self._signals[0]
        return 0

    async def _from_start_to_end(self, tasks: asyncio.TaskGroup) -> None:
        owned: list[asyncio.Task[None]] = []

        def own(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            owned.append(tasks.create_task(work, name=name))
            return owned[-1]

        coming = own(self._come_up(own), "coming up")
        await self._told.wait()
        coming.cancel()
        await asyncio.wait({coming})
        self._log.say()
        self._log.say("stopping")
        for task in owned:
            if task.get_name() == "traffic":
                task.cancel()
        await self._supervisor.close()
        if self._network is not None:
            await self._network.close()
        await self._control.close()
        await self._control_plane.end(CONTROL_PLANE_GRACE_SECONDS)
        for task in owned:
            task.cancel()

    # --- coming up ---

    async def _come_up(self, own: Callable[[Coroutine[Any, Any, None], str], object]) -> None:
        try:
            self._greet()
            if self._network is not None:
                await self._network.open()
                own(self._watch_network(self._network), "network")
            own(self._control_plane.run(), serving.NAME)
            await self._until_it_answers()
            await apply(self._client, self._loaded, self._options.applying, self._log)
            await self._watch.refresh()
            own(self._watch.run(), "watch")
            await self._control.start()
            own(self._supervisor.run(), "workloads")
            if self._supervisor.replicas:
                await self._until_settled()
            if self._options.traffic is not None:
                own(self._traffic(*self._options.traffic).run(), "traffic")
            self._invite()
            self._is_up = True
        except WeftError as error:
            self._failure = error
            self._told.set()

    async def _watch_network(self, network: Network) -> None:
        """Without it nobody reaches anybody: better an end that is seen."""
        await asyncio.wait({network.hub_gone})
        if not self._told.is_set():
            self._failure = CannotStart("the network of the workloads ended by itself")
            self._told.set()

    def _greet(self) -> None:
        names = [replica.name for replica in self._supervisor.replicas]
        self._log.expect([serving.NAME, *names])
        try:
            own = version("weft")
        except PackageNotFoundError:
            own = ""
        self._log.say(f"weft {own}".rstrip() + f"   data {_short(self._settings.data)}")
        for sentence in self._said_first:
            self._log.say(f"  ! {sentence}")

    async def _until_it_answers(self) -> None:
        began = self._clock.monotonic()
        await self._board.until(
            lambda: self._control_plane.ready or self._control_plane.exits > 0,
            CONTROL_PLANE_SECONDS,
        )
        if not self._control_plane.ready:
            why = "ended" if self._control_plane.exits else "does not answer"
            raise CannotStart(f"the control plane {why}", fix="its own words are above")
        self._log.done(
            f"control plane   API http://{self._client.address}   xDS {self._settings.xds}   "
            f"{self._clock.monotonic() - began:.1f} s"
        )

    async def _until_settled(self) -> None:
        began = self._clock.monotonic()
        await self._supervisor.settled(SETTLED_SECONDS)
        accepted = ""
        try:
            settled = await self._client.wait(None, ACCEPTED_SECONDS)
        except TimedOut as error:
            accepted = f"; {error.message}"
        except WeftError as error:
            accepted = f"; {error.message}; weft get proxies tells more"
        else:
            if settled.get("total"):
                accepted = f", {settled['accepted']} of {settled['total']} proxies are settled"
        replicas = self._supervisor.replicas
        running = [replica for replica in replicas if replica.state is State.RUNNING]
        said = f"{len(running)} of {len(replicas)} workloads run" + accepted
        seconds = f"   {self._clock.monotonic() - began:.1f} s"
        if len(running) == len(replicas):
            self._log.done(said + seconds)
        else:
            others = ", ".join(
                f"{replica.name} is {replica.state}"
                for replica in replicas
                if replica not in running
            )
            self._log.say(f"  ! {said}: {others}{seconds}")

    def _invite(self) -> None:
        ready = f"Ready in {self._clock.monotonic() - self._started:.1f} s."
        if not self._loaded.definitions and not self._loaded.workloads:
            mesh = "" if self._watch.topology else " No mesh yet."
            self._log.say(f"{ready}{mesh} Try:  weft demo   or   weft up -f weft.yaml")
            if Path("weft.yaml").is_file():
                self._log.say("There is a weft.yaml here:  weft up -f weft.yaml")
        else:
            self._log.say(ready)
        invitation = self._options.invite(self._settings)
        urls = [*invitation.urls, *self._gateways()]
        if urls:
            self._log.say()
        for what, url in urls:
            self._log.say(f"  {what:<10} {url}")
        if invitation.commands:
            self._log.say()
            self._log.say("Try, in another terminal:")
        for command in invitation.commands:
            self._log.say(f"  {command}")
        self._log.say()

    def _gateways(self) -> Iterator[tuple[str, str]]:
        """Where virtual gateways are reached."""
        for replica in self._supervisor.replicas:
            for url in replica.urls.values():
                yield replica.name, url

    # --- while up ---

    async def _handle(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        name = message.get("workload")
        match message.get("op"):
            case "status":
                return self._status()
            case "stop" if isinstance(name, str):
                return await self._supervisor.stop(name)
            case "start" if isinstance(name, str):
                return await self._supervisor.start(name, START_SECONDS)
            case "restart" if isinstance(name, str):
                return await self._supervisor.restart(name, self._reread(), START_SECONDS)
            case "stop" | "start" | "restart":
                raise BadRequest("which workload?", fix='give "workload": NAME')
            case op:
                raise BadRequest(
                    f"{op!r} is no operation", fix="use status, stop, start or restart"
                )

    def _reread(self) -> dict[str, Workload]:
        """The workloads as the files have them now."""
        options = self._options
        loaded = load(options.files, options.environment, mesh=options.mesh)
        return {each.name: each for each in loaded.workloads}

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "ready": self._is_up,
            "data": str(self._settings.data),
            "api": f"http://{self._client.address}",
            "xds": str(self._settings.xds),
            "controlPlane": {
                "pid": self._control_plane.pid,
                "ready": self._control_plane.ready,
                "restarts": self._control_plane.exits,
            },
            "workloads": self._supervisor.to_json(),
        }

    def _traffic(self, address: Address, path: str) -> Traffic:
        return Traffic(
            address,
            path,
            per_second=REQUESTS_PER_SECOND,
            note=lambda text: self._log.note("traffic", text),
            clock=self._clock,
        )

    # --- parts ---

    def _kept_control_plane(self) -> Kept:
        return serving.kept_control_plane(
            self._settings,
            self._client,
            weft=self._around.weft,
            environment=self._options.environment,
            processes=self._processes,
            ports=self._ports,
            board=self._board,
            log=self._log,
            clock=self._clock,
        )

    def _on_signal(self, number: int) -> None:
        self._signals.append(number)
        match len(self._signals):
            case 1:
                self._told.set()
            case 2:
                self._log.say("at once, then")
                self._processes.hurry()
            case _:
                self._processes.kill()

    def _on_broken_output(self) -> None:
        """Nobody reads us any more."""
        self._told.set()


def _first(group: BaseExceptionGroup[WeftError]) -> WeftError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)
