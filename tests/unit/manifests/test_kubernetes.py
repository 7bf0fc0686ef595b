"""Kubernetes manifests: names, references, selection, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weft.errors import Invalid
from weft.manifests import specs
from weft.manifests.files import Loaded, load

V = "apiVersion: appmesh.k8s.aws/v1beta2"
MESH = f"{V}\nkind: Mesh\nmetadata: {{name: shop}}\nspec: {{namespaceSelector: {{matchLabels: {{mesh: shop}}}}}}\n"
LISTENER = "{portMapping: {port: 80, protocol: http}}"


def node(name: str, spec: str = "", namespace: str = "ns") -> str:
    return (
        f"{V}\nkind: VirtualNode\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{listeners: [{LISTENER}], serviceDiscovery: {{dns: {{hostname: {name}.test}}}}"
        f"{', ' + spec if spec else ''}}}\n"
    )


def loaded(tmp_path: Path, *documents: str, mesh: str | None = None) -> Loaded:
    file = tmp_path / "k8s.yaml"
    file.write_text("---\n".join(documents))
    return load([str(file)], {}, mesh=mesh)


def problems(tmp_path: Path, *documents: str, mesh: str | None = None) -> list[str]:
    with pytest.raises(Invalid) as caught:
        loaded(tmp_path, *documents, mesh=mesh)
    return [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems]


def warnings(tmp_path: Path, *documents: str) -> list[str]:
    return [str(w).replace(f"{tmp_path}/", "") for w in loaded(tmp_path, *documents).warnings]


def bodies(found: Loaded) -> dict[str, Any]:
    specs.check(found.definitions)
    return {str(each.key): each.body for each in found.definitions}


def test_names_are_those_that_the_controller_gives(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        MESH,
        node("web"),
        node("plain", namespace="default"),
        node("own", "awsName: mine"),
        f"{V}\nkind: VirtualService\nmetadata: {{name: api, namespace: ns}}\nspec: {{}}\n",
        f"{V}\nkind: VirtualService\nmetadata: {{name: api}}\nspec: {{awsName: api.local}}\n",
        f"{V}\nkind: VirtualRouter\nmetadata: {{name: r, namespace: ns}}\n"
        f"spec: {{listeners: [{LISTENER}]}}\n",
    )
    assert sorted(str(each.key) for each in found.definitions) == [
        "mesh/shop",
        "mesh/shop/virtualNode/mine",
        "mesh/shop/virtualNode/plain_default",
        "mesh/shop/virtualNode/web_ns",
        "mesh/shop/virtualRouter/r_ns",
        "mesh/shop/virtualService/api.local",
        "mesh/shop/virtualService/api.ns",
    ]


ROUTER = f"""{V}
kind: VirtualRouter
metadata: {{name: r, namespace: ns}}
spec:
  listeners: [{LISTENER}]
  routes:
    - name: all
      priority: 0
      httpRoute:
        match: {{prefix: /}}
        action:
          weightedTargets:
            - virtualNodeRef: {{name: web}}
              weight: 1
            - virtualNodeRef: {{name: far, namespace: other}}
              weight: 0
            - virtualNodeARN: arn:aws:appmesh:us-west-2:123456789012:mesh/shop/virtualNode/v
              weight: 2
