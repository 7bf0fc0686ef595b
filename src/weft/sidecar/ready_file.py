"""The file that tells whoever started the sidecar that the proxy is ready, and where its ports are."""

from __future__ import annotations

import json
import os
from contextlib import suppress

from weft.errors import CannotStart
from weft.sidecar.last_good import write
from weft.sidecar.status import Standing


class ReadyFile:
    """Written once the proxy is ready, again when what it says has changed, and gone at the end."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._holds = b""
        self.remove()

    def tell(self, standing: Standing, status: str) -> None:
        if self._path is None:
            return
        content = json.dumps(
            {
                "proxy": standing.proxy,
                "instance": standing.instance,
                "mode": standing.mode,
                "pid": os.getpid(),
                "envoy": standing.envoy["pid"],
                "ports": standing.ports,
                "status": status,
                "source": standing.source,
                "renewals": standing.renewals,
                "retiring": standing.envoy.get("retiring", 0),
            },
            indent=2,
        ).encode()
        if content == self._holds:
            return
        first, self._holds = not self._holds, content
        try:
            write(self._path, content + b"\n", mode=0o644)
        except OSError as error:
            if not first:
                return  # Whoever waited for it has read it; a proxy that serves goes on.
            raise CannotStart(
                f"the ready file {self._path} cannot be written",
                fix="name a file in a directory that exists and is writable with --ready-file",
            ) from error

    def remove(self) -> None:
        """Nobody is to be told of a proxy that is gone."""
        self._holds = b""
        if self._path is not None:
            with suppress(OSError):
                os.unlink(self._path)
