"""What a template makes of a stack: steps on the mesh, stand-ins, replacements, and every problem."""

from __future__ import annotations

import json
import time

import pytest

from tests.unit.cloudformation.planning import World, planned, problems
from weft.manifests.cloudformation.appmesh import TYPES, create_only
from weft.manifests.cloudformation.plan import Act
from weft.model.codec import decode
from weft.names import Key, Kind
from weft.store.change import Create, Delete, Put

NODE = """
    Type: AWS::AppMesh::VirtualNode
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualNodeName: {name}
      Spec:
        Listeners:
        - PortMapping: {{Port: {port}, Protocol: http}}
        ServiceDiscovery: {{DNS: {{Hostname: {name}.local}}}}
"""
MESH = "  Mesh: {Type: AWS::AppMesh::Mesh, Properties: {MeshName: shop}}\n"


def node(name: str = "web", port: str = "9080", *, at: str = "Web") -> str:
    return f"  {at}:{NODE.format(name=name, port=port)}"


def shop(*more: str) -> str:
    return "Resources:\n" + MESH + "".join(more)


def acts(made: object) -> dict[str, Act]:
    return {each.logical_id: each.act for each in made.moves}  # type: ignore[attr-defined]


# --- App Mesh ----------------------------------------------------------------------------


def test_properties_become_the_api_s_spec() -> None:
    made = planned(
        """
        Resources:
          Mesh: {Type: AWS::AppMesh::Mesh, Properties: {MeshName: shop, Spec: {EgressFilter: {Type: ALLOW_ALL}}}}
          Web:
            Type: AWS::AppMesh::VirtualNode
            Properties:
              MeshName: !Ref Mesh
              VirtualNodeName: web
              Tags: [{Key: team, Value: 7}]
              Spec:
                BackendDefaults:
                  ClientPolicy:
                    TLS:
                      Enforce: "true"
                      Ports: ["443"]
                      Validation: {Trust: {ACM: {CertificateAuthorityArns: [arn]}}}
                Listeners:
                - PortMapping: {Port: "8080", Protocol: grpc}
                  ConnectionPool: {GRPC: {MaxRequests: 10}}
                  Timeout: {GRPC: {Idle: {Unit: s, Value: "5"}}}
                  TLS: {Mode: STRICT, Certificate: {SDS: {SecretName: s}}}
                Logging: {AccessLog: {File: {Path: /dev/stdout, Format: {Json: [{Key: a, Value: 1}]}}}}
                ServiceDiscovery: {AWSCloudMap: {NamespaceName: n, ServiceName: s}}
        """
    )
    assert made.findings == ()
    web = made.steps[1]
    assert isinstance(web, Create)
    assert web.key == Key("shop", Kind.VIRTUAL_NODE, "web")
    assert web.tags == (("team", "7"),)
    assert web.sent == {
        "backendDefaults": {
            "clientPolicy": {
                "tls": {
                    "enforce": True,
                    "ports": [443],
                    "validation": {"trust": {"acm": {"certificateAuthorityArns": ["arn"]}}},
                }
            }
        },
        "listeners": [
            {
                "portMapping": {"port": 8080, "protocol": "grpc"},
                "connectionPool": {"grpc": {"maxRequests": 10}},
                "timeout": {"grpc": {"idle": {"unit": "s", "value": 5}}},
                "tls": {"mode": "STRICT", "certificate": {"sds": {"secretName": "s"}}},
            }
        ],
        "logging": {
            "accessLog": {
                "file": {"path": "/dev/stdout", "format": {"json": [{"key": "a", "value": "1"}]}}
            }
        },
        "serviceDiscovery": {"awsCloudMap": {"namespaceName": "n", "serviceName": "s"}},
    }
    decode(Kind.VIRTUAL_NODE, web.sent)


