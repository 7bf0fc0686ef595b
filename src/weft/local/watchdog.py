"""
Ends what a runner started when the runner itself is killed.

It is a program of its own, run by path with the standard library only: it reads
``add PGID`` and ``remove PGID`` from its standard input and, when that closes,
ends every process group that is left. A parent-death signal would reach only
direct children, and not on every system; a closed pipe reaches us always.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_SECONDS = 8.0


def main() -> int:
    """Until the runner closes our standard input."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        verb, _, number = line.strip().partition(" ")
        if not number.isdecimal():
            continue
        if verb == "add":
            groups.add(int(number))
        elif verb == "remove":
            groups.discard(int(number))
    end(groups, GRACE_SECONDS)
    return 0


def end(groups: set[int], grace_seconds: float) -> None:
    """SIGTERM, some grace, then SIGKILL."""
    left = {group for group in groups if _signal(group, signal.SIGTERM)}
    deadline = time.monotonic() + grace_seconds
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {group for group in left if _signal(group, 0)}
    for group in left:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """False when nobody of the group is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
