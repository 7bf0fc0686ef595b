"""The Envoys of one sidecar: mostly one, two while a successor takes the sockets over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from weft.errors import Unreachable
from weft.sidecar.admin import Admin
from weft.sidecar.directory import Directory
from weft.sidecar.envoy import Command, Envoy
from weft.sidecar.succession import PATTERN, Life, Observation, Source

_RETIREMENT_SECONDS = 10.0


@dataclass(slots=True)
class Runner:
    """One Envoy of the line, and how far it has come."""

    envoy: Envoy
    source: Source
    life: Life = Life.WAITING
    retires_by: float | None = None
    """Set once a successor serves: it ends by itself, and is ended when it does not."""
    observation: Observation = field(default_factory=lambda: Observation("UNKNOWN"))
    renewal: int = 0
    """The last request for a successor that was made before it started."""

    @property
    def epoch(self) -> int:
        return self.envoy.command.epoch


@dataclass(frozen=True, slots=True)
class Ended:
    """An Envoy that ended though nobody asked it to."""

    runner: Runner
    code: int


class Line:
    """
    Envoys that hand their listening sockets down, oldest first.

    The newest owns the admin interface: Envoy takes it from a parent when a child starts.
    """

    def __init__(
        self,
        command: Command,
        directory: Directory,
        on_log_line: Callable[[str], None],
        *,
        admin: str = "",
        asks: bool = True,
    ) -> None:
        """
        ``admin``: where every Envoy has its admin interface; empty: each has a socket of its own.
        ``asks``: it asks the control plane for listeners; else it has all it will have.
        """
        self._command = command
        self._directory = directory
        self._on_log_line = on_log_line
        self._fixed_admin = admin
        self._asks = asks
        self._started = 0
        self.runners: list[Runner] = []

    # --- who is there ---

    def of(self, source: Source) -> Runner | None:
        """The one that works from this source and is not on its way out."""
        found = (r for r in self.runners if r.source is source and r.retires_by is None)
        return next(found, None)

    @property
    def serving(self) -> Runner | None:
        """The one that has the traffic, or will have it first."""
        ads, last_accepted = self.of(Source.ADS), self.of(Source.LAST_ACCEPTED)
        if ads is not None and (ads.life is Life.READY or last_accepted is None):
            return ads
        return last_accepted

    @property
    def admin(self) -> Admin | None:
        return self.runners[-1].envoy.admin if self.runners else None

    # --- coming ---

    def admin_path(self) -> str:
        """Where the next Envoy will have its admin socket."""
        return self._fixed_admin or self._directory.socket(f"admin-{self._started}.sock")

    def use(self, binary: str) -> None:
        """From the next Envoy on, this program."""
        self._command = replace(self._command, binary=binary)

    def start(self, source: Source, config: str, renewal: int = 0) -> Runner:
        """One more Envoy: the first of a line, or the successor of the newest."""
        command = replace(self._command, config=config, admin=self.admin_path())
        if self.runners:
            command = replace(
                command, base_id=self._directory.base_id(), epoch=self.runners[-1].epoch + 1
            )
        else:
            self._directory.sweep()
        self._started += 1
        runner = Runner(Envoy(command, self._on_log_line), source, renewal=renewal)
        self.runners.append(runner)
        return runner

    def observe(self, now: float) -> Runner | None:
        """Ask the newest how it is; the answer is the runner that has just become ready."""
        if not self.runners:
            return None
        newest = self.runners[-1]
        if self.observed(newest).state == "UNKNOWN":
            return None
        source = newest.source if self._asks else Source.LAST_ACCEPTED
        if newest.life is Life.READY or not newest.observation.is_ready(source):
            return None
        newest.life = Life.READY
        for runner in self.runners[:-1]:
            runner.retires_by = now + self._command.drain_seconds + _RETIREMENT_SECONDS
        return newest

    def observed(self, runner: Runner) -> Observation:
        """What an Envoy says of itself now; UNKNOWN from one whose admin interface is gone."""
        try:
            runner.observation = Observation.of(runner.envoy.admin.stats(PATTERN))
        except Unreachable:
            runner.observation = replace(runner.observation, state="UNKNOWN")
        return runner.observation

    # --- going ---

    def reap(self, now: float) -> list[Ended]:
        """Forget those that ended; the answer are those that should not have."""
        ended = []
        for runner in list(self.runners):
            if runner.retires_by is not None and now > runner.retires_by:
                runner.envoy.end(grace_seconds=0)
            code = runner.envoy.ended()
            if code is None:
                continue
            runner.envoy.end(grace_seconds=0)
            self.runners.remove(runner)
            if runner.retires_by is None:
                ended.append(Ended(runner, code))
        return ended

    def end(self, *, grace_seconds: float) -> None:
        """End all of them: the line is over, and the next start begins a new one."""
        for runner in self.runners:
            if grace_seconds > 0:
                runner.envoy.ask_to_end()
        for runner in reversed(self.runners):
            runner.envoy.end(grace_seconds=grace_seconds)
        self.runners.clear()
