"""Files as people write them: what is understood, and where every mistake is placed."""

import io
import json
from pathlib import Path

import pytest

from weft.errors import Invalid
from weft.manifests import specs
from weft.manifests.files import Loaded, load
from weft.manifests.workload import AppPort, Ingress
from weft.names import Kind

ROOT = Path(__file__).parents[3]


def loaded(tmp_path: Path, text: str, name: str = "weft.yaml", **environment: str) -> Loaded:
    file = tmp_path / name
    file.write_text(text)
    return load([str(file)], environment)


def problems(tmp_path: Path, text: str, name: str = "weft.yaml", **environment: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        loaded(tmp_path, text, name, **environment)
    return [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems]


NODE = """
mesh: shop
resources:
  - kind: virtualNode
    virtualNodeName: web-vn
    spec:
      listeners: [{portMapping: {port: 9080, protocol: http}}]
      serviceDiscovery: {dns: {hostname: web.local}}
      backends: [{virtualService: {virtualServiceName: db.local}}]
"""


def test_color_app_is_read_as_the_article_has_it() -> None:
    found = load([str(ROOT / "examples/colorapp/weft.yaml")], {"SERVICES_DOMAIN": "demo.local"})

    specs.check(found.definitions)
    assert found.mesh == "my-first-appmesh"
    assert found.workloads[0].name == "colorgateway"
    assert found.workloads[0].ingress == (Ingress(9080, 7480),)
    assert "mesh/my-first-appmesh/virtualService/tcpecho.demo.local" in [
        str(each.key) for each in found.definitions
    ]


def test_definitions_come_in_the_order_in_which_they_can_be_created(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        """
        mesh: shop
        resources:
          - {virtualServiceName: a.local, spec: {}}
          - {routeName: r, virtualRouterName: vr, spec: {}}
          - {virtualRouterName: vr, spec: {}}
          - {virtualNodeName: n, spec: {}}
          - {kind: mesh}
        """,
    )
    assert [each.kind for each in found.definitions] == [
        Kind.MESH,
        Kind.VIRTUAL_NODE,
        Kind.VIRTUAL_ROUTER,
        Kind.ROUTE,
        Kind.VIRTUAL_SERVICE,
    ]


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ('"virtualNodeName": "x"', Kind.VIRTUAL_NODE),
        ('"virtualServiceName": "x"', Kind.VIRTUAL_SERVICE),
        ('"virtualRouterName": "x"', Kind.VIRTUAL_ROUTER),
        ('"virtualRouterName": "x", "routeName": "y"', Kind.ROUTE),
        ('"virtualGatewayName": "x"', Kind.VIRTUAL_GATEWAY),
        ('"virtualGatewayName": "x", "gatewayRouteName": "y"', Kind.GATEWAY_ROUTE),
        ('"clientToken": "t", "tags": [{"key": "a", "value": "b"}]', Kind.MESH),
    ],
)
def test_the_kind_of_cli_input_is_recognised_from_its_members(
    tmp_path: Path, member: str, kind: Kind
) -> None:
    text = f'{{\t"meshName": "shop", "meshOwner": "123456789012", {member}, "spec": {{}}}}'
    [definition] = loaded(tmp_path, text, "input.json").definitions
    assert (definition.kind, definition.key.mesh) == (kind, "shop")


def test_a_mesh_given_outside_fills_in_what_the_files_leave_open(tmp_path: Path) -> None:
    file = tmp_path / "route.json"
    file.write_text('{"routeName": "r", "virtualRouterName": "vr", "spec": {}}')

    [route] = load([str(file)], {}, mesh="shop").definitions
    assert str(route.key) == "mesh/shop/virtualRouter/vr/route/r"


