"""
Which Envoy should run, decided from what is known; the agent only does as told.

    start ──control plane answers, or nothing is kept──▶ ADS ◀────────────ready───────────┐
      │                                                   │ 3 s without configuration,    │
      │ control plane away                                ▼ and one is kept               │
      └────────────────────────────────────────────▶ LAST ACCEPTED ──it answers──▶ both: ADS takes over

While both run, the one from the last accepted configuration serves, and the one that
asks the control plane takes the listening sockets over once it has its configuration
(Envoy's hot restart). It is started only when the control plane answers: starting it
takes the admin interface away from the one that serves.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum, StrEnum

PATIENCE_SECONDS = 3.0
"""How long a first configuration may take while an older one lies at hand."""

_STATES = {0: "LIVE", 1: "DRAINING", 2: "PRE_INITIALIZING", 3: "INITIALIZING"}

PATTERN = (
    r"^(server\.state|control_plane\.connected_state|cluster\.weft_xds\.upstream_cx_rx_bytes_total"
    r"|listener_manager\.(lds\.update_success|total_listeners_warming|workers_started))$"
)
"""The statistics an Observation is made of."""


class Source(StrEnum):
    """Where the configuration in force came from."""

    ADS = "ads"
    LAST_ACCEPTED = "last accepted"


@dataclass(frozen=True, slots=True)
class Observation:
    """What one Envoy said about itself a moment ago."""

    state: str
    connected: bool = False
    received_bytes: int = 0
    """On its connection to the control plane: while it stands still, so does the configuration."""
    accepted_listeners: int = 0
    """How many listener responses were accepted; the first may well be empty."""
    warming: int = 0
    accepting: bool = False
    """
    Its workers take connections. The state is no proof of that: it is told anew every few
    seconds, and before the first time it reads as LIVE.
    """

    @classmethod
    def of(cls, stats: dict[str, int | str]) -> Observation:
        def number(name: str) -> int:
            value = stats.get(name, 0)
            return value if isinstance(value, int) else 0

        return cls(
            _STATES.get(number("server.state"), "UNKNOWN")
            if "server.state" in stats
            else "UNKNOWN",
            number("control_plane.connected_state") == 1,
            number("cluster.weft_xds.upstream_cx_rx_bytes_total"),
            number("listener_manager.lds.update_success"),
            number("listener_manager.total_listeners_warming"),
            number("listener_manager.workers_started") == 1,
        )

    def is_ready(self, source: Source) -> bool:
        """Whether all it was told to serve is being served."""
        told = source is Source.LAST_ACCEPTED or self.accepted_listeners > 0
        return self.state == "LIVE" and self.accepting and told and self.warming == 0


class Life(Enum):
    """How far one Envoy has come."""

    ABSENT = "absent"
    WAITING = "waiting"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision depends on."""

    ads: Life = Life.ABSENT
    last_accepted: Life = Life.ABSENT
    kept: bool = False
    """A last accepted configuration for this view lies at hand."""
    reachable: bool = False
    """Something accepts connections where the control plane should be."""
    waited_seconds: float = 0.0
    """How long the one that waits has been running."""


class Step(Enum):
    """What to do now."""

    WAIT = "wait"
    START_FROM_ADS = "start from ads"
    START_FROM_LAST_ACCEPTED = "start from the last accepted configuration"
    FALL_BACK = "end the one that waits, start from the last accepted configuration"
    TAKE_OVER = "start the successor"
    START_AFRESH = "end the one that waits, start from ads"


def decide(facts: Facts) -> Step:
    """The next step of the drawing above."""
    match facts.ads, facts.last_accepted:
        case Life.ABSENT, Life.ABSENT:
            if facts.kept and not facts.reachable:
                return Step.START_FROM_LAST_ACCEPTED
            return Step.START_FROM_ADS
        case Life.WAITING, Life.ABSENT if facts.kept and facts.waited_seconds >= PATIENCE_SECONDS:
            return Step.FALL_BACK
        case Life.ABSENT, Life.READY if facts.reachable:
            return Step.TAKE_OVER
        case Life.ABSENT, Life.WAITING if (
            facts.reachable and facts.waited_seconds >= PATIENCE_SECONDS
        ):
            return Step.START_AFRESH
        case _:
            return Step.WAIT


def is_refusal(code: int) -> bool:
    """Whether an Envoy that never served ended because of its configuration: not by our hand or the kernel's."""
    return code != 0 and -code not in (signal.SIGKILL, signal.SIGTERM)


def backoff_seconds(restarts: int) -> float:
    """How long to wait before the n-th start in a row: 0.1 s, doubling, at most 10 s."""
    return float(min(0.1 * 2 ** min(max(restarts - 1, 0), 10), 10.0))
