"""A replica's place in the registry: held by a lease for just as long as the replica is ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from weft.errors import Unreachable, WeftError
from weft.local.board import Board
from weft.local.client import ControlPlane
from weft.names import Key

LEASE_SECONDS = 15.0
SETTLE_SECONDS = 5.0
"""How long the others get to accept that a replica has gone, before it really goes."""
_RETRY_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5
_ON_ITS_WAY_SECONDS = 0.5


class Registration:
    def __init__(
        self,
        node: Key,
        instance: str,
        addresses: Mapping[str, str],
        *,
        is_ready: Callable[[], bool],
        control_plane: ControlPlane,
        board: Board,
        note: Callable[[str], None],
    ) -> None:
        self.held = False
        self._node = node
        self._instance = instance
        self._addresses = addresses
        self._is_ready = is_ready
        self._control_plane = control_plane
        self._board = board
        self._note = note

    async def run(self) -> None:
        """Until cancelled."""
        # An earlier run may have left an address under our name that nobody serves.
        await self._withdraw()
        while True:
            await self._board.until(self._is_ready)
            await self._hold()
            await self._withdraw()

    async def move(self, addresses: Mapping[str, str]) -> None:
        """To other addresses, and wait until every proxy has accepted them; WeftError when that fails."""
        revision = await self._control_plane.register(
            self._node, self._instance, addresses, LEASE_SECONDS
        )
        self._addresses = addresses
        if revision is not None:
            await self._control_plane.wait(revision, SETTLE_SECONDS)
        # What was on its way to the old address when they accepted arrives there yet.
        await asyncio.sleep(_ON_ITS_WAY_SECONDS)

    async def leave(self, *, settle: bool) -> None:
        """Out of the registry for good; with ``settle``, wait until every proxy has accepted that."""
        with contextlib.suppress(WeftError, TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                revision = await self._control_plane.deregister(self._node, self._instance)
                self.held = False
                if revision is not None and settle:
                    await self._control_plane.wait(revision, SETTLE_SECONDS)
        self.held = False

    async def _hold(self) -> None:
        """Register, and renew the lease until the replica is no longer ready."""
        said = ""
        while self._is_ready():
            pause = LEASE_SECONDS / 3
            try:
                if not self.held:
                    await self._control_plane.register(
                        self._node, self._instance, self._addresses, LEASE_SECONDS
                    )
                    self.held = True
                    said = ""
                    self._board.poke()
                elif not await self._control_plane.heartbeat(self._node, self._instance):
                    # The registry has forgotten it, as after a lease that ran out.
                    self.held = False
                    continue
            except Unreachable:
                # The runner starts the control plane again, and says that once for all.
                pause = _RECONNECT_SECONDS
            except WeftError as error:
                pause = _RETRY_SECONDS
                if error.message != said:
                    said = error.message
                    self._note(f"cannot be registered: {said}")
            await self._board.until(lambda: not self._is_ready(), pause)

    async def _withdraw(self) -> None:
        """At once, or as soon as somebody answers; no longer needed once it is ready again."""
        while True:
            try:
                await self._control_plane.deregister(self._node, self._instance)
            except WeftError:
                if not await self._board.until(self._is_ready, _RECONNECT_SECONDS):
                    continue
            self.held = False
            self._board.poke()
            return
