"""
Stand-ins for what Weft does not make: ids and attributes that are stable and look their part.

A template refers to subnets, roles and load balancers; a mesh needs none of them.
Each gets the same values at every run, made of the stack's name and its logical
id, so that references resolve and nothing changes where nothing was changed.
Values that matter can be given (``weft stack set STACK LogicalId.Attribute=value``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weft.manifests.cloudformation.parameters import as_text

# What ``Ref`` gives, where it is an id with a prefix.
_PREFIXES = {
    "AWS::EC2::CustomerGateway": "cgw",
    "AWS::EC2::DHCPOptions": "dopt",
    "AWS::EC2::FlowLog": "fl",
    "AWS::EC2::Instance": "i",
    "AWS::EC2::InternetGateway": "igw",
    "AWS::EC2::LaunchTemplate": "lt",
    "AWS::EC2::NatGateway": "nat",
    "AWS::EC2::NetworkAcl": "acl",
    "AWS::EC2::NetworkInterface": "eni",
    "AWS::EC2::RouteTable": "rtb",
    "AWS::EC2::SecurityGroup": "sg",
    "AWS::EC2::Subnet": "subnet",
    "AWS::EC2::SubnetRouteTableAssociation": "rtbassoc",
    "AWS::EC2::TransitGateway": "tgw",
    "AWS::EC2::VPC": "vpc",
    "AWS::EC2::VPCEndpoint": "vpce",
    "AWS::EC2::VPCPeeringConnection": "pcx",
    "AWS::EC2::Volume": "vol",
    "AWS::EFS::FileSystem": "fs",
}
# Where ``Ref`` gives the ARN: what stands after the account in it.
_ARNS = {
    "AWS::ACMPCA::CertificateAuthority": "acm-pca:{region}:{account}:certificate-authority/{uuid}",
    "AWS::CertificateManager::Certificate": "acm:{region}:{account}:certificate/{uuid}",
    "AWS::ECS::Service": "ecs:{region}:{account}:service/{name}",
    "AWS::ECS::TaskDefinition": "ecs:{region}:{account}:task-definition/{name}:1",
    "AWS::ElasticLoadBalancingV2::Listener": (
        "elasticloadbalancing:{region}:{account}:listener/app/{name}/{hex16}"
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": (
        "elasticloadbalancing:{region}:{account}:listener-rule/app/{name}/{hex16}"
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (
        "elasticloadbalancing:{region}:{account}:loadbalancer/app/{name}/{hex16}"
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": (
        "elasticloadbalancing:{region}:{account}:targetgroup/{name}/{hex16}"
    ),
    "AWS::IAM::ManagedPolicy": "iam::{account}:policy/{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}",
    "AWS::StepFunctions::StateMachine": "states:{region}:{account}:stateMachine:{name}",
}
# Where ``Arn`` is asked of what has a plain name.
_OWN_ARNS = {
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::ECR::Repository": "ecr:{region}:{account}:repository/{name}",
    "AWS::ECS::Cluster": "ecs:{region}:{account}:cluster/{name}",
    "AWS::IAM::InstanceProfile": "iam::{account}:instance-profile/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::IAM::User": "iam::{account}:user/{name}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
}


@dataclass(frozen=True, slots=True)
class StandIn:
    """One resource that is recorded, not created."""

    type: str
    logical_id: str
    stack_name: str
    region: str
    account: str
    partition: str
    properties: Mapping[str, Any] = field(repr=False)
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values by attribute; "" is ``Ref`` itself."""

    @property
    def ref(self) -> str:
        return self.given.get("") or self.given.get("Ref") or self._ref()

    def attribute(self, name: str) -> Any:
        if name in self.given:
            return self.given[name]
        found: Any = self.properties
        for step in name.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        if isinstance(found, str | int | float) and found != "":
            return as_text(found)
        return self._attribute(name)

    # --- how they are made up ------------------------------------------------------------

    def _digest(self, of: str = "") -> str:
        seed = "\0".join((self.account, self.region, self.stack_name, self.logical_id, of))
        return hashlib.sha256(seed.encode()).hexdigest()

    def _filled(self, form: str) -> str:
        digest = self._digest()
        filled = form.format(
            region=self.region,
            account=self.account,
            name=self._name(),
            hex16=digest[:16],
            uuid=f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}",
        )
        return f"arn:{self.partition}:{filled}"

    def _name(self) -> str:
        """The name that the properties give, or one as CloudFormation makes it up."""
        short = self.type.rpartition("::")[2]
        for member in (f"{short}Name", "Name", "Family"):
            value = self.properties.get(member)
            if isinstance(value, str) and value:
                return value
        return generated_name(self.stack_name, self.logical_id, self._digest("name"), 128)

    def _ref(self) -> str:
        if prefix := _PREFIXES.get(self.type):
            return f"{prefix}-{self._digest()[:17]}"
        if form := _ARNS.get(self.type):
            return self._filled(form)
        if self.type == "AWS::EC2::EIP":
            return self._address(public=True)
        if self.type == "AWS::SQS::Queue":
            return f"https://sqs.{self.region}.amazonaws.com/{self.account}/{self._name()}"
        return self._name()

    def _attribute(self, name: str) -> str:
        last = name.rpartition(".")[2]
        if last in ("Id", "Ref") or (last.endswith("Id") and self.type in _PREFIXES):
            own = last in ("Id", "Ref", f"{self.type.rpartition('::')[2]}Id")
            return self._ref() if own else self._made_up_id(last)
        if last in ("Arn", "ServiceArn", "LoadBalancerArn", "TargetGroupArn", "TopicArn"):
            return self._arn()
        if last.endswith("Arn"):
            return f"{self._arn()}/{last.removesuffix('Arn').lower()}"
        if last.lower().endswith(("dnsname", "domainname", "endpoint", "address")):
            return self._host()
        if last.endswith(("Ip", "IpAddress", "IPAddress")):
            return self._address(public="Public" in last)
        if last.endswith("Port"):
            return "443"
        if last.endswith("CidrBlock"):
            return "10.0.0.0/16"
        if last == "DefaultSecurityGroup":
            return f"sg-{self._digest(last)[:17]}"
        if last.endswith(("VersionNumber", "Version")):
            return "1"
        if last == "AvailabilityZone":
            return f"{self.region}a"
        if last in ("Name", f"{self.type.rpartition('::')[2]}Name"):
            return self._name()
        if last.endswith("FullName"):
            return self._ref().rpartition(":")[2].partition("/")[2] or self._name()
        return self._made_up_id(last)

    def _arn(self) -> str:
        ref = self._ref()
        if ref.startswith("arn:"):
            return ref
        if form := _OWN_ARNS.get(self.type):
            return self._filled(form)
        service = self.type.split("::")[1].lower() if "::" in self.type else "cloudformation"
        short = self.type.rpartition("::")[2].lower()
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{short}/{ref}"

    def _host(self) -> str:
        label = re.sub(r"[^a-z0-9]+", "-", self._name().lower())[:32].strip("-") or "host"
        number = int(self._digest("host")[:8], 16) % 1_000_000_000
        service = "elb." if "LoadBalancing" in self.type else ""
        return f"{label}-{number}.{self.region}.{service}amazonaws.com"

    def _address(self, *, public: bool) -> str:
        digest = bytes.fromhex(self._digest("address"))
        # Public ones are of TEST-NET-2, which leads nowhere.
        if public:
            return f"198.51.100.{digest[0] % 254 + 1}"
        return f"10.0.{digest[0]}.{digest[1] % 254 + 1}"

    def _made_up_id(self, name: str) -> str:
        return f"{name.lower()}-{self._digest(name)[:12]}"


_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def generated_name(stack_name: str, logical_id: str, digest: str, most: int) -> str:
    """``Stack-LogicalId-1A2B3C4D5E6F``, cut to fit; the same for the same digest."""
    number, suffix = int(digest, 16), ""
    for _ in range(12):
        number, rest = divmod(number, 36)
        suffix += _ALPHABET[rest]
    room = (most - len(suffix) - 2) // 2
    stack = stack_name[: max(room, most - len(suffix) - 2 - len(logical_id))]
    return f"{stack}-{logical_id[: most - len(suffix) - 2 - len(stack)]}-{suffix}"
