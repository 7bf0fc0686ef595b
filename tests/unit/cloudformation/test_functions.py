"""What CloudFormation's functions give, and what they refuse."""

from __future__ import annotations

import pytest

from tests.unit.cloudformation.planning import output, refusals

HEAD = """
Parameters:
  Name: {Type: String, Default: red}
  Ports: {Type: List<Number>, Default: "80, 443"}
  Count: {Type: Number, Default: 5}
  Flag: {Type: String, Default: true}
Mappings:
  Regions:
    us-west-2: {image: ami-1, zones: [a, b]}
Conditions:
  Yes: !Equals [!Ref Flag, "true"]
  No: !Not [!Condition Yes]
  Both: !And [!Condition Yes, !Not [!Condition No]]
  1of: !Or [!Condition No, !Condition Yes]
"""

GIVES = {
    "!Ref Name": "red",
    "{Ref: Name}": "red",
    "!Ref Count": "5",
    "!Ref AWS::Region": "us-west-2",
    "!Ref AWS::StackName": "shop",
    "!Ref AWS::AccountId": "000000000000",
    "!Ref AWS::Partition": "aws",
    "!Ref AWS::URLSuffix": "amazonaws.com",
    "!Ref Mesh": "arn:aws:appmesh:us-west-2:000000000000:mesh/shop",
    "!GetAtt Mesh.MeshName": "shop",
    "{Fn::GetAtt: [Mesh, Arn]}": "arn:aws:appmesh:us-west-2:000000000000:mesh/shop",
    "{Fn::GetAtt: Mesh.MeshOwner}": "000000000000",
    "!GetAtt Vpc.CidrBlock": "10.1.0.0/16",
    "!Sub 'x-${Name}'": "x-red",
    "!Sub 'x-${Mesh.MeshName}-${AWS::Region}'": "x-shop-us-west-2",
    "!Sub ['${a}-${Name}', {a: !Ref Count}]": "5-red",
    "{Fn::Sub: ['${!Name} ${Name}', {}]}": "${Name} red",
    "!Join ['-', [a, !Ref Name, 7]]": "a-red-7",
    "!Join ['', [a, !Ref AWS::NoValue, b]]": "ab",
    "!Join [',', !Ref Ports]": "80,443",
    "!Select [1, [a, b]]": "b",
    "!Select ['0', !Split ['.', a.b]]": "a",
    "!Select [0, !Ref Ports]": "80",
    "!Select [1, !GetAZs '']": "us-west-2b",
    "!Select [2, {Fn::GetAZs: eu-west-1}]": "eu-west-1c",
    "!Select [1, !Cidr [10.0.0.0/16, 4, 8]]": "10.0.1.0/24",
    "!If [Yes, a, b]": "a",
    "!If [No, a, b]": "b",
    "!If [Both, a, b]": "a",
    "!If [1of, a, b]": "a",
    "!FindInMap [Regions, !Ref AWS::Region, image]": "ami-1",
    "!FindInMap [Regions, nowhere, image, {DefaultValue: none}]": "none",
    "!Select [1, !FindInMap [Regions, us-west-2, zones]]": "b",
    "!Base64 hello": "aGVsbG8=",
    "!Length [a, b, c]": "3",
    "!ToJsonString {a: [1, !Ref Name]}": '{"a":[1,"red"]}',
    "true": "true",
    "012": "012",
    "1.50": "1.50",
    "2020-01-01": "2020-01-01",
}


@pytest.mark.parametrize("expression", GIVES)
def test_it_gives(expression: str) -> None:
    assert output(expression, HEAD) == GIVES[expression]


REFUSED = {
    "!Ref Nmae": "'Nmae' is neither a parameter nor a resource of the template; did you mean 'Name'?",
    "!GetAtt Mesh.Arm": "Mesh has no attribute 'Arm'; did you mean 'Arn'?",
    "!GetAtt Mesh": "Fn::GetAtt takes LogicalId.Attribute",
    "!Sub '${Nobody}'": "'Nobody' is neither a parameter nor a resource of the template",
    "!Sub '${Ports}'": "Fn::Sub: ${Ports} must be a text, not a list",
    "!Join [a, b]": "Fn::Join takes [DELIMITER, [TEXT, …]]",
    "!Select [3, [a, b]]": "Fn::Select cannot select value at index 3 of 2",
    "!If [Perhaps, a, b]": "there is no condition 'Perhaps'; known are 1of, Both, No, Yes",
    "!FindInMap [Regions, us-west-2, imgae]": (
        "'imgae' is not a key of Regions.us-west-2; did you mean 'image'?"
    ),
    "!ImportValue other-vpc": "No export named other-vpc found",
    "!Transform {Name: AWS::Include}": "a macro runs in AWS and nowhere else; write what it makes",
    "{Fn::Joyn: [a, [b]]}": "there is no function Fn::Joyn; did you mean 'Fn::Join'?",
    "!Cidr [10.0.0.0/30, 9, 1]": "Fn::Cidr 10.0.0.0/30 has no room for 9 blocks of 1 bits",
    "[a, b]": "an output must be a text, not a list",
    "{a: b, Fn::Join: ['', [a]]}": "a function must be the only member of its object",
}


@pytest.mark.parametrize("expression", REFUSED)
def test_it_refuses(expression: str) -> None:
    assert REFUSED[expression] in refusals(expression, HEAD)


def test_conditions_that_go_round_in_a_circle_are_named() -> None:
    head = "Conditions:\n  A: !Not [!Condition B]\n  B: !Not [!Condition A]"
    assert refusals("x", head) == ["conditions go round in a circle: A → B → A"]


def test_a_condition_may_not_ask_for_a_resource() -> None:
    head = "Conditions:\n  A: !Equals [!Ref Mesh, x]"
    assert refusals("x", head) == ["resource Mesh cannot be referred to here, only parameters"]
