"""When a proxy may stop: nothing is in flight any more, or what is left carries nothing."""

from __future__ import annotations

from dataclasses import dataclass

PATTERN = r"^(http|tcp|listener)\..*\.downstream_(cx_active|rq_active|rq_total|cx_total)$"

LEAST_SECONDS = 0.5
"""Callers that were told of another instance a moment ago may still be on their way."""
IDLE_SECONDS = 1.0
"""A kept-alive connection without a request for this long is cut: HTTP clients expect that."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the proxy's downstream connections are doing."""

    connections: int
    busy: int
    """Requests in flight, and TCP connections, of which nobody can say whether they are idle."""
    total: int
    """Requests and connections ever; while it grows, clients still come."""

    @classmethod
    def of(cls, stats: dict[str, int | str]) -> Traffic:
        connections = busy = total = 0
        for name, value in stats.items():
            kind, _, rest = name.partition(".")
            if not isinstance(value, int) or rest.startswith("admin."):
                continue
            counter = rest.rpartition(".")[2]
            if counter in ("downstream_cx_total", "downstream_rq_total"):
                total += value
            elif kind == "listener" and counter == "downstream_cx_active":
                connections += value
            elif (kind, counter) in (
                ("http", "downstream_rq_active"),
                ("tcp", "downstream_cx_active"),
            ):
                busy += value
        return cls(connections, busy, total)


@dataclass(slots=True)
class Drain:
    """Decides from one look after the other whether the drain is over."""

    limit_seconds: float
    _total: int = -1
    _since: float = 0.0

    def is_over(self, elapsed_seconds: float, traffic: Traffic | None) -> bool:
        """``None``: Envoy does not answer, so only the limit is known."""
        if elapsed_seconds >= max(self.limit_seconds, LEAST_SECONDS):
            return True
        if traffic is None:
            return False
        if traffic.busy or traffic.total != self._total:
            self._total, self._since = traffic.total, elapsed_seconds
        if elapsed_seconds < LEAST_SECONDS or traffic.busy:
            return False
        return traffic.connections == 0 or elapsed_seconds - self._since >= IDLE_SECONDS
