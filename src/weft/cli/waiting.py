"""Waiting until every proxy has accepted a revision, and saying how it went."""

from __future__ import annotations

from typing import Any

import click

from weft.cli.durations import Duration
from weft.cli.exits import Exit
from weft.cli.render import Glyph, plural
from weft.cli.session import Session
from weft.errors import NotFound, Rejected, TimedOut

_MARGIN = 10.0  # The control plane ends the wait; this is for an answer that never comes.

wait_option = click.option(
    "--wait", is_flag=True, help="Wait until every proxy has accepted the change."
)
timeout_option = click.option(
    "--timeout",
    type=Duration(),
    default="30s",
    show_default=True,
    help="How long to wait for the proxies: 500ms, 30s, 2m.",
)


def settled(
    session: Session, revision: int | None, timeout: float, mesh: str | None = None
) -> dict[str, Any]:
    """What the control plane answers once every proxy, of one mesh or of all, has accepted."""
    undo = f"weft revert {revision}" if revision else "weft revert REVISION"
    try:
        answer: dict[str, Any] = session.client.get(
            "/weft/v1/wait",
            {"revision": revision, "timeout": f"{timeout:g}", "mesh": mesh},
            timeout=timeout + _MARGIN,
        )
    except Rejected as error:
        error.fix = f"{undo}, or mend what it says; until then the last good one is in force"
        raise
    except NotFound as error:
        error.fix = error.fix or ("weft get meshes" if mesh else "weft changes lists the revisions")
        raise
    except TimedOut as error:
        named = f" {revision}" if revision else ""
        error.fix = error.fix or f"weft get proxies shows who is late; then weft wait{named}"
        raise
    return answer


def wait_for(
    session: Session, revision: int | None, timeout: float, mesh: str | None = None
) -> int:
    """Wait, and say in one line that it is delivered."""
    started = session.clock.monotonic()
    answer = settled(session, revision, timeout, mesh)
    session.event(Glyph.OK, delivered(answer, session.clock.monotonic() - started))
    return Exit.OK


def delivered(answer: dict[str, Any], seconds: float) -> str:
    """``delivered to 5/5 proxies in 0.4 s``."""
    total = int(answer.get("total") or 0)
    if not total:
        return "no proxy is connected, so there is nobody to deliver to"
    accepted = answer.get("accepted", total)
    noun = plural(total, "proxy").partition(" ")[2]
    return f"delivered to {accepted}/{total} {noun} in {_measured(seconds)}"


def _measured(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"
