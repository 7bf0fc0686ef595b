"""Who may call: keys and tokens, roles, and the front end's words for every refusal."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as Keys
from botocore.exceptions import ClientError

from tests.contract.served import Reply, Served, served
from weft.clock import SystemClock
from weft.identity.caller import Role
from weft.identity.credentials import Issued, Wanted
from weft.names import ProxyId

ADMIN = "admin"
PROXY = "mesh/m/virtualNode/web"
INSTANCES = "/weft/v1/meshes/m/virtualNodes/{}/instances/1"


class OffsetClock(SystemClock):
    """The machine's clock, and as much besides as a test says."""

    offset = timedelta()

    def now(self) -> Any:
        return super().now() + self.offset


@pytest.fixture(scope="module")
def clock() -> OffsetClock:
    return OffsetClock()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, clock: OffsetClock) -> Iterator[Served]:
    """A control plane that asks for credentials."""
    with served(tmp_path_factory.mktemp("closed"), clock=clock, auth="required") as found:
        yield found


@pytest.fixture(scope="module")
def keys(closed: Served, clock: OffsetClock) -> dict[str, Issued]:
    def issued(name: str, role: Role, **more: Any) -> Issued:
        account = more.pop("account", "111122223333")
        wanted = Wanted(name, account, role, **more)
        return closed.run(closed.parts.credentials.create(wanted, "test", clock))

    return {
        ADMIN: issued(ADMIN, Role.ADMIN),
        "operator": issued("operator", Role.OPERATOR),
        "viewer": issued("viewer", Role.VIEWER, account="444455556666"),
        "proxy": issued("proxy", Role.PROXY, proxies=frozenset({ProxyId.parse(PROXY)})),
    }


def client(weft: Served, service: str, key: str, secret: str, **named: Any) -> Any:
    return weft.client(service, aws_access_key_id=key, aws_secret_access_key=secret, **named)


def of(weft: Served, issued: Issued, service: str = "appmesh", **named: Any) -> Any:
    return client(weft, service, issued.credential.id, issued.secret, **named)


def bearing(weft: Served, issued: Issued, method: str, path: str, body: Any = None) -> Reply:
    return weft.request(method, path, body, {"Authorization": f"Bearer {issued.token}"})


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_a_key_of_ours_signs_and_its_name_is_the_author(
    closed: Served, keys: dict[str, Issued]
) -> None:
    mesh = of(closed, keys["operator"]).create_mesh(meshName="by-operator")
    revision = mesh["ResponseMetadata"]["HTTPHeaders"]["x-weft-revision"]
    change = bearing(closed, keys["viewer"], "GET", f"/weft/v1/changes/{revision}")
    assert change.body["author"] == "operator"


def test_a_token_says_more_than_the_name_its_bearer_gives_himself(
    closed: Served, keys: dict[str, Issued]
) -> None:
    headers = {"Authorization": f"Bearer {keys['operator'].token}", "X-Weft-User": "somebody"}
    made = closed.request("PUT", "/v20190125/meshes", {"meshName": "by-token"}, headers)
    revision = made.headers["x-weft-revision"]
    change = bearing(closed, keys["viewer"], "GET", f"/weft/v1/changes/{revision}")
    assert change.body["author"] == "operator"


@pytest.mark.parametrize(
    ("service", "operation", "named"),
    [("appmesh", "list_meshes", {}), ("sts", "get_caller_identity", {})],
)
def test_every_surface_refuses_in_the_words_of_its_protocol(
    closed: Served, keys: dict[str, Issued], service: str, operation: str, named: dict[str, Any]
) -> None:
    json = service == "appmesh"
    admin = keys[ADMIN]
    with pytest.raises(ClientError) as unknown:
        getattr(client(closed, service, "AKIANOBODY", "x"), operation)(**named)
    assert code_of(unknown) == (
        403,
        "UnrecognizedClientException" if json else "InvalidClientTokenId",
    )
    with pytest.raises(ClientError) as wrong:
        getattr(client(closed, service, admin.credential.id, "x"), operation)(**named)
    assert code_of(wrong) == (403, "InvalidSignatureException" if json else "SignatureDoesNotMatch")


def test_nothing_at_all_is_a_missing_token(closed: Served) -> None:
    for path in ("/v20190125/meshes", "/weft/v1/status"):
        reply = closed.get(path)
        assert (reply.status, reply.headers["x-amzn-errortype"]) == (
            403,
            "MissingAuthenticationTokenException",
        )
    unsigned = boto3.client(
        "sts",
        endpoint_url=closed.url,
        region_name="us-west-2",
        config=Config(signature_version=UNSIGNED),
    )
    with pytest.raises(ClientError) as caught:
        unsigned.get_caller_identity()
    assert code_of(caught) == (403, "MissingAuthenticationToken")


