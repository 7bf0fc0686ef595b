"""What the handlers work with: handed in by the server, which alone knows every part."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from weft.clock import Clock
from weft.discovery.catalog import Catalog
from weft.discovery.registry import Registry
from weft.identity.certificates import Certificates
from weft.identity.credentials import Credentials
from weft.identity.rotation import Rotation
from weft.pipeline import Pipeline
from weft.settings import Settings
from weft.store.store import Store
from weft.xds.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Parts:
    """The control plane as the API sees it."""

    store: Store
    registry: Registry
    catalog: Catalog
    """Cloud Map."""
    delivery: Delivery
    settings: Settings
    """With the addresses that are really bound."""
    clock: Clock
    version: str
    started_at: datetime
    credentials: Credentials = field(default_factory=Credentials)
    pipeline: Pipeline | None = None
    """None where no proxies are served."""
    certificates: Certificates | None = None
    """None where none are kept."""
    rotation: Rotation | None = None
    """None where nothing is renewed by itself."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to stop: long waits end."""
