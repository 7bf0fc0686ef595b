"""
``weft sidecar rules``: print, install or remove the rules without running a proxy.

For an init container, or a machine where the sidecar itself has no privileges: then Envoy
runs as the ignored user, as App Mesh's image did. Also for what a killed sidecar left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from weft.errors import BadRequest
from weft.sidecar import intercept_options
from weft.sidecar.flag import Flag
from weft.sidecar.intercept import Interceptor, families
from weft.sidecar.rules import MARK, Interception, installed

NAME = "rules"

INSTALL = Flag("--install", "", "make the rules, and leave them", (), switch=True)
REMOVE = Flag("--remove", "", "take the rules out again", (), switch=True)
_FLAGS = (
    INSTALL,
    REMOVE,
    *(
        flag
        for flag in intercept_options.FLAGS
        if flag not in (intercept_options.INTERCEPT, intercept_options.DRY_RUN)
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run the command; a WeftError says why it is not possible."""
    from weft.sidecar.flags import parser_of

    given = vars(
        parser_of(
            _FLAGS,
            prog=f"weft sidecar {NAME}",
            description="Print the rules that bring a workload's traffic to its proxy, as iptables-restore\n"
            "--noflush takes them; with --install make them, with --remove take them out again.",
        ).parse_args(list(arguments))
    )
    asked = intercept_options.settled(given, os.environ)
    if given[INSTALL.dest] and given[REMOVE.dest]:
        raise BadRequest(f"{INSTALL.name} and {REMOVE.name} contradict each other")
    if not given[INSTALL.dest] and not given[REMOVE.dest]:
        owned = asked.ignored_uid is not None or asked.ignored_gid is not None
        return show(asked, None if owned else MARK)
    interceptor = Interceptor(asked, None)
    if given[INSTALL.dest] and asked.ignored_uid is None and asked.ignored_gid is None:
        raise BadRequest(
            "whose connections are the proxy's own?",
            fix=f"give {intercept_options.IGNORE_UID.name} UID, and run the sidecar as that user; "
            "App Mesh's was 1337",
        )
    interceptor.prepare()
    if given[INSTALL.dest]:
        interceptor.install(())
        interceptor.leave()
    else:
        interceptor.remove()
    return 0


def show(asked: Interception, mark: int | None) -> int:
    """Print the rules for both families; what only a running proxy knows is left out, and said."""
    lines = []
    if asked.app_ports is None:
        lines.append("# Ingress follows the virtual node's listeners, once the proxy knows them.\n")
    for family in families(asked):
        lines.append(f"# {family.restore} --noflush\n")
        lines.append(installed(asked, family, asked.app_ports or (), mark=mark))
    sys.stdout.write("".join(lines))
    sys.stdout.flush()
    return 0
