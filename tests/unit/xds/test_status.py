"""Envoy's words, made readable, and values that become JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from weft.names import ProxyId
from weft.xds.status import Refusal, Settled, Waiting, plain_words

DUMP = 'goo.gle/debugstr\nname: "c"\nconnect_timeout {\n}\n: Proto constraint validation failed '


def test_the_dump_around_a_broken_constraint_is_left_out() -> None:
    raw = DUMP + "(ClusterValidationError.ConnectTimeout: value must be greater than 0s)"
    assert plain_words(raw, ("c",)) == (
        "c: ClusterValidationError.ConnectTimeout: value must be greater than 0s"
    )


def test_the_innermost_reason_is_the_one_shown() -> None:
    raw = DUMP + (
        "(ClusterValidationError.LoadAssignment: embedded message failed validation | caused by "
        "ClusterLoadAssignmentValidationError.ClusterName: value length must be at least 1 characters)"
    )
    assert plain_words(raw, ("c", "d")) == (
        "ClusterLoadAssignmentValidationError.ClusterName: "
        "value length must be at least 1 characters"
    )


def test_other_words_stay_as_they_are() -> None:
    raw = "Error adding/updating listener(s) l: cannot bind '203.0.113.9:80'\n"
    assert plain_words(raw, ("l",)) == raw.strip()


def test_how_far_a_revision_has_come_is_json() -> None:
    proxy = ProxyId.parse("mesh/m/virtualNode/n")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    settled = Settled(
        7,
        processed=True,
        total=3,
        accepted=1,
        waiting=(Waiting(proxy, "i", 6, "has not been told yet"),),
        rejected=(Refusal(proxy, "j", "CDS", "no", "no", ("a",), 7, "3", at),),
    )
    told = json.loads(json.dumps(settled.to_json()))
    assert (told["settled"], told["accepted"], told["total"]) == (False, 1, 3)
    assert told["waiting"][0]["proxy"] == "mesh/m/virtualNode/n"
    assert told["rejected"][0]["at"] == "2026-01-01T00:00:00Z"
