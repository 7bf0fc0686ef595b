"""What ``weft sidecar`` runs: options read, rules made, and an agent until it is told to stop."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from weft.errors import BadRequest, WeftError
from weft.names import Ports
from weft.sidecar import rules_command
from weft.sidecar.agent import Agent
from weft.sidecar.directory import Directory
from weft.sidecar.documents import Parse, no_yaml
from weft.sidecar.envoy import binary
from weft.sidecar.intercept import Interceptor, mark_for
from weft.sidecar.options import Options, options
from weft.sidecar.wakeup import Wakeup


def main(arguments: Sequence[str] | None = None, parse_yaml: Parse = no_yaml) -> int:
    """Run a sidecar until it is told to stop; the exit status."""
    wakeup = Wakeup()
    try:
        given = sys.argv[2:] if arguments is None else arguments
        if given[:1] == [rules_command.NAME]:
            return rules_command.main(given[1:])
        asked = options(given, os.environ, parse_yaml)
        if asked.intercept is not None and asked.dry_run:
            return rules_command.show(asked.intercept, mark_for(asked.intercept))
        wakeup.listen()
        envoy = binary(asked.envoy)
        directory = Directory.take(
            asked.data,
            asked.proxy,
            asked.instance,
            Ports(asked.ingress, asked.egress, asked.backends),
        )
        try:
            with _intercepting(asked) as interceptor:
                return Agent(asked, envoy, directory, wakeup, interceptor).run()
        finally:
            directory.give_back()
    except WeftError as error:
        _complain(error)
        return 2 if isinstance(error, BadRequest) else 1
    finally:
        wakeup.close()


@contextmanager
def _intercepting(asked: Options) -> Iterator[Interceptor | None]:
    """The rules for the length of a block: before the first Envoy, and until after the last."""
    if asked.intercept is None:
        yield None
        return
    interceptor = Interceptor(asked.intercept, mark_for(asked.intercept))
    interceptor.prepare()
    try:
        # What the workload sends is refused until there is a proxy, and never passes it by.
        interceptor.install(None)
        yield interceptor
    finally:
        interceptor.remove()


def _complain(error: WeftError) -> None:
    lines = [f"error: {error.message}"]
    if error.__cause__ is not None:
        lines.append(f"cause: {error.__cause__}")
    if error.fix:
        lines.append(f"fix:   {error.fix}")
    os.write(2, ("\n".join(lines) + "\n").encode())
