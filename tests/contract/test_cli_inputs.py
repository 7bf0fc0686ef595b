"""
Every ``aws appmesh`` command with ``--cli-input-json``, in the AWS CLI's own code.

The commands run in this process, where a hundred of them take the time of three processes.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import awscli.clidriver
import pytest

from tests.contract import specs
from tests.contract.served import Served
from weft.api.appmesh.operations import OPERATIONS, Verb
from weft.names import Kind


class Aws:
    """``aws appmesh …`` without a process for each."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._driver = awscli.clidriver.create_clidriver()
        self._directory = directory
        self._capsys = capsys
        self.used: set[str] = set()

    def __call__(self, command: str, given: dict[str, Any], *more: str) -> Any:
        file = self._directory / "input.json"
        file.write_text(json.dumps(given))
        self._capsys.readouterr()
        code = self._driver.main(
            ["appmesh", command, "--cli-input-json", f"file://{file}", "--output", "json", *more]
        )
        said = self._capsys.readouterr()
        assert code == 0, f"{command}: {said.err}"
        self.used.add(command)
        # The server is of this process and logs beside it.
        lines = [line for line in said.out.splitlines() if line[:1] in ("{", " ", "}")]
        return json.loads("\n".join(lines) or "{}")


@pytest.fixture
def aws(
    weft: Served,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Aws:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        if name != "AWS_DATA_PATH":  # The AWS CLI's own, to itself.
            monkeypatch.delenv(name)
    for name, value in {
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL_APP_MESH": weft.url,
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ACCESS_KEY_ID": "AKIACLI",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return Aws(tmp_path, capsys)


def dashed(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"-\1", name).lower()


PARENTS_FIRST = [
    Kind.MESH,
    Kind.VIRTUAL_NODE,
    Kind.VIRTUAL_ROUTER,
    Kind.VIRTUAL_SERVICE,
    Kind.ROUTE,
    Kind.VIRTUAL_GATEWAY,
    Kind.GATEWAY_ROUTE,
]
NAMES = {
    Kind.MESH: "cli-inputs",
    Kind.VIRTUAL_NODE: "target",
    Kind.VIRTUAL_ROUTER: "router",
    Kind.VIRTUAL_SERVICE: "service.test",
    Kind.ROUTE: "route",
    Kind.VIRTUAL_GATEWAY: "gateway",
    Kind.GATEWAY_ROUTE: "gateway-route",
}


def place(kind: Kind) -> dict[str, Any]:
    """The members that name one resource of a kind."""
    found = {"meshName": NAMES[Kind.MESH], f"{kind.value}Name": NAMES[kind]}
    if kind.parent and kind.parent is not Kind.MESH:
        found[f"{kind.parent.value}Name"] = NAMES[kind.parent]
    return found


def test_every_command_takes_its_input_from_a_file(aws: Aws) -> None:
    arns = {}
    for kind in PARENTS_FIRST:
        spec = specs.SPECS[kind][0 if kind is not Kind.VIRTUAL_SERVICE else 1]
        if kind is Kind.ROUTE:
            aws(
                "create-virtual-node",
                {**place(Kind.VIRTUAL_NODE), "virtualNodeName": "target-2", "spec": specs.NODES[0]},
            )
        made = aws(
            f"create-{dashed(kind.value)}",
            {**place(kind), "spec": spec, "tags": [{"key": "a", "value": "b"}]},
        )[kind.value]
        assert made["spec"] == spec
        arns[kind] = made["metadata"]["arn"]
        again = aws(f"update-{dashed(kind.value)}", {**place(kind), "spec": spec})[kind.value]
        assert again["metadata"]["version"] == 2
        read = aws(f"describe-{dashed(kind.value)}", place(kind))[kind.value]
        # What was read goes in again, as scripts do it that edit a description.
        back = {name: value for name, value in read.items() if name not in ("metadata", "status")}
        assert aws(f"update-{dashed(kind.value)}", back)[kind.value]["spec"] == read["spec"]

    for kind, arn in arns.items():
        aws("tag-resource", {"resourceArn": arn, "tags": [{"key": "c", "value": "d"}]})
        aws("untag-resource", {"resourceArn": arn, "tagKeys": ["a"]})
        tags = aws("list-tags-for-resource", {"resourceArn": arn})["tags"]
        assert tags == [{"key": "c", "value": "d"}], kind

    for operation in OPERATIONS:
        if operation.verb is Verb.LIST and operation.kind is not None:
            kind = operation.kind
            given = {n: v for n, v in place(kind).items() if n != f"{kind.value}Name"}
            listed = aws(dashed(operation.name), {} if kind is Kind.MESH else given)
            (items,) = listed.values()
            assert NAMES[kind] in [each[f"{kind.value}Name"] for each in items]

    for kind in reversed(PARENTS_FIRST):
        if kind is Kind.VIRTUAL_NODE:
            aws("delete-virtual-node", {**place(kind), "virtualNodeName": "target-2"})
        if kind is Kind.VIRTUAL_ROUTER:  # Its service is gone only after it: the order of parents.
            aws("delete-virtual-service", place(Kind.VIRTUAL_SERVICE))
        if kind is not Kind.VIRTUAL_SERVICE:
            deleted = aws(f"delete-{dashed(kind.value)}", place(kind))[kind.value]
            assert deleted["status"] == {"status": "DELETED"}

    assert aws.used == {dashed(operation.name) for operation in OPERATIONS}


def test_the_clis_own_pages_hold_the_whole_list(aws: Aws, appmesh: Any, mesh: str) -> None:
    names = [f"node-{i}" for i in range(7)]
    for name in names:
        appmesh.create_virtual_node(meshName=mesh, virtualNodeName=name, spec={})
    found: list[str] = []
    more: tuple[str, ...] = ()
    for turn in range(10):
        page = aws(
            "list-virtual-nodes", {"meshName": mesh}, "--max-items", "2", "--page-size", "3", *more
        )
        assert len(page["virtualNodes"]) <= 2
        found += [each["virtualNodeName"] for each in page["virtualNodes"]]
        if "NextToken" not in page:
            break
        if turn == 1:  # A page holds its place while others write before and behind it.
            appmesh.create_virtual_node(meshName=mesh, virtualNodeName="node-00", spec={})
            appmesh.delete_virtual_node(meshName=mesh, virtualNodeName="node-6")
        more = ("--starting-token", page["NextToken"])
    assert found == names[:-1]
