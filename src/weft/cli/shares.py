"""
Shares of a route's traffic: new weights out of old ones, and what was observed.

The rule of ``rescaled``: as long as a target is left unnamed, the numbers given
are per cent, and what they leave of 100 goes to the unnamed targets in the
proportion they have now. With every target named, the numbers are the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from weft.cli.exits import Usage

WHOLE = 100


def rescaled(present: Mapping[str, int], given: Mapping[str, int]) -> dict[str, int]:
    """The weights after ``given`` is set; a given target that is not present yet joins."""
    targets = dict.fromkeys([*present, *given], 0)
    unnamed = {name: weight for name, weight in present.items() if name not in given}
    said = ", ".join(f"{name}={weight}" for name, weight in given.items())
    total = sum(given.values())
    if total > WHOLE:
        raise Usage(
            f"{said} adds up to {total}; all weights together may be {WHOLE} at most",
            fix=_as_percent(given),
        )
    if not unnamed:
        if total == 0:
            raise Usage(
                f"{said} leaves no target with a weight above 0",
                fix="give at least one target a weight, as in "
                + " ".join(f"{name}={WHOLE}" for name in list(given)[:1]),
            )
        return {**targets, **given}
    rest = WHOLE - total
    if rest and not any(unnamed.values()):
        names = " ".join(f"{name}={rest}" for name in list(unnamed)[:1])
        raise Usage(
            f"{said} leaves {rest} % for {', '.join(unnamed)}, which {_are(unnamed)} at 0 now",
            fix=f"say who gets it, as in {said.replace(', ', ' ')} {names}",
        )
    return {**targets, **given, **_proportional(unnamed, rest)}


def _are(names: Mapping[str, int]) -> str:
    return "is" if len(names) == 1 else "are"


def _as_percent(given: Mapping[str, int]) -> str:
    """The same proportions, adding up to 100."""
    return "the same in per cent: " + " ".join(
        f"{name}={weight}" for name, weight in _proportional(given, WHOLE).items()
    )


def _proportional(weights: Mapping[str, int], total: int) -> dict[str, int]:
    """
    Whole numbers in the proportion of the weights, adding up to the total.

    The largest remainders are rounded up, earlier targets first. A target that
    has traffic keeps at least 1 while there is enough for all of them: to
    switch one off is for the operator to say.
    """
    whole = sum(weights.values())
    if not whole:
        return dict.fromkeys(weights, 0)
    exact = {name: total * weight / whole for name, weight in weights.items()}
    shares = {name: math.floor(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: shares[name] - exact[name])
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    starved = [name for name, weight in weights.items() if weight and not shares[name]]
    if sum(1 for weight in weights.values() if weight) <= total:
        for name in starved:
            shares[max(shares, key=lambda each: shares[each])] -= 1
            shares[name] += 1
    return shares


@dataclass(frozen=True, slots=True)
class Share:
    """What one target got of the requests that were counted."""

    requests: int
    percent: float
    margin: float
    """Half the width of the 95 % interval, in points."""


def observed(counts: Mapping[str, int]) -> dict[str, Share]:
    """The share of each target, and how far chance alone may have moved it."""
    total = sum(counts.values())
    return {name: _share(count, total) for name, count in counts.items()}


def _share(count: int, total: int) -> Share:
    """Wilson's interval: also right for a target that got nothing, or everything."""
    if not total:
        return Share(0, 0.0, 0.0)
    z, p = 1.96, count / total
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return Share(count, 100 * p, 100 * half)


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Requests between two readings of counters; one that went back was started anew."""
    return {
        name: count - before[name]
        if 0 <= before.get(name, 0) <= count and name in before
        else count
        for name, count in after.items()
    }
