"""awsJson and Query: what is on the wire, in and out."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from weft.api import awsjson, query
from weft.api.exchange import Call
from weft.api.surfaces import Protocol, Reply, Surface
from weft.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidSignature,
    Unavailable,
    WeftError,
)
from weft.store.change import Author

SESSION = botocore.session.get_session()
STACKS = SESSION.get_service_model("cloudformation")
QUERY = Surface(
    "cloudformation",
    Protocol.QUERY,
    {},
    version="2010-05-15",
    namespace="http://cloudformation.amazonaws.com/doc/2010-05-15/",
    codes={Conflict: "AlreadyExistsException"},
)
JSON = Surface("servicediscovery", Protocol.AWS_JSON_1_1, {}, target="T", codes={Conflict: "Taken"})
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def call(
    body: bytes = b"", *, method: str = "POST", query_string: bytes = b"", headers: Any = ()
) -> Call:
    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    scope = {"method": method, "headers": list(headers), "query_string": query_string}
    return Call("id", Author(), scope, receive)


def form_of(operation: str, members: dict[str, Any]) -> dict[str, str]:
    """A form as botocore sends it, as we read it."""
    model = STACKS.operation_model(operation)
    made = create_serializer("query").serialize_to_request(members, model)
    return asyncio.run(query.fields(call(urlencode(made["body"]).encode()), 1 << 20))


def test_a_form_is_read_as_botocore_writes_it() -> None:
    members = {
        "StackName": "s",
        "Parameters": [
            {"ParameterKey": f"k{i}", "ParameterValue": "a.b&c=d é"} for i in range(1, 13)
        ],
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": [],
    }
    form = form_of("CreateStack", members)
    assert form["Action"] == "CreateStack"
    # An empty list has no members to say what it is.
    assert query.members(form) == {**members, "Tags": ""}


@given(st.dictionaries(WORDS.filter(bool), WORDS, max_size=6))
def test_any_form_is_read_or_refused(form: dict[str, str]) -> None:
    text = urlencode(form).encode()
    with suppress(query.Malformed):
        query.members(asyncio.run(query.fields(call(text), 1 << 20)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a=1&a=2", "given twice"),
        (b"a=%ff", "not UTF-8"),
        ("a=é".encode(), "not UTF-8"),
        (b"a=1&a.b=2", "has a value"),
        (b"a.b=2&a=1", "fields below it"),
        (b".".join([b"a"] * 40) + b"=1", "too deeply"),
        (b"a.member=1", "no number"),
        (b"a.member.x=1", "not numbered"),
        (b"a.member.1=1&a.member.01=2", "not numbered"),
        (b"&".join(b"a%d=" % i for i in range(query.MOST_FIELDS + 1)), "more than"),
    ],
)
def test_a_form_that_says_two_things_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(query.Malformed, match=words):
        query.members(asyncio.run(query.fields(call(text), 1 << 20)))


def test_a_form_may_be_in_the_query_string() -> None:
    asked = call(method="GET", query_string=b"Action=A&Name=n&X-Amz-Date=x")
    form = asyncio.run(query.fields(asked, 1 << 20))
    assert (form["Action"], query.members(form)) == ("A", {"Name": "n"})


def parsed(operation: str, body: bytes, status: int = 200) -> Any:
    shape = STACKS.operation_model(operation).output_shape
    return create_parser("query").parse({"status_code": status, "headers": {}, "body": body}, shape)


def test_an_answer_is_what_botocore_reads_out_of_it() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    stack = {
        "StackName": "a<b>&\r\n\x00",
        "CreationTime": moment,
        "StackStatus": "CREATE_COMPLETE",
        "DisableRollback": False,
        "Description": None,
        "Outputs": [{"OutputKey": "k", "OutputValue": "v"}],
        "Capabilities": [],
    }
    answer = query.encoded(Reply({"Stacks": [stack]}, 7), QUERY, "DescribeStacks", "request-1")
    found = parsed("DescribeStacks", answer.body)
    assert found["ResponseMetadata"]["RequestId"] == "request-1"
    (said,) = found["Stacks"]
    assert said["StackName"] == "a<b>&\r\n\ufffd"
    assert said["CreationTime"] == moment
    assert said["DisableRollback"] is False
    assert said["Outputs"] == [{"OutputKey": "k", "OutputValue": "v"}]
    assert "Description" not in said
    assert answer.headers == {"x-weft-revision": "7"}
    assert answer.content_type == "text/xml"


def test_an_operation_without_an_output_has_no_result() -> None:
    answer = query.encoded(Reply(None), QUERY, "DeleteStack", "r")
    assert b"Result" not in answer.body
    assert parsed("DeleteStack", answer.body)["ResponseMetadata"]["RequestId"] == "r"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Conflict("x"), 400, "AlreadyExistsException"),
        (BadRequest("x"), 400, "ValidationError"),
        (Forbidden("x"), 403, "AccessDenied"),
        (InvalidSignature("x"), 403, "SignatureDoesNotMatch"),
        (Unavailable("x"), 503, "ServiceUnavailable"),
    ],
)
def test_a_refusal_has_the_protocol_s_word_or_the_service_s(
    error: WeftError, status: int, code: str
) -> None:
    answer = query.refused(error, QUERY, "r")
    found = parsed("CreateStack", answer.body, answer.status)
    assert (answer.status, found["Error"]["Code"], found["Error"]["Message"]) == (status, code, "x")


def test_what_mends_a_refusal_is_in_its_message() -> None:
    answer = query.refused(BadRequest("no", fix="say yes\x01"), QUERY, "r")
    assert "no (say yes\ufffd)" in answer.body.decode()


async def test_json_goes_in_and_out() -> None:
    async def operation(_call: Call, members: dict[str, Any]) -> Reply:
        return Reply({"said": members}, 3)

    surface = Surface("s", Protocol.AWS_JSON_1_0, {"Do": operation}, target="T")
    answer = await awsjson.answered(surface, "Do", call(b'{"a": 1}'))
    assert json.loads(answer.body) == {"said": {"a": 1}}
    assert answer.headers == {"x-weft-revision": "3"}
    assert answer.content_type == "application/x-amz-json-1.0"
    with pytest.raises(awsjson.NotJson, match="is not JSON"):
        await awsjson.answered(surface, "Do", call(b"{"))


def test_a_json_refusal_is_told_in_header_and_body() -> None:
    answer = awsjson.refused(Conflict("x", fix="y"), JSON)
    assert json.loads(answer.body) == {"__type": "Taken", "message": "x", "fix": "y"}
    assert answer.headers == {"x-amzn-ErrorType": "Taken"}
    assert answer.status == 400
    assert awsjson.refused(InvalidSignature("x"), None).status == 403
