"""Definitions that are not in force yet: what App Mesh would say to them, and what they bring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from weft.checks.finding import Check, Found, Severity
from weft.clock import Clock
from weft.errors import Invalid, NotFound, Problem, WeftError
from weft.names import Key
from weft.store.admission import considered
from weft.store.change import Keep, Put
from weft.store.state import MeshState


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason of the App Mesh API against one definition."""

    key: Key
    error: WeftError


@dataclass(frozen=True, slots=True)
class Proposal:
    """A state as it would be, as far as the definitions can be understood."""

    state: MeshState
    refusals: tuple[Refusal, ...]


def propose(
    state: MeshState,
    steps: Sequence[Put],
    clock: Clock,
    account: str,
    policies: Sequence[Keep] = (),
) -> Proposal:
    """Put definitions on a state, and Weft's own policies with them, without writing anything."""
    admitted, errors = considered(state, [*steps, *policies], clock, account)
    return Proposal(
        admitted.draft.state,
        tuple(Refusal(key, error) for key, error in errors if key is not None),
    )


def with_meshes(steps: Sequence[Put]) -> list[Put]:
    """The same with a mesh for those that name one which nobody defines."""
    defined = {step.key for step in steps}
    missing = dict.fromkeys(Key.of_mesh(step.key.mesh) for step in steps)
    return [*(Put(key, {}) for key in missing if key not in defined), *steps]


def broken_rules(refusals: Iterable[Refusal]) -> Iterable[Found]:
    for refusal in refusals:
        if not isinstance(refusal.error, NotFound):
            yield from _found(refusal)


def missing_names(refusals: Iterable[Refusal]) -> Iterable[Found]:
    for refusal in refusals:
        if isinstance(refusal.error, NotFound):
            yield from _found(refusal)


def _found(refusal: Refusal) -> Iterable[Found]:
    error = refusal.error
    problems = error.problems if isinstance(error, Invalid) else (Problem("", error.message),)
    for problem in problems:
        said = f"{problem.path}: {problem.message}" if problem.path else problem.message
        yield Found(refusal.key, problem.path, said, error.fix or "")


CHECKS = (
    Check(
        "WEFT-001",
        "The App Mesh API would refuse a definition",
        Severity.ERROR,
        "The definition breaks a rule of its kind, or of what it refers to: creating it fails.",
        "Correct the place that is named; weft explain KIND.FIELD says what may stand there.",
        broken_rules,
    ),
    Check(
        "WEFT-002",
        "A definition names something that does not exist",
        Severity.ERROR,
        "App Mesh creates a route, virtual service or gateway route only after what it leads to: "
        "creating it fails.",
        "Define what is missing, or correct the name.",
        missing_names,
    ),
)
