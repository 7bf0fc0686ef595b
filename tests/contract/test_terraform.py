"""
Terraform's AWS provider, unchanged: applies, plans clean, updates, imports and destroys.

The definitions are in ``terraform/``. Terraform and the provider must be on the machine
already (``$TERRAFORM_PLUGINS`` names the folder that mirrors providers); where they are
not, these tests skip and say so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from bench.controlplane import ControlPlane

DEFINITIONS = Path(__file__).parent / "terraform"
TERRAFORM = shutil.which("terraform")
_USUAL = (
    Path.home() / ".terraform.d" / "plugins",
    Path("/usr/local/share/terraform/plugins"),
    Path("/usr/share/terraform/plugins"),
    *sorted(Path("/opt").glob("*")),
)
_NO_CHANGES, _CHANGES = 0, 2


def mirror() -> Path | None:
    """The folder that holds the AWS provider, by host, owner and name of providers."""
    named = os.environ.get("TERRAFORM_PLUGINS")
    for folder in (Path(named),) if named else _USUAL:
        if any(folder.glob("*/hashicorp/aws/*")):
            return folder
    return None


PLUGINS = mirror()
pytestmark = [
    pytest.mark.skipif(TERRAFORM is None, reason="there is no terraform on this machine"),
    pytest.mark.skipif(
        PLUGINS is None, reason="no AWS provider here; TERRAFORM_PLUGINS says where one is"
    ),
    pytest.mark.timeout(600),
]


class Terraform:
    """``terraform …`` in a folder of its own, with the settings that ``weft env`` prints."""

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        self._api = plane.api
        self.directory = directory
        settings = directory / "cli.tfrc"
        settings.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{PLUGINS}"\n  }}\n}}\n'
        )
        printed = subprocess.run(
            [sys.executable, "-m", "weft", "env", "-o", "json", "--data", str(directory / "data")],
            env={**os.environ, "WEFT_ENDPOINT": plane.api},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            **json.loads(printed.stdout),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        assert TERRAFORM is not None
        return subprocess.run(
            [TERRAFORM, *arguments],
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def __call__(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def apply(self, *arguments: str) -> str:
        return self("apply", "-auto-approve", "-no-color", *arguments)

    def destroy(self, *arguments: str) -> str:
        return self("destroy", "-auto-approve", "-no-color", "-refresh=false", *arguments)

    def plan(self, *arguments: str) -> tuple[int, str]:
        """Whether there is anything to do, and what."""
        done = self.run("plan", "-detailed-exitcode", "-no-color", *arguments)
        assert done.returncode in (_NO_CHANGES, _CHANGES), f"{done.stdout}\n{done.stderr}"
        return done.returncode, done.stdout

    def resources(self) -> list[dict[str, Any]]:
        """What Terraform remembers of what it made and read."""
        module = json.loads(self("show", "-json"))["values"]["root_module"]
        return list(module["resources"])

    def ask(self, method: str, path: str) -> Any:
        """One request of ours, past Terraform."""
        asked = urllib.request.Request(f"{self._api}/v20190125{path}", method=method)
        with urllib.request.urlopen(asked, timeout=30) as reply:
            return json.load(reply)

    def meshes(self) -> list[str]:
        return [each["meshName"] for each in self.ask("GET", "/meshes")["meshes"]]


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as found:
        found.start()
        yield found


@pytest.fixture
def terraform(plane: ControlPlane, tmp_path: Path) -> Terraform:
    return Terraform(plane, tmp_path)


@pytest.fixture
def every(terraform: Terraform) -> Terraform:
    """With the definitions that have every member."""
    for file in DEFINITIONS.glob("*.tf"):
        shutil.copy(file, terraform.directory)
    terraform("init", "-no-color")
    return terraform


def test_all_seven_kinds_are_made_changed_imported_and_destroyed(every: Terraform) -> None:
    every.apply()
    code, plan = every.plan()
    assert code == _NO_CHANGES, plan
    first = every.resources()

    every.apply("-refresh=false", "-var=second=true")
    code, plan = every.plan("-var=second=true")
    assert code == _NO_CHANGES, plan
    second = every.resources()
    changed = {
        each["type"]
        for each in second
        if each["mode"] == "managed" and _values(each, first) != each["values"]
    }
    assert changed == {each["type"] for each in second}, "the update reaches every kind"
    assert _not_given(every, [*first, *second]) == []
    _assert_data_sources_read_what_was_made(second)

    made = [each for each in second if each["mode"] == "managed"]
    (every.directory / "terraform.tfstate").unlink()
    (every.directory / "imports.tf").write_text("\n".join(map(_import, made)))
    assert f"{len(made)} imported, 0 added, 0 changed" in every.apply("-var=second=true")
    assert every.plan("-var=second=true")[0] == _NO_CHANGES

    every.destroy("-var=second=true")
    assert every.meshes() == []


SMALL = """
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {}

variable "node" {
  default = "first"
}

variable "weight" {
  default = 1
}

