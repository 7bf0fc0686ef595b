"""Every mistake gets one answer that names every place, with a code the SDKs know; nothing is written."""

from __future__ import annotations

import http.client
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract import specs
from tests.contract.served import Reply, Served
from weft.api.exchange import MAX_BODY_BYTES

MESHES = "/v20190125/meshes"
BAD_REQUEST, NOT_FOUND = "BadRequestException", "NotFoundException"


@pytest.fixture
def routes(appmesh: Any, mesh: str) -> str:
    """The path of the routes of a router that has a node to route to."""
    appmesh.create_virtual_node(meshName=mesh, virtualNodeName="n", spec=specs.node())
    appmesh.create_virtual_router(meshName=mesh, virtualRouterName="r", spec={})
    return f"{MESHES}/{mesh}/virtualRouter/r/routes"


def refused(reply: Reply, status: int, code: str) -> str:
    """The message of an error in App Mesh's shape."""
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (status, code), reply.body
    assert reply.body["__type"] == code
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["x-amzn-requestid"])
    return str(reply.body["message"])


def paths(reply: Reply) -> set[str]:
    return {problem["path"] for problem in reply.body["problems"]}


def test_two_mistakes_in_a_route_get_one_answer_with_both_places(weft: Served, routes: str) -> None:
    before = weft.revision
    spec = specs.http_route({"n": 200}, prefix="no-slash")
    reply = weft.put(routes, {"routeName": "x", "spec": spec})

    message = refused(reply, 400, BAD_REQUEST)
    places = {"spec.httpRoute.action.weightedTargets[0].weight", "spec.httpRoute.match.prefix"}
    assert paths(reply) == places
    assert all(place in message for place in places)
    assert weft.revision == before


def test_mistakes_beside_the_spec_are_named_with_those_in_it(weft: Served, routes: str) -> None:
    spec = specs.http_route({"n": 200})
    body = {"routeNam": "x", "spec": spec, "clientToken": "no blanks", "tags": [{"kee": "a"}]}
    reply = weft.put(routes, body)
    refused(reply, 400, BAD_REQUEST)
    assert paths(reply) == {
        "routeNam",
        "routeName",
        "clientToken",
        "tags[0].kee",
        "tags[0].key",
        "spec.httpRoute.action.weightedTargets[0].weight",
    }


def test_rules_between_resources_are_named_beside_an_unknown_member(
    weft: Served, routes: str
) -> None:
    spec = {"tcpRoute": {"action": {"weightedTargets": [{"virtualNode": "n", "weight": 1}]}}}
    reply = weft.put(routes, {"routeName": "x", "specs": {}, "spec": spec})
    assert paths(reply) == {"specs", "spec.tcpRoute.action.weightedTargets[0].virtualNode"}


def test_an_unknown_member_is_refused_with_the_nearest_name(weft: Served, mesh: str) -> None:
    path = f"{MESHES}/{mesh}/virtualNodes"
    message = refused(weft.put(path, {"virtualNodename": "n", "spec": {}}), 400, BAD_REQUEST)
    assert "virtualNodename: unknown member (did you mean 'virtualNodeName'?)" in message
    reply = weft.put(path, {"virtualNodeName": "n", "spec": {"listenerz": []}})
    assert "spec.listenerz: unknown member (did you mean 'listeners'?)" in refused(
        reply, 400, BAD_REQUEST
    )


def test_a_member_that_belongs_in_the_path_is_said_to(weft: Served, mesh: str) -> None:
    body = {"meshName": mesh, "virtualNodeName": "n", "spec": {}}
    message = refused(weft.put(f"{MESHES}/{mesh}/virtualNodes", body), 400, BAD_REQUEST)
    assert message == "meshName: is part of the path, not of the body"


def test_missing_members_are_named(weft: Served, mesh: str) -> None:
    reply = weft.put(f"{MESHES}/{mesh}/virtualNodes", {})
    assert (refused(reply, 400, BAD_REQUEST), paths(reply)) == (
        "virtualNodeName: is missing; spec: is missing",
        {"virtualNodeName", "spec"},
    )
    reply = weft.put(f"{MESHES}/{mesh}/virtualNodes/n", {"spec": None})
    assert refused(reply, 400, BAD_REQUEST) == "spec: is missing"


@pytest.mark.parametrize("value", [7, [], {}, True])
def test_a_name_must_be_a_string(weft: Served, value: Any) -> None:
    reply = weft.put(MESHES, {"meshName": value})
    assert refused(reply, 400, BAD_REQUEST) == "meshName: must be a string"


