"""
A control plane, real proxies and programmable applications, in the test's own loop.

The verbs are those that the acceptance cases need: definitions come in by boto3, the
AWS CLI, stacks or ``weft apply``; ``workload`` stands an application behind a sidecar
of its own, ``bare`` puts one into the registry without; a workload's ``get`` calls as
its program would, through ``http_proxy``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest
from botocore.config import Config

from tests.builders import resources
from tests.envoy.running import DEADLINE, Answer, ask, free_ports
from tests.envoy.sidecar_harness import SRC, Sidecar
from weft.errors import Unreachable
from weft.model.instance import Instance
from weft.names import Key, Kind
from weft.server import Running, serving
from weft.settings import Address, Settings
from weft.sidecar.admin import Admin
from weft.store.change import Author, Put

ME = Author("ana", "pytest")
EXAMPLES = Path(os.environ.get("AWS_EXAMPLES", Path(__file__).parents[3] / "shared/aws-examples"))
needs_examples = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason=f"no clone of aws-app-mesh-examples at {EXAMPLES}"
)


NETWORKS = (
    *("VPC", "VpcCIDR", "PrivateSubnet1", "PrivateSubnet2", "PublicSubnet1", "PublicSubnet2"),
    *("ECSCluster", "ECSServiceSecurityGroup", "ECSServiceLogGroup"),
    *("TaskIamRoleArn", "TaskExecutionIamRoleArn"),
)


class Listens(Protocol):
    port: int


@dataclass
class Workload:
    """A workload with a sidecar of its own."""

    node: Key
    sidecar: Sidecar
    egress: int
    sockets: dict[str, int] = field(default_factory=dict)
    """Local port of each backend that has one, by ``name:port``."""
    ingress: dict[int, int] = field(default_factory=dict)
    """The sidecar's own socket for each listener."""
    envoy_pid: int = 0

    async def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
    ) -> Answer:
        """One request on a connection of its own, as a program's that honours ``http_proxy``."""
        host = url.split("/")[2]
        lines = [f"{method} {url} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        return await ask(self.egress, "\n".join(lines))

    async def replies(
        self, url: str, count: int, headers: Mapping[str, str] | None = None
    ) -> Counter[str]:
        """The bodies of so many requests, or ``STATUS BODY`` where that is not 200."""
        found: Counter[str] = Counter()
        for _ in range(count):
            answer = await self.get(url, headers)
            found[answer.body if answer.status == 200 else f"{answer.status} {answer.body}"] += 1
        return found

    async def fits(self, url: str, expected: set[str]) -> None:
        """Until twenty replies in a row are of these, and each of these was among them."""

        async def so() -> bool:
            return set(await self.replies(url, 20)) == expected

        await until(so, 10)

    async def stats(self, pattern: str) -> dict[str, int]:
        """Envoy's numbers whose names match."""
        found = await asyncio.to_thread(self._admin().stats, pattern)
        return {name: value for name, value in found.items() if isinstance(value, int)}

    async def config_dump(self) -> Any:
        return json.loads(await asyncio.to_thread(self._admin().get, "/config_dump?include_eds"))

    def _admin(self) -> Admin:
        command = Path(f"/proc/{self.envoy_pid}/cmdline").read_text().split("\0")
        bootstrap = json.loads(Path(command[command.index("-c") + 1]).read_text())
        return Admin(bootstrap["admin"]["address"]["pipe"]["path"])


@dataclass
class Lab:
    directory: Path
    running: Running
    sidecars: list[Sidecar] = field(default_factory=list)
    workloads: int = 0

    # --- definitions ----------------------------------------------------------------------

    @property
    def url(self) -> str:
        return str(self.running.settings.url)

    def client(self, service: str = "appmesh") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-west-2",
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="secret",
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
        )

    async def say(self, mesh: str, said: Mapping[str, Any]) -> None:
        """A mesh in the short words of ``tests.builders``, or more of one; in force on return."""
        steps = [Put(each.key, each.sent) for each in resources(said, mesh)]
        await self.running.parts.store.apply(steps, ME)
        await self.settled()

    async def ask(self, operation: str, service: str = "appmesh", **asked: Any) -> Any:
        """One operation through boto3; returns when every proxy has accepted what came of it."""
        answer = await asyncio.to_thread(getattr(self.client(service), operation), **asked)
        await self.settled()
        return answer

    async def update(self, kind: str, **asked: Any) -> Any:
        """
        An update through boto3, in force when it returns.

        What is described afterwards must be what was asked for, one version up.
        """
        names = {name: value for name, value in asked.items() if name != "spec"}
        before = await self.described(kind, **names)
        await self.ask(f"update_{kind}", **asked)
        after = await self.described(kind, **names)
        assert after["spec"] == _with_defaults(kind, asked["spec"])
        assert after["metadata"]["version"] == before["metadata"]["version"] + 1
        return after

    async def described(self, kind: str, **names: Any) -> Any:
        answer = await asyncio.to_thread(getattr(self.client(), f"describe_{kind}"), **names)
        return answer[_member(kind)]

    async def deployed(self, stack: str, template: str, **parameters: str) -> None:
        """A stack created, or updated; parameters that an update leaves out keep their values."""
        client = self.client("cloudformation")
        found = [
            each["StackName"]
            for each in (await asyncio.to_thread(client.describe_stacks))["Stacks"]
        ]
        given = [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
        operation = client.create_stack
        if stack in found:
            operation = client.update_stack
            (known,) = (await asyncio.to_thread(client.describe_stacks, StackName=stack))["Stacks"]
            given += [
                {"ParameterKey": each["ParameterKey"], "UsePreviousValue": True}
                for each in known.get("Parameters", ())
                if each["ParameterKey"] not in parameters
            ]
        try:
            await asyncio.to_thread(
                operation,
                StackName=stack,
                TemplateBody=template,
                Parameters=given,
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
            )
        except client.exceptions.ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise
        (made,) = (await asyncio.to_thread(client.describe_stacks, StackName=stack))["Stacks"]
        assert made["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), made
        await self.settled()

    async def networks(self, project: str) -> None:
        """A stack that exports what a walkthrough's stacks of networks and clusters would."""
        outputs = {
            name: {"Value": f"{name.lower()}-1", "Export": {"Name": f"{project}:{name}"}}
            for name in NETWORKS
        }
        resources = {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}
        template = json.dumps({"Resources": resources, "Outputs": outputs})
        await self.deployed(f"{project}-networks", template)

    async def weft(self, *arguments: str, **environment: str) -> str:
        """A ``weft`` command, and what it said."""
        return await self._command(sys.executable, "-m", "weft", *arguments, **environment)

    async def aws(self, *arguments: str) -> Any:
        """An ``aws`` command, and its JSON."""
        tool = str(Path(sys.executable).parent / "aws")
        said = await self._command(tool, "--endpoint-url", self.url, *arguments)
        return json.loads(said) if said.strip() else None

    async def applied(self, text: str, **environment: str) -> None:
        """``weft apply`` of a file, in force when it returns."""
        file = self.directory / "applied.yaml"
        file.write_text(text)
        await self.weft("apply", "-f", str(file), **environment)
        await self.settled()

    async def settled(self) -> None:
        """Until every proxy has accepted everything."""
        delivery, state = self.running.parts.delivery, self.running.parts.store.state
        told = await delivery.wait_settled(state.revision, timedelta(seconds=DEADLINE))
        assert told.done, told

    async def _command(self, *command: str, **environment: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={
                **os.environ,
                "PYTHONPATH": str(SRC),
                "WEFT_ENDPOINT": self.url,
                "AWS_ACCESS_KEY_ID": "AKIATEST",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": "us-west-2",
                "NO_COLOR": "1",
                **environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(DEADLINE * 2):
            out, err = await process.communicate()
        assert process.returncode == 0, (command, out.decode(), err.decode())
        return out.decode()

    # --- workloads ------------------------------------------------------------------------

    async def workload(
        self,
        mesh: str,
        node: str,
        apps: Mapping[int, Listens] | None = None,
        backends: Iterable[str] = (),
    ) -> Workload:
        """A sidecar for a virtual node, ready, with an application behind each listener."""
        self.workloads += 1
        directory = self.directory / f"{node}-{self.workloads}"
        directory.mkdir()
        (egress,) = free_ports(1)
        arguments = [
            *("--proxy", f"mesh/{mesh}/virtualNode/{node}", "--egress", str(egress)),
            *("--instance", f"i{self.workloads}", "--register", self.url),
        ]
        for listener, app in (apps or {}).items():
            arguments += ["--ingress", f"{listener}=0:{app.port}"]
        for backend in backends:
            arguments += ["--backend", f"{backend}=0"]
        sidecar = Sidecar(directory, str(self.running.settings.xds), *arguments)
        self.sidecars.append(await sidecar.start())
        found = await sidecar.ready()
        ports = found["ports"]
        made = Workload(
            Key(mesh, Kind.VIRTUAL_NODE, node),
            sidecar,
            egress,
            {f"{each['service']}:{each['listener']}": each["socket"] for each in ports["backends"]},
            {each["listener"]: each["socket"] for each in ports["ingress"]},
            found["envoy"],
        )
        if apps:
            await self._registered(made.node, f"i{self.workloads}")
        return made

    async def bare(self, mesh: str, node: str, apps: Mapping[int, Listens]) -> None:
        """An application in the registry, reached without a sidecar of its own."""
        self.workloads += 1
        addresses = tuple((port, f"127.0.0.1:{app.port}") for port, app in apps.items())
        key = Key(mesh, Kind.VIRTUAL_NODE, node)
        found = Instance(key, f"b{self.workloads}", addresses, lease_seconds=3600)
        await self.running.parts.registry.register(found, ME)
        await self.settled()

    async def gone(self, mesh: str, node: str, port: int) -> None:
        """The instances of a virtual node that are reached at a port leave the registry."""
        key = Key(mesh, Kind.VIRTUAL_NODE, node)
        found = self.running.parts.store.state.workloads.get(key, {})
        for id, instance in list(found.items()):
            if any(address.endswith(f":{port}") for _, address in instance.addresses):
                await self.running.parts.registry.deregister(key, id, ME)
        await self.settled()

    async def _registered(self, node: Key, instance: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while instance not in self.running.parts.store.state.workloads.get(node, {}):
                await asyncio.sleep(0.02)
        await self.settled()


def _with_defaults(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with App Mesh's own two additions: a health check's port, and no backends."""
    made: dict[str, Any] = json.loads(json.dumps(spec))
    if kind == "virtual_node":
        made.setdefault("backends", [])
    for listener in made.get("listeners", ()):
        if "healthCheck" in listener:
            listener["healthCheck"].setdefault("port", listener["portMapping"]["port"])
    return made


def _member(kind: str) -> str:
    first, *rest = kind.split("_")
    return first + "".join(each.capitalize() for each in rest)


@asynccontextmanager
async def lab(directory: Path) -> AsyncIterator[Lab]:
    """A lab for the length of a block; whatever it started ends with it."""
    zero = Address("127.0.0.1", 0)
    async with serving(Settings(api=zero, xds=zero, data=directory / "control")) as running:
        made = Lab(directory, running)
        try:
            yield made
        finally:
            # What drains is drained at once; the registry need not wait for each.
            await asyncio.gather(*(each.stop() for each in made.sidecars))
    said = [line for each in made.sidecars for line in each.log.splitlines()]
    assert [line for line in said if "deprecated" in line.lower()] == []


async def until(check: Any, seconds: float = DEADLINE) -> Any:
    """The first true answer of a coroutine function; Envoy that does not answer yet is not one."""
    found: Any = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    found = await check()
                except (Unreachable, OSError):
                    found = None
                if found:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it never came true: {found!r}") from None


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A file with other names in it, so that nothing can depend on those it came with."""
    for old, new in names.items():
        assert old in text, f"{old!r} is not in the file"
        text = text.replace(old, new)
    return text


def example(path: str, names: Mapping[str, str] | None = None) -> str:
    """One of AWS's example files."""
    return renamed((EXAMPLES / path).read_text(), names or {})