def test_a_misspelt_property_is_named_with_its_line_and_its_spelling() -> None:
    found = problems(
        shop(
            "  Web:\n    Type: AWS::AppMesh::VirtualNode\n    Properties:\n"
            "      MeshName: shop\n      spec: {}\n      Spec:\n        Listeners:\n"
            "        - PortMapping: {Port: 1, Protocol: http}\n"
            "          OutlierDetection: {maxServerErrors: 5}\n"
            "          Tls: {}\n          Health: 1\n"
        )
    )
    assert found[0] == (
        "app.yaml:7: Resources.Web.Properties.spec: is not in CloudFormation's spelling; write Spec"
    )
    assert "maxServerErrors: is not in CloudFormation's spelling; write MaxServerErrors" in found[1]
    assert found[1].startswith("app.yaml:11: ")
    assert "Tls: is not in CloudFormation's spelling; write TLS" in found[2]
    assert "extraneous key [Health] is not permitted" in found[3]


def test_what_the_api_would_refuse_is_told_at_its_place_in_the_template() -> None:
    found = problems(shop(node(port="99999"), node("api", "x", at="Api")))
    assert [each.partition(": ")[2] for each in found] == [
        "Resources.Web.Properties.Spec.Listeners[0].PortMapping.Port: "
        "must be at most 65535, not 99999",
        "Resources.Api.Properties.Spec.Listeners[0].PortMapping.Port: "
        "must be a whole number, not 'x'",
    ]


def test_names_are_made_up_where_none_are_given_and_stay() -> None:
    world = World()
    text = shop(node().replace("      VirtualNodeName: web\n", ""))
    made = world.deploy(text)
    name = made.steps[1].key.name  # type: ignore[union-attr]
    assert name.startswith("shop-Web-")
    again = world.deploy(text.replace("9080", "9081"))
    assert again.steps == (
        Put(
            Key("shop", Kind.VIRTUAL_NODE, name),
            {
                "listeners": [{"portMapping": {"port": 9081, "protocol": "http"}}],
                "serviceDiscovery": {"dns": {"hostname": "web.local"}},
            },
            (),
        ),
    )


def test_only_what_differs_is_written() -> None:
    world = World()
    world.deploy(shop(node(), node("api", at="Api")))
    made = world.deploy(shop(node(), node("api", "9090", at="Api")))
    assert acts(made) == {"Mesh": Act.KEEP, "Web": Act.KEEP, "Api": Act.MODIFY}
    assert [each.key.name for each in made.steps] == ["api"]  # type: ignore[union-attr]
    assert made.changes[0].changed == ("Spec",)


@pytest.mark.parametrize("kind", TYPES.values())
def test_every_kind_is_replaced_when_what_names_it_changes(kind: Kind) -> None:
    assert create_only(kind)[0] == "MeshName"
    assert ("MeshOwner" in create_only(kind)) is (kind is not Kind.MESH)


def test_another_name_is_another_resource_in_the_same_change() -> None:
    world = World()
    world.deploy(shop(node()))
    made = world.deploy(shop(node("www")))
    assert acts(made)["Web"] is Act.REPLACE
    old, new = made.steps
    assert isinstance(old, Delete)
    assert isinstance(new, Create)
    assert (old.key.name, new.key.name) == ("web", "www")


def test_names_may_be_swapped() -> None:
    world = World()
    world.deploy(shop(node("a", at="Web"), node("b", at="Api")))
    world.deploy(shop(node("b", at="Web"), node("a", at="Api")))
    assert world.state.resource(Key("shop", Kind.VIRTUAL_NODE, "a")) is not None


def test_what_is_retained_stays_in_the_mesh() -> None:
    world = World()
    kept = "    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n"
    world.deploy(shop(node() + kept))
    made = world.deploy(shop(node("www") + kept))
    assert [type(each) for each in made.steps] == [Create]
    made = world.deploy(shop())
    assert acts(made)["Web"] is Act.RETAIN
    assert made.steps == ()


def test_what_is_gone_already_is_not_deleted_again() -> None:
    world = World()
    world.deploy(shop(node()))
    world.state = type(world.state)(
        documents=world.state.documents,
        tables={k: v for k, v in world.state.tables.items() if k[1] is not Kind.VIRTUAL_NODE},
    )
    assert world.deploy(shop()).steps == ()


def test_a_type_may_not_change() -> None:
    world = World()
    world.deploy(shop("  Web: {Type: AWS::EC2::VPC}\n"))
    found = world.problems(shop("  Web: {Type: AWS::EC2::Subnet}\n"))
    assert "Update of resource type is not permitted" in found[0]


