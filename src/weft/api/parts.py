"""What the handlers work with: handed in by the server, which alone knows every part."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from weft.clock import Clock
from weft.model.instance import Instance
from weft.names import Key
from weft.settings import Settings
from weft.store.change import Applied, Author
from weft.store.store import Store


class Registry(Protocol):
    """Where workloads say that they are there; discovery fulfils it."""

    async def register(self, instance: Instance, author: Author) -> Applied:
        """Put an instance in, or renew its lease."""
        ...

    def heartbeat(self, node: Key, id: str) -> bool:
        """Renew a lease; False when there is no such instance."""
        ...

    async def deregister(self, node: Key, id: str, author: Author) -> Applied:
        """Take an instance out; NotFound when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """A view for which no snapshot could be made."""

    view: str
    reason: str
    revision: int


class Progress(Protocol):
    """How far the pipeline is."""

    @property
    def processed(self) -> int:
        """Everything up to this revision has been published."""
        ...

    @property
    def failures(self) -> Iterable[Failure]: ...


class Delivery(Protocol):
    """What has reached the proxies; xds fulfils it."""

    def proxies(self) -> list[Mapping[str, Any]]: ...

    async def wait_settled(self, revision: int, timeout_seconds: float) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The control plane as the API sees it."""

    store: Store
    registry: Registry
    delivery: Delivery
    progress: Progress
    settings: Settings
    """With the addresses that are really bound."""
    clock: Clock
    version: str
    started_at: datetime
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to stop: long waits end."""
