"""A mesh written as files: read again, they ask for exactly what stands."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from tests.builders import resources, state_from
from tests.strategies import Said, meshes
from weft.clock import ManualClock
from weft.manifests.cloudformation.plan import Place, Request
from weft.manifests.cloudformation.planner import plan
from weft.manifests.cloudformation.stack import Stack
from weft.manifests.cloudformation.template import parse
from weft.manifests.definition import Definition
from weft.manifests.export import cli_json, cloudformation, kubernetes, weft_yaml
from weft.manifests.export.exported import Exported, File
from weft.manifests.files import load
from weft.names import Key, Kind
from weft.store.admission import admit
from weft.store.change import Action, Put
from weft.store.state import MeshState

HOSTILE = "100% ${NOT_A_VARIABLE} $${x} 1e5: {a} 'b' \"c\" # d\n"


def exported(said: Said, tags: dict[str, str] | None = None) -> list[Exported]:
    return of(state_from(said), tags)


def of(state: MeshState, tags: dict[str, str] | None = None) -> list[Exported]:
    carried = tuple((tags or {}).items())
    return [Exported(each.key, each.sent, carried) for each in state.resources()]


def read(files: Iterable[File], directory: Path) -> list[Definition]:
    """What the files say, with nothing in the environment and nothing given."""
    directory.mkdir(exist_ok=True)
    for each in directory.iterdir():
        each.unlink()
    for file in files:
        (directory / file.name).write_text(file.text, encoding="utf-8")
    found = load([str(directory)], {})
    assert [str(each) for each in found.warnings] == []
    return list(found.definitions)


def unchanged(said: Said | MeshState, definitions: Iterable[Definition]) -> None:
    """Applied to the mesh it came from, it changes nothing, and nothing is missing."""
    state = said if isinstance(said, MeshState) else state_from(said)
    steps = [
        Put(
            each.key,
            each.body["spec"],
            tuple((tag["key"], tag["value"]) for tag in each.body["tags"])
            if "tags" in each.body
            else None,
        )
        for each in definitions
    ]
    admitted = admit(state, steps, ManualClock(), "000000000000")
    assert {each.action for each in admitted.outcomes} == {Action.UNCHANGED}
    assert {step.key for step in steps} == {each.key for each in state.resources()}


EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@EXAMPLES
@given(said=meshes())
def test_weft_yaml_of_a_mesh_changes_nothing(said: Said, tmp_path: Path) -> None:
    unchanged(said, read(weft_yaml.files(exported(said)), tmp_path / "out"))


@EXAMPLES
@given(said=meshes())
def test_cli_input_of_a_mesh_changes_nothing(said: Said, tmp_path: Path) -> None:
    found = exported(said)
    unchanged(said, read(cli_json.files(found), tmp_path / "out"))
    unchanged(said, read([File("all.json", cli_json.listed(found))], tmp_path / "out"))


@EXAMPLES
@given(said=meshes())
def test_kubernetes_manifests_of_a_mesh_change_nothing(said: Said, tmp_path: Path) -> None:
    unchanged(said, read(kubernetes.files(exported(said)), tmp_path / "out"))


@EXAMPLES
@given(said=meshes())
def test_a_template_of_a_mesh_makes_that_mesh(said: Said) -> None:
    deployed(state_from(said))


def deployed(state: MeshState) -> None:
    """A stack of its template, where nothing stands, is the mesh; the same again is no change."""
    found = of(state, {"team": "a"})
    [file] = cloudformation.files(found)
    request = Request("s", parse(file.text))
    place = Place("us-west-2", "000000000000", "arn:aws:cloudformation:r:1:stack/s/1", 0)
    planned = plan(request, None, MeshState(), place)
    assert planned.findings == ()
    made = admit(MeshState(), planned.steps, ManualClock(), "000000000000").draft.freeze(1)
    assert {each.key: (each.sent, each.tags) for each in made.resources()} == {
        each.key: (each.spec, each.tags) for each in found
    }
    stack = Stack("s", place.stack_id, "CREATE_COMPLETE", 0, resources=planned.resources)
    assert plan(request, stack, made, place).changes == []


NODE = {
    "serviceDiscovery": {"dns": {"hostname": "1e5"}},
    "listen": "80/http",
    "logging": {"accessLog": {"file": {"path": "on", "format": {"text": HOSTILE}}}},
}
TLS = {
    "serviceDiscovery": {"dns": {"hostname": "a.test"}},
    "listeners": [
        {
            "portMapping": {"port": 443, "protocol": "grpc"},
            "connectionPool": {"grpc": {"maxRequests": 7}},
            "tls": {
                "mode": "STRICT",
                "certificate": {"acm": {"certificateArn": "arn:aws:acm:us-west-2:1:certificate/x"}},
            },
        }
    ],
    "backendDefaults": {
        "clientPolicy": {
            "tls": {
                "validation": {
                    "trust": {"acm": {"certificateAuthorityArns": ["arn:aws:acm-pca:x"]}}
                }
            }
        }
    },
}
MESH: Said = {
    "mesh": {"serviceDiscovery": {"ipPreference": "IPv4_ONLY"}},
    "nodes": {"web": NODE, "Web": NODE, "tls_1": TLS, "x" * 255: {}},
    "routers": {"r": {"listen": "80/http", "routes": {}}},
    "services": {"a.local": "router r", "A.local": "node Web", "*": None},
}


@pytest.mark.parametrize("form", [weft_yaml, kubernetes], ids=["weft", "k8s"])
def test_texts_and_names_that_yaml_or_kubernetes_would_bend_come_back_as_they_were(
    form: Any, tmp_path: Path
) -> None:
    files = form.files(exported(MESH))
    unchanged(MESH, read(files, tmp_path / "out"))
    # What others read, for whom ${…} and $$ have no meaning.
    assert HOSTILE in _texts(list(yaml.safe_load_all(files[0].text)))


def _texts(value: Any) -> set[str]:
    match value:
        case dict():
            return {text for each in value.values() for text in _texts(each)}
        case list():
            return {text for each in value for text in _texts(each)}
        case str():
            return {value}
        case _:
            return set()


@pytest.mark.parametrize("form", [weft_yaml, cli_json], ids=["weft", "cli"])
def test_tags_are_kept_where_the_format_has_them(form: Any, tmp_path: Path) -> None:
    files = form.files(exported(MESH, {"team": "a", "empty": ""}))
    for each in read(files, tmp_path / "out"):
        assert each.body["tags"] == [{"key": "team", "value": "a"}, {"key": "empty", "value": ""}]


def test_a_template_has_tags_and_makes_things_in_order() -> None:
    [file] = cloudformation.files(exported(MESH, {"team": "a"}))
    found = yaml.safe_load(file.text)["Resources"]

    assert found["Mesh"]["Properties"]["Tags"] == [{"Key": "team", "Value": "a"}]
    service = next(
        each for each in found.values() if each["Properties"].get("VirtualServiceName") == "a.local"
    )
    assert service["DependsOn"] == ["VirtualRouterR"]
    assert service["Properties"]["MeshName"] == {"Fn::GetAtt": ["Mesh", "MeshName"]}


def test_kubernetes_gets_names_it_allows_and_keeps_ours_beside_them() -> None:
    [file] = kubernetes.files(exported(MESH))
    objects = {
        each["spec"]["awsName"]: each["metadata"]["name"]
        for each in yaml.safe_load_all(file.text)
        if "awsName" in each.get("spec", {})
    }
    assert objects["web"] == "web"
    assert objects["a.local"] == "a.local"
    assert objects["Web"].startswith("web-")
    assert objects["tls_1"].startswith("tls-1-")
    assert len(objects["x" * 255]) <= 253
    assert len(set(objects.values())) == len(objects)


def test_what_no_manifest_defines_is_named_by_its_arn() -> None:
    said = {"nodes": {"web": {**NODE, "calls": ["gone.local"]}}}
    [file] = kubernetes.files(exported(said))
    node = list(yaml.safe_load_all(file.text))[-1]
    assert node["spec"]["backends"] == [
        {
            "virtualService": {
                "virtualServiceARN": "arn:aws:appmesh:us-west-2:000000000000:"
                "mesh/shop/virtualService/gone.local"
            }
        }
    ]


def test_files_of_a_directory_can_be_created_one_after_the_other_by_name() -> None:
    files = cli_json.files(exported(MESH))
    names = [each.name for each in files]
    assert names == sorted(names)
    assert "virtualNode" not in json.loads(files[0].text)
    assert names[0].endswith("-mesh.shop.json")


def test_an_answer_of_the_control_plane_is_all_that_an_export_needs() -> None:
    [mesh] = [each for each in resources({}) if each.key.kind is Kind.MESH]
    found = Exported.of(
        {
            "key": str(mesh.key),
            "arn": "arn:aws:appmesh:eu-west-1:123456789012:mesh/shop",
            "spec": {},
            "tags": [{"key": "a", "value": "b"}],
        }
    )
    assert found == Exported(mesh.key, {}, (("a", "b"),), "eu-west-1", "123456789012")


def with_gateways() -> MeshState:
    """A mesh with two gateways whose routes have one name, and all that a gateway can have."""
    hosts: list[Said] = [{"exact": "a.test"}, {"suffix": ".test"}]
    target = {"port": 80, "virtualService": {"virtualServiceName": "a.local"}}
    rewrite = {"hostname": {"defaultTargetHostname": "DISABLED"}}
    route = {
        "match": {
            "prefix": "/p/",
            "headers": [{"name": "h", "invert": True, "match": {"range": {"start": 0, "end": 9}}}],
            "hostname": hosts[0],
            "method": "PUT",
            "port": 8080,
            "queryParameters": [{"name": "q", "match": {"exact": ""}}],
        },
        "action": {"target": target, "rewrite": {**rewrite, "prefix": {"value": "/"}}},
    }
    grpc = {
        "match": {"hostname": hosts[1], "port": 9090, "metadata": [{"name": "m"}]},
        "action": {"target": target, "rewrite": rewrite},
    }
    listener = {
        "portMapping": {"port": 8080, "protocol": "http"},
        "tls": {
            "mode": "PERMISSIVE",
            "certificate": {"sds": {"secretName": "spiffe://a"}},
            "validation": {
                "trust": {"file": {"certificateChain": "/ca"}},
                "subjectAlternativeNames": {"match": {"exact": ["spiffe://b"]}},
            },
        },
    }
    grpc_listener = {"portMapping": {"port": 9090, "protocol": "grpc"}}
    gateway = {"listeners": [listener, grpc_listener]}
    other = {"listeners": [{"portMapping": listener["portMapping"]}, grpc_listener]}
    steps: list[Put] = []
    for name, spec in {"in": gateway, "In": other, "in_" + "x" * 200: other}.items():
        steps.append(Put(Key("shop", Kind.VIRTUAL_GATEWAY, name), spec))
        key = Key("shop", Kind.GATEWAY_ROUTE, "all", name)
        steps.append(Put(key, {"httpRoute": route, "priority": 0}))
        steps.append(Put(Key("shop", Kind.GATEWAY_ROUTE, "g.R", name), {"grpcRoute": grpc}))
    said = {"nodes": {"web": NODE}, "services": {"a.local": "node web"}}
    admitted = admit(state_from(said), steps, ManualClock(), "000000000000")
    return admitted.draft.freeze(2)


@pytest.mark.parametrize("form", [weft_yaml, cli_json, kubernetes], ids=["weft", "cli", "k8s"])
def test_gateways_and_their_routes_come_back_as_they_were(form: Any, tmp_path: Path) -> None:
    state = with_gateways()
    unchanged(state, read(form.files(of(state)), tmp_path / "out"))


def test_a_template_of_gateways_makes_them() -> None:
    deployed(with_gateways())


def test_policies_are_written_on_the_page_and_read_again(tmp_path: Path) -> None:
    policies = [
        {"for": "mesh/shop", "reroute": True},
        {"for": "mesh/shop/virtualService/db", "timeout": {"idle": {"unit": "s", "value": 5}}},
    ]
    (page,) = weft_yaml.files(exported({}), policies)
    (tmp_path / page.name).write_text(page.text)
    assert [each.item for each in load([str(tmp_path)], {}).policies] == policies
    assert yaml.safe_load(page.text)["policies"][0]["for"] == "mesh"