def test_a_missing_mesh_name_is_a_problem_with_its_place(tmp_path: Path) -> None:
    text = '\n\n{"virtualNodeName": "n", "spec": {}}'
    assert problems(tmp_path, text, "n.json") == [
        "n.json:3: virtualNode needs meshName; give it here or once for all as mesh: NAME"
    ]


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(NODE + "    clientTokn: x\n")
    (tmp_path / "b.json").write_text('{"virtualNodeName": 3, "meshName": "shop", "spec": {}}')
    (tmp_path / "c.yaml").write_text("workload: {}\n")
    (tmp_path / "d.json").write_text('{"meshName": "shop",\n  oops}')
    (tmp_path / "ignored.txt").write_text("not read")

    with pytest.raises(Invalid) as caught:
        load([str(tmp_path)], {})
    said = [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems]
    assert said == [
        "a.yaml:10: virtualNode has no member 'clientTokn'; did you mean 'clientToken'?",
        "b.json:1: virtualNodeName must be a name, not 3",
        "c.yaml:1: workload: unknown key 'workload'; did you mean 'workloads'?",
        "d.json:2: not JSON: Expecting property name enclosed in double quotes (column 3)",
    ]


def test_a_problem_in_a_spec_is_placed_at_the_line_of_the_member(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        """mesh: shop
resources:
  - kind: virtualNode
    virtualNodeName: web-vn
    spec:
      listeners:
        - portMapping:
            port: 99999
            protocol: htp
      serviceDiscovery: {dns: {hostname: web.local}}
""",
    )
    with pytest.raises(Invalid) as caught:
        specs.check(found.definitions)
    at = [each.path.rsplit("/", 1)[-1] for each in caught.value.problems]
    assert at == ["weft.yaml:8", "weft.yaml:9"]
    assert "mesh/shop/virtualNode/web-vn: spec.listeners[0]" in str(caught.value)


def test_variables_come_from_the_environment_with_their_types(tmp_path: Path) -> None:
    text = """
mesh: ${NAME}
workloads:
  web:
    virtualNode: web-${STAGE:-dev}-vn
    command: "${python} -m 'my app' --port=${port.9080} $${HOME}"
    ingress: ${GATE:-7480}
    replicas: 1
    env: {A: "${NAME:-x}", B: 1.0, C: true, D: null, E: ""}
"""
    [web] = loaded(tmp_path, text, NAME="shop", GATE="8080").workloads

    assert str(web.node) == "mesh/shop/virtualNode/web-dev-vn"
    assert web.ingress == (Ingress(None, 8080),)
    assert [str(word) for word in web.command] == [
        "${python}",
        "-m",
        "my app",
        "--port=${port.9080}",
        "${HOME}",
    ]
    assert {name: value and str(value) for name, value in web.env} == {
        "A": "shop",
        "B": "1.0",
        "C": "true",
        "D": None,
        "E": "",
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"${NAME}"', "environment variable NAME is not set; set it or write ${NAME:-default}"),
        ('"${port.9080}"', "${port.9080} has a meaning only in a workload's command and env"),
        ('"${a b}"', "${a b} means nothing; known are"),
        ('"${NAME"', "'${NAME' is never closed"),
        ('"${backend.}"', "${backend.} does not name a virtual service"),
    ],
)
def test_a_placeholder_that_means_nothing_is_a_problem(
    tmp_path: Path, value: str, said: str
) -> None:
    [found] = problems(tmp_path, f"resources: []\nmesh: {value}\n")[:1]
    assert found.startswith("weft.yaml:2: mesh: " + said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{}", "web: a workload needs a command"),
        ("{command: []}", "command must be a text or a list of texts"),
        ("{command: 'a \"b'}", "cannot be split into words"),
        ("{command: a, comand: b}", "unknown key 'comand'; did you mean 'command'?"),
        ("{command: a, sidecar: true}", "a sidecar needs a virtualNode"),
        ("{command: a, virtualNode: web-vn, replicas: 0}", "a whole number from 1 to 100, not 0"),
        ("{command: a, virtualNode: web-vn, replicas: 2, ingress: 1}", "one replica only"),
        ("{command: a, virtualNode: web-vn, sidecar: false, ingress: 1}", "there is none"),
        ("{command: a, virtualNode: web-vn, ingress: {80: 1}}", "there is no listener 80"),
        ("{command: a, virtualNode: web-vn, ports: [9080, 9080]}", "a listener is given twice"),
        ("{command: 'a ${port.80}', virtualNode: web-vn}", "no listener 80; known are 9080"),
        ("{command: 'a ${port.80}'}", "neither a virtualNode nor ports: [80]"),
        (
            "{command: 'a ${backend.bd.local}', virtualNode: web-vn}",
            "bd.local is no backend of virtual node web-vn; did you mean 'db.local'?",
        ),
        (
            "{command: 'a ${backend.db.local}', virtualNode: web-vn, sidecar: false}",
            "without a sidecar it reaches no backend",
        ),
        ("{command: a, env: {A: [1]}}", "a variable is a text"),
        ("[a]", "a workload is a mapping"),
        ("{virtualGateway: vg, command: a}", "a virtual gateway has no command"),
        ("{virtualGateway: vg, virtualNode: web-vn}", "a virtual gateway has no virtualNode"),
        ("{virtualGateway: vg, replicas: 2, ingress: 1}", "one replica only"),
        ("{virtualGateway: []}", "virtualGateway: must be a text"),
    ],
)
def test_a_workload_that_cannot_be_run_is_a_problem_with_its_place(
    tmp_path: Path, body: str, said: str
) -> None:
    found = problems(tmp_path, f"{NODE}workloads:\n  web: {body}\n")
    assert all(each.startswith("weft.yaml:11: ") for each in found)
    assert any(said in each for each in found), found


