"""One URL answers for every service, and every refusal is worded as the client that asked reads it."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.served import Served

FORM = {"content-type": "application/x-www-form-urlencoded"}
WHO = b"Action=GetCallerIdentity&Version=2011-06-15"


def answered(
    weft: Served, method: str, target: str, body: bytes = b"", **headers: str
) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", weft.port, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body, named)
        response = connection.getresponse()
        return response.status, response.headers.get("content-type", ""), response.read()
    finally:
        connection.close()


def test_every_service_is_found_by_the_client_that_speaks_it(weft: Served) -> None:
    weft.client("appmesh").list_meshes()
    weft.client("servicediscovery").list_namespaces()
    weft.client("cloudformation").list_stacks()
    weft.client("sts").get_caller_identity()


@pytest.mark.parametrize(
    ("service", "operation", "named", "code"),
    [
        ("ec2", "describe_instances", {}, "InvalidAction"),
        ("sqs", "list_queues", {}, "UnknownOperationException"),
        ("sts", "get_access_key_info", {"AccessKeyId": "A" * 20}, "InvalidAction"),
    ],
)
def test_what_nobody_here_does_is_refused_in_the_protocol_that_asked(
    weft: Served, service: str, operation: str, named: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(weft.client(service), operation)(**named)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    if service != "ec2":  # It has an error document of its own.
        assert response["Error"]["Code"] == code
        assert response["Error"]["Message"]


def test_an_unsigned_form_is_found_by_its_version(weft: Served) -> None:
    status, kind, body = answered(weft, "POST", "/", WHO, **FORM)
    assert (status, kind) == (200, "text/xml")
    assert b"user/anonymous" in body
    assert answered(weft, "GET", f"/?{WHO.decode()}")[0] == 200
    status, _, body = answered(weft, "POST", "/", b"Action=A&Version=1999-01-01", **FORM)
    assert (status, b"does not answer for version" in body) == (400, True)


def test_a_service_may_be_called_by_its_own_names(weft: Served) -> None:
    for host in (
        "sts.us-west-2.amazonaws.com",
        "data-servicediscovery.us-west-2.amazonaws.com",
        "data-localhost",
    ):
        assert answered(weft, "POST", "/", WHO, host=host, **FORM)[0] == 200
    status, _, body = answered(weft, "POST", "/", WHO, host="evil.test", **FORM)
    assert (status, b"<Code>AccessDenied</Code>" in body) == (403, True)


def test_the_root_itself_is_nobody_s(weft: Served) -> None:
    for method in ("GET", "PUT", "DELETE", "POST"):
        status, kind, _ = answered(weft, method, "/")
        assert (status, kind) == (404, "application/json")


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=4),
    st.sampled_from(["", "GetCallerIdentity", "DescribeStacks", "CreateStack", "AssumeRole", "é"]),
    st.sampled_from(["", "2011-06-15", "2010-05-15"]),
)
def test_any_form_gets_an_answer_that_is_no_fault_of_ours(
    weft: Served, fields: dict[str, str], action: str, version: str
) -> None:
    form = urlencode({**fields, "Action": action, "Version": version}).encode()
    status, kind, body = answered(weft, "POST", "/", form, **FORM)
    assert status < 500
    assert kind == "text/xml"
    assert b"<RequestId>" in body


@settings(max_examples=80, deadline=None)
@given(
    st.binary(max_size=30) | st.sampled_from([b"{}", b"[]", b"null", b'{"Id": 1}']),
    st.sampled_from(["", "x", "Route53AutoNaming_v20170314.", "Route53AutoNaming_v20170314.Zap"])
    | st.sampled_from(
        [
            "Route53AutoNaming_v20170314.GetNamespace",
            "Route53AutoNaming_v20170314.CreateService",
            "Route53AutoNaming_v20170314.DiscoverInstances",
        ]
    ),
)
def test_any_target_and_body_get_an_answer_that_is_no_fault_of_ours(
    weft: Served, body: bytes, target: str
) -> None:
    status, kind, answer = answered(weft, "POST", "/", body, x_amz_target=target)
    assert status < 500
    assert kind.startswith("application/x-amz-json-1.1")
    assert answer.startswith(b"{")


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
    | st.sampled_from(["Bearer", "Bearer ", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=x"])
)
def test_any_authorization_is_good_enough_where_the_door_is_open(
    weft: Served, authorization: str
) -> None:
    assert answered(weft, "GET", "/weft/v1/status", authorization=authorization)[0] == 200
    assert answered(weft, "POST", "/", WHO, authorization=authorization, **FORM)[0] == 200


@pytest.mark.parametrize(
    ("said", "author"),
    [("ana", "ana"), ("a b", "anonymous"), ("x" * 65, "anonymous"), (None, "anonymous")],
)
def test_where_the_door_is_open_a_client_may_say_whose_hand_it_is(
    weft: Served, said: str | None, author: str
) -> None:
    headers = {"X-Weft-User": said} if said else {}
    made = weft.request(
        "PUT", "/v20190125/meshes", {"meshName": f"of-{len(said or '')}-{author}"}, headers
    )
    change = weft.get(f"/weft/v1/changes/{made.headers['x-weft-revision']}").body

    assert change["author"] == author
