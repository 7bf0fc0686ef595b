"""Whatever is done to a template, it is planned or refused with reasons; nothing else comes of it."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.cloudformation.planning import ACCOUNT, EMPTY, PLACE
from tests.unit.cloudformation.test_functions import GIVES, HEAD
from tests.unit.cloudformation.test_plan import CDK, DISCOVERY, FOREIGN, node, shop
from weft.clock import ManualClock
from weft.errors import Invalid, WeftError
from weft.manifests.cloudformation.plan import Request
from weft.manifests.cloudformation.planner import plan
from weft.manifests.cloudformation.reading import problem_of, read
from weft.manifests.cloudformation.template import parse
from weft.store.admission import admit

FUNCTIONS = (
    HEAD
    + "Resources: {Mesh: {Type: AWS::AppMesh::Mesh}, Vpc: {Type: AWS::EC2::VPC}}\nOutputs:\n"
    + "".join(f"  O{i}: {{Value: {each}}}\n" for i, each in enumerate(GIVES))
)
TEMPLATES = [CDK, *(read(t, "t").value for t in (DISCOVERY, FOREIGN, FUNCTIONS, shop(node())))]
ODD: list[Any] = [
    None, 1, -1, 1.5, True, "", "x", "${", "${a", "${!x}", "${AWS::NoValue}", "\ud800", "a" * 300,
    [], {}, [[]], [None], {"Ref": "x"}, {"Ref": 1}, {"Ref": "AWS::NoValue"}, {"Condition": "x"},
    {"Fn::Sub": 1}, {"Fn::Sub": ["a"]}, {"Fn::Sub": ["${b}", {"b": []}]}, {"Fn::GetAtt": []},
    {"Fn::GetAtt": ["a", "b", "c"]}, {"Fn::If": [1, 2, 3]}, {"Fn::If": []}, {"Fn::Not": [[]]},
    {"Fn::Select": [{}, 1]}, {"Fn::Join": ["", {"Ref": "AWS::NoValue"}]}, {"Fn::And": []},
    {"Fn::ImportValue": {}}, {"Fn::Cidr": ["10.0.0.0/8", "x", "y"]}, {"Fn::Equals": []},
    {"Fn::Cidr": ["10.0.0.0/8", 1, 40]}, {"Fn::FindInMap": [1, 2, 3]}, {"Fn::Split": ["", ""]},
    {"Fn::Length": 1}, {"Fn::ToJsonString": {"a": {"Ref": "AWS::NoValue"}}}, {"Fn::GetAZs": []},
    {"Fn::Base64": []}, {"Fn::Contains": [[{}], 1]}, {"Fn::EachMemberIn": [[{}], [[]]]},
]  # fmt: skip
NAMES = ["Foo", "Ref", "Fn::If", "Condition", "Fn::Sub", "Type", "Properties", "", "Fn::ForEach::X"]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for step, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, step))


def spoilt(template: Any, chance: random.Random) -> Any:
    """One place of a template replaced, renamed or taken away."""
    path = chance.choice(list(places(template)))
    odd = copy.deepcopy(chance.choice(ODD))
    if not path:
        return odd
    around = template
    for step in path[:-1]:
        around = around[step]
    kind = chance.random() if isinstance(around, dict) else 1.0
    if kind < 0.15:
        around[chance.choice(NAMES)] = around.pop(path[-1])
    elif kind < 0.25:
        del around[path[-1]]
    else:
        around[path[-1]] = odd
    return template


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_a_spoilt_template_is_planned_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    template = copy.deepcopy(chance.choice(TEMPLATES))
    for _ in range(chance.randint(1, 3)):
        template = spoilt(template, chance)
    try:
        parsed = parse(json.dumps(template, ensure_ascii=chance.random() < 0.5))
    except Invalid:
        return
    made = plan(Request("shop", parsed), None, EMPTY, PLACE)
    assert all(problem_of(parsed.document, each).path for each in made.findings)
    if not made.findings:
        with contextlib.suppress(WeftError):
            admit(EMPTY, made.steps, ManualClock(), ACCOUNT)