resource "aws_appmesh_mesh" "small" {
  name = "small"
}

resource "aws_appmesh_virtual_node" "target" {
  name      = var.node
  mesh_name = aws_appmesh_mesh.small.name
  spec {
    listener {
      port_mapping {
        port     = 80
        protocol = "http"
      }
    }
    service_discovery {
      dns {
        hostname = "target.test"
      }
    }
  }
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_appmesh_virtual_router" "small" {
  name      = "small"
  mesh_name = aws_appmesh_mesh.small.name
  spec {}
}

resource "aws_appmesh_route" "all" {
  name                = "all"
  mesh_name           = aws_appmesh_mesh.small.name
  virtual_router_name = aws_appmesh_virtual_router.small.name
  spec {
    http_route {
      match {
        prefix = "/"
      }
      action {
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.target.name
          weight       = var.weight
        }
      }
    }
  }
}
"""


def test_drift_replacement_and_refusal_are_seen(terraform: Terraform) -> None:
    (terraform.directory / "main.tf").write_text(SMALL)
    terraform("init", "-no-color")
    terraform.apply()
    mesh = "/meshes/small"

    # Gone behind Terraform's back: it is made again.
    terraform.ask("DELETE", f"{mesh}/virtualRouter/small/routes/all")
    code, plan = terraform.plan()
    assert (code, "1 to add, 0 to change, 0 to destroy" in plan) == (_CHANGES, True), plan
    terraform.apply()

    # Under another name: made, the route led there, and only then the old one taken away.
    applied = terraform.apply("-var=node=second")
    assert "1 added, 1 changed, 1 destroyed" in applied
    nodes = terraform.ask("GET", f"{mesh}/virtualNodes")["virtualNodes"]
    assert [each["virtualNodeName"] for each in nodes] == ["second"]

    # What Weft refuses is an error in its words, and nothing has changed.
    refused = terraform.run(
        "apply", "-auto-approve", "-no-color", "-var=node=second", "-var=weight=0"
    )
    assert refused.returncode == 1
    words = " ".join(refused.stderr.replace("│", " ").split())
    assert "BadRequestException: spec.httpRoute.action.weightedTargets" in words
    assert "at least one target must have a weight above 0" in words
    assert terraform.plan("-var=node=second")[0] == _NO_CHANGES
    terraform.destroy("-var=node=second")
    assert terraform.meshes() == []


# --- what the definitions cover ------------------------------------------------------------

_UNUSABLE = {
    # The provider has these in its schema and does not send them, or App Mesh has no use for them.
    ("aws_appmesh_route", "spec.grpc_route.match.prefix"),
    ("aws_appmesh_route", "spec.http_route.match.scheme"),
}


def _not_given(terraform: Terraform, resources: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Members that the provider takes and that no definition has."""
    schemas = json.loads(terraform("providers", "schema", "-json"))["provider_schemas"]
    (provider,) = schemas.values()
    known = {
        (kind, place)
        for kind in {each["type"] for each in resources}
        for place in _known(provider["resource_schemas"][kind]["block"])
    }
    given = {
        (each["type"], place)
        for each in resources
        if each["mode"] == "managed"
        for place in _given(each["values"])
    }
    return sorted(known - given - _UNUSABLE)


def _known(block: dict[str, Any], at: str = "") -> Iterator[str]:
    for name, attribute in block.get("attributes", {}).items():
        if attribute.get("required") or attribute.get("optional"):
            yield at + name
    for name, nested in block.get("block_types", {}).items():
        yield from _known(nested["block"], f"{at}{name}.")


def _given(values: Any, at: str = "") -> Iterator[str]:
    match values:
        case dict():
            for name, value in values.items():
                if value:  # What was not written is empty, zero or false.
                    yield at + name
                    yield from _given(value, f"{at}{name}.")
        case list():
            yield from chain.from_iterable(_given(each, at) for each in values)
        case _:
            pass


def _values(resource: dict[str, Any], among: list[dict[str, Any]]) -> Any:
    return next(each["values"] for each in among if each["address"] == resource["address"])


def _import(resource: dict[str, Any]) -> str:
    values = resource["values"]
    parts = (
        values.get("mesh_name"),
        values.get("virtual_router_name") or values.get("virtual_gateway_name"),
        values["name"],
    )
    place = "/".join(part for part in parts if part)
    return f'import {{\n  to = {resource["address"]}\n  id = "{place}"\n}}\n'


def _assert_data_sources_read_what_was_made(resources: list[dict[str, Any]]) -> None:
    made = {each["values"]["arn"]: each for each in resources if each["mode"] == "managed"}
    read = [each for each in resources if each["mode"] == "data"]
    assert {each["type"] for each in read} == {each["type"] for each in made.values()}
    for each in read:
        resource = made[each["values"]["arn"]]
        for name in ("spec", "mesh_owner", "created_date", "last_updated_date"):
            assert each["values"][name] == resource["values"][name], each["address"]
