"""Where the virtual gateways of a running ``weft up`` are reached."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from weft.errors import WeftError
from weft.settings import data_directory

_PATIENCE = 2.0


def reached(data: str, endpoint: str) -> list[tuple[str, str, str]]:
    """
    Name, listener and URL of each; none where no ``weft up`` of this directory serves the endpoint.

    Another machine's control plane may name a directory that somebody else uses here.
    """
    from weft.local.control import request

    if not os.path.isdir(data):
        return []
    try:
        answer = request(data_directory(data), {"op": "status"}, seconds=_PATIENCE)
    except WeftError:
        return []
    return list(_urls(answer)) if answer.get("api") == endpoint else []


def _urls(answer: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for workload in answer.get("workloads") or ():
        for replica in workload.get("replicas") or ():
            for listener, url in (replica.get("urls") or {}).items():
                yield str(replica["name"]), str(listener), str(url)


def variables(found: list[tuple[str, str, str]]) -> dict[str, str]:
    """``WEFT_GATEWAY_FRONT``; with the listener's port where the gateway has several."""
    names = [name for name, _, _ in found]
    return {
        _variable(name, listener if names.count(name) > 1 else ""): url
        for name, listener, url in found
    }


def _variable(name: str, listener: str) -> str:
    said = re.sub("[^A-Za-z0-9]", "_", name).upper()
    return f"WEFT_GATEWAY_{said}{f'_{listener}' if listener else ''}"
