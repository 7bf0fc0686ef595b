"""
Another Envoy in place of the running one, without a pause: what is read anew, and what is tried first.

Asked for by SIGUSR1, after the workload has moved to another port or another Envoy
was installed. The successor takes the listening sockets over (Envoy's hot restart),
so no connection is refused; the one before it finishes what it has.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, replace

from weft.errors import BadRequest, CannotStart
from weft.names import IngressPort, Ports

_TRIAL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Renewals:
    """How often a successor was asked for, and what came of it."""

    asked: int = 0
    done: int = 0
    """The number of the last request that is in force."""
    failure: str = ""
    """Why the last one is not; empty while it is, or may still come to be."""

    def to_json(self) -> dict[str, int | str]:
        return {"asked": self.asked, "done": self.done, "failure": self.failure}


def placed(ports: Ports, file: str | None) -> Ports:
    """
    The ports, with the workload's own as the file has them.

    The file is a JSON object, ``{"9080": 23456}``: by the listener's port the one on
    127.0.0.1 at which the workload listens. BadRequest says what is wrong with it.
    """
    if file is None:
        return ports
    fix = 'write it as {"9080": 23456}: listener port, then the port of the workload'
    try:
        with open(file, encoding="utf-8") as opened:
            given = json.load(opened)
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}", fix=fix) from error
    except ValueError as error:
        raise BadRequest(f"{file} is not JSON: {error}", fix=fix) from error
    if not isinstance(given, dict):
        raise BadRequest(f"{file} holds no JSON object", fix=fix)
    known = {str(each.listener) for each in ports.ingress}
    wrong = [
        f"{listener}: there is no --ingress for it"
        if listener not in known
        else f"{listener}: {port!r} is not a port from 1 to 65535"
        for listener, port in given.items()
        if listener not in known or type(port) is not int or not 1 <= port <= 65535
    ]
    if wrong:
        raise BadRequest(f"{file}: {'; '.join(wrong)}", fix=fix)
    return replace(ports, ingress=tuple(_moved(each, given) for each in ports.ingress))


def _moved(port: IngressPort, given: dict[str, int]) -> IngressPort:
    return replace(port, app=given.get(str(port.listener), port.app))


def tried(binary: str, config: str) -> None:
    """See that an Envoy takes its bootstrap, before the running one lets anything go; else CannotStart."""
    fix = f"see what it says: {binary} --mode validate -c {config}"
    try:
        found = subprocess.run(
            [binary, "--mode", "validate", "-c", config, "--log-level", "error"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotStart(f"the successor cannot be tried: {error}", fix=fix) from error
    if found.returncode:
        lines = found.stderr.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else f"it ended with status {found.returncode}"
        raise CannotStart(f"the successor refuses its bootstrap: {last}", fix=fix)
