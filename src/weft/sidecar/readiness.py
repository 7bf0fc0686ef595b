"""``weft sidecar ready``: waits until a sidecar is ready, as ``agent -envoyReadiness`` did."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from weft.errors import BadRequest, Unreachable, WeftError
from weft.sidecar import values
from weft.sidecar.admin import Admin
from weft.sidecar.app_mesh import in_range, reached

_INTERVAL = "APPNET_AGENT_POLL_ENVOY_READINESS_INTERVAL_S"
_TIMEOUT = "APPNET_AGENT_POLL_ENVOY_READINESS_TIMEOUT_S"

_DESCRIPTION = """\
Wait until the sidecar is ready; for a hook that runs after the start of a container.

It asks the status page (--status-port, or the one that --ready-file names), else the
agent's interface (APPNET_AGENT_ADMIN_MODE), else Envoy's own admin interface, where the
environment says that there is one."""

_EPILOG = "Exit status: 0 it is ready, 1 it was not in time, 2 a wrong option."


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadRequest(message, fix="weft sidecar ready --help")


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked, and how often."""

    ready_file: str
    status: str
    api: str
    admin: str
    interval_seconds: float
    timeout_seconds: float

    def ready(self) -> bool:
        """Whether the sidecar says so now."""
        try:
            if self.status or self.ready_file:
                status = self.status or _status_of(self.ready_file)
                return bool(Admin(status).json("/ready")["ready"])
            if self.api:
                said = Admin(self.api).json("/status")
                return bool(said["envoyReadinessState"] == "INITIALIZED")
            return Admin(self.admin).get("/ready").strip() == b"LIVE"
        except (WeftError, OSError, ValueError, KeyError, TypeError):
            return False


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Wait; the exit status."""
    try:
        probe = _probe(arguments, environment)
        deadline = time.monotonic() + probe.timeout_seconds
        while not probe.ready():
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unreachable(
                    f"the sidecar was not ready within {probe.timeout_seconds:g} s",
                    fix="look at its log and at its status page",
                )
            time.sleep(min(probe.interval_seconds, left))
    except WeftError as error:
        fix = f"\nfix:   {error.fix}" if error.fix else ""
        sys.stderr.write(f"error: {error.message}{fix}\n")
        return 2 if isinstance(error, BadRequest) else 1
    return 0


def _probe(arguments: Sequence[str], environment: Mapping[str, str]) -> Probe:
    parser = _Parser(
        prog="weft sidecar ready",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--status-port", metavar="PORT", help="[WEFT_STATUS_PORT]")
    parser.add_argument("--ready-file", metavar="FILE", help="[WEFT_READY_FILE]")
    parser.add_argument("--interval", metavar="TIME", help=f"(default: 5s) [{_INTERVAL}]")
    parser.add_argument("--timeout", metavar="TIME", help=f"(default: 180s) [{_TIMEOUT}]")
    given = parser.parse_args(list(arguments))
    environment, _ = in_range(environment)
    port = given.status_port or environment.get("WEFT_STATUS_PORT", "")
    status = f"127.0.0.1:{values.port(port, lowest=1)}" if port not in ("", "0") else ""
    api, admin = reached(environment)
    probe = Probe(
        ready_file=given.ready_file or environment.get("WEFT_READY_FILE", ""),
        status=status,
        api=api,
        admin=admin,
        interval_seconds=values.seconds(given.interval or environment.get(_INTERVAL) or "5s"),
        timeout_seconds=values.seconds(given.timeout or environment.get(_TIMEOUT) or "180s"),
    )
    if not (probe.ready_file or probe.status or probe.api or probe.admin):
        raise BadRequest(
            "nothing says where the sidecar can be asked",
            fix="give --status-port PORT or --ready-file FILE as the sidecar has them, "
            "or set APPNET_AGENT_ADMIN_MODE",
        )
    return probe


def _status_of(ready_file: str) -> str:
    with open(ready_file, "rb") as file:
        return str(json.load(file)["status"])
