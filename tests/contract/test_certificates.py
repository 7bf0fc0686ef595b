"""Certificates over the API and the command line: roles, mistakes, files, and no key where none belongs."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.certificates import chain_by_openssl
from tests.contract.served import Reply, Served, served
from weft.cli.main import main
from weft.clock import SystemClock
from weft.identity import ca
from weft.identity.caller import Role
from weft.identity.credentials import Issued, Wanted

CERTIFICATES = "/weft/v1/certificates"
AUTHORITIES = "/weft/v1/authorities"
ARN = "arn:aws:acm:eu-west-1:111122223333:certificate/{}"
CA_ARN = "arn:aws:acm-pca:eu-west-1:111122223333:certificate-authority/{}"
NOW = SystemClock().now()
EC = ca.KeyAlgorithm.EC_P256
THEIRS = ca.root("theirs", EC, NOW)


@pytest.fixture(scope="module")
def weft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A control plane of its own: others' meshes have nothing to do with it."""
    with served(tmp_path_factory.mktemp("data")) as found:
        yield found


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


@pytest.fixture
def cli(
    weft: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Cli:
    monkeypatch.setenv("WEFT_ENDPOINT", weft.url)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main([*arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


def one(arn: str, collection: str = CERTIFICATES) -> str:
    return f"{collection}/{quote(arn, safe='')}"


def by_arn(mesh: str, certificate: str, authority: str) -> dict[str, Any]:
    """A mesh whose ``web`` trusts an authority and calls ``shop``, which presents a certificate."""
    tls = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": certificate}}}
    trust = {"validation": {"trust": {"acm": {"certificateAuthorityArns": [authority]}}}}
    shop = {
        "listeners": [{"portMapping": {"port": 9080, "protocol": "http"}, "tls": tls}],
        "serviceDiscovery": {"dns": {"hostname": f"shop.{mesh}.local"}},
    }
    web = {
        "backendDefaults": {"clientPolicy": {"tls": trust}},
        "backends": [{"virtualService": {"virtualServiceName": "shop.local"}}],
    }
    named = {"meshName": mesh}
    return {
        "resources": [
            {"kind": "mesh", **named, "spec": {}},
            {"kind": "virtualNode", **named, "virtualNodeName": "shop", "spec": shop},
            {
                "kind": "virtualService",
                **named,
                "virtualServiceName": "shop.local",
                "spec": {"provider": {"virtualNode": {"virtualNodeName": "shop"}}},
            },
            {"kind": "virtualNode", **named, "virtualNodeName": "web", "spec": web},
        ]
    }


def brought(**instead: str) -> dict[str, str]:
    pair = ca.leaf(ca.Names(("x.local",)), EC, THEIRS, NOW)
    return {
        "certificate": ca.pem([pair.certificate]),
        "privateKey": ca.key_pem(pair.key),
        **instead,
    }


def problems(reply: Reply) -> dict[str, str]:
    assert reply.status == 400, reply.body
    return {each["path"]: each["message"] for each in reply.body["problems"]}


def test_a_certificate_is_made_under_an_arn_and_found_by_both_its_names(weft: Served) -> None:
    made = weft.request(
        "POST",
        CERTIFICATES,
        {"arn": ARN.format("both"), "hosts": ["both.local"], "uris": ["spiffe://m/both"]},
    )
    assert made.status == 200
    assert int(made.headers["x-weft-revision"]) == weft.revision
    for name in (ARN.format("both"), "both.local", "spiffe://m/both", "both"):
        found = weft.get(one(name))
        assert found.body["arn"] == ARN.format("both")
    assert found.body["certificateChain"].startswith("-----BEGIN CERTIFICATE-----")
    assert weft.get(one("nobody")).status == 404
    again = weft.request("POST", CERTIFICATES, {"arn": ARN.format("both"), "hosts": ["b"]})
    assert (again.status, "weft cert rotate" in again.body["fix"]) == (409, True)


def test_every_mistake_of_a_request_is_told_at_once(weft: Served) -> None:
    wrong = {
        "arn": "arn:aws:acm:x",
        "hosts": ["ok.local", "not a host"],
        "uris": ["spiffe://Upper/x", "no-uri"],
        "keyAlgorithm": "DSA",
        "lifetimeSeconds": 1,
        "rootChain": "x",
    }
    found = problems(weft.request("POST", CERTIFICATES, wrong))
    assert set(found) == {
        *("arn", "hosts[1]", "uris[0]", "uris[1]", "keyAlgorithm", "lifetimeSeconds", "rootChain")
    }
    assert "hosts" in problems(weft.request("POST", CERTIFICATES, {}))
    assert set(problems(weft.request("POST", CERTIFICATES, {"host": "x"}))) == {"host"}
    assert problems(weft.request("POST", AUTHORITIES, {"arn": 1, "name": "", "privateKey": "x"}))


def test_every_mistake_in_what_is_brought_is_told_at_once(weft: Served) -> None:
    old = ca.leaf(ca.Names(("x.local",)), EC, THEIRS, NOW.replace(year=NOW.year - 3))
    wrong = {
        "certificate": ca.pem([old.certificate]),
        "privateKey": brought()["privateKey"],
        "rootChain": ca.pem([ca.root("another", EC, NOW).certificate]),
    }
    found = problems(weft.request("POST", CERTIFICATES, wrong))
    assert set(found) == {"certificate", "privateKey", "rootChain"}
    assert "expired at" in found["certificate"]
    assert "is not the key of CN=x.local" in found["privateKey"]
    assert "none of these signed CN=x.local" in found["rootChain"]


@pytest.mark.parametrize(
    ("member", "text", "said"),
    [
        ("privateKey", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx", "openssl pkey -in FILE"),
        (
            "privateKey",
            "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----",
            "cannot be read",
        ),
        ("privateKey", "x", "is no PEM"),
        ("certificate", "x", "is no PEM"),
        ("certificate", "-----BEGIN CERTIFICATE-----\nx", "cannot be read as certificates"),
        ("certificate", ca.pem([THEIRS.certificate]), "is that of an authority"),
        ("certificateChain", "-----BEGIN PRIVATE KEY-----", "holds a private key"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_of_that_file(
    weft: Served, member: str, text: str, said: str
) -> None:
    found = problems(weft.request("POST", CERTIFICATES, brought(**{member: text})))
    assert said in found[member]


def test_a_chain_in_another_order_is_told_the_right_one(weft: Served, tmp_path: Path) -> None:
    leaf, first, second, root, key = chain_by_openssl(tmp_path)
    wrong = {"certificate": leaf, "privateKey": key, "certificateChain": second + first}
    said = problems(weft.request("POST", CERTIFICATES, wrong))["certificateChain"]
    assert "the order is CN=first, CN=second" in said
    right = {**wrong, "certificateChain": first + second + root, "arn": ARN.format("chain")}
    made = weft.request("POST", CERTIFICATES, right).body
    assert made["warnings"] == []
    # What signs itself is trusted, not presented.
    assert made["certificateChain"].count("BEGIN") == 3
    assert made["rootChain"].count("BEGIN") == 1


def test_an_imported_intermediate_issues_and_is_trusted_for_itself_alone(
    weft: Served, tmp_path: Path
) -> None:
    _, first, second, root, _ = chain_by_openssl(tmp_path)
    body = {
        "arn": CA_ARN.format("first"),
        "certificate": first,
        "certificateChain": second + root,
        "privateKey": (tmp_path / "first.key").read_text(),
    }
    made = weft.request("POST", AUTHORITIES, body).body
    assert (made["name"], made["canIssue"], made["origin"]) == ("first", True, "imported")
    assert made["certificateChain"].count("BEGIN") == 1
    issued = weft.request("POST", CERTIFICATES, {"hosts": ["i.local"], "authority": "first"}).body
    (tmp_path / "issued.pem").write_text(issued["certificateChain"])
    command = ["openssl", "verify", "-CAfile", "root.pem", "-untrusted", "issued.pem", "issued.pem"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.stdout == "issued.pem: OK\n", said.stderr
    again = weft.request("POST", one("first", AUTHORITIES) + "/renew")
    assert (again.status, "imported" in again.body["message"]) == (400, True)


def test_what_definitions_lack_is_listed_with_commands_and_made_in_one_go(weft: Served) -> None:
    body = by_arn("filled", ARN.format("filled"), CA_ARN.format("filled"))
    path = "/weft/v1/missingCertificates"
    missing = weft.request("POST", path, body).body["missing"]
    assert [each["kind"] for each in missing] == ["authority", "certificate"]
    assert missing[1]["hosts"] == ["shop.filled.local"]
    assert weft.request("POST", "/weft/v1/apply", body).status == 200
    assert weft.request("POST", path, {}).body["missing"] == missing
    made = weft.request("POST", path + "/fill", {})
    assert made.body["made"] == missing
    assert weft.request("POST", path, {}).body["missing"] == []
    certificate = weft.get(one(ARN.format("filled"))).body
    assert certificate["authority"] == CA_ARN.format("filled")
    assert [each["key"] for each in certificate["usedBy"]] == ["mesh/filled/virtualNode/shop"]
    refused = weft.request("DELETE", one(ARN.format("filled")))
    assert (refused.status, refused.body["code"]) == (409, "ResourceInUseException")
    findings = weft.get("/weft/v1/checks?mesh=filled").body["findings"]
    assert not [each for each in findings if each["code"] in ("WEFT-510", "WEFT-511", "WEFT-512")]


def test_definitions_with_unknown_arns_are_taken_and_the_finding_names_the_command(
    weft: Served,
) -> None:
    body = by_arn("unknown", ARN.format("unknown"), CA_ARN.format("unknown"))
    findings = weft.request("POST", "/weft/v1/checks", body).body["findings"]
    fixes = [each["fix"] for each in findings if each["code"] == "WEFT-510"]
    assert any(
        f"weft cert issue shop.unknown.local --arn {ARN.format('unknown')}" in f for f in fixes
    )
    for each in body["resources"]:
        if each["kind"] == "virtualNode":
            each["spec"] = json.loads(json.dumps(each["spec"]).replace("arn:aws:acm", "arn:acm"))
    strange = weft.request("POST", "/weft/v1/missingCertificates/fill", body)
    assert len(problems(strange)) == 2


def test_no_answer_but_export_has_a_private_key(weft: Served) -> None:
    made = weft.request("POST", CERTIFICATES, {"hosts": ["quiet.local"]})
    weft.request("POST", one("quiet.local") + "/renew")
    revision = weft.revision
    answers = [made, weft.get(CERTIFICATES), weft.get(one("quiet.local")), weft.get(AUTHORITIES)]
    answers += [weft.get("/weft/v1/changes?all=true"), weft.get(f"/weft/v1/changes/{revision}")]
    answers += [weft.get("/weft/v1/resources"), weft.get("/weft/v1/status")]
    assert all(each.status == 200 for each in answers)
    assert "PRIVATE" not in json.dumps([each.body for each in answers])
    refused = weft.request("POST", f"/weft/v1/changes/{revision}/revert")
    assert (refused.status, "forgotten" in refused.body["message"]) == (409, True)
    exported = weft.request("POST", one("quiet.local") + "/export")
    assert exported.body["privateKey"].startswith("-----BEGIN PRIVATE KEY-----")


def test_a_viewer_reads_an_operator_issues_and_an_admin_exports(
    tmp_path: Path,
) -> None:
    with served(tmp_path, auth="required") as closed:

        def issued(role: Role) -> Issued:
            wanted = Wanted(role.value, "000000000000", role)
            return closed.run(closed.parts.credentials.create(wanted, "test", SystemClock()))

        tokens = {role: issued(role).token for role in (Role.ADMIN, Role.OPERATOR, Role.VIEWER)}

        def status(role: Role, method: str, path: str, body: Any = None) -> int:
            headers = {"Authorization": f"Bearer {tokens[role]}"}
            return closed.request(method, path, body, headers).status

        wanted = {"hosts": ["a.local"]}
        assert status(Role.VIEWER, "POST", CERTIFICATES, wanted) == 403
        assert status(Role.OPERATOR, "POST", CERTIFICATES, wanted) == 200
        assert status(Role.VIEWER, "GET", one("a.local")) == 200
        assert status(Role.VIEWER, "POST", "/weft/v1/missingCertificates", {}) == 200
        for role, expected in ((Role.VIEWER, 403), (Role.OPERATOR, 403), (Role.ADMIN, 200)):
            assert status(role, "POST", one("a.local") + "/export") == expected


# --- The command line -------------------------------------------------------------------------


def test_issue_list_show_and_rotate_tell_what_they_do(cli: Cli) -> None:
    arn = ARN.format("cli")
    made = cli("cert", "issue", "cli.local", "10.0.0.1", "--arn", arn, "--lasts", "30d")
    assert (made.code, "issued for cli.local, 10.0.0.1, until" in made.out) == (0, True)
    listed = cli("cert", "list")
    assert arn in listed.out
    assert cli("cert", "list", "-o", "name").out.split().count(arn) == 1
    shown = cli("cert", "show", "cli.local")
    assert (shown.out.count("BEGIN CERTIFICATE"), "PRIVATE" in shown.out) == (1, False)
    assert "serial" in shown.err
    before = shown.out
    assert cli("cert", "rotate", "cli.local").code == 0
    assert cli("cert", "show", arn).out != before
    gone = cli("cert", "delete", "cli.local")
    assert (gone.code, arn in gone.out) == (0, True)
    assert cli("cert", "show", arn).code == 3


def test_export_writes_a_new_file_for_its_owner_alone(cli: Cli, tmp_path: Path) -> None:
    cli("cert", "issue", "exported.local")
    key, chain = tmp_path / "web.key", tmp_path / "web.pem"
    done = cli(
        "cert", "export", "exported.local", "--key-file", str(key), "--certificate", str(chain)
    )
    assert (done.code, "PRIVATE" in done.out + done.err) == (0, False)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (
        ca.loaded(chain.read_text())[0].public_key() == ca.loaded_key(key.read_text()).public_key()
    )
    for file in (str(key), "-"):
        again = cli("cert", "export", "exported.local", "--key-file", file)
        assert (again.code, "goes into a new file" in again.err) == (2, True)


def test_import_says_every_mistake_with_the_name_of_its_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "leaf.pem").write_text(brought()["certificate"])
    (tmp_path / "leaf.key").write_text(brought()["privateKey"])
    (tmp_path / "root.pem").write_text(ca.pem([ca.root("another", EC, NOW).certificate]))
    files = ("--certificate", "leaf.pem", "--key-file", "leaf.key", "--root", "root.pem")
    wrong = cli("cert", "import", *files)
    assert wrong.code == 6
    for said in ("leaf.key: is not the key of", "root.pem: none of these signed"):
        assert said in wrong.err
    (tmp_path / "leaf.der").write_bytes(b"\x30\x82")
    missing = cli("cert", "import", "--certificate", "leaf.der", "--key-file", "nowhere")
    assert "leaf.der: is no PEM" in missing.err
    assert "nowhere: cannot be read" in missing.err
    right = brought()
    (tmp_path / "leaf.pem").write_text(right["certificate"])
    (tmp_path / "leaf.key").write_text(right["privateKey"])
    (tmp_path / "root.pem").write_text(ca.pem([THEIRS.certificate]))
    arn = ARN.format("imported")
    assert cli("cert", "import", *files, "--arn", arn).code == 0
    refused = cli("cert", "rotate", arn)
    assert f"weft cert import --replace --arn {arn}" in refused.err
    again = cli("cert", "import", *files, "--arn", arn, "--replace")
    assert again.code == 0


def test_authorities_are_made_listed_and_kept_while_they_have_certificates(cli: Cli) -> None:
    made = cli("cert", "authority", "create", "corporate", "--arn", CA_ARN.format("corporate"))
    assert (made.code, "authority corporate can issue, until" in made.out) == (0, True)
    cli("cert", "issue", "corporate.local", "--authority", "corporate")
    assert "corporate" in cli("cert", "authority", "list").out
    assert cli("cert", "authority", "show", "corporate").out.startswith("-----BEGIN CERTIFICATE")
    refused = cli("cert", "authority", "delete", "corporate")
    assert (refused.code, "renews arn:" in refused.err) == (5, True)
    rotated = cli("cert", "authority", "rotate", "corporate")
    assert "new key is trusted, old one signs" in rotated.out
    assert cli("cert", "authority", "show", "corporate").out.count("BEGIN") == 2
    assert cli("cert", "authority", "rotate", "corporate").code == 5
    assert f"{CA_ARN.format('corporate')} changes its key: trusting" in cli("status").out
    assert cli("cert", "authority", "delete", "corporate", "--force").code == 0


def test_fill_makes_all_that_a_file_needs_and_dry_run_says_the_commands(
    cli: Cli, tmp_path: Path
) -> None:
    body = by_arn("file", ARN.format("file"), CA_ARN.format("file"))
    file = tmp_path / "mesh.yaml"
    file.write_text("\n---\n".join(json.dumps(each) for each in body["resources"]))
    checked = cli("check", str(file))
    assert f"--arn {ARN.format('file')}" in checked.out
    said = cli("cert", "fill", str(file), "--dry-run").out.splitlines()
    assert said == [
        f"weft cert authority create --arn {CA_ARN.format('file')}",
        f"weft cert issue shop.file.local --arn {ARN.format('file')} "
        f"--authority {CA_ARN.format('file')}",
    ]
    assert cli("cert", "fill", str(file)).code == 0
    assert "Nothing is lacking." in cli("cert", "fill", str(file)).err
    assert "WEFT-510" not in cli("check", str(file)).out


def test_forgetting_every_key_is_asked_twice(cli: Cli, tmp_path: Path) -> None:
    with served(tmp_path / "data") as other:
        other.request("POST", CERTIFICATES, {"hosts": ["a.local"]})
    data = ("--data", str(tmp_path / "data"))
    assert cli("cert", "forget-keys", *data).code == 2
    done = cli("cert", "forget-keys", *data, "--yes")
    assert (done.code, "2 private keys forgotten" in done.out) == (0, True)
    with served(tmp_path / "data") as other:
        assert other.get(one("a.local")).body["hasKey"] is False