"""


def test_references_and_arns_become_names_whatever_the_order_of_the_documents(
    tmp_path: Path,
) -> None:
    service = (
        f"{V}\nkind: VirtualService\nmetadata: {{name: api, namespace: ns}}\n"
        "spec: {awsName: api.local, provider: {virtualRouter: {virtualRouterRef: {name: r}}}}\n"
    )
    caller = node("c", "backends: [{virtualService: {virtualServiceRef: {name: api}}}]")
    far = node("far", "awsName: far-vn", "other")
    found = bodies(loaded(tmp_path, caller, ROUTER, service, far, node("web"), MESH))

    route = found["mesh/shop/virtualRouter/r_ns/route/all"]["spec"]
    assert route["httpRoute"]["action"]["weightedTargets"] == [
        {"virtualNode": "web_ns", "weight": 1},
        {"virtualNode": "far-vn", "weight": 0},
        {"virtualNode": "v", "weight": 2},
    ]
    assert route["priority"] == 0
    assert "routes" not in found["mesh/shop/virtualRouter/r_ns"]["spec"]
    assert found["mesh/shop/virtualService/api.local"]["spec"] == {
        "provider": {"virtualRouter": {"virtualRouterName": "r_ns"}}
    }
    assert found["mesh/shop/virtualNode/c_ns"]["spec"]["backends"] == [
        {"virtualService": {"virtualServiceName": "api.local"}}
    ]


def test_a_reference_that_leads_out_of_the_files_is_taken_by_its_default_name(
    tmp_path: Path,
) -> None:
    found = loaded(tmp_path, MESH, ROUTER)
    assert str(found.warnings[0]).endswith(
        "k8s.yaml:18: VirtualNode web of namespace ns is not in these files; "
        "it is taken to be named web_ns"
    )


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("virtualServiceARN: what", "'what' is no ARN of a VirtualService"),
        (
            "virtualServiceARN: 'arn:aws:appmesh:r:1:mesh/m/virtualNode/n'",
            "is no ARN of a VirtualService",
        ),
        ("virtualServiceRef: {}", "a reference needs a name"),
        (
            "virtualServiceRef: {name: a}, virtualServiceARN: "
            "'arn:aws:appmesh:r:1:mesh/m/virtualService/n'",
            "give virtualServiceRef or virtualServiceARN, not both",
        ),
    ],
)
def test_a_reference_that_is_none_is_a_problem_with_its_line(
    tmp_path: Path, member: str, said: str
) -> None:
    found = problems(tmp_path, MESH, node("c", f"backends: [{{virtualService: {{{member}}}}}]"))
    assert said in found[0]
    assert found[0].startswith("k8s.yaml:9: VirtualNode c: ")


def namespace(name: str, **labels: str) -> str:
    listed = ", ".join(f"{key}: {value}" for key, value in labels.items())
    return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{listed}}}}}\n"


OTHER = MESH.replace("shop", "bank")


def test_the_namespace_decides_which_mesh_an_object_is_in(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        MESH,
        OTHER,
        namespace("ns", mesh="bank"),
        namespace("other", mesh="shop"),
        node("a"),
        node("a", namespace="other"),
    )
    assert [str(each.key) for each in found.definitions[2:]] == [
        "mesh/bank/virtualNode/a_ns",
        "mesh/shop/virtualNode/a_other",
    ]


def test_a_reference_to_the_mesh_goes_before_all_labels(tmp_path: Path) -> None:
    found = loaded(tmp_path, MESH, OTHER, node("a", "meshRef: {name: bank, uid: x}"))
    assert str(found.definitions[-1].key) == "mesh/bank/virtualNode/a_ns"


@pytest.mark.parametrize(
    ("selector", "taken"),
    [
        ("{}", True),
        ("{matchLabels: {mesh: shop, tier: web}}", False),
        ("{matchLabels: {kubernetes.io/metadata.name: ns}}", True),
        ("{matchExpressions: [{key: mesh, operator: In, values: [shop, x]}]}", True),
        ("{matchExpressions: [{key: mesh, operator: NotIn, values: [shop]}]}", False),
        ("{matchExpressions: [{key: mesh, operator: Exists}]}", True),
        ("{matchExpressions: [{key: tier, operator: DoesNotExist}]}", True),
        ("{matchExpressions: [{key: tier, operator: Maybe}]}", False),
    ],
)
def test_label_selectors_mean_what_they_mean_to_kubernetes(
    tmp_path: Path, selector: str, taken: bool
) -> None:
    mesh = f"{V}\nkind: Mesh\nmetadata: {{name: m}}\nspec: {{namespaceSelector: {selector}}}\n"
    documents = (mesh, namespace("ns", mesh="shop"), node("a"))
    if taken:
        assert str(loaded(tmp_path, *documents).definitions[-1].key) == "mesh/m/virtualNode/a_ns"
    else:
        assert "no Mesh in these files selects namespace ns" in problems(tmp_path, *documents)[0]


def test_without_a_mesh_in_the_files_the_one_that_was_named_is_meant(tmp_path: Path) -> None:
    assert str(loaded(tmp_path, node("a"), mesh="m").definitions[0].key) == (
        "mesh/m/virtualNode/a_ns"
    )
    assert problems(tmp_path, node("a")) == [
        "k8s.yaml:1: VirtualNode a needs a meshName: these files define no Mesh"
    ]


def test_two_meshes_and_nothing_to_choose_by_are_a_problem(tmp_path: Path) -> None:
    assert "which mesh of shop, bank?" in problems(tmp_path, MESH, OTHER, node("a"))[0]


GATEWAY = f"""{V}
kind: VirtualGateway
metadata: {{name: NAME, namespace: ns}}
spec:
  namespaceSelector: {{matchLabels: {{gateway: NAME}}}}
  podSelector: {{matchLabels: {{app: NAME}}}}
  listeners: [{LISTENER}]