@pytest.mark.parametrize("name", ["", "a/b", "a b", "arn:aws:appmesh", "x" * 256])
def test_a_name_has_letters_that_app_mesh_allows(weft: Served, name: str) -> None:
    reply = weft.put(MESHES, {"meshName": name})
    assert paths(reply) == {"meshName"}


def test_a_missing_virtual_node_is_not_found(weft: Served, routes: str, mesh: str) -> None:
    before = weft.revision
    reply = weft.put(routes, {"routeName": "x", "spec": specs.http_route({"nobody": 1})})
    assert refused(reply, 404, NOT_FOUND) == (
        f"VirtualNode with name nobody is not present under mesh {mesh} for account 000000000000"
    )
    assert weft.revision == before


def test_what_is_missing_is_the_outermost_thing(weft: Served) -> None:
    for path in ("virtualNodes", "virtualNodes/n", "virtualRouter/r/routes/x"):
        message = refused(weft.get(f"{MESHES}/nowhere/{path}"), 404, NOT_FOUND)
        assert message == "Mesh with name nowhere is not present for account 000000000000"


def test_a_taken_name_is_a_conflict(weft: Served, mesh: str) -> None:
    before = weft.revision
    reply = weft.put(MESHES, {"meshName": mesh})
    assert "already exists" in refused(reply, 409, "ConflictException")
    assert weft.revision == before


def test_of_many_who_want_a_name_one_gets_it(weft: Served, mesh: str) -> None:
    path, body = f"{MESHES}/{mesh}/virtualRouters", {"virtualRouterName": "r", "spec": {}}
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: weft.put(path, body).status, range(16)))
    assert sorted(replies) == [200] + [409] * 15


def test_concurrent_updates_each_get_a_version_of_their_own(weft: Served, mesh: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: weft.put(f"{MESHES}/{mesh}", {"spec": {}}), range(16)))
    assert sorted(each.body["metadata"]["version"] for each in replies) == list(range(2, 18))
    assert len({each.headers["x-weft-revision"] for each in replies}) == 16