def test_a_gateway_is_a_workload_without_a_program(tmp_path: Path) -> None:
    text = f"{NODE}workloads:\n  front: {{virtualGateway: front-vg, replicas: 2}}"
    [front] = loaded(tmp_path, text).workloads
    assert (str(front.node), front.command, front.replicas) == (
        "mesh/shop/virtualGateway/front-vg",
        (),
        2,
    )
    assert (front.is_gateway, front.stands_for) == (True, "virtual gateway front-vg")


def test_app_ports_are_free_unless_a_number_fixes_them(tmp_path: Path) -> None:
    text = (
        f"{NODE}workloads:\n  web: {{command: a, virtualNode: web-vn, ports: {{9080: 8080, 81: }}}}"
    )
    [web] = loaded(tmp_path, text).workloads
    assert web.ports == (AppPort(81), AppPort(9080, 8080))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mesh: [a\n", "weft.yaml:2: not YAML: while parsing a flow sequence"),
        ("mesh: a\nmesh: b\n", "weft.yaml:2: mesh: is given twice"),
        ("resources:\n\t- a\n", "weft.yaml:2: not YAML: while scanning for the next token"),
        ("a: &x [*x]\n", "weft.yaml:1: a[0]: contains itself"),
        ("mesh: !Ref x\n", "weft.yaml:1: mesh: !Ref cannot be read here: 'x'"),
        ("- {apiVersion: v1, kind: Pod}\n", "weft.yaml:1: a Kubernetes object (Pod) among others"),
        ("kind: virtualNod\nmeshName: m\n", "weft.yaml:1: 'virtualNod' is not a kind"),
        ("mesh: {a: ${X}}\n", "weft.yaml:1: not YAML: "),
        ("just text\n", "weft.yaml:1: expected mesh, resources, policies and workloads"),
        ("mesh: \x01\n", "weft.yaml:1: not YAML: "),
    ],
)
def test_yaml_that_cannot_be_read_names_line_and_cause(
    tmp_path: Path, text: str, said: str
) -> None:
    assert any(each.startswith(said) for each in problems(tmp_path, text))


def test_what_is_not_text_or_not_there_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"mesh: a\nx: \xe9\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid) as caught:
        load([str(tmp_path / name) for name in ("latin.yaml", "none.yaml", "empty")], {})
    assert [each.message for each in caught.value.problems] == [
        "is not a text in UTF-8",
        "cannot be read: No such file or directory",
        "the directory holds no .yaml, .yml, .json, .template, .tfstate file",
    ]


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "too large once its aliases are followed" in problems(tmp_path, "\n".join(rows))[-1]


