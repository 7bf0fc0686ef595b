"""
The only memory of the mesh: admit, write, one revision up, wake the watchers.

One process writes. A change is checked against the state in memory, written to
the database in a thread, and becomes the state only once it is durable.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.store.change import Applied, Author, Change, Step
from weft.store.state import MeshState


class Store:
    """One data directory, opened by one process."""

    state: MeshState
    """Everything at the newest revision."""

    async def apply(
        self, steps: Sequence[Step], author: Author, *, note: str = "", dry_run: bool = False
    ) -> Applied:
        """Do all steps as one revision, or none; answered once it is durable."""
        raise NotImplementedError

    async def state_at(self, revision: int) -> MeshState:
        """Everything as it stood at a revision; NotFound for one that is not there yet."""
        raise NotImplementedError

    async def changes(
        self, *, limit: int, before: int | None = None, registry: bool = False
    ) -> list[Change]:
        """The log, newest first; ``registry`` includes revisions that only moved instances."""
        raise NotImplementedError

    async def change(self, revision: int) -> Change:
        """One revision of the log."""
        raise NotImplementedError

    async def revert(self, revision: int, author: Author) -> Applied:
        """The inverse of a revision as a new one; Conflict when a later one is in the way."""
        raise NotImplementedError
