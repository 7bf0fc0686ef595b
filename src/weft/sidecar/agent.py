"""The sidecar: starts Envoy for one workload, watches it, keeps what it accepted, drains it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from subprocess import SubprocessError

from weft.errors import BadRequest, CannotStart, Unreachable
from weft.names import Mode, Ports, View
from weft.sidecar import drain, last_good, secrets, status, succession
from weft.sidecar.beside import Beside
from weft.sidecar.bootstrap import bootstrap, without_control_plane
from weft.sidecar.directory import Directory, with_free_ports
from weft.sidecar.envoy import Command, binary, how_it_ended
from weft.sidecar.furnished import asks_for_listeners, fixed_admin, furnished
from weft.sidecar.intercept import Interceptor
from weft.sidecar.is_ready import is_ready
from weft.sidecar.journal import Journal
from weft.sidecar.keeper import Keeper
from weft.sidecar.line import Ended, Line
from weft.sidecar.machine import most_connections, reachable
from weft.sidecar.naming import Naming
from weft.sidecar.options import Options
from weft.sidecar.prometheus import Page
from weft.sidecar.ready_file import ReadyFile
from weft.sidecar.registration import Registration, addresses_of
from weft.sidecar.renewal import Renewals, placed, tried
from weft.sidecar.succession import Facts, Life, Source, Step
from weft.sidecar.wakeup import Wakeup

_QUICK_SECONDS = 0.05
_STEADY_SECONDS = 0.5
_PROBE_SECONDS = 0.25
_QUIET_SECONDS = 60.0
_KILL_AFTER_SECONDS = 3.0


class Agent:
    """One sidecar from its first Envoy to its last."""

    def __init__(
        self,
        asked: Options,
        envoy: str,
        directory: Directory,
        wakeup: Wakeup,
        interceptor: Interceptor | None = None,
    ) -> None:
        self._asked = asked
        self._interceptor = interceptor
        self._mark = interceptor.mark if interceptor is not None else None
        self._envoy = envoy
        self._directory = directory
        self._wakeup = wakeup
        self._journal = Journal(hide_reconnects=asked.log_level not in ("trace", "debug", "info"))
        ports = Ports(asked.ingress, asked.egress, asked.backends)
        if asked.mode is Mode.EXPLICIT:
            ports = placed(with_free_ports(directory, ports), asked.apps)
        self._naming = Naming(asked, directory, self._warn)
        ports = replace(ports, dns=self._naming.port)
        image = asked.app_mesh
        self._view = View(
            asked.proxy,
            asked.mode,
            ports,
            metrics=image.metrics,
            tracing=image.tracing,
            sds=asked.sds_socket is not None,
        )
        self._line = Line(
            Command(
                binary=envoy,
                config="",
                admin="",
                hot_restart_socket=directory.socket("hot"),
                base_id_file=directory.socket("base-id"),
                log_level=asked.log_level,
                concurrency=asked.concurrency,
                drain_seconds=max(1, round(asked.drain_seconds)),
            ),
            directory,
            self._journal.envoy_line,
            admin=fixed_admin(image),
            asks=asks_for_listeners(image),
        )
        self._keeper = self._keeper_of_view()
        self._renewals = Renewals()
        self._watched = secrets.Watched(self._warn)
        self._restarts = 0
        self._in_a_row = 0
        self._next_start = 0.0
        self._stopping = False
        self._connected = False
        self._connected_since = time.time()
        self._version = ""
        self._ready_file = ReadyFile(asked.ready_file)
        self._standing = status.Standing(
            proxy=str(asked.proxy),
            instance=directory.instance,
            mode=asked.mode.value,
            ports=status.ports(ports),
            started=time.time(),
        )
        self._status = status.StatusServer(
            asked.status_port,
            status.Pages(
                lambda: self._standing, lambda: self._line.admin, time.time, Page(self._view)
            ),
            self._warn,
            asked.status_fd,
        )
        self._beside = Beside(
            image,
            self._view,
            asked.log_level,
            lambda: self._standing,
            lambda: self._line.admin,
            self._warn,
        )
        self._registration = None
        if asked.register is not None:
            self._registration = Registration(
                asked.register,
                asked.access,
                asked.proxy,
                directory.instance,
                addresses_of(ports.ingress, asked.addresses),
                self._journal.say,
                self._warn,
                self._mark,
            )
        self._max_connections = most_connections()

    def run(self) -> int:
        """Until told to stop: 0; or until Envoy has ended too often: 1."""
        for warning in self._asked.app_mesh.warnings:
            self._journal.say(warning, level="warning")
        try:
            self._advance()  # Before the first thread, and before anything that could wait.
            self._status.start()
            self._beside.start()
            self._naming.start(self._keeper.kept)
            if self._registration is not None:
                self._registration.start()
            while not self._wakeup.stops:
                self._wakeup.sleep(self._pause())
                self._reap()
                self._advance()
                self._renew()
                self._observe()
                self._keep()
                self._naming.know(self._keeper.kept)
                self._publish()
            self._drain()
        finally:
            self._stopping = True
            self._ready_file.remove()
            self._beside.stop()
            if self._registration is not None:
                self._registration.leave()
            self._line.end(grace_seconds=0 if self._wakeup.stops > 1 else _KILL_AFTER_SECONDS)
            self._naming.stop()
            self._status.stop()
        self._journal.say("stopped")
        return 0

    # --- which Envoy runs ---

    def _pause(self) -> float:
        serving = self._line.serving
        if serving is None:
            return max(_QUICK_SECONDS, self._next_start - time.monotonic())
        if serving.life is not Life.READY or len(self._line.runners) > 1:
            return _QUICK_SECONDS
        return _PROBE_SECONDS if serving.source is Source.LAST_ACCEPTED else _STEADY_SECONDS

    def _advance(self) -> None:
        if time.monotonic() < self._next_start:
            return
        match succession.decide(self._facts()):
            case Step.START_FROM_ADS:
                self._start(Source.ADS)
            case Step.START_FROM_LAST_ACCEPTED:
                self._journal.say(
                    f"the control plane at {self._asked.xds} is away: starting from the last accepted configuration"
                )
                self._start(Source.LAST_ACCEPTED)
            case Step.FALL_BACK:
                self._journal.say(
                    f"no configuration from {self._asked.xds} in {succession.PATIENCE_SECONDS:g} s: "
                    "starting from the last accepted one",
                    level="warning",
                )
                self._line.end(grace_seconds=0)
                self._start(Source.LAST_ACCEPTED)
            case Step.TAKE_OVER:
                self._journal.say(f"the control plane at {self._asked.xds} answers again")
                self._start(Source.ADS)
            case Step.START_AFRESH:
                self._journal.say(f"the control plane at {self._asked.xds} answers again")
                self._line.end(grace_seconds=0)
                self._start(Source.ADS)
            case Step.WAIT:
                pass

    def _facts(self) -> Facts:
        ads, last_accepted = self._line.of(Source.ADS), self._line.of(Source.LAST_ACCEPTED)
        waiting = ads or last_accepted
        return Facts(
            ads=ads.life if ads else Life.ABSENT,
            last_accepted=last_accepted.life if last_accepted else Life.ABSENT,
            kept=self._keeper.kept is not None,
            # Asked only where the answer matters: each time is a connection for the control plane.
            reachable=ads is None and reachable(self._asked.xds, self._mark),
            waited_seconds=waiting.envoy.age_seconds if waiting else 0.0,
        )

    def _renew(self) -> None:
        """Start a successor of the Envoy that serves, if one was asked for and it can be now."""
        asked = self._wakeup.renewals
        if asked != self._renewals.asked:
            self._renewals = Renewals(asked, self._renewals.done)
            try:
                self._move(placed(self._view.ports, self._asked.apps))
            except BadRequest as error:
                self._not_renewed(error.message)
        runners = self._line.runners
        if self._renewals.done == asked or self._renewals.failure or len(runners) != 1:
            return
        if runners[0].source is not Source.ADS or runners[0].life is not Life.READY:
            return  # One is on its way already; if it was started before this, its turn comes.
        try:
            self._envoy = binary(self._asked.envoy)
            self._line.use(self._envoy)
            tried(self._envoy, self._write_bootstrap(Source.ADS))
            self._start(Source.ADS)
        except CannotStart as error:
            self._not_renewed(error.message)
        else:
            self._journal.say("a successor of this Envoy was asked for, and starts")

    def _move(self, ports: Ports) -> None:
        """From now on every Envoy that is started has these ports."""
        if ports == self._view.ports:
            return
        self._view = replace(self._view, ports=ports)
        self._keeper = self._keeper_of_view()
        self._standing = replace(self._standing, ports=status.ports(ports))

    def _not_renewed(self, reason: str) -> None:
        self._renewals = replace(self._renewals, failure=reason)
        self._journal.say(f"no successor: {reason}; this Envoy goes on", level="error")

    def _keeper_of_view(self) -> Keeper:
        return Keeper(
            self._directory.file("snap.json"),
            self._view,
            self._warn,
            keeps=self._asked.app_mesh.whole is None,
        )

    def _start(self, source: Source) -> None:
        path = self._write_bootstrap(source)
        try:
            self._line.start(source, path, self._renewals.asked)
        except (OSError, SubprocessError) as error:
            raise self._cannot_start() from error

    def _cannot_start(self) -> CannotStart:
        return CannotStart(
            "Envoy cannot be started",
            fix=f"see that {self._directory.path} is writable and that Envoy runs: {self._envoy} --version",
        )

    def _write_bootstrap(self, source: Source) -> str:
        """The path of what the next Envoy is started with."""
        base = bootstrap(
            self._view,
            self._directory.instance,
            xds=self._asked.xds,
            status=self._status.address,
            admin=self._line.admin_path(),
            max_connections=self._max_connections,
            access=self._asked.access,
            mark=self._mark,
            resolvers=self._naming.servers,
            sds_socket=self._asked.sds_socket,
        )
        base, replaced = furnished(base, self._asked.app_mesh)
        for words in replaced:
            self._journal.say(words, level="warning")
        name = "bootstrap.json"
        kept = self._keeper.kept
        if source is Source.LAST_ACCEPTED and kept is not None:
            name = "last_accepted.json"
        path = self._directory.file(name)
        try:
            if source is Source.LAST_ACCEPTED and kept is not None:
                paths = self._directory.keep_secrets(kept.secrets)
                base = without_control_plane(
                    base,
                    secrets.from_files(list(kept.listeners), paths),
                    secrets.from_files(list(kept.clusters), paths),
                )
            last_good.write(path, json.dumps(base).encode())
        except OSError as error:
            raise self._cannot_start() from error
        return path

    def _warn(self, text: str) -> None:
        self._journal.say(text, level="warning")

    def _reap(self) -> None:
        now = time.monotonic()
        for ended in self._line.reap(now):
            self._after(ended, now)

    def _after(self, ended: Ended, now: float) -> None:
        runner, how = ended.runner, how_it_ended(ended.code)
        if reason := self._journal.last_words():
            how = f"{how}: {reason}"
        self._restarts += 1
        elder = self._line.serving
        if elder is not None and elder.life is Life.READY and runner.life is Life.WAITING:
            seen = self._line.observed(elder)
            if elder.source is Source.ADS and seen.state == "LIVE":
                self._not_renewed(f"it {how}")
                return
        never_served = runner.source is Source.LAST_ACCEPTED and runner.life is Life.WAITING
        if never_served and succession.is_refusal(ended.code):
            self._journal.say(
                f"Envoy refuses the last accepted configuration and {how}; "
                f"it is now {self._keeper.set_aside()}",
                level="error",
            )
            self._line.end(grace_seconds=0)
            return
        survivor = self._line.of(Source.LAST_ACCEPTED)
        if runner.source is not Source.ADS or runner.life is Life.READY or survivor is None:
            self._line.end(grace_seconds=0)
        self._in_a_row = 1 if runner.envoy.age_seconds > _QUIET_SECONDS else self._in_a_row + 1
        if self._asked.restarts is not None and self._in_a_row > self._asked.restarts:
            raise CannotStart(
                f"Envoy {how}; that was the {_ordinal(self._in_a_row)} time without a quiet minute",
                fix="look at its log above, or allow more with --restarts",
            )
        delay = succession.backoff_seconds(self._in_a_row)
        self._next_start = now + delay
        self._journal.say(f"Envoy {how}; starting it again in {delay:g} s", level="error")

    # --- what it says ---

    def _observe(self) -> None:
        ads = self._line.of(Source.ADS)
        was_ready = ads is not None and ads.life is Life.READY
        became_ready = self._line.observe(time.monotonic())
        if became_ready is not None:
            taken_over = any(r.retires_by is not None for r in self._line.runners)
            self._journal.say(
                f"{'taken over' if taken_over else 'ready'} with the configuration from "
                + ("the control plane" if became_ready.source is Source.ADS else "the last time")
                + f"; status page at http://{self._status.address}/"
            )
            self._version = self._envoy_version()
            self._keeper.begin()
            if became_ready.source is Source.ADS:
                self._renewals = replace(self._renewals, done=became_ready.renewal)
        connected = ads is not None and ads.observation.connected
        if connected != self._connected:
            self._connected, self._connected_since = connected, time.time()
            if was_ready and not self._stopping:
                self._journal.say(
                    "connected to the control plane"
                    if connected
                    else "the control plane is away; the configuration stays as it is",
                    level="info" if connected else "warning",
                )

    def _envoy_version(self) -> str:
        admin = self._line.admin
        try:
            parts = str(admin.json("/server_info").get("version", "")).split("/") if admin else []
        except Unreachable:
            return ""
        return parts[1] if len(parts) > 1 else ""

    def _keep(self) -> None:
        ads = self._line.of(Source.ADS)
        # While a successor starts, it has the admin interface, and nothing in force yet.
        if ads is not None and ads.life is Life.READY and ads is self._line.runners[-1]:
            self._keeper.look(ads.envoy.admin, ads.observation.received_bytes)
        self._watched.look(self._keeper.files, time.monotonic())
        serving = self._line.serving
        if self._interceptor is not None and serving is not None and serving.life is Life.READY:
            for said, level in self._interceptor.follow(
                serving.envoy.admin,
                serving.observation.received_bytes,
                from_control_plane=serving.source is Source.ADS,
            ):
                self._journal.say(said, level=level)

    def _publish(self, *, draining: bool = False) -> None:
        serving = self._line.serving
        ready, why = is_ready(self._line, self._asked.xds, self._interceptor, draining=draining)
        envoy: status.Json = {"pid": None, "version": self._version, "state": "NOT_RUNNING"}
        if serving is not None:
            envoy |= {"pid": serving.envoy.pid, "state": serving.observation.state}
        envoy |= {
            "restarts": self._restarts,
            "epoch": serving.epoch if serving else 0,
            "retiring": sum(runner.retires_by is not None for runner in self._line.runners),
        }
        source = serving.source if serving else Source.ADS
        self._standing = replace(
            self._standing,
            ready=ready,
            why=why,
            envoy=envoy,
            xds={
                "address": str(self._asked.xds),
                "connected": self._connected,
                "since": round(self._connected_since, 3),
            },
            source=source.value,
            rejected=self._journal.rejected(),
            left_out=self._keeper.kept.left_out if self._keeper.kept else (),
            renewals=self._renewals.to_json(),
        )
        if self._registration is not None:
            self._registration.tell(ready=ready)
        if ready:
            self._ready_file.tell(self._standing, self._status.address)

    # --- the end ---

    def _drain(self) -> None:
        """Let what is in flight finish: callers first learn that we go, then we wait for them."""
        self._observe()
        self._keep()
        self._stopping = True
        self._publish(draining=True)
        if self._registration is not None:
            # Callers first stop choosing this replica, then it refuses what they have open.
            self._registration.leave()
        serving = self._line.serving
        if serving is None or serving.life is not Life.READY:
            return
        self._journal.say(f"draining for up to {self._asked.drain_seconds:g} s")
        own_admin = serving.envoy.admin if serving is self._line.runners[-1] else None
        if own_admin is not None:
            for target in ("/healthcheck/fail", "/drain_listeners?graceful"):
                try:
                    own_admin.post(target)
                except Unreachable as error:
                    self._journal.say(error.message, level="warning")
        begun = time.monotonic()
        over = drain.Drain(self._asked.drain_seconds)
        while self._wakeup.stops < 2 and serving.envoy.ended() is None:
            traffic = None
            if own_admin is not None:
                try:
                    traffic = drain.Traffic.of(own_admin.stats(drain.PATTERN))
                except Unreachable:
                    traffic = None
            if over.is_over(time.monotonic() - begun, traffic):
                return
            self._wakeup.sleep(_QUICK_SECONDS)


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{endings.get(number % 10, 'th') if number % 100 not in (11, 12, 13) else 'th'}"