"""
GATEWAY_ROUTE = f"""{V}
kind: GatewayRoute
metadata: {{name: all, namespace: ns}}
spec:
  httpRoute:
    match: {{prefix: /}}
    action: {{target: {{virtualService: {{virtualServiceRef: {{name: api}}}}}}}}
"""
SERVICE = f"{V}\nkind: VirtualService\nmetadata: {{name: api, namespace: ns}}\nspec: {{}}\n"


def test_a_gateway_route_belongs_to_the_gateway_that_selects_its_namespace(tmp_path: Path) -> None:
    gateways = [GATEWAY.replace("NAME", name) for name in ("one", "two")]
    there = namespace("ns", mesh="shop", gateway="two")
    found = bodies(loaded(tmp_path, MESH, there, *gateways, GATEWAY_ROUTE, SERVICE))
    route = found["mesh/shop/virtualGateway/two_ns/gatewayRoute/all_ns"]["spec"]["httpRoute"]
    assert route["action"]["target"] == {"virtualService": {"virtualServiceName": "api.ns"}}

    [said] = problems(tmp_path, MESH, *gateways, GATEWAY_ROUTE, SERVICE)
    assert "GatewayRoute all: which virtual gateway of one, two?" in said
    named = GATEWAY_ROUTE + "  virtualGatewayRef: {name: one}\n"
    found = bodies(loaded(tmp_path, MESH, *gateways, named, SERVICE))
    assert "mesh/shop/virtualGateway/one_ns/gatewayRoute/all_ns" in found
    [said] = problems(tmp_path, MESH, GATEWAY_ROUTE, SERVICE)
    assert "no VirtualGateway in these files selects it" in said


def test_backend_groups_are_the_backends_they_stand_for(tmp_path: Path) -> None:
    group = (
        f"{V}\nkind: BackendGroup\nmetadata: {{name: g, namespace: ns}}\n"
        "spec: {virtualservices: [{name: api}, {name: far, namespace: other}]}\n"
    )
    far = SERVICE.replace("name: api, namespace: ns", "name: far, namespace: other")
    caller = node(
        "c",
        "backends: [{virtualService: {virtualServiceRef: {name: api}}}], "
        "backendGroups: [{name: g}, {name: '*', namespace: other}]",
    )
    found = bodies(loaded(tmp_path, MESH, group, SERVICE, far, caller))
    backends = found["mesh/shop/virtualNode/c_ns"]["spec"]["backends"]
    assert [each["virtualService"]["virtualServiceName"] for each in backends] == [
        "api.ns",
        "far.other",
    ]
    [said] = problems(tmp_path, MESH, node("c", "backendGroups: [{name: gone}]"))
    assert "BackendGroup gone of namespace ns is not in these files" in said


def test_spellings_of_the_controller_become_those_of_the_api(tmp_path: Path) -> None:
    tls = (
        "backendDefaults: {clientPolicy: {tls: {validation: {trust: {acm: "
        "{certificateAuthorityARNs: [arn:x]}}}}}}"
    )
    mesh = MESH.replace("spec: {", "spec: {meshServiceDiscovery: {ipPreference: IPv4_ONLY}, ")
    listener = "{portMapping: {port: 80, protocol: http}, tls: {mode: STRICT, certificate: {acm: {certificateARN: 'arn:y'}}}}"
    text = node("a", tls).replace(LISTENER, listener)
    found = bodies(loaded(tmp_path, mesh, text))
    spec = found["mesh/shop/virtualNode/a_ns"]["spec"]
    trust = spec["backendDefaults"]["clientPolicy"]["tls"]["validation"]["trust"]
    assert trust == {"acm": {"certificateAuthorityArns": ["arn:x"]}}
    assert spec["listeners"][0]["tls"]["certificate"] == {"acm": {"certificateArn": "arn:y"}}
    assert found["mesh/shop"]["spec"] == {"serviceDiscovery": {"ipPreference": "IPv4_ONLY"}}


def test_what_the_schema_does_not_know_is_left_out_aloud(tmp_path: Path) -> None:
    documents = (MESH, node("a", "logging: {accesslog: {file: {path: /x}}}, colour: red"))
    assert warnings(tmp_path, *documents) == [
        "k8s.yaml:9: VirtualNode a: spec.logging.accesslog is not known and left out; "
        "did you mean 'accessLog'?",
        "k8s.yaml:9: VirtualNode a: spec.colour is not known and left out",
    ]
    assert (
        bodies(loaded(tmp_path, *documents))["mesh/shop/virtualNode/a_ns"]["spec"]["logging"] == {}
    )


def test_pod_selectors_are_passed_over_with_one_word(tmp_path: Path) -> None:
    chosen = "podSelector: {matchLabels: {app: a}}"
    [said] = warnings(tmp_path, MESH, node("a", chosen), node("b", chosen))
    assert "podSelector (of 2 objects) is passed over" in said


def test_a_mistake_in_a_spec_is_placed_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        specs.check(loaded(tmp_path, MESH, ROUTER.replace("weight: 1", "weight: 101")).definitions)
    assert str(caught.value.problems[0]).replace(f"{tmp_path}/", "") == (
        "k8s.yaml:19: mesh/shop/virtualRouter/r_ns/route/all: "
        "spec.httpRoute.action.weightedTargets[0].weight: must be at most 100, not 101"
    )


def test_lists_are_read_item_by_item_and_other_kinds_counted(tmp_path: Path) -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n"
        f"- {{{V}, kind: Mesh, metadata: {{name: shop}}}}\n"
        "- {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}\n"
        f"---\n{{{V}, kind: VirtualNodeList, items: [{{{V}, kind: VirtualNode, "
        "metadata: {name: a}, spec: {}}]}\n"
        "---\napiVersion: apps/v1\nkind: Deployment\nspec: {image: '${NOT_SET}', x: !unknown y}\n"
        "---\napiVersion: v1\nkind: Service\n"
    )
    found = loaded(tmp_path, text)
    assert [str(each.key) for each in found.definitions] == [
        "mesh/shop",
        "mesh/shop/virtualNode/a_default",
    ]
    assert found.foreign == {"Deployment": 2, "Service": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{V}1\nkind: Mesh\nmetadata: {{name: m}}\n", "k8s.yaml:1: appmesh.k8s.aws/v1beta21 is"),
        (f"{V}\nkind: VirtualNod\nmetadata: {{name: m}}\n", "did you mean 'VirtualNode'?"),
        (f"{V}\nkind: Mesh\n", "k8s.yaml:1: Mesh needs metadata.name"),
        (f"{V}\nkind: Mesh\nmetadata: {{name: m}}\nspec: 3\n", "k8s.yaml:4: Mesh m: spec must be"),
        (f"{V}\nkind: VirtualNode\nmetadata: {{name: m, namespace: 3}}\n", "a namespace is a text"),
        ("apiVersion: appmesh.k8s.aws/v1beta1\nkind: Mesh\n", "belongs to the controller before"),
        (MESH + "---\n" + ROUTER.replace("- name: all", "- nam: all"), "a mapping with a name"),
    ],
)
def test_an_object_that_is_none_names_line_and_cause(tmp_path: Path, text: str, said: str) -> None:
    assert said in problems(tmp_path, text, mesh="m")[0]
