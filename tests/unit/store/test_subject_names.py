"""Wildcards among the names of client policies."""

from __future__ import annotations

from typing import Any

import pytest

from weft.clock import ManualClock
from weft.errors import Invalid
from weft.names import DEFAULT_ACCOUNT, Key, Kind
from weft.store.admission import admit
from weft.store.change import Create
from weft.store.state import MeshState


def policy(name: str, **more: Any) -> dict[str, Any]:
    return {
        "tls": {
            "validation": {
                "trust": {"file": {"certificateChain": "/ca.pem"}},
                "subjectAlternativeNames": {"match": {"exact": ["a.test", name]}},
            },
            **more,
        }
    }


def admitted(spec: dict[str, Any]) -> None:
    steps = [
        Create(Key.of_mesh("shop"), {}),
        Create(Key("shop", Kind.VIRTUAL_NODE, "web"), spec),
    ]
    admit(MeshState(), steps, ManualClock(), DEFAULT_ACCOUNT)


@pytest.mark.parametrize("enforce", [{}, {"enforce": True}])
def test_a_policy_that_is_enforced_takes_no_wildcard(enforce: dict[str, bool]) -> None:
    defaults = {"clientPolicy": policy("*.b.test", **enforce)}
    backend = {"virtualServiceName": "a.local", "clientPolicy": policy("*.c.test", **enforce)}
    with pytest.raises(Invalid) as refused:
        admitted({"backendDefaults": defaults, "backends": [{"virtualService": backend}]})
    assert [
        (each.path.split(" ")[-1], each.message.split(" is ")[0]) for each in refused.value.problems
    ] == [
        (
            "spec.backendDefaults.clientPolicy.tls.validation.subjectAlternativeNames.match.exact[1]",
            "'*.b.test'",
        ),
        (
            "spec.backends[0].virtualService.clientPolicy.tls.validation."
            "subjectAlternativeNames.match.exact[1]",
            "'*.c.test'",
        ),
    ]


def test_one_that_is_not_takes_it() -> None:
    admitted({"backendDefaults": {"clientPolicy": policy("*.b.test", enforce=False)}})
