"""
A new process in the place of a running one, and no request the worse for it.

    the new app listens ──▶ the sidecar's next Envoy leads to it ──▶ the Envoy before has
    finished what it had ──▶ the old app ends

Without a sidecar it is the callers' proxies that turn to the new app, by the registry.
What can fail does so before anything is taken away from the old one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from weft.errors import CannotStart, Conflict, TimedOut
from weft.local.kept import Kept
from weft.local.plan import Allocation
from weft.local.topology import Needs
from weft.manifests.workload import Workload
from weft.sidecar.last_good import write
from weft.sidecar.wakeup import RENEW_SIGNAL

NEW_APP_SECONDS = 45.0
RENEWED_SECONDS = 30.0
"""From the request to an Envoy that serves; what the one before has in flight is on top."""
RETIRED_SECONDS = 90.0
_LOOK_SECONDS = 0.05


def obstacle(before: Workload, after: Workload, was: Needs, now: Needs | None) -> str | None:
    """Why a replica cannot be replaced in its place, in words; None where it can be."""
    if after.node is None:
        return "it is no part of a mesh that could lead to the new one"
    if any(port.fixed is not None for port in after.ports or ()):
        return "its app insists on a port, which two cannot have"
    asked = (before.node, before.sidecar, before.ports, before.ingress)
    if asked != (after.node, after.sidecar, after.ports, after.ingress):
        return "its virtual node or ports were changed"
    if now is None or now.listeners != was.listeners:
        return "the listeners of its virtual node were changed"
    if [each for each in now.backends if not each.by_proxy and each not in was.backends]:
        return "it has a new backend that needs a port of its own"
    return None


def moved(allocation: Allocation, apps: Mapping[int, int]) -> Allocation:
    """The same sidecar, if there is one, and the app at other ports."""
    if allocation.sidecar is None:
        return Allocation(dict(apps))
    ingress = tuple(
        replace(each, app=apps.get(each.listener, each.app)) for each in allocation.sidecar.ingress
    )
    return Allocation(dict(apps), replace(allocation.sidecar, ingress=ingress))


def tell(apps_file: Path, apps: Mapping[int, int]) -> None:
    """Write down where the app listens, for the sidecar to read."""
    apps_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(str(apps_file), json.dumps({str(at): port for at, port in apps.items()}).encode())


async def until_it_runs(app: Kept) -> None:
    """A new app that listens; CannotStart when it ends or takes too long."""
    if not await _until(lambda: app.ready or app.exits > 0, NEW_APP_SECONDS):
        raise CannotStart(
            f"the new one does not listen after {NEW_APP_SECONDS:g} s; the old one goes on",
            fix="its own words are in the log of weft up",
        )
    if not app.ready:
        raise CannotStart(
            "the new one ended at once; the old one goes on",
            fix="its own words are in the log of weft up",
        )


async def renewed(sidecar: Kept, ready_file: Path) -> None:
    """Another Envoy with what the apps file says now, and the one before it gone."""
    asked = _renewals(ready_file).get("asked", 0)
    if not sidecar.signal(RENEW_SIGNAL):
        raise Conflict("its sidecar is being restarted", fix="try again in a moment")

    def is_decided() -> bool:
        now = _renewals(ready_file)
        # A sidecar that was restarted meanwhile counts from nothing, and has read the file.
        if now.get("asked", 0) < asked:
            return True
        return now.get("asked", 0) > asked and (now["done"] > asked or bool(now["failure"]))

    if not await _until(is_decided, RENEWED_SECONDS):
        raise TimedOut(
            f"the sidecar has no new Envoy after {RENEWED_SECONDS:g} s; the old one goes on",
            fix="weft get proxies says whether the control plane has sent it a configuration",
        )
    if failure := _renewals(ready_file).get("failure"):
        raise CannotStart(f"{failure}; the old one goes on")
    # One that takes longer is ended by the sidecar, and what it still has is cut.
    await _until(lambda: not _read(ready_file).get("retiring"), RETIRED_SECONDS)


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it has come true in that time."""
    for _ in range(round(seconds / _LOOK_SECONDS)):
        if condition():
            return True
        await asyncio.sleep(_LOOK_SECONDS)
    return condition()


def _renewals(ready_file: Path) -> dict[str, Any]:
    found: dict[str, Any] = _read(ready_file).get("renewals") or {}
    return found


def _read(ready_file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(ready_file.read_text())
    except (OSError, ValueError):
        return {}
    return found
