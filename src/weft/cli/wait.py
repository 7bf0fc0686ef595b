"""``wait``: until every proxy has accepted a revision."""

from __future__ import annotations

import click

from weft.cli.exits import Exit
from weft.cli.history import revision_of
from weft.cli.render import Glyph
from weft.cli.session import DOCUMENTS, Session, client_command
from weft.cli.waiting import delivered, settled, timeout_option


@click.command()
@click.argument("revision", required=False)
@timeout_option
@client_command(*DOCUMENTS)
def wait(session: Session, *, revision: str | None, timeout: float) -> int:
    """
    Wait until every proxy has accepted a revision.

    Without one, the newest. A proxy that rejects it is a failure, named with Envoy's own words (exit
    code 1); a proxy that does not answer in time is another (exit code 7). With
    --mesh, only the proxies of that mesh are waited for.
    """
    started = session.clock.monotonic()
    number = None if revision is None else revision_of(revision)
    answer = settled(session, number, timeout, session.mesh_given)
    seconds = session.clock.monotonic() - started

    def draw() -> None:
        session.event(
            Glyph.OK, f"revision {answer.get('revision', number)} {delivered(answer, seconds)}"
        )

    session.emit(answer, draw)
    return Exit.OK
