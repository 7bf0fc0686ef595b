"""Parameters: where values come from, and the limits they are held to."""

from __future__ import annotations

import pytest

from tests.unit.cloudformation.planning import World, planned, problems
from weft.manifests.cloudformation.parameters import Previous

MESH = "Resources: {M: {Type: AWS::AppMesh::Mesh, Properties: {MeshName: shop}}}\n"


def of(declaration: str, **given: str) -> list[str]:
    found = problems(f"Parameters: {{P: {declaration}}}\n{MESH}", **given)
    return [each.partition(": ")[2] for each in found]


def test_lacking_and_unknown_parameters_are_named_all_together() -> None:
    text = f"Parameters: {{A: {{Type: String}}, B: {{Type: Number}}, C: {{Type: String}}}}\n{MESH}"
    assert problems(text, C="x", D="y", E="z") == [
        "app.yaml:1: Parameters: Parameters: [A, B] must have values",
        "app.yaml:1: Parameters: Parameters: [D, E] do not exist in the template; "
        "known are A, B, C",
    ]


@pytest.mark.parametrize(
    ("declaration", "value", "message"),
    [
        ("{Type: Number}", "x", "Parameter 'P' must be a number, not 'x'"),
        ("{Type: Number, MinValue: 1}", "0", "must be a number not less than 1"),
        ("{Type: Number, MaxValue: 9}", "10", "must be a number not greater than 9"),
        ("{Type: List<Number>}", "1, two", "must be a number, not 'two'"),
        ("{Type: String, AllowedValues: [true, false]}", "yes", "must be one of AllowedValues"),
        ("{Type: String, MinLength: 4}", "abc", "must contain at least 4 characters"),
        ("{Type: String, MaxLength: 2}", "abc", "must contain at most 2 characters"),
        ("{Type: String, AllowedPattern: '[a-z]+'}", "abC", "must match pattern [a-z]+"),
        (
            "{Type: String, AllowedPattern: '[a-z]+', ConstraintDescription: lower case}",
            "A",
            "Parameter P failed to satisfy constraint: lower case",
        ),
        ("{Type: Text}", "a", "'Text' is no type of a parameter"),
        ("{Type: String, Defualt: a}", "a", "is no member of a parameter; did you mean 'Default'?"),
        ("{}", "a", "Every Parameters object must contain a Type member."),
    ],
)
def test_a_value_is_held_to_its_limits(declaration: str, value: str, message: str) -> None:
    assert message in "\n".join(of(declaration, P=value))


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("{Type: String, AllowedValues: [true, false]}", "true"),
        ("{Type: Number, AllowedValues: [0, 1]}", "1"),
        ("{Type: 'AWS::EC2::KeyPair::KeyName'}", "key"),
        ("{Type: 'List<AWS::EC2::Subnet::Id>'}", "subnet-1,subnet-2"),
        ("{Type: String, AllowedPattern: '(?=look)ahead'}", "RE2 cannot tell"),
        ("{Type: String, AllowedPattern: '(a+)+$'}", "a" * 40),
    ],
)
def test_a_value_within_its_limits_is_taken(declaration: str, value: str) -> None:
    assert of(declaration, P=value) == []


def test_what_aws_would_look_up_has_a_stand_in_that_stays() -> None:
    text = (
        "Parameters: {Ami: {Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', "
        f"Default: /aws/ami}}}}\n{MESH}"
        "Outputs: {O: {Value: !Ref Ami}}"
    )
    value = planned(text).outputs[0].value
    assert value.startswith("ami-")
    assert planned(text).outputs[0].value == value
    assert planned(text, given={"Ami": "ami-mine"}).outputs[0].value == "ami-mine"


def test_a_previous_value_is_used_again() -> None:
    world = World()
    text = (
        f"Parameters: {{P: {{Type: String, Default: a}}}}\n{MESH}Outputs: {{O: {{Value: !Ref P}}}}"
    )
    world.deploy(text, P="b")
    assert world.deploy(text, P=Previous()).outputs[0].value == "b"
    assert world.deploy(text).outputs[0].value == "a"
