"""Definitions judged before they are in force: what stands against them, and what they bring."""

from __future__ import annotations

from collections.abc import Sequence

from weft.checks.catalogue import check, in_order, refused
from weft.checks.finding import Finding
from weft.checks.proposal import propose, with_meshes
from weft.clock import Clock
from weft.store.change import Keep, Put
from weft.store.state import MeshState


def judged(
    steps: Sequence[Put],
    clock: Clock,
    account: str,
    *,
    policies: Sequence[Keep] = (),
    on: tuple[MeshState, Sequence[Finding]] | None,
) -> tuple[Finding, ...]:
    """
    Why App Mesh would refuse definitions, and what will be found once they are in force.

    ``on`` is the state they are put on and what is found in it already: of that, only what is
    about these definitions is said again. None judges them alone, in meshes of their own.
    """
    state, before = on or (MeshState(), ())
    proposal = propose(state, steps if on else with_meshes(steps), clock, account, policies)
    known = set(before)
    about = {str(step.key) for step in steps} | {kept.name for kept in policies}
    after = check(proposal.state)
    brought = [each for each in after if each not in known or each.key in about]
    return in_order([*refused(proposal.refusals), *brought])