def test_one_thing_defined_twice_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(NODE)
    (tmp_path / "b.yaml").write_text(NODE)
    with pytest.raises(Invalid) as caught:
        load([str(tmp_path)], {})
    [problem] = caught.value.problems
    assert problem.path.endswith("b.yaml:4")
    assert problem.message.startswith("mesh/shop/virtualNode/web-vn is defined in ")
    assert problem.message.endswith("a.yaml:4 already")


def test_standard_input_may_be_yaml_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    def given(text: str) -> Loaded:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return load(["-"], {})

    body = {"virtualNodeName": "n", "meshName": "shop", "spec": {}}
    assert [str(each.key) for each in given(json.dumps([body])).definitions] == [
        "mesh/shop/virtualNode/n"
    ]
    assert [each.source for each in given(NODE).definitions] == ["-:4"]


def test_several_documents_share_the_mesh_of_their_file(tmp_path: Path) -> None:
    found = loaded(tmp_path, "mesh: shop\n---\nvirtualNodeName: n\nspec: {}\n")
    assert [str(each.key) for each in found.definitions] == ["mesh/shop/virtualNode/n"]


def test_the_update_route_files_of_the_article_are_understood(tmp_path: Path) -> None:
    text = """{"routeName": "colorteller-route", "virtualRouterName": "colorteller-vr", "spec":
      {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets":
        [{"virtualNode": "colorteller-black-vn", "weight": 1}]}}}}"""
    file = tmp_path / "black.json"
    file.write_text(text)
    found = load([str(file)], {}, mesh="my-first-appmesh")
    specs.check(found.definitions)
    assert found.mesh == "my-first-appmesh"


# --- many formats in one place -----------------------------------------------------------


def test_a_directory_may_hold_every_format_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.json").write_text("broken")
    (tmp_path / "weft.yaml").write_text("mesh: shop\nresources: [{kind: mesh}]\n")
    (tmp_path / "deep" / "vn.json").write_text(
        '{"virtualNodeName": "a", "meshName": "shop", "spec": {}}'
    )
    (tmp_path / "deep" / "er" / "k8s.yaml.template").write_text(
        "apiVersion: appmesh.k8s.aws/v1beta2\nkind: VirtualNode\n"
        "metadata: {name: b, namespace: ns}\nspec: {}\n"
    )
    state = {"version": 4, "terraform_version": "1", "lineage": "x", "resources": []}
    (tmp_path / "deep" / "terraform.tfstate").write_text(json.dumps(state))
    (tmp_path / "deep" / "stack.yaml").write_text("Resources:\n  A: {Type: !Ref x}\n")
    (tmp_path / "deep" / "package.json").write_text('{"name": "x", "dependencies": {}}')
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)

    found = load([str(tmp_path)], {})
    assert [str(each.key) for each in found.definitions] == [
        "mesh/shop",
        "mesh/shop/virtualNode/a",
        "mesh/shop/virtualNode/b_ns",
    ]
    assert [each.path for each in found.templates] == [str(tmp_path / "deep" / "stack.yaml")]
    assert found.templates[0].text.startswith("Resources:")
    assert [each.message for each in found.warnings] == [
        "is passed over: it holds nothing of App Mesh"
    ]


def test_a_file_of_something_else_is_a_mistake_when_it_is_named(tmp_path: Path) -> None:
    [said] = problems(tmp_path, '{"name": "x"}', "package.json")
    assert said.startswith("package.json:1: this is no App Mesh resource")


def test_a_directory_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft.manifests.files.MAX_FILES", 3)
    for i in range(4):
        (tmp_path / f"{i}.json").write_text("{}")
    with pytest.raises(Invalid, match="the directory holds more than 3 files"):
        load([str(tmp_path)], {})


