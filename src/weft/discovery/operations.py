"""
What Cloud Map did: every change that it answers with an operation id, for a while.

Everything is done by the time it is answered, so all of them have succeeded; what
went wrong was refused and is no operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from weft.clock import Clock
from weft.discovery.cloud_map_errors import OperationNotFound
from weft.store.cloud_map import new_id
from weft.store.document import milliseconds

REMEMBERED = 10_000
STATUS = "SUCCESS"


class OperationType(StrEnum):
    CREATE_NAMESPACE = "CREATE_NAMESPACE"
    DELETE_NAMESPACE = "DELETE_NAMESPACE"
    UPDATE_NAMESPACE = "UPDATE_NAMESPACE"
    UPDATE_SERVICE = "UPDATE_SERVICE"
    REGISTER_INSTANCE = "REGISTER_INSTANCE"
    DEREGISTER_INSTANCE = "DEREGISTER_INSTANCE"


class Target(StrEnum):
    NAMESPACE = "NAMESPACE"
    SERVICE = "SERVICE"
    INSTANCE = "INSTANCE"


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    number: int
    """Counts up, so that a list can be continued while others are added."""
    type: OperationType
    targets: Mapping[Target, str]
    at_ms: int


class Operations:
    """The newest of them, oldest first; a restart of the control plane forgets them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, Operation] = {}
        self._number = 0

    def __iter__(self) -> Iterator[Operation]:
        return iter(tuple(self._known.values()))

    def note(self, type: OperationType, targets: Mapping[Target, str]) -> Operation:
        self._number += 1
        # Two parts, as Cloud Map's ids have.
        first, second = (new_id("", self._clock.uid())[1:] for _ in range(2))
        made = Operation(
            f"{first}{second}-{self._number:08d}",
            self._number,
            type,
            targets,
            milliseconds(self._clock.now()),
        )
        self._known[made.id] = made
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return made

    def get(self, id: str) -> Operation:
        found = self._known.get(id)
        if found is None:
            raise OperationNotFound(
                f"no operation {id[:80]} is remembered",
                fix=f"the newest {REMEMBERED} are, until the control plane restarts; "
                "whatever was answered has been done",
            )
        return found

    def of(self, type: OperationType, target: Target, id: str) -> Operation | None:
        """The newest of a type that concerned something."""
        return next(
            (
                each
                for each in reversed(self._known.values())
                if each.type is type and each.targets.get(target) == id
            ),
            None,
        )
