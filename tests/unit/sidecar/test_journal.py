"""What is said on standard error, and what is remembered of it."""

from __future__ import annotations

import pytest

from weft.sidecar.journal import Journal

REJECTED = (
    "[2026-01-01 00:00:00.000][warning][config] gRPC config for …Listener rejected: cannot bind"
)
AWAY = "[2026-01-01 00:00:00.000][warning][config] DeltaAggregatedResources gRPC config stream to weft_xds closed: 14"


def test_a_rejection_is_passed_on_and_remembered(capfd: pytest.CaptureFixture[str]) -> None:
    journal = Journal()
    journal.envoy_line(REJECTED)

    [found] = journal.rejected()
    assert found["words"] == "gRPC config for …Listener rejected: cannot bind"
    assert capfd.readouterr().err == f"envoy: {REJECTED}\n"


def test_only_the_latest_rejections_are_remembered() -> None:
    journal = Journal()
    for number in range(30):
        journal.envoy_line(f"{REJECTED} {number}")

    assert [item["words"].split()[-1] for item in journal.rejected()] == [
        str(n) for n in range(20, 30)
    ]


def test_reconnects_can_be_hidden(capfd: pytest.CaptureFixture[str]) -> None:
    Journal(hide_reconnects=True).envoy_line(AWAY)
    assert capfd.readouterr().err == ""
    Journal().envoy_line(AWAY)
    assert "weft_xds" in capfd.readouterr().err


def test_the_last_serious_words_are_told_once() -> None:
    journal = Journal()
    journal.envoy_line("[t][critical][main] error `node {")
    journal.envoy_line("  id: 7")
    journal.envoy_line(": Proto constraint validation failed")

    assert journal.last_words() == "Proto constraint validation failed"
    assert journal.last_words() == ""


def test_our_own_lines_have_envoys_form(capfd: pytest.CaptureFixture[str]) -> None:
    Journal().say("ready")
    line = capfd.readouterr().err

    assert line.endswith("][info][sidecar] ready\n")
    assert line[5] == "-"
