"""What operators are shown of delivery: values, ready to become JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from weft.names import Mode, ProxyId
from weft.xds.wire import Variant


class State(StrEnum):
    """Where a proxy stands."""

    ACCEPTED = "accepted"
    """It has accepted everything there is."""
    WAITING = "waiting"
    """Something is on its way, or unanswered."""
    REJECTED = "rejected"
    """It refused something, or we could not say it; the last good configuration is in force."""
    DISCONNECTED = "disconnected"
    """It was connected; it keeps what it accepted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a proxy is not where it should be."""

    proxy: ProxyId
    instance: str
    type: str | None
    """CDS, EDS, SDS, LDS or RDS; None when no snapshot could be made at all."""
    words: str
    """Envoy's own words, without the dump around them."""
    raw: str
    resources: tuple[str, ...]
    revision: int
    nonce: str | None = None
    at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "proxy": str(self.proxy),
            "instance": self.instance,
            "type": self.type,
            "words": self.words,
            "raw": self.raw,
            "resources": list(self.resources),
            "revision": self.revision,
            "nonce": self.nonce,
            "at": _time(self.at),
        }


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proxy that has not accepted a revision yet, and what it is waiting for."""

    proxy: ProxyId
    instance: str
    accepted_revision: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {
            "proxy": str(self.proxy),
            "instance": self.instance,
            "acceptedRevision": self.accepted_revision,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Settled:
    """How far one revision has come."""

    revision: int
    processed: bool
    """Whether the pipeline has published everything up to this revision."""
    total: int
    accepted: int
    waiting: tuple[Waiting, ...]
    rejected: tuple[Refusal, ...]

    @property
    def done(self) -> bool:
        """Whether every connected proxy has accepted it."""
        return self.processed and not self.waiting and not self.rejected

    def to_json(self) -> dict[str, Any]:
        return {
            "revision": self.revision,
            "processed": self.processed,
            "settled": self.done,
            "total": self.total,
            "accepted": self.accepted,
            "waiting": [waiting.to_json() for waiting in self.waiting],
            "rejected": [refusal.to_json() for refusal in self.rejected],
        }


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One xDS type of one proxy."""

    type: str
    """As operators say it: CDS, EDS, SDS, LDS, RDS."""
    resources: int
    sent_version: str
    sent_revision: int | None
    """None when nothing had to be sent: it came with everything it needed."""
    accepted_version: str | None
    accepted_revision: int | None
    rejected: tuple[Refusal, ...]
    suspect_since: datetime | None
    """Since when a response has been unanswered for longer than an answer takes."""

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "resources": self.resources,
            "sent": {"version": self.sent_version, "revision": self.sent_revision},
            "accepted": {"version": self.accepted_version, "revision": self.accepted_revision},
            "rejected": [refusal.to_json() for refusal in self.rejected],
            "suspectSince": _time(self.suspect_since),
        }


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """One proxy: who it is, and what is in force there."""

    proxy: ProxyId
    instance: str
    mode: Mode
    state: State
    connected_since: datetime
    disconnected_at: datetime | None
    peer: str
    envoy_version: str
    status_address: str
    protocol: Variant
    accepted_revision: int
    failure: str | None
    """Why no snapshot could be made for it; the last good one stays."""
    failed_revision: int | None
    types: tuple[TypeStatus, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "proxy": str(self.proxy),
            "instance": self.instance,
            "mode": self.mode.value,
            "state": self.state.value,
            "connectedSince": _time(self.connected_since),
            "disconnectedAt": _time(self.disconnected_at),
            "peer": self.peer,
            "envoyVersion": self.envoy_version,
            "statusAddress": self.status_address,
            "protocol": self.protocol.value,
            "acceptedRevision": self.accepted_revision,
            "failure": self.failure,
            "failedRevision": self.failed_revision,
            "types": [status.to_json() for status in self.types],
        }


def _time(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


_CONSTRAINT = re.compile(r"Proto constraint validation failed \((.*)\)", re.DOTALL)


def plain_words(raw: str, resources: tuple[str, ...]) -> str:
    """
    What Envoy said, without what surrounds it.

    A broken constraint comes with a dump of the whole message, and wrapped once per
    level of nesting; the innermost reason is the one to act on. Such words do not name
    the resource, so that is added when it is known.
    """
    if (found := _CONSTRAINT.search(raw)) is None:
        return raw.strip()
    reason = found[1].rsplit("caused by ", 1)[-1].strip()
    reason = re.sub(r"^field: \"?\w+\"?, reason: ", "", reason)
    return f"{resources[0]}: {reason}" if len(resources) == 1 else reason
