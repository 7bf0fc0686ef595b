"""Texts of templates: what is read, at which line a mistake stands, and what is too much."""

from __future__ import annotations

import json
import time

import pytest

from tests.unit.cloudformation.planning import planned, problems
from weft.errors import Invalid
from weft.manifests.cloudformation.template import looks_like_one, parse

MESH = "Resources: {M: {Type: AWS::AppMesh::Mesh}}\n"


def refused(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse(text, "app.yaml")
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: [", "app.yaml:2: not YAML: while parsing a flow node"),
        ("Resources:\n\t- a", "YAML indents with blanks, not with tabs"),
        ('{"Resources": {"A" 1}}', "app.yaml:1: not JSON: Expecting ':' delimiter (column 20)"),
        ("", "a template is a mapping with a member Resources"),
        ("a: 1", "app.yaml:1: a: is no section of a template"),
        ("Resources: {}", "Resources: at least one resource is needed"),
        ("Resources:\n  A:\n    Type: !Foo x", "app.yaml:3: the tag !Foo is not known"),
        ("A: &a {b: *a}", "*a contains itself"),
        ("A: 1\nA: 2", "app.yaml:2: is given twice: 'A'"),
        ('{"A": 1,\n"A": 2}', "app.yaml:2: is given twice: 'A'"),
        ("A: {<<: {b: 1}}", "CloudFormation knows no merge keys"),
        (MESH + "---\n" + MESH, "a second document; a template is one document"),
        (MESH + "Transform: AWS::Serverless-2016-10-31", "runs in AWS and nowhere else"),
        (MESH + "AWSTemplateFormatVersion: 2011", "must be '2010-09-09', not 2011"),
        ("Resources: {M: {Typ: x}}", "is no member of a resource; did you mean 'Type'?"),
        ("Resources: {M: {Type: Mesh}}", "is not a type such as AWS::AppMesh::Route"),
        ("Resources: {M-1: {Type: A::B::C}}", "a logical id has 1 to 255 letters and digits"),
        ("Resources: {M: {Type: A::B::C, DependsOn: N}}", "there is no resource 'N'"),
        ("Resources: {M: {Type: A::B::C, Condition: N}}", "there is no condition 'N'"),
        ("Resources: {M: {Type: A::B::C, DeletionPolicy: Keep}}", "must be one of Delete, Retain"),
        (MESH + "Outputs: {O: {Description: x}}", "Outputs.O: needs a Value"),
        ("{a: " * 5000, "is nested more than 100 levels deep"),
        ("Resources: " + "[" * 500, "is nested more than 100 levels deep"),
        ('{"Resources": ' + "[" * 50_000, "is nested more than 100 levels deep"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, message: str) -> None:
    assert message in "\n".join(refused(text))


def test_every_mistake_of_a_template_is_told_at_once() -> None:
    found = refused(
        "Resources:\n  A: {Type: x}\n  B: {Properties: 1}\nOutputs: {O: {}}\nParameter: {}\n"
    )
    assert [each.partition(":")[2].partition(":")[0] for each in found] == ["5", "2", "3", "3", "4"]


def test_aliases_of_aliases_cost_no_more_than_the_limit() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    began = time.monotonic()
    assert "is too large once its aliases are followed" in refused("\n".join(lines))[0]
    assert time.monotonic() - began < 5


def test_aliases_are_followed() -> None:
    made = planned(
        """
        Resources:
          A: {Type: AWS::AppMesh::Mesh, Properties: &p {MeshName: one, Tags: []}}
          B: {Type: AWS::EC2::VPC, Properties: *p}
        """
    )
    assert [each.logical_id for each in made.moves] == ["A", "B"]


def test_a_template_in_json_has_lines_too() -> None:
    text = json.dumps(
        {"Resources": {"N": {"Type": "AWS::AppMesh::VirtualNode", "Properties": {"Spec": 1}}}},
        indent=2,
    )
    assert problems(text.replace("  ", "\t")) == [
        "app.yaml:5: Resources.N.Properties: required key [MeshName] not found",
        "app.yaml:6: Resources.N.Properties.Spec: must be an object, not 1",
    ]


def test_a_template_is_recognised_by_its_resources() -> None:
    assert looks_like_one(MESH)
    assert looks_like_one('{"Resources": {"A": {"Type": "AWS::EC2::VPC"}}}')
    assert not looks_like_one("resources:\n- kind: mesh\n")
