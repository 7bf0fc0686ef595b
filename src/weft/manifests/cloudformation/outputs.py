"""The outputs of a stack, and what its exports mean to other stacks."""

from __future__ import annotations

from typing import Any

from weft.manifests.cloudformation.evaluation import NO_VALUE, UNKNOWN, Evaluator
from weft.manifests.cloudformation.functions import Misused, text
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.stack import Stack, StackOutput, exports, importers
from weft.manifests.cloudformation.template import Template
from weft.manifests.document import Path
from weft.store.state import MeshState


class Outputs:
    """Made once every resource has been evaluated."""

    def __init__(
        self,
        name: str,
        evaluator: Evaluator,
        previous: Stack | None,
        state: MeshState,
        findings: list[Finding],
    ) -> None:
        self._name = name
        self._evaluator = evaluator
        self._previous = previous
        self._state = state
        self._findings = findings
        self._others = {
            export: each for export, each in exports(state).items() if each.stack_name != name
        }

    def _find(self, path: Path, message: str, *, late: bool = False) -> None:
        self._findings.append(Finding(path, message, late))

    def of(self, template: Template) -> tuple[StackOutput, ...]:
        """The outputs that there are; what is wrong goes to the findings."""
        evaluator = self._evaluator
        found: list[StackOutput] = []
        exported: dict[str, str] = {}
        for output in template.outputs.values():
            if not evaluator.chosen(output.condition, (*output.path, "Condition")):
                continue
            value = self._text(output.value, (*output.path, "Value"))
            export = ""
            if output.export is not None:
                place = (*output.path, "Export", "Name")
                export = self._text(output.export, place)
                if other := self._others.get(export):
                    self._find(
                        place,
                        f"Export with name {export} is already exported by stack "
                        f"{other.stack_name}",
                        late=True,
                    )
                elif export and exported.setdefault(export, output.name) != output.name:
                    self._find(
                        place, f"Export with name {export} is exported by {exported[export]} too"
                    )
            found.append(StackOutput(output.name, value, output.description, export))
        self._exports_in_use(found)
        return tuple(found)

    def _text(self, raw: Any, path: Path) -> str:
        value = self._evaluator.value(raw, path)
        if value is UNKNOWN or value is NO_VALUE:
            return ""
        try:
            return text(value, "an output")
        except Misused as error:
            self._find(path, str(error))
            return ""

    def _exports_in_use(self, outputs: list[StackOutput]) -> None:
        after = {each.export: each.value for each in outputs if each.export}
        for before in self._previous.outputs if self._previous else ():
            if not before.export or after.get(before.export) == before.value:
                continue
            users = [each for each in importers(self._state, before.export) if each != self._name]
            if users:
                verb = "updated" if before.export in after else "deleted"
                self._find(
                    ("Outputs", before.key),
                    f"Export {before.export} cannot be {verb} as it is in use by "
                    f"{' and '.join(users)}",
                    late=True,
                )