def test_a_clock_that_is_wrong_is_told(
    closed: Served, keys: dict[str, Issued], clock: OffsetClock
) -> None:
    clock.offset = timedelta(minutes=6)
    try:
        with pytest.raises(ClientError, match="Signature expired") as caught:
            of(closed, keys[ADMIN]).list_meshes()
    finally:
        clock.offset = timedelta()
    assert code_of(caught) == (403, "InvalidSignatureException")


def test_a_credential_ends_when_it_was_to_end(closed: Served, clock: OffsetClock) -> None:
    wanted = Wanted("brief", "111122223333", Role.ADMIN, lasts=timedelta(seconds=100))
    brief = closed.run(closed.parts.credentials.create(wanted, "test", clock))
    assert bearing(closed, brief, "GET", "/weft/v1/status").status == 200
    clock.offset = timedelta(seconds=101)
    try:
        reply = bearing(closed, brief, "GET", "/weft/v1/status")
        with pytest.raises(ClientError) as caught:
            of(closed, brief).list_meshes()
    finally:
        clock.offset = timedelta()
    assert reply.body["code"] == "ExpiredTokenException"
    assert code_of(caught) == (403, "ExpiredTokenException")


def test_a_revoked_credential_is_as_if_it_had_never_been(
    closed: Served, keys: dict[str, Issued], clock: OffsetClock
) -> None:
    lost = closed.run(
        closed.parts.credentials.create(Wanted("lost", "1" * 12, Role.ADMIN), "test", clock)
    )
    assert bearing(closed, keys[ADMIN], "DELETE", "/weft/v1/tokens/lost").status == 200
    assert bearing(closed, lost, "GET", "/weft/v1/status").status == 403
    with pytest.raises(ClientError) as caught:
        of(closed, lost).list_meshes()
    assert code_of(caught) == (403, "UnrecognizedClientException")
    assert bearing(closed, keys[ADMIN], "DELETE", "/weft/v1/tokens/lost").status == 404


def test_a_viewer_reads_and_changes_nothing(closed: Served, keys: dict[str, Issued]) -> None:
    appmesh = of(closed, keys["viewer"])
    appmesh.list_meshes()
    with pytest.raises(ClientError, match="role viewer and may not change the mesh") as caught:
        appmesh.create_mesh(meshName="no")
    assert code_of(caught) == (403, "AccessDeniedException")
    assert bearing(closed, keys["viewer"], "POST", "/weft/v1/apply", {}).status == 403
    assert bearing(closed, keys["viewer"], "GET", "/weft/v1/tokens").status == 403


def test_only_an_admin_manages_credentials(closed: Served, keys: dict[str, Issued]) -> None:
    reply = bearing(closed, keys["operator"], "POST", "/weft/v1/tokens", {})
    assert reply.status == 403
    assert "manage credentials" in reply.body["message"]


def test_a_proxy_registers_instances_of_its_own_and_nothing_else(
    closed: Served, keys: dict[str, Issued]
) -> None:
    appmesh = of(closed, keys[ADMIN])
    appmesh.create_mesh(meshName="m")
    listeners = [{"portMapping": {"port": 80, "protocol": "http"}}]
    found_at = {"dns": {"hostname": "web.test"}}
    for name in ("web", "other"):
        appmesh.create_virtual_node(
            meshName="m",
            virtualNodeName=name,
            spec={"listeners": listeners, "serviceDiscovery": found_at},
        )
    proxy, body = keys["proxy"], {"addresses": {"80": "127.0.0.1:4000"}}
    assert bearing(closed, proxy, "PUT", INSTANCES.format("web"), body).status == 200
    assert bearing(closed, proxy, "POST", INSTANCES.format("web") + "/heartbeat").status == 204
    other = bearing(closed, proxy, "PUT", INSTANCES.format("other"), body)
    assert (other.status, other.body["code"]) == (403, "AccessDeniedException")
    assert PROXY in other.body["message"]
    assert bearing(closed, proxy, "GET", "/weft/v1/resources").status == 403
    with pytest.raises(ClientError):
        of(closed, proxy).list_meshes()
    assert bearing(closed, proxy, "DELETE", INSTANCES.format("web")).status == 200


