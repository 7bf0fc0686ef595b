"""What went wrong, as each surface says it: restJson1 for AWS's clients, more words for our own."""

from __future__ import annotations

import json
from typing import Any

from weft.api.exchange import Answer
from weft.errors import Invalid, WeftError


class UnknownOperation(WeftError):
    """No operation has this path."""

    code = "UnknownOperationException"
    status = 404

    def __init__(self, raw_path: bytes) -> None:
        shown = raw_path[:200].decode("latin-1")
        super().__init__(
            f"no operation has the path {shown}",
            fix="App Mesh's API is below /v20190125, Weft's own below /weft/v1",
        )


class MethodNotAllowed(WeftError):
    """The path exists, but not for this method."""

    code = "MethodNotAllowedException"
    status = 405

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed
        super().__init__(f"{method[:20]} is not allowed here, only {', '.join(allowed)}")


OWN_SURFACE = b"/weft/"


def answer_to(error: WeftError, raw_path: bytes) -> Answer:
    """An error in the words of the surface that was asked."""
    body: dict[str, Any]
    problems = [
        {"path": problem.path, "message": problem.message}
        for problem in (error.problems if isinstance(error, Invalid) else ())
    ]
    if raw_path.startswith(OWN_SURFACE):
        body = {
            "code": error.code,
            "message": error.message,
            "problems": problems,
            "fix": error.fix,
        }
    else:
        body = {"__type": error.code, "message": error.message}
        if problems:
            body["problems"] = problems
        if error.fix:
            body["fix"] = error.fix
    headers = {"x-amzn-ErrorType": error.code}
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allowed)
    return Answer(json.dumps(body, separators=(",", ":")).encode(), error.status, headers)


def internal(request_id: str) -> WeftError:
    """A fault of ours: the caller gets the request id, the log has the rest."""
    return WeftError(
        f"the control plane failed at this request (request id {request_id})",
        fix="look for the request id in its log",
    )
