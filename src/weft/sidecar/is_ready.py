"""Whether a sidecar is ready, and in one sentence why or why not."""

from __future__ import annotations

from weft.sidecar.intercept import Interceptor
from weft.sidecar.line import Line
from weft.sidecar.succession import Life
from weft.sidecar.values import Address


def is_ready(
    line: Line, xds: Address, interceptor: Interceptor | None, *, draining: bool
) -> tuple[bool, str]:
    """Ready is: an Envoy has its configuration in force, and the traffic comes to it."""
    serving = line.serving
    if draining:
        return False, "it drains before it stops"
    if serving is None:
        return False, "Envoy ended and will be started again"
    seen = serving.observation
    if interceptor is not None and not interceptor.in_force:
        return False, "traffic is not redirected to it yet"
    if serving.life is Life.READY:
        if serving is not line.runners[-1] or seen.state == "LIVE":
            return True, f"it serves the configuration from {serving.source.value}"
        return False, f"Envoy says {seen.state}"
    if seen.state == "LIVE" and seen.warming:
        return False, f"{seen.warming} listeners are not active yet"
    if seen.state == "LIVE":
        return False, "the control plane has sent no listeners that Envoy accepts"
    if seen.connected:
        return False, "Envoy waits for its first configuration"
    return False, f"Envoy has no connection to the control plane at {xds}"