def test_two_resources_of_one_name_are_refused() -> None:
    found = problems(shop(node(), node(at="Twin")))
    assert "is the same resource as Web: mesh/shop/virtualNode/web" in found[0]


# --- order -------------------------------------------------------------------------------


def test_a_circle_is_named() -> None:
    found = problems(
        shop(
            "  A: {Type: AWS::EC2::VPC, Properties: {X: !Ref B}}\n"
            "  B: {Type: AWS::EC2::VPC, Properties: {X: !Sub '${C.Y}'}}\n"
            "  C: {Type: AWS::EC2::VPC, DependsOn: A}\n"
        )
    )
    assert found == [
        "app.yaml:3: Resources.A: Circular dependency between resources: A → B → C → A"
    ]


def test_a_branch_that_is_not_taken_makes_no_circle_and_is_still_checked() -> None:
    text = "Conditions: {Yes: !Equals [a, a]}\n" + shop(
        "  A: {Type: AWS::EC2::VPC, Properties: {X: !If [Yes, 1, !Ref B]}}\n"
        "  B: {Type: AWS::EC2::VPC, Properties: {X: !Ref A}}\n"
    )
    assert problems(text) == []
    assert (
        "'C' is neither a parameter nor a resource" in problems(text.replace("!Ref B", "!Ref C"))[0]
    )


def test_what_a_false_condition_leaves_out_cannot_be_referred_to() -> None:
    text = "Conditions: {No: !Equals [a, b]}\n" + shop(
        "  A: {Type: AWS::EC2::VPC, Condition: No}\n",
        "  B: {Type: AWS::EC2::VPC, Properties: {X: !If [No, !Ref A, x]}}\n",
    )
    assert acts(planned(text)) == {"Mesh": Act.ADD, "B": Act.ADD}
    found = problems(text.replace("!If [No, !Ref A, x]", "!Ref A"))
    assert "resource A is not there: its condition No is false" in found[0]


# --- what is not ours --------------------------------------------------------------------

FOREIGN = shop(
    "  Balancer: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer}\n",
    "  Logs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: shop-log}}\n",
    "  Cert: {Type: AWS::CertificateManager::Certificate}\n",
    "  Role: {Type: AWS::IAM::Role}\n",
    "  Odd: {Type: 'Custom::Thing'}\n",
) + (
    "Outputs:\n"
    "  Url: {Value: !Sub 'http://${Balancer.DNSName}'}\n"
    "  Log: {Value: !Ref Logs}\n"
    "  Cert: {Value: !Ref Cert}\n"
    "  Role: {Value: !GetAtt Role.Arn}\n"
    "  Odd: {Value: !GetAtt Odd.Some.Thing}\n"
)


def test_foreign_resources_are_recorded_with_stand_ins_that_stay() -> None:
    made = planned(FOREIGN)
    assert made.findings == ()
    assert [each.after.recorded for each in made.moves if each.after] == [False] + [True] * 5
    values = {each.key: each.value for each in made.outputs}
    assert values["Url"].startswith("http://shop-balancer-")
    assert values["Url"].endswith(".us-west-2.elb.amazonaws.com")
    assert values["Log"] == "shop-log"
    assert values["Cert"].startswith("arn:aws:acm:us-west-2:000000000000:certificate/")
    assert values["Role"].startswith("arn:aws:iam::000000000000:role/shop-Role-")
    assert values == {each.key: each.value for each in planned(FOREIGN).outputs}


def test_values_can_be_given_in_the_place_of_stand_ins() -> None:
    made = planned(FOREIGN, given={"Balancer.DNSName": "127.0.0.1:7480", "Cert": "mine"})
    values = {each.key: each.value for each in made.outputs}
    assert (values["Url"], values["Cert"]) == ("http://127.0.0.1:7480", "mine")
    found = problems(FOREIGN, given={"Mesh.Arn": "x"})
    assert "AWS::AppMesh::Mesh is created, not recorded" in found[0]


def test_foreign_resources_can_be_refused() -> None:
    found = problems(FOREIGN, refuse_foreign=True)
    assert len(found) == 5
    assert found[0].startswith("app.yaml:3: Resources.Balancer.Type: ")


# --- Cloud Map ---------------------------------------------------------------------------

