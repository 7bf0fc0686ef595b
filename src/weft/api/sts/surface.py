"""STS, as far as tools ask for it: who am I?"""

from __future__ import annotations

from typing import Any

from weft.api.exchange import Call
from weft.api.parts import Parts
from weft.api.surfaces import Operation, Protocol, Reply, Surface
from weft.errors import WeftError

_ISSUING = (
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "AssumeRoot",
    "GetFederationToken",
    "GetSessionToken",
)
"""Operations of STS that hand out temporary credentials."""


class NotIssued(WeftError):
    """There are no temporary credentials here."""

    code = "AccessDenied"
    status = 403


def surface(_parts: Parts) -> Surface:
    operations: dict[str, Operation] = {"GetCallerIdentity": caller_identity}
    operations |= {name: _refusal(name) for name in _ISSUING}
    return Surface(
        service="sts",
        protocol=Protocol.QUERY,
        operations=operations,
        version="2011-06-15",
        namespace="https://sts.amazonaws.com/doc/2011-06-15/",
        public=frozenset(operations),
    )


async def caller_identity(call: Call, _members: dict[str, Any]) -> Reply:
    caller = call.caller
    return Reply(
        {
            "Arn": f"arn:aws:iam::{caller.account}:user/{caller.name}",
            "UserId": caller.credential or caller.name,
            "Account": caller.account,
        }
    )


def _refusal(name: str) -> Operation:
    async def refuse(_call: Call, _members: dict[str, Any]) -> Reply:
        raise NotIssued(
            f"{name}: this control plane has no roles to assume and issues no temporary credentials",
            fix="use an access key of weft token create, and take role_arn out of the profile",
        )

    return refuse
