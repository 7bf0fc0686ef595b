"""The control plane as the runner sees it: Weft's own API over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from weft import errors
from weft.local import http
from weft.names import USER_HEADER, Key, Kind
from weft.settings import Address, user

Json = Mapping[str, Any]

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Reply:
    body: Any
    revision: int | None
    """Of a write: the revision it made."""


class ControlPlane:
    """Asks; raises what the control plane answers, and Unreachable when nobody does."""

    def __init__(self, address: Address, *, agent: str = "weft up") -> None:
        self.address = replace(address, host=_EVERYWHERE.get(address.host, address.host))
        self._agent = agent

    async def status(self) -> Json:
        return (await self._ask("GET", "/weft/v1/status")).body or {}

    async def resources(self) -> tuple[int, Sequence[Json]]:
        """Every App Mesh resource, and the revision at which it stood so."""
        body = (await self._ask("GET", "/weft/v1/resources", seconds=30)).body
        return int(body["revision"]), body["resources"]

    async def apply(
        self,
        resources: Sequence[Json],
        *,
        policies: Sequence[Json] = (),
        note: str = "",
    ) -> Reply:
        body = {"resources": list(resources), "policies": list(policies), "note": note}
        return await self._ask("POST", "/weft/v1/apply", body, seconds=60)

    async def missing_certificates(self) -> Sequence[Json]:
        """What the meshes name by ARN and is not there."""
        reply = await self._ask("POST", "/weft/v1/missingCertificates", {}, seconds=30)
        found: Sequence[Json] = reply.body["missing"]
        return found

    async def policies(self) -> Sequence[Key]:
        """What has a policy of Weft's own."""
        body = (await self._ask("GET", "/weft/v1/policies", seconds=30)).body
        return [Key.parse(each["for"]) for each in body["policies"]]

    async def delete_policy(self, key: Key) -> None:
        await self._ask("DELETE", f"/weft/v1/policies/{quote(str(key), safe='/')}")

    async def delete(self, key: Key) -> None:
        """One resource; InUse while others refer to it."""
        await self._ask("DELETE", _appmesh(key))

    async def register(
        self, node: Key, id: str, addresses: Mapping[str, str], lease_seconds: float
    ) -> int | None:
        """Put an instance into the registry; NotFound while there is no such virtual node."""
        body = {"addresses": dict(addresses), "leaseSeconds": lease_seconds}
        return (await self._ask("PUT", _instance(node, id), body)).revision

    async def heartbeat(self, node: Key, id: str) -> bool:
        """False when the registry does not know the instance (any more)."""
        try:
            await self._ask("POST", f"{_instance(node, id)}/heartbeat", {})
        except errors.NotFound:
            return False
        return True

    async def deregister(self, node: Key, id: str) -> int | None:
        """The revision without it; None when it was not there."""
        try:
            reply = await self._ask("DELETE", _instance(node, id), seconds=5)
        except errors.NotFound:
            return None
        return reply.revision

    async def wait(self, revision: int | None, seconds: float) -> Json:
        """Until every proxy has accepted a revision; TimedOut or Rejected say who has not."""
        query: dict[str, Any] = {"timeout": seconds}
        if revision is not None:
            query["revision"] = revision
        target = f"/weft/v1/wait?{urlencode(query)}"
        return (await self._ask("GET", target, seconds=seconds + 5)).body or {}

    async def _ask(
        self, method: str, target: str, body: Json | None = None, *, seconds: float = 10
    ) -> Reply:
        try:
            answer = await http.request(
                self.address,
                method,
                target,
                body=None if body is None else json.dumps(body).encode(),
                headers={
                    "user-agent": self._agent,
                    "accept": "application/json",
                    **({USER_HEADER: who} if (who := user()) else {}),
                },
                seconds=seconds,
            )
        except (OSError, TimeoutError) as error:
            raise errors.Unreachable(
                f"the control plane at {self.address} does not answer"
            ) from error
        try:
            content = json.loads(answer.body) if answer.body.strip() else None
        except ValueError:
            content = None
        if answer.status >= 400:
            raise _error(answer, content)
        revision = answer.headers.get("x-weft-revision", "")
        return Reply(content, int(revision) if revision.isdecimal() else None)


def _appmesh(key: Key) -> str:
    mesh, parent, name = (quote(each, safe="") for each in (key.mesh, key.parent_name, key.name))
    match key.kind:
        case Kind.MESH:
            return f"/v20190125/meshes/{mesh}"
        case Kind.ROUTE | Kind.GATEWAY_ROUTE:
            return f"/v20190125/meshes/{mesh}/{key.kind.parent}/{parent}/{key.kind}s/{name}"
        case _:
            return f"/v20190125/meshes/{mesh}/{key.kind}s/{name}"


def _instance(node: Key, id: str) -> str:
    mesh, name, instance = (quote(each, safe="") for each in (node.mesh, node.name, id))
    return f"/weft/v1/meshes/{mesh}/virtualNodes/{name}/instances/{instance}"


def _error(answer: http.Answer, body: Any) -> errors.WeftError:
    said = body if isinstance(body, Mapping) else {}
    message = str(said.get("message") or f"the control plane answered {answer.status}")
    fix = said.get("fix") or None
    if problems := said.get("problems"):
        return errors.Invalid(
            [errors.Problem(str(p.get("path", "")), str(p.get("message", ""))) for p in problems],
            fix=fix,
        )
    code = str(said.get("code") or answer.headers.get("x-amzn-errortype", ""))
    return errors.ON_THE_WIRE.get(code, errors.WeftError)(message, fix=fix)