DISCOVERY = """
Resources:
  Space: {Type: AWS::ServiceDiscovery::PrivateDnsNamespace, Properties: {Name: shop.local, Vpc: vpc-1}}
  Web:
    Type: AWS::ServiceDiscovery::Service
    Properties:
      Name: web
      DnsConfig: {NamespaceId: !Ref Space, DnsRecords: [{Type: A, TTL: "300"}]}
      HealthCheckCustomConfig: {FailureThreshold: 1}
  One:
    Type: AWS::ServiceDiscovery::Instance
    Properties:
      ServiceId: !Ref Web
      InstanceId: one
      InstanceAttributes: {AWS_INSTANCE_IPV4: 10.0.0.1}
Outputs:
  Name: {Value: !GetAtt Web.Name}
  Arn: {Value: !GetAtt Web.Arn}
"""


def test_cloud_map_s_things_are_created() -> None:
    world = World()
    made = world.deploy(DISCOVERY)
    (service,) = world.state.collection("cloudmap/services")
    assert [each.value for each in made.outputs] == [
        "web",
        f"arn:aws:servicediscovery:us-west-2:000000000000:service/{service}",
    ]
    assert list(world.state.collection(f"cloudmap/instances/{service}")) == ["one"]
    assert world.deploy(DISCOVERY).steps == ()


def test_cloud_map_s_things_are_changed_in_place_and_go_in_their_order() -> None:
    world = World()
    world.deploy(DISCOVERY)
    (service,) = world.state.collection("cloudmap/services")
    made = world.deploy(DISCOVERY.replace('"300"', "60").replace("10.0.0.1", "10.0.0.2"))
    assert acts(made) == {"Space": Act.KEEP, "Web": Act.MODIFY, "One": Act.MODIFY}
    (document,) = world.state.collection("cloudmap/services").values()
    assert document["dnsConfig"]["DnsRecords"][0]["TTL"] == 60
    made = world.deploy(DISCOVERY.replace("Name: web", "Name: www"))
    assert acts(made)["Web"] is Act.REPLACE
    assert service not in world.state.collection("cloudmap/services")
    world.deploy("Resources: {V: {Type: AWS::EC2::VPC}}")
    assert not world.state.collection("cloudmap/namespaces")
    assert not world.state.collection("cloudmap/names")


def test_cloud_map_s_own_refusals_are_told_at_their_place() -> None:
    found = problems(DISCOVERY.replace("NamespaceId: !Ref Space", "NamespaceId: ns-nowhere"))
    assert found == ["app.yaml:4: Resources.Web: there is no namespace ns-nowhere"]
    found = problems(DISCOVERY.replace('"300"', "soon"))
    assert "Resources.Web.Properties.DnsConfig.DnsRecords[0].TTL" in found[0]


# --- exports -----------------------------------------------------------------------------

EXPORTING = shop() + "Outputs: {O: {Value: !GetAtt Mesh.MeshName, Export: {Name: the-mesh}}}\n"
IMPORTING = (
    "Resources: {V: {Type: AWS::EC2::VPC, Properties: {X: !ImportValue the-mesh}}}\n"
    "Outputs: {O: {Value: !ImportValue the-mesh}}\n"
)


def test_a_stack_uses_what_another_exports() -> None:
    world = World()
    world.deploy(EXPORTING)
    made = world.deploy(IMPORTING, "user")
    assert (made.imports, made.outputs[0].value) == (("the-mesh",), "shop")


def test_an_export_in_use_stays_as_it_is() -> None:
    world = World()
    world.deploy(EXPORTING)
    world.deploy(IMPORTING, "user")
    assert "Export the-mesh cannot be deleted as it is in use by user" in world.problems(shop())[0]
    other = EXPORTING.replace("!GetAtt Mesh.MeshName", "other")
    assert "Export the-mesh cannot be updated as it is in use by user" in world.problems(other)[0]


def test_an_export_belongs_to_one_stack() -> None:
    world = World()
    world.deploy(EXPORTING)
    found = world.problems(EXPORTING.replace("shop", "other"), "other")
    assert "Export with name the-mesh is already exported by stack shop" in found[0]


# --- rules, CDK, size --------------------------------------------------------------------


