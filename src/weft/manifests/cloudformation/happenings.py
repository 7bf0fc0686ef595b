"""What an operation on a stack does, told as CloudFormation tells it: one event after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from weft.manifests.cloudformation.plan import Act, Move, Plan
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.stack import STACK_TYPE, Happened, Stack, StackResource

RECORDED = "recorded, not created: Weft makes App Mesh and Cloud Map resources only"
_MAX_REASON = 1000
_BY_USER = "User Initiated"


def _of_stack(stack: Stack, status: str, reason: str = "") -> Happened:
    return Happened(stack.name, STACK_TYPE, stack.id, status, reason[:_MAX_REASON])


def _of(resource: StackResource, status: str, reason: str = "") -> Happened:
    return Happened(
        resource.logical_id,
        resource.type,
        resource.physical_id,
        status,
        reason[:_MAX_REASON] or (RECORDED if resource.recorded and _ends(status) else ""),
    )


def _ends(status: str) -> bool:
    return status.endswith("_COMPLETE")


def written(stack: Stack, plan: Plan, verb: str) -> list[Happened]:
    """A CREATE or an UPDATE that succeeded."""
    return [
        _of_stack(stack, f"{verb}_IN_PROGRESS", _BY_USER),
        *(each for move in plan.moves for each in _forward(move)),
        *_cleanup(stack, plan, verb),
        _of_stack(stack, f"{verb}_COMPLETE"),
    ]


def _forward(move: Move) -> Iterator[Happened]:
    match move.act:
        case Act.ADD:
            assert move.after is not None, "what is added is there afterwards"
            yield _of(move.after, "CREATE_IN_PROGRESS")
            yield _of(move.after, "CREATE_COMPLETE")
        case Act.MODIFY | Act.REPLACE:
            assert move.after is not None, "what is modified is there afterwards"
            replaced = move.act is Act.REPLACE
            yield _of(
                move.after,
                "UPDATE_IN_PROGRESS",
                "Requested update requires the creation of a new physical resource; "
                "hence creating one."
                if replaced
                else "",
            )
            yield _of(move.after, "UPDATE_COMPLETE")
        case _:
            pass


def _cleanup(stack: Stack, plan: Plan, verb: str) -> Iterator[Happened]:
    left = [m for m in plan.moves if m.act in (Act.REPLACE, Act.REMOVE, Act.RETAIN)]
    if verb == "UPDATE":
        yield _of_stack(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    for move in left:
        assert move.before is not None, "what leaves was there before"
        kept = move.act is Act.RETAIN or (
            move.act is Act.REPLACE
            and move.after is not None
            and move.after.update_replace_policy == "Retain"
        )
        yield from _removal(move.before, kept=kept)


def _removal(resource: StackResource, *, kept: bool) -> Iterator[Happened]:
    if kept:
        yield _of(resource, "DELETE_SKIPPED")
        return
    yield _of(resource, "DELETE_IN_PROGRESS")
    yield _of(resource, "DELETE_COMPLETE", "" if not resource.recorded else "forgotten")


def failed(
    stack: Stack,
    plan: Plan,
    findings: Iterable[Finding],
    verb: str,
    types: Mapping[str, str],
    *,
    roll_back: bool = True,
) -> list[Happened]:
    """
    A CREATE or an UPDATE that came to nothing, with the reasons at the resources they are about.

    ``types`` are those of the template: a resource may not have got so far as a move.
    """
    reasons: dict[str, list[str]] = {}
    others: list[str] = []
    for finding in findings:
        logical_id = finding.logical_id
        if logical_id is None:
            others.append(finding.message)
        else:
            reasons.setdefault(logical_id, []).append(_said(finding))
    moves = {move.logical_id: move for move in plan.moves}
    happened = [_of_stack(stack, f"{verb}_IN_PROGRESS", _BY_USER)]
    named = []
    for logical_id, said in reasons.items():
        move = moves.get(logical_id)
        resource = (move.after or move.before) if move else None
        if resource is None:
            resource = StackResource(logical_id, types.get(logical_id, ""), "", "", 0)
        act = move.act if move else Act.ADD
        own = {Act.ADD: "CREATE", Act.REMOVE: "DELETE"}.get(act, "UPDATE")
        reason = "; ".join(said)
        happened.append(Happened(logical_id, resource.type, "", f"{own}_IN_PROGRESS"))
        happened.append(
            Happened(
                logical_id,
                resource.type,
                resource.physical_id if own != "CREATE" else "",
                f"{own}_FAILED",
                reason[:_MAX_REASON],
            )
        )
        named.append(logical_id)
    reason = "; ".join(others)
    if named:
        word = "create" if verb == "CREATE" else "update"
        shown = ", ".join(named[:20])
        reason = f"The following resource(s) failed to {word}: [{shown}]. {reason}".strip()
    if verb == "CREATE" and not roll_back:
        return [*happened, _of_stack(stack, "CREATE_FAILED", reason)]
    undo = "ROLLBACK" if verb == "CREATE" else "UPDATE_ROLLBACK"
    return [
        *happened,
        _of_stack(stack, f"{undo}_IN_PROGRESS", f"{reason} Rollback requested by user."),
        _of_stack(stack, f"{undo}_COMPLETE"),
    ]


def _said(finding: Finding) -> str:
    """The message with its place within the resource."""
    within = finding.path[2:]
    place = "".join(f"[{step}]" if isinstance(step, int) else f"/{step}" for step in within)
    return f"#{place}: {finding.message}" if place else finding.message


def deleted(stack: Stack, kept: Iterable[str]) -> list[Happened]:
    """A DELETE that succeeded."""
    kept = frozenset(kept)
    return [
        _of_stack(stack, "DELETE_IN_PROGRESS", _BY_USER),
        *(
            each
            for resource in stack.resources.values()
            for each in _removal(resource, kept=resource.logical_id in kept)
        ),
        _of_stack(stack, "DELETE_COMPLETE"),
    ]


def not_deleted(stack: Stack, findings: Iterable[Finding]) -> list[Happened]:
    """A DELETE that came to nothing."""
    findings = list(findings)
    happened = [_of_stack(stack, "DELETE_IN_PROGRESS", _BY_USER)]
    named = []
    for finding in findings:
        if (resource := stack.resources.get(finding.logical_id or "")) is not None:
            happened.append(_of(resource, "DELETE_IN_PROGRESS"))
            happened.append(_of(resource, "DELETE_FAILED", finding.message))
            named.append(resource.logical_id)
    reason = (
        f"The following resource(s) failed to delete: [{', '.join(named)}]. "
        if named
        else "; ".join(each.message for each in findings)
    )
    return [*happened, _of_stack(stack, "DELETE_FAILED", reason)]
