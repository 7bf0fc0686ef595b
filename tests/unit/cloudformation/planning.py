"""Templates planned in memory, for tests that need no server."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weft.clock import ManualClock
from weft.manifests.cloudformation.parameters import Previous
from weft.manifests.cloudformation.plan import Place, Plan, Request
from weft.manifests.cloudformation.planner import plan
from weft.manifests.cloudformation.reading import problem_of
from weft.manifests.cloudformation.stack import STACKS, Stack
from weft.manifests.cloudformation.template import parse
from weft.store.admission import admit
from weft.store.change import Keep
from weft.store.state import MeshState

ACCOUNT = "000000000000"
ID = f"arn:aws:cloudformation:us-west-2:{ACCOUNT}:stack/shop/11111111-0000-0000-0000-000000000000"
PLACE = Place("us-west-2", ACCOUNT, ID, 1_000)
EMPTY = MeshState()


def planned(
    text: str,
    previous: Stack | None = None,
    state: MeshState = EMPTY,
    *,
    name: str = "shop",
    given: Mapping[str, str] | None = None,
    refuse_foreign: bool = False,
    **parameters: str | Previous,
) -> Plan:
    template = parse(textwrap.dedent(text), "app.yaml")
    request = Request(name, template, parameters, given=given or {}, refuse_foreign=refuse_foreign)
    return plan(request, previous, state, PLACE)


def problems(text: str, *args: Any, **named: Any) -> list[str]:
    template = parse(textwrap.dedent(text), "app.yaml")
    found = planned(text, *args, **named)
    return [str(problem_of(template.document, each)) for each in found.findings]


class World:
    """A mesh and its stacks, changed by one template after the other."""

    def __init__(self) -> None:
        self.state = EMPTY
        self.stacks: dict[str, Stack] = {}
        self._clock = ManualClock()

    def deploy(self, text: str, name: str = "shop", **named: Any) -> Plan:
        """Plan it, hold that there is nothing against it, and write it."""
        previous = self.stacks.get(name)
        made = planned(text, previous, self.state, name=name, **named)
        assert [each.message for each in made.findings] == []
        stack = previous or Stack(name, ID.replace("shop", name), "CREATE_COMPLETE", 0)
        stack = replace(
            stack,
            template=textwrap.dedent(text),
            parameters={key: each.text for key, each in made.parameters.items()},
            outputs=made.outputs,
            imports=made.imports,
            resources=made.resources,
        )
        steps = [*made.steps, Keep(STACKS, name, stack.to_document())]
        self.state = admit(self.state, steps, self._clock, ACCOUNT).draft.freeze(1)
        self.stacks[name] = stack
        return made

    def problems(self, text: str, name: str = "shop", **named: Any) -> list[str]:
        return problems(text, self.stacks.get(name), self.state, name=name, **named)


def output(expression: str, head: str = "", *, name: str = "shop", **named: Any) -> str:
    """What an output of this value says."""
    text = (
        f"{textwrap.dedent(head)}\n"
        "Resources:\n"
        "  Mesh: {Type: AWS::AppMesh::Mesh, Properties: {MeshName: shop}}\n"
        "  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.1.0.0/16}}\n"
        "Outputs:\n"
        "  It:\n"
        f"    Value: {expression}\n"
    )
    made = planned(text, name=name, **named)
    assert [each.message for each in made.findings] == []
    return made.outputs[0].value


def refusals(expression: str, head: str = "", **named: Any) -> list[str]:
    """What is said against an output of this value."""
    text = (
        f"{textwrap.dedent(head)}\n"
        "Resources:\n"
        "  Mesh: {Type: AWS::AppMesh::Mesh, Properties: {MeshName: shop}}\n"
        "Outputs:\n"
        "  It:\n"
        f"    Value: {expression}\n"
    )
    return [each.message for each in planned(text, **named).findings]
