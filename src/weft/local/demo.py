"""
``weft demo``: Color App, the example mesh, with a little traffic.

Its resources are created where they are missing; what an operator has changed
since the last run stays. ``fresh`` brings the example's own mesh back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from weft.errors import CannotStart
from weft.local.applying import Applying
from weft.local.isolation import Isolate
from weft.local.run import Invitation, UpOptions, up
from weft.settings import ENDPOINT, GATEWAY_PORT, Address, Settings

EXAMPLE = Path("examples") / "colorapp" / "weft.yaml"
MESH_NAME = "MESH_NAME"
DEFAULT_MESH = "my-first-appmesh"
FOLD_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """All that ``weft demo`` can be told."""

    settings: Settings
    gateway_port: int | None = None
    """None: from the environment, else the default."""
    traffic: bool = True
    mesh: bool = True
    """Create the mesh; else the workloads wait until others have."""
    fresh: bool = False
    color: str = "auto"
    isolate: Isolate = Isolate.NO
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)


def demo(options: DemoOptions) -> int:
    """Run Color App until told to stop."""
    port = _gateway_port(options)
    environment = {**options.environment, GATEWAY_PORT.variable: str(port)}
    mesh = environment.get(MESH_NAME) or DEFAULT_MESH
    if not options.mesh:
        applying = Applying.NOTHING
    elif options.fresh:
        applying = Applying.AFRESH
    else:
        applying = Applying.MISSING

    def invite(settings: Settings) -> Invitation:
        return invitation(settings, mesh, port)

    return up(
        UpOptions(
            settings=options.settings,
            files=(str(example()),),
            applying=applying,
            color=options.color,
            # Or the traffic would push what is worth reading off the screen.
            fold_seconds=FOLD_SECONDS,
            traffic=(Address("127.0.0.1", port), "/color") if options.traffic else None,
            invite=invite,
            setting_of_port={port: GATEWAY_PORT},
            environment=environment,
            isolate=options.isolate,
        )
    )


def example() -> Path:
    """Where the example is: in the installed package, or beside the source."""
    package = Path(str(files("weft")))
    for root in (package, package.parents[1]):
        if (root / EXAMPLE).is_file():
            return root / EXAMPLE
    raise CannotStart(
        "the example that weft demo runs is not installed",
        fix="install weft again, or run weft up -f with a weft.yaml of your own",
    )


def invitation(settings: Settings, mesh: str, port: int) -> Invitation:
    """Where Color App is, and commands that show what a mesh is good for."""
    endpoint = f"http://{settings.api}"
    prefix = "" if endpoint == ENDPOINT.default else f"{ENDPOINT.variable}={endpoint} "
    return Invitation(
        urls=(
            ("gateway", f"http://127.0.0.1:{port}/color"),
            ("API", endpoint),
        ),
        commands=(
            f'eval "$({prefix}weft env)"; aws appmesh describe-route --mesh-name {mesh} '
            "--virtual-router-name colorteller-vr --route-name colorteller-route",
            f"{prefix}weft split colorteller white=0",
            f"{prefix}weft policy set mesh/{mesh} reroute=on",
            f"{prefix}weft get proxies",
        ),
    )


def _gateway_port(options: DemoOptions) -> int:
    if options.gateway_port is not None:
        return options.gateway_port
    text = options.environment.get(GATEWAY_PORT.variable) or GATEWAY_PORT.default
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise CannotStart(
            f"{GATEWAY_PORT.flag} is {text!r}, which is not a port",
            fix=f"give a number from 1 to 65535, as in {GATEWAY_PORT.flag} {GATEWAY_PORT.default}",
        )
    return int(text)
