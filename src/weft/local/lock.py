"""One runner per data directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from weft.errors import CannotStart
from weft.settings import DATA

NAME = "up.lock"


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold the data directory, made if it is missing; CannotStart names who holds it already."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(
            f"the data directory {data} cannot be used: {error.strerror}",
            fix=f"give another one: {DATA.flag} DIR",
        ) from error
    try:
        try:
            # The kernel gives it back however we end, so a stale one cannot be.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise CannotStart(
                f"weft up runs already on {data}" + (f" (process {holder})" if holder else ""),
                fix=f"stop it, or give this one a directory of its own: {DATA.flag} DIR",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