def test_rules_are_held() -> None:
    text = (
        "Parameters: {Env: {Type: String, Default: prod}, Size: {Type: String, Default: s}}\n"
        "Rules:\n"
        "  Big:\n"
        "    RuleCondition: !Equals [!Ref Env, prod]\n"
        "    Assertions:\n"
        "    - Assert: !Contains [[l, xl], !Ref Size]\n"
        "      AssertDescription: production is large\n"
    ) + shop()
    assert problems(text) == ["app.yaml:6: Rules.Big.Assertions[0]: production is large"]
    assert problems(text, Size="l") == []
    assert problems(text, Env="test") == []


CDK = {
    "Resources": {
        "MeshBC2A8C1F": {
            "Type": "AWS::AppMesh::Mesh",
            "Properties": {"MeshName": "cdk", "Spec": {}},
            "Metadata": {"aws:cdk:path": "Stack/Mesh/Resource"},
        },
        "Node0C3BA8E1": {
            "Type": "AWS::AppMesh::VirtualNode",
            "Properties": {
                "MeshName": {"Fn::GetAtt": ["MeshBC2A8C1F", "MeshName"]},
                "MeshOwner": {
                    "Fn::Select": [
                        4,
                        {"Fn::Split": [":", {"Ref": "MeshBC2A8C1F"}]},
                    ]
                },
                "Spec": {
                    "Listeners": [
                        {
                            "PortMapping": {"Port": 8080, "Protocol": "http"},
                            "Timeout": {"HTTP": {"Idle": {"Unit": "ms", "Value": 5000}}},
                        }
                    ],
                    "ServiceDiscovery": {
                        "DNS": {"Hostname": {"Fn::Join": ["", ["node.", {"Ref": "AWS::Region"}]]}}
                    },
                },
                "VirtualNodeName": {"Fn::Sub": ["${p}-node", {"p": {"Ref": "AWS::StackName"}}]},
            },
        },
        "CDKMetadata": {
            "Type": "AWS::CDK::Metadata",
            "Properties": {"Analytics": "v2:deflate64:H4s"},
            "Condition": "CDKMetadataAvailable",
        },
    },
    "Conditions": {
        "CDKMetadataAvailable": {
            "Fn::Or": [
                {
                    "Fn::Or": [
                        {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]},
                        {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-west-2"]},
                    ]
                },
                {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-2"]},
            ]
        }
    },
    "Parameters": {
        "BootstrapVersion": {
            "Type": "AWS::SSM::Parameter::Value<String>",
            "Default": "/cdk-bootstrap/hnb659fds/version",
            "Description": "Version of the CDK Bootstrap resources [cdk:skip]",
        }
    },
    "Rules": {
        "CheckBootstrapVersion": {
            "Assertions": [
                {
                    "Assert": {
                        "Fn::Not": [
                            {
                                "Fn::Contains": [
                                    ["1", "2", "3", "4", "5"],
                                    {"Ref": "BootstrapVersion"},
                                ]
                            }
                        ]
                    },
                    "AssertDescription": "CDK bootstrap stack version 6 required.",
                }
            ]
        }
    },
}


def test_what_the_cdk_makes_is_taken_as_it_comes() -> None:
    made = planned(json.dumps(CDK, indent=1), name="Stack")
    assert made.findings == ()
    assert [str(each.key) for each in made.steps] == [  # type: ignore[union-attr]
        "mesh/cdk",
        "mesh/cdk/virtualNode/Stack-node",
    ]


def test_five_thousand_resources_are_planned_in_bounded_time() -> None:
    text = shop(*(node(f"n{i}", at=f"N{i}") for i in range(4999)))
    began = time.monotonic()
    made = planned(text)
    assert (len(made.moves), made.findings) == (5000, ())
    assert time.monotonic() - began < 20


def test_texts_that_make_texts_are_bounded() -> None:
    properties = ", ".join(f"X{i}: !Join [!Ref P, !Ref L]" for i in range(10))
    text = "Parameters: {P: {Type: String}, L: {Type: CommaDelimitedList}}\nResources:\n" + "".join(
        f"  V{i}: {{Type: AWS::EC2::VPC, Properties: {{{properties}}}}}\n" for i in range(20)
    )
    found = problems(text, P="x" * 16_000, L=",".join(["y"] * 60))
    assert [each.partition("the template ")[2] for each in found] == [
        "makes more than 67108864 characters of text"
    ]
