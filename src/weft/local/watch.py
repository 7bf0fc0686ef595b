"""Follows the mesh: the topology at the newest revision, for everyone who waits on it."""

from __future__ import annotations

import asyncio

from weft.errors import WeftError
from weft.local.board import Board
from weft.local.client import ControlPlane
from weft.local.topology import Topology

_EVERY_SECONDS = 0.5


class Watch:
    """Asks for the revision often, which costs little, and for the resources when it has moved."""

    def __init__(self, control_plane: ControlPlane, board: Board) -> None:
        self.topology = Topology()
        self._control_plane = control_plane
        self._board = board

    async def run(self) -> None:
        while True:
            try:
                status = await self._control_plane.status()
                if status.get("revision") != self.topology.revision:
                    await self.refresh()
            except WeftError:
                # While the control plane is away the mesh stands as it did.
                pass
            await asyncio.sleep(_EVERY_SECONDS)

    async def refresh(self) -> None:
        """Look now; Unreachable when nobody answers."""
        revision, resources = await self._control_plane.resources()
        self.topology = Topology(resources, revision)
        self._board.poke()
