"""One option of the sidecar, as all files that read options know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flag:
    """One option: how it is spelt, and which environment variables stand in for it, first wins."""

    name: str
    metavar: str
    help: str
    variables: tuple[str, ...]
    default: str | None = None
    repeated: bool = False
    switch: bool = False
    """Given or not given; its variables are yes or no."""

    @property
    def dest(self) -> str:
        """Its name among parsed arguments."""
        return self.name[2:].replace("-", "_")