def test_sts_says_who_the_credential_is(closed: Served, keys: dict[str, Issued]) -> None:
    viewer = keys["viewer"]
    said = of(closed, viewer, "sts").get_caller_identity()
    assert (said["Account"], said["UserId"], said["Arn"]) == (
        "444455556666",
        viewer.credential.id,
        "arn:aws:iam::444455556666:user/viewer",
    )
    assert of(closed, keys["proxy"], "sts").get_caller_identity()["Account"] == "111122223333"


def test_sts_on_open_loopback_knows_the_account_of_the_control_plane(weft: Served) -> None:
    said = weft.client("sts").get_caller_identity()
    assert said["Account"] == "000000000000"
    assert said["ResponseMetadata"]["RequestId"]


def test_a_role_cannot_be_assumed(weft: Served) -> None:
    with pytest.raises(ClientError, match="has no roles to assume") as caught:
        weft.client("sts").assume_role(RoleArn="arn:aws:iam::1:role/x" * 2, RoleSessionName="me")
    assert code_of(caught) == (403, "AccessDenied")


def test_a_presigned_request_needs_no_header(closed: Served, keys: dict[str, Issued]) -> None:
    viewer = keys["viewer"]
    query = "Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", f"{closed.url}/?{query}")
    SigV4QueryAuth(
        Keys(viewer.credential.id, viewer.secret), "sts", "us-west-2", expires=60
    ).add_auth(request)
    assert b"user/viewer" in raw(closed, request.url.removeprefix(closed.url))


def raw(weft: Served, target: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", weft.port, timeout=10)
    connection.request("GET", target)
    try:
        return connection.getresponse().read()
    finally:
        connection.close()


def test_a_signature_for_another_service_is_refused(
    closed: Served, keys: dict[str, Issued]
) -> None:
    appmesh = of(closed, keys[ADMIN])
    appmesh._request_signer._signing_name = "sts"
    with pytest.raises(ClientError, match="correct service: 'appmesh'") as caught:
        appmesh.list_meshes()
    assert code_of(caught) == (403, "InvalidSignatureException")


def test_an_open_door_lets_anybody_in_and_still_knows_its_own(weft: Served) -> None:
    made = weft.request("POST", "/weft/v1/tokens", {"name": "watcher", "role": "viewer"})
    assert made.status == 200
    key, secret = made.body["accessKeyId"], made.body["secretAccessKey"]
    client(weft, "appmesh", "anything", "at all").list_meshes()
    client(weft, "appmesh", key, secret).list_meshes()
    with pytest.raises(ClientError) as wrong:
        client(weft, "appmesh", key, "not it").list_meshes()
    assert code_of(wrong)[1] == "InvalidSignatureException"
    with pytest.raises(ClientError) as denied:
        client(weft, "appmesh", key, secret).create_mesh(meshName="no")
    assert code_of(denied)[1] == "AccessDeniedException"
    weft.request("DELETE", "/weft/v1/tokens/watcher")


def test_a_list_of_credentials_shows_no_proof(closed: Served, keys: dict[str, Issued]) -> None:
    reply = bearing(closed, keys[ADMIN], "GET", "/weft/v1/tokens")
    assert {each["name"] for each in reply.body["tokens"]} >= set(keys)
    for issued in keys.values():
        assert issued.token not in str(reply.body)
        assert issued.secret not in str(reply.body)


def test_what_is_on_disk_lets_nobody_in(closed: Served, keys: dict[str, Issued]) -> None:
    directory: Path = closed.parts.settings.data
    kept = b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())
    for issued in keys.values():
        assert issued.secret.encode() not in kept
        assert issued.token.encode() not in kept
    assert (directory / "credentials.key").stat().st_mode & 0o777 == 0o600


def test_every_mistake_in_a_wanted_credential_is_told(weft: Served) -> None:
    reply = weft.request(
        "POST",
        "/weft/v1/tokens",
        {"name": "", "role": "king", "account": "1", "proxies": ["x", 1], "expiresInSeconds": 0},
    )
    assert reply.status == 400
    assert [each["path"] for each in reply.body["problems"]] == [
        "name",
        "account",
        "role",
        "proxies[0]",
        "proxies[1]",
        "expiresInSeconds",
    ]
    taken = {"name": "twice", "role": "viewer"}
    assert weft.request("POST", "/weft/v1/tokens", taken).status == 200
    assert weft.request("POST", "/weft/v1/tokens", taken).body["code"] == "ConflictException"
    without = weft.request("POST", "/weft/v1/tokens", {"name": "p", "role": "proxy"})
    assert without.body["problems"][0]["path"] == "proxies"