@pytest.mark.parametrize(
    "text",
    [
        '{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {}}',
        '{"Resources": {"A": {"Type": "AWS::AppMesh::Mesh"}}}',
        "Resources: {A: {Type: AWS::AppMesh::Mesh, Properties: {Spec: !If [a, b, c]}}}",
    ],
)
def test_a_template_is_handed_on_as_it_stands(tmp_path: Path, text: str) -> None:
    name = "t.json" if text.startswith("{") else "t.yaml"
    [template] = loaded(tmp_path, text, name).templates
    assert (template.path, template.text) == (str(tmp_path / name), text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"spec": {\n "a": $DNS_HOSTNAME, "b": $X}}',
            "input.json:2: not JSON: a template for jq with the variables DNS_HOSTNAME, X; fill "
            "them in first: jq -n --arg DNS_HOSTNAME VALUE --arg X VALUE -f FILE",
        ),
        (
            '{"a": ${PORT}}',
            "input.json:1: not JSON: ${PORT} is not filled in; envsubst < FILE does that",
        ),
        ('{"a": $}', "input.json:1: not JSON: Expecting value (column 7)"),
    ],
)
def test_a_template_that_nobody_filled_in_says_who_does(
    tmp_path: Path, text: str, said: str
) -> None:
    assert problems(tmp_path, text, "input.json") == [said]


def test_a_variable_within_json_is_told_and_left(tmp_path: Path) -> None:
    text = '{"meshName": "m", "virtualNodeName": "n",\n"spec": {"x": "${HOME}"}}'
    [said] = loaded(tmp_path, text, "n.json", HOME="/").warnings
    assert str(said).endswith(
        "n.json:2: ${HOME} is not filled in within JSON; envsubst < FILE does that"
    )


def test_a_dollar_written_as_a_code_is_no_variable(tmp_path: Path) -> None:
    text = 'meshName: m\nvirtualNodeName: n\nspec: {a: "\\x24{HOME}", b: "${HOME}"}\n'
    [node] = loaded(tmp_path, text, HOME="/").definitions
    assert node.body["spec"] == {"a": "${HOME}", "b": "/"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"provider": {"virtualNode": {"virtualNodeName": "n"}}}, "virtualService"),
        ({"backends": []}, "virtualNode"),
        (
            {
                "httpRoute": {
                    "match": {"prefix": "/"},
                    "action": {"weightedTargets": [{"virtualNode": "n", "weight": 1}]},
                }
            },
            "route",
        ),
    ],
)
def test_an_input_whose_names_are_on_the_command_line_says_which_it_lacks(
    tmp_path: Path, spec: dict[str, object], said: str
) -> None:
    [problem] = problems(tmp_path, json.dumps({"spec": spec}), "input.json")
    assert problem.startswith(f"input.json:1: this is the spec of a {said} without its name")
    assert "--mesh-name, --virtual-" in problem


def test_an_empty_input_is_a_mesh_of_the_name_that_was_given(tmp_path: Path) -> None:
    for i, text in enumerate(("{}", '{"spec": {}}', '{"spec": {"egressFilter": {"type": "X"}}}')):
        (tmp_path / f"{i}.json").write_text(text)
    for i in (0, 1):
        [mesh] = load([str(tmp_path / f"{i}.json")], {}, mesh="shop").definitions
        assert (mesh.kind, mesh.body) == (Kind.MESH, {"meshName": "shop", "spec": {}})
    with pytest.raises(Invalid, match="mesh needs meshName"):
        load([str(tmp_path / "0.json")], {})
    with pytest.raises(Invalid, match="this is no App Mesh resource"):
        load([str(tmp_path / "2.json")], {}, mesh="shop")


def test_what_describe_and_get_print_can_be_applied(tmp_path: Path) -> None:
    inner = {
        "meshName": "shop",
        "virtualNodeName": "n",
        "spec": {},
        "metadata": {"version": 1},
        "status": {"status": "ACTIVE"},
    }
    listed = {
        "revision": 3,
        "resources": [{**inner, "kind": "virtualNode", "key": "k", "arn": "a"}],
    }
    for value in ({"virtualNode": inner}, inner, listed):
        [node] = loaded(tmp_path, json.dumps(value), "n.json").definitions
        assert node.body == {"meshName": "shop", "virtualNodeName": "n", "spec": {}}


