"""
One process that is kept running.

    Starting ──probe succeeds──▶ Ready
        │ exit                     │ exit
        ▼                          ▼
    Waiting (back-off) ◀───────────┘
        └──delay──▶ Starting
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from weft.clock import Clock
from weft.local.backoff import Backoff
from weft.local.board import Board
from weft.local.ports import LOOPBACK, is_free
from weft.local.processes import Child

_QUICK_SECONDS = 0.05
_SLOW_SECONDS = 0.25
_SOCKETS_FREE_SECONDS = 5.0


class PortsTaken(Exception):
    """Another program has a port that was meant for this process."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__(f"port {', '.join(map(str, ports))} was taken by another program")


class Kept:
    """Starts a process again whenever it ends, until it is ended."""

    def __init__(
        self,
        *,
        start: Callable[[], Awaitable[Child]],
        is_ready: Callable[[], Awaitable[bool]],
        note: Callable[[str], None],
        board: Board,
        clock: Clock,
        ports: tuple[int, ...] = (),
        slow: Callable[[], str] = lambda: "not ready yet",
        slow_after_seconds: float = 15.0,
        patience_seconds: float | None = None,
    ) -> None:
        """``patience_seconds``: not ready after that long (twice as long each time), it is restarted."""
        self.child: Child | None = None
        self.exits = 0
        self._answered = False
        self._start = start
        self._is_ready = is_ready
        self._note = note
        self._board = board
        self._clock = clock
        self._ports = ports
        self._slow = slow
        self._slow_after_seconds = slow_after_seconds
        self._patience_seconds = patience_seconds
        self._ending = False

    @property
    def pid(self) -> int | None:
        return self.child.pid if self.child is not None and self.child.alive else None

    @property
    def ready(self) -> bool:
        return self._answered and self.pid is not None

    @property
    def failing(self) -> bool:
        """It ended and is not back."""
        return self.exits > 0 and not self.ready

    async def run(self) -> None:
        """Keep it running; PortsTaken when it cannot be with these ports."""
        backoff = Backoff()
        while not self._is_over():
            started = self._clock.monotonic()
            try:
                child = self.child = await self._start()
            except OSError as error:
                how = f"cannot be started: {error.strerror or error}"
            else:
                if self._is_over():
                    child.terminate()
                how = await self._while_it_runs(child, started)
            self._answered = False
            self.exits += 1
            self._board.poke()
            if self._is_over():
                return
            ran = self._clock.monotonic() - started
            backoff = backoff.after(ran)
            self._note(f"{how} after {ran:.1f} s; starts again in {backoff.delay_seconds:g} s")
            await asyncio.sleep(backoff.delay_seconds)
            await self._sockets_free()

    def signal(self, number: int) -> bool:
        """Send its process a signal; False while it does not run."""
        return self._answered and self.child is not None and self.child.signal(number)

    async def end(self, grace_seconds: float, *, group: bool = False) -> None:
        """End it for good."""
        self._ending = True
        if self.child is not None:
            await self.child.end(grace_seconds, group=group)
        self._answered = False
        self._board.poke()

    async def ask_to_end(self, seconds: float) -> None:
        """Ask it to end for good and wait a little; ``end`` then waits no longer."""
        self._ending = True
        if self.child is not None:
            self.child.terminate()
            await self.child.ended_within(seconds)

    def _is_over(self) -> bool:
        return self._ending

    async def _while_it_runs(self, child: Child, started: float) -> str:
        if not await self._until_ready(child, started):
            self._note("is still not ready and is started anew")
            child.terminate()
            if not await child.ended_within(_SOCKETS_FREE_SECONDS):
                child.kill()
        elif child.alive:
            self._answered = True
            self._board.poke()
            await child.ended_within(None)
            # Whoever depends on it learns that before its last lines are read.
            self._answered = False
            self._board.poke()
        return _how(await child.code())

    async def _until_ready(self, child: Child, started: float) -> bool:
        """True once it is ready or has ended, False when patience is over."""
        said = False
        while child.alive and not await self._is_ready():
            waited = self._clock.monotonic() - started
            if not said and waited >= self._slow_after_seconds:
                said = True
                self._note(f"{self._slow()} (after {waited:.0f} s)")
            patience = self._patience_seconds
            if patience is not None and waited >= patience * 2 ** min(self.exits, 4):
                return False
            await child.ended_within(_QUICK_SECONDS if waited < 3 else _SLOW_SECONDS)
        return True

    async def _sockets_free(self) -> None:
        """What it listened on may outlive it for a moment, but not for long."""
        deadline = self._clock.monotonic() + _SOCKETS_FREE_SECONDS
        while taken := [port for port in self._ports if not is_free(LOOPBACK, port)]:
            if self._clock.monotonic() >= deadline:
                raise PortsTaken(taken)
            await asyncio.sleep(_SLOW_SECONDS)


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with status {code}"
    return f"was ended by signal {-code}"
