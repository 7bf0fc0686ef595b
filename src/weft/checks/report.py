"""Findings as one JSON document: the answer of the API, and of ``weft check`` without one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weft.checks.catalogue import CATALOGUE, in_order
from weft.checks.finding import Area, Finding, Severity

MOST_FINDINGS = 5000
"""Beyond these they are only counted; nobody reads on, and a report has to end."""


def report(
    found: Iterable[Finding],
    *,
    revision: int | None,
    mesh: str | None = None,
    least: Severity = Severity.INFO,
    codes: Iterable[str] | None = None,
) -> dict[str, Any]:
    """
    What was found, the worst first; how many there are of each severity; which checks found nothing.

    ``codes`` are the checks that were made: all, unless given. ``least`` leaves out what is milder.
    """
    findings = in_order(found)
    made = {each.code for each in CATALOGUE} if codes is None else set(codes)
    dirty = {each.code for each in findings}
    clean = dict.fromkeys((area.value for area in Area), 0)
    for each in CATALOGUE:
        if each.code in made - dirty:
            clean[each.area.value] += 1
    counts = dict.fromkeys((each.value for each in Severity), 0)
    for finding in findings:
        counts[finding.severity.value] += 1
    order = list(Severity)
    shown = [each for each in findings if order.index(each.severity) <= order.index(least)]
    return {
        "revision": revision,
        "mesh": mesh,
        "counts": counts,
        "clean": clean,
        "findings": [each.to_json() for each in shown[:MOST_FINDINGS]],
        "more": max(0, len(shown) - MOST_FINDINGS),
    }
