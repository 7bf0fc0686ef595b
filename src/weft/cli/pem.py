"""PEM files that are sent to the control plane, and its complaints about them, with their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from weft.cli.exits import Refused
from weft.errors import Invalid, Problem

_MOST_BYTES = 64 * 1024


def read(files: Mapping[str, str | None]) -> dict[str, str]:
    """Their texts by member of the request; Refused with every file that cannot be read."""
    found: dict[str, str] = {}
    problems = []
    for member, file in files.items():
        if file is None:
            continue
        try:
            raw = Path(file).read_bytes()
            if len(raw) > _MOST_BYTES:
                problems.append(Problem(file, f"is larger than {_MOST_BYTES} bytes"))
            elif b"-----BEGIN" not in raw:
                problems.append(
                    Problem(file, "is no PEM; openssl x509 -inform DER -in FILE makes one of DER")
                )
            else:
                found[member] = raw.decode("utf-8", "replace")
        except OSError as error:
            problems.append(Problem(file, f"cannot be read: {error.strerror}"))
    if problems:
        raise Refused(tuple(problems), headline="the files cannot be used; nothing is written")
    return found


def of_files(error: Invalid, files: Mapping[str, str | None]) -> Refused:
    """The control plane's complaints, said of the files instead of the members."""
    problems = tuple(
        Problem(files.get(each.path) or each.path, each.message) for each in error.problems
    )
    return Refused(problems, headline="the files do not fit; nothing is written", fix=error.fix)
