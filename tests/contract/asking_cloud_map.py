"""The shortest way to ask Cloud Map through boto3, for its contract tests."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

A_RECORD = {"DnsRecords": [{"Type": "A", "TTL": 60}]}


def made_namespace(client: Any, answer: Any) -> str:
    operation = client.get_operation(OperationId=answer["OperationId"])["Operation"]
    assert operation["Status"] == "SUCCESS"
    return str(operation["Targets"]["NAMESPACE"])


def register(client: Any, service: str, id: str, **attributes: str) -> Any:
    return client.register_instance(
        ServiceId=service,
        InstanceId=id,
        Attributes={"AWS_INSTANCE_IPV4": "10.0.0.1", **attributes},
    )


def refused(code: str, ask: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        ask(**members)
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value.response["Error"]["Message"])
