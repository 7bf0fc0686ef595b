"""A change in at one end, snapshots out at the other."""

from __future__ import annotations

from typing import Protocol

from weft.names import View
from weft.translate.snapshot import Snapshot


class Publisher(Protocol):
    """Where snapshots go; xds fulfils it."""

    def publish(self, view: View, snapshot: Snapshot, revision: int) -> None:
        """A view's snapshot as of a revision; called again only when it may differ."""
        ...

    def failed(self, view: View, reason: str, revision: int) -> None:
        """No snapshot could be made; the last good one stays, the reason is shown to operators."""
        ...

    def gone(self, view: View, reason: str, revision: int) -> None:
        """The resource a view stands for was deleted: its streams end with NOT_FOUND."""
        ...

    def processed(self, revision: int) -> None:
        """Everything up to this revision has been published."""
        ...