def test_line_ends_marks_and_tabs_of_other_editors_are_understood(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(
        b"\xef\xbb\xbfmesh: shop\r\nresources:\r\n  - kind: mesh\r\n  - virtualNodeNam: x\r\n"
    )
    (tmp_path / "b.json").write_bytes(b'\xef\xbb\xbf{\r\n\t"meshName":\t"m",\r\n\t"x": 1\r\n}')
    with pytest.raises(Invalid) as caught:
        load([str(tmp_path)], {})
    said = [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems]
    assert said[0].startswith("a.yaml:4: this is no App Mesh resource")
    assert said[1].startswith("b.json:3: mesh has no member 'x'")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.json", "[" * 100_000),
        ("deep.yaml", "[" * 100_000),
        ("deeper.yaml", "\n".join(" " * i + "a:" for i in range(1200))),
        ("deep2.json", '{"a":' * 900 + "1" + "}" * 900),
        ("nulls.yaml", "\0\0"),
        ("huge.yaml", "a: b\n" * 4_000_000),
        ("many.yaml", "- a\n" * 1_000_000),
        ("many.json", "[" + "1," * 2_000_000 + "1]"),
    ],
)
def test_bottomless_and_endless_files_are_refused_at_once(
    tmp_path: Path, name: str, text: str
) -> None:
    found = problems(tmp_path, text, name)
    assert all(each.startswith(name) for each in found)


def test_keys_of_the_wrong_case_are_named(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        "mesh: shop\nresources:\n- virtualNodeName: n\n  spec:\n    Listeners: []\n",
    )
    with pytest.raises(Invalid, match=r"weft.yaml:5: .*did you mean 'listeners'"):
        specs.check(found.definitions)
    assert problems(tmp_path, "mesh: shop\nresources:\n- VirtualNodeName: n\n  spec: {}\n") == [
        "weft.yaml:3: this is no App Mesh resource: it has none of meshName, virtualNodeName, "
        "virtualServiceName, virtualRouterName, routeName, virtualGatewayName, gatewayRouteName; "
        "did you mean 'virtualNodeName' for 'VirtualNodeName'?"
    ]


def test_policies_are_read_within_the_mesh_of_the_file(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        """
        mesh: shop
        policies:
          - {for: mesh, reroute: on}
          - {for: virtualService/db.local, timeout: {idle: {unit: s, value: 5}}}
          - {for: mesh/other/virtualRouter/r/route/x, reroute: false}
        """,
    )
    assert [each.item for each in found.policies] == [
        {"for": "mesh/shop", "reroute": True},
        {
            "for": "mesh/shop/virtualService/db.local",
            "timeout": {"idle": {"unit": "s", "value": 5}},
        },
        {"for": "mesh/other/virtualRouter/r/route/x", "reroute": False},
    ]


def test_mistakes_in_policies_are_placed_by_file_and_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """mesh: shop
policies:
  - {reroute: on}
  - {for: mesh, rerute: on}
  - {for: mesh, reroute: perhaps}
  - {for: nothing/x, reroute: on}
  - {for: virtualGateway/g, reroute: on}
  - {for: virtualNode/n}
  - 7
""",
    )
    assert [each.partition(":")[2].partition(":")[0] for each in found] == list("3456789")
    assert "did you mean 'reroute'" in found[1]
    twice = "mesh: m\npolicies:\n  - {for: mesh, reroute: on}\n  - {for: mesh, amazonaws: off}\n"
    assert problems(tmp_path, twice) == [
        "weft.yaml:4: mesh/m has a policy in weft.yaml:3 already".replace(
            "in weft", f"in {tmp_path}/weft"
        ).replace(f"{tmp_path}/", "")
    ]
