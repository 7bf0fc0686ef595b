"""
The color teller: says its color to whoever asks.

    COLOR=white SERVER_PORT=9080 python colorteller.py
"""

from __future__ import annotations

import logging
import os

import httpd
import listener
import xray
from httpd import Request, Response

log = logging.getLogger("colorapp")


def serve() -> listener.Serve:
    """The color teller that the environment asks for."""
    color = os.environ.get("COLOR") or "black"
    stage = os.environ.get("STAGE") or "default"
    recorder = xray.Recorder(f"{stage}-colorteller-{color}", os.environ)
    body = os.fsencode(color)

    async def answer(request: Request, _: xray.Segment) -> Response:
        if request.path == "/ping":
            log.info("ping requested, reponding with HTTP 200")
            return Response()
        log.info("color requested, responding with %s", color)
        return Response(body)

    return httpd.serve(xray.traced(recorder, answer))


if __name__ == "__main__":
    listener.run("colorteller", serve, "SERVER_PORT", 8080)
