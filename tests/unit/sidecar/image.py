"""The bootstrap that a sidecar makes of an environment."""

from __future__ import annotations

from typing import Any

from weft.__main__ import parsed_yaml
from weft.names import Ports, View
from weft.sidecar.bootstrap import bootstrap
from weft.sidecar.furnished import furnished
from weft.sidecar.options import Options, options
from weft.sidecar.values import Tcp

WEB = "mesh/shop/virtualNode/web"
GATEWAY = "mesh/shop/virtualGateway/edge"
Json = dict[str, Any]


def read(proxy: str = WEB, **environment: str) -> Options:
    """What a sidecar understands, with YAML, as it is started."""
    given = {"HOME": "/home/op", "WEFT_PROXY": proxy, **environment}
    return options([], given, parsed_yaml)


def made(proxy: str = WEB, **environment: str) -> Json:
    """The whole bootstrap."""
    found, _ = both(proxy, **environment)
    return found


def both(proxy: str = WEB, **environment: str) -> tuple[Json, tuple[str, ...]]:
    asked = read(proxy, **environment)
    image = asked.app_mesh
    view = View(asked.proxy, asked.mode, Ports(), metrics=image.metrics, tracing=image.tracing)
    base = bootstrap(
        view,
        "one",
        xds=Tcp("127.0.0.1", 7401),
        status="127.0.0.1:9",
        admin="/run/admin.sock",
        max_connections=100,
    )
    return furnished(base, image)


def changed(proxy: str = WEB, **environment: str) -> Json:
    """The members that the environment changes."""
    plain = made(proxy)
    return {k: v for k, v in made(proxy, **environment).items() if plain.get(k) != v}