def test_what_others_use_cannot_be_deleted(appmesh: Any, weft: Served, mesh: str) -> None:
    appmesh.create_virtual_node(meshName=mesh, virtualNodeName="n", spec=specs.node())
    before = weft.revision
    reply = weft.request("DELETE", f"{MESHES}/{mesh}")
    assert "still has virtualNode n" in refused(reply, 409, "ResourceInUseException")
    assert weft.revision == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{\n "meshName": \n}', "Expecting value at line 3, column 1"),
        (b"{", "at line 1, column 2"),
        (b'{"meshName": NaN}', "NaN is not a JSON value"),
        (b'{"meshName": "\xff"}', "not UTF-8: byte 14"),
        (b'{"meshName": "\\ud800"}', "half of a surrogate pair"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"meshName": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[]", "must be a JSON object, not a list"),
        (b"null", "must be a JSON object, not null"),
        (b'"x"', "must be a JSON object, not a string"),
        (b"3", "must be a JSON object, not a number"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(weft: Served, body: bytes, words: str) -> None:
    before = weft.revision
    assert words in refused(weft.put(MESHES, body), 400, BAD_REQUEST)
    assert weft.revision == before


def test_a_body_of_two_megabytes_is_refused_through_boto3(appmesh: Any, weft: Served) -> None:
    before = weft.revision
    with pytest.raises(ClientError, match="larger than 1048576 bytes") as caught:
        appmesh.create_mesh(meshName="big", tags=[{"key": "a", "value": "x" * (2 << 20)}])
    assert caught.value.response["Error"]["Code"] == BAD_REQUEST
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert weft.revision == before


def test_a_large_body_is_refused_before_it_is_sent(weft: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", weft.port, timeout=30)
    connection.putrequest("PUT", MESHES)
    connection.putheader("content-length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["__type"]) == (400, BAD_REQUEST)
    connection.close()


def test_a_large_body_in_chunks_is_refused(weft: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", weft.port, timeout=30)
    chunks = (b" " * 65536 for _ in range(17))
    connection.request("PUT", MESHES, chunks, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 400
    assert b"larger than" in response.read()
    connection.close()


def test_a_body_of_the_largest_size_is_read(weft: Served) -> None:
    body = b'{"meshName": ""}'.ljust(MAX_BODY_BYTES)
    assert paths(weft.put(MESHES, body)) == {"meshName"}


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "ten", "", "9" * 5000, "٣"])
def test_a_limit_is_from_1_to_100(weft: Served, limit: str) -> None:
    reply = weft.request("GET", f"{MESHES}?limit={_quoted(limit)}")
    refused(reply, 400, BAD_REQUEST)
    assert paths(reply) == {"limit"}


@pytest.mark.parametrize("token", ["garbage", "!!!", "e30", "WyJhIl0", "x" * 4000])
def test_a_token_nobody_gave_is_refused(weft: Served, token: str) -> None:
    reply = weft.get(f"{MESHES}?nextToken={token}")
    refused(reply, 400, BAD_REQUEST)
    assert paths(reply) == {"nextToken"}


def test_a_token_of_another_list_is_refused(appmesh: Any, mesh: str) -> None:
    for name in ("a", "b"):
        appmesh.create_virtual_router(meshName=mesh, virtualRouterName=name, spec={})
        appmesh.create_virtual_service(meshName=mesh, virtualServiceName=name, spec={})
    token = appmesh.list_virtual_routers(meshName=mesh, limit=1)["nextToken"]
    with pytest.raises(appmesh.exceptions.BadRequestException, match="belongs to another list"):
        appmesh.list_virtual_services(meshName=mesh, nextToken=token)


def test_a_page_goes_on_after_what_it_ended_with_was_deleted(appmesh: Any, mesh: str) -> None:
    for name in ("a", "b", "c"):
        appmesh.create_virtual_router(meshName=mesh, virtualRouterName=name, spec={})
    token = appmesh.list_virtual_routers(meshName=mesh, limit=2)["nextToken"]
    appmesh.delete_virtual_router(meshName=mesh, virtualRouterName="b")
    appmesh.create_virtual_router(meshName=mesh, virtualRouterName="aa", spec={})
    rest = appmesh.list_virtual_routers(meshName=mesh, nextToken=token)
    assert [each["virtualRouterName"] for each in rest["virtualRouters"]] == ["c"]
    assert "nextToken" not in rest


def test_a_mesh_of_another_account_is_forbidden(appmesh: Any, weft: Served, mesh: str) -> None:
    with pytest.raises(appmesh.exceptions.ForbiddenException, match="123456789012"):
        appmesh.describe_mesh(meshName=mesh, meshOwner="123456789012")
    reply = weft.get(f"{MESHES}/{mesh}?meshOwner=me")
    refused(reply, 400, BAD_REQUEST)
    assert paths(reply) == {"meshOwner"}


@pytest.mark.parametrize(
    ("arn", "status", "code"),
    [
        ("", 400, BAD_REQUEST),
        ("mesh/m", 400, BAD_REQUEST),
        ("arn:aws:s3:::bucket", 400, BAD_REQUEST),
        ("arn:aws:appmesh:us-west-2:000000000000:mesh/m/nothing/n", 400, BAD_REQUEST),
        ("arn:aws:appmesh:us-west-2:123456789012:mesh/m", 403, "ForbiddenException"),
        ("arn:aws:appmesh:us-west-2:000000000000:mesh/nowhere", 404, NOT_FOUND),
    ],
)
def test_tags_need_the_arn_of_a_resource_of_ours(
    weft: Served, arn: str, status: int, code: str
) -> None:
    refused(weft.get(f"/v20190125/tags?resourceArn={arn}"), status, code)
    body = {"tags": [{"key": "a", "value": "b"}]}
    refused(weft.put(f"/v20190125/tag?resourceArn={arn}", body), status, code)
    refused(weft.put(f"/v20190125/untag?resourceArn={arn}", {"tagKeys": []}), status, code)


def test_fifty_tags_are_the_most(appmesh: Any, weft: Served, mesh: str) -> None:
    arn = f"arn:aws:appmesh:us-west-2:000000000000:mesh/{mesh}"
    many = [{"key": f"k{i}", "value": ""} for i in range(51)]
    appmesh.tag_resource(resourceArn=arn, tags=many[:50])
    before = weft.revision
    with pytest.raises(appmesh.exceptions.TooManyTagsException):
        appmesh.tag_resource(resourceArn=arn, tags=many[50:])
    body = {"meshName": "tagged", "tags": many}
    assert paths(weft.put(MESHES, body)) == {"tags"}
    assert weft.revision == before
    assert len(appmesh.list_tags_for_resource(resourceArn=arn)["tags"]) == 50


@pytest.mark.parametrize(
    ("tags", "place"),
    [
        ("x", "tags"),
        ([1], "tags[0]"),
        ([{"value": "x"}], "tags[0].key"),
        ([{"key": "a", "value": 1}], "tags[0].value"),
        ([{"key": "", "value": "x"}], "tags[0].key"),
        ([{"key": "k" * 129, "value": "x"}], "tags[0].key"),
        ([{"key": "a", "value": "x" * 257}], "tags[0].value"),
        ([{"key": "aws:x", "value": "x"}], "tags[0].key"),
        ([{"key": "a#", "value": "x"}], "tags[0].key"),
        ([{"key": "a", "value": "x\ty"}], "tags[0].value"),
        ([{"key": "a"}, {"key": "a"}], "tags[1].key"),
    ],
)
def test_a_tag_is_a_key_and_a_value(weft: Served, tags: Any, place: str) -> None:
    assert paths(weft.put(MESHES, {"meshName": "tagged", "tags": tags})) == {place}


def test_a_tag_may_have_letters_and_numbers_of_any_script(weft: Served) -> None:
    tags = [{"key": "größe 号", "value": "٣_.:/=+-@ \u00a0"}]
    made = weft.put(MESHES, {"meshName": "tagged-in-unicode", "tags": tags})
    arn = made.body["metadata"]["arn"]
    assert weft.get(f"/v20190125/tags?resourceArn={arn}").body == {"tags": tags}


@pytest.mark.parametrize(
    ("body", "place"),
    [({}, "tagKeys"), ({"tagKeys": "a"}, "tagKeys"), ({"tagKeys": [1]}, "tagKeys[0]")],
)
def test_untagging_needs_keys(weft: Served, mesh: str, body: Any, place: str) -> None:
    arn = f"arn:aws:appmesh:us-west-2:000000000000:mesh/{mesh}"
    assert paths(weft.put(f"/v20190125/untag?resourceArn={arn}", body)) == {place}


@pytest.mark.parametrize(
    "path", ["/", "/v20190125", "/v20190125/mesh", "/v20190125/meshes/", "/v20190125/meshes//x"]
)
def test_an_unknown_path_is_an_unknown_operation(weft: Served, path: str) -> None:
    refused(weft.get(path), 404, "UnknownOperationException")


def test_a_wrong_method_is_said_to_be_one(weft: Served) -> None:
    reply = weft.request("PATCH", MESHES)
    refused(reply, 405, "MethodNotAllowedException")
    assert reply.headers["allow"] == "GET, HEAD, OPTIONS, PUT"


def test_head_answers_as_get_does_without_the_body(weft: Served, mesh: str) -> None:
    got, headed = weft.get(f"{MESHES}/{mesh}"), weft.request("HEAD", f"{MESHES}/{mesh}")
    assert (headed.status, headed.body) == (200, None)
    assert headed.headers["content-length"] == got.headers["content-length"]


def test_options_says_what_a_path_answers_to(weft: Served) -> None:
    reply = weft.request("OPTIONS", f"{MESHES}/any")
    assert (reply.status, reply.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PUT")
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_path_that_is_no_utf_8_is_refused(weft: Served) -> None:
    assert "not UTF-8" in refused(weft.get(f"{MESHES}/%ff"), 400, BAD_REQUEST)


@pytest.mark.parametrize("token", ["", "a b", "x" * 37, 7])
def test_a_client_token_has_the_letters_of_one(weft: Served, token: Any) -> None:
    reply = weft.put(MESHES, {"meshName": "tokened", "clientToken": token})
    assert paths(reply) == {"clientToken"}


ARN = "arn:aws:appmesh:us-west-2:000000000000:mesh/m"


@pytest.mark.parametrize("name", [ARN, "arn:aws:appmesh", "a/b", "m@000000000000", "x" * 256])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_no_name_leads_nowhere(weft: Served, method: str, name: str) -> None:
    path = f"{MESHES}/{_quoted(name)}"
    for below in ("", "/virtualNodes/n", "/virtualRouter/r/routes/x"):
        reply = weft.request(method, path + below, {"spec": {}})
        refused(reply, 400, BAD_REQUEST)
        assert "meshName" in paths(reply)


@pytest.mark.parametrize(
    "query", ["limit=1&limit=2", "nextToken=&nextToken=", "meshOwner=1&meshOwner=1"]
)
def test_a_parameter_is_given_once(weft: Served, mesh: str, query: str) -> None:
    reply = weft.get(f"{MESHES}/{mesh}/virtualNodes?{query}")
    refused(reply, 400, BAD_REQUEST)
    assert query.partition("=")[0] in paths(reply)


def test_a_parameter_that_an_operation_does_not_have_is_passed_over(
    weft: Served, mesh: str
) -> None:
    assert weft.get(f"{MESHES}?meshOwner=me&x=1&x=2").status == 200
    assert weft.request("PUT", f"{MESHES}/{mesh}?meshOwner=me", {}).status == 200


def test_what_is_wrong_first_is_said_first(weft: Served, routes: str, mesh: str) -> None:
    """Syntax, then the parent, then the name, then what is referred to."""
    good, dangling = specs.http_route({"n": 1}), specs.http_route({"nobody": 1})
    assert weft.put(routes, {"routeName": "x", "spec": good}).status == 200
    elsewhere = routes.replace("/r/", "/nowhere/")
    for path, name, spec, status, code in (
        (elsewhere, "x", {}, 400, BAD_REQUEST),
        (elsewhere, "x", dangling, 404, NOT_FOUND),
        (routes, "x", dangling, 409, "ConflictException"),
        (routes, "y", dangling, 404, NOT_FOUND),
    ):
        refused(weft.put(path, {"routeName": name, "spec": spec}), status, code)
    refused(weft.put(f"{routes}/nowhere", {"spec": {}}), 400, BAD_REQUEST)
    assert f"VirtualRouter with name nowhere is not present under mesh {mesh}" in refused(
        weft.put(elsewhere, {"routeName": "x", "spec": dangling}), 404, NOT_FOUND
    )


def test_a_service_may_not_change_to_where_its_gateway_route_does_not_fit(
    appmesh: Any, weft: Served, mesh: str
) -> None:
    place = {"meshName": mesh}
    appmesh.create_virtual_node(**place, virtualNodeName="n", spec=specs.node(port=8000))
    appmesh.create_virtual_node(**place, virtualNodeName="m", spec=specs.node(port=9000))
    provided = {"provider": {"virtualNode": {"virtualNodeName": "n"}}}
    appmesh.create_virtual_service(**place, virtualServiceName="service.test", spec=provided)
    appmesh.create_virtual_gateway(**place, virtualGatewayName="g", spec=specs.GATEWAYS[0])
    appmesh.create_gateway_route(
        **place, virtualGatewayName="g", gatewayRouteName="x", spec=specs.GATEWAY_ROUTES[0]
    )
    other = {"provider": {"virtualNode": {"virtualNodeName": "m"}}}
    for path, spec, where in (
        ("virtualServices/service.test", other, "spec.provider"),
        ("virtualNodes/n", specs.node(port=8001), "spec.listeners"),
    ):
        reply = weft.put(f"{MESHES}/{mesh}/{path}", {"spec": spec})
        assert "gatewayRoute x would no longer fit" in refused(reply, 400, BAD_REQUEST)
        assert paths(reply) == {where}


def test_another_sites_page_gets_nothing(weft: Served, mesh: str) -> None:
    for headers in (
        {"Host": "evil.test"},
        {"Host": f"127.0.0.1.evil.test:{weft.port}"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
    ):
        reply = weft.request("GET", f"{MESHES}/{mesh}", headers=headers)
        assert "another site" in refused(reply, 403, "ForbiddenException")
    for headers in ({"Host": f"localhost:{weft.port}"}, {"Origin": f"http://[::1]:{weft.port}"}):
        assert weft.request("GET", f"{MESHES}/{mesh}", headers=headers).status == 200


def test_a_fault_of_ours_tells_the_request_id_and_no_more(
    weft: Served, mesh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_args: object, **_named: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(weft.parts.store, "apply", fails)
    reply = weft.put(f"{MESHES}/{mesh}", {"spec": {}})
    message = refused(reply, 500, "InternalServerErrorException")
    assert reply.headers["x-amzn-requestid"] in message
    assert "secret detail" not in json.dumps(reply.body)


def test_the_log_knows_who_signed_and_with_what(appmesh: Any, weft: Served) -> None:
    appmesh.create_mesh(meshName="signed")
    author = weft.run(weft.parts.store.change(weft.revision)).author
    assert author.name == "AKIATEST"
    assert author.client.startswith("Boto3/")
    weft.request("DELETE", f"{MESHES}/signed", headers={"User-Agent": "curl/8"})
    author = weft.run(weft.parts.store.change(weft.revision)).author
    assert (author.name, author.client) == ("anonymous", "curl/8")


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())
