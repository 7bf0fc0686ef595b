"""What a command ends with: one number for scripts, three lines for people."""

from __future__ import annotations

from enum import IntEnum

from weft.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InUse,
    Invalid,
    LimitExceeded,
    NotFound,
    Problem,
    TimedOut,
    TooManyTags,
    Unauthenticated,
    Unavailable,
    WeftError,
)


class Exit(IntEnum):
    """The exit codes; a code never changes its meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    FORBIDDEN = 4
    CONFLICT = 5
    INVALID = 6
    TIMED_OUT = 7
    UNREACHABLE = 8
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "It worked; for diff: no differences.",
    Exit.FAILED: "It failed, or a proxy rejected its configuration; for diff: there are differences; "
    "for check: something is an error.",
    Exit.USAGE: "The command line is wrong: an unknown command, option, kind or an unclear name.",
    Exit.NOT_FOUND: "What was named does not exist.",
    Exit.FORBIDDEN: "The control plane does not allow it.",
    Exit.CONFLICT: "The name is taken, the resource is in use, or a later change is in the way.",
    Exit.INVALID: "A definition, a file or a request is invalid.",
    Exit.TIMED_OUT: "What was waited for did not happen in time; the change stays.",
    Exit.UNREACHABLE: "No control plane answers.",
    Exit.INTERRUPTED: "Interrupted by Ctrl-C; what was saved before stays.",
}


class Usage(WeftError):
    """The command line is wrong in a way that Click cannot know."""


class Differs(WeftError):
    """The control plane does not speak as this client expects."""


class Untrusted(WeftError):
    """Somebody answers at the endpoint who cannot prove to be the control plane."""


class Refused(Invalid):
    """Definitions from files were refused; nothing is written."""

    def __init__(
        self, problems: tuple[Problem, ...], *, headline: str, fix: str | None = None
    ) -> None:
        super().__init__(problems, fix=fix)
        self.headline = headline


_EXITS: tuple[tuple[type[WeftError], Exit], ...] = (
    (Usage, Exit.USAGE),
    (NotFound, Exit.NOT_FOUND),
    (Forbidden, Exit.FORBIDDEN),
    (Unauthenticated, Exit.FORBIDDEN),
    (Untrusted, Exit.UNREACHABLE),
    (Conflict, Exit.CONFLICT),
    (InUse, Exit.CONFLICT),
    (BadRequest, Exit.INVALID),
    (LimitExceeded, Exit.INVALID),
    (TooManyTags, Exit.INVALID),
    (TimedOut, Exit.TIMED_OUT),
    (Unavailable, Exit.UNREACHABLE),
)


def exit_of(error: WeftError) -> Exit:
    """The exit code of an error; whatever has none of its own has failed."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FAILED)


def lines_of(error: WeftError) -> list[tuple[str, str]]:
    """The error as labelled lines: ``error``, ``cause`` where there is one, ``fix`` where known."""
    headline, causes = error.message, []
    if isinstance(error, Refused):
        headline, causes = error.headline, [str(problem) for problem in error.problems]
    elif isinstance(error, Invalid) and len(error.problems) > 1:
        headline = f"{len(error.problems)} problems; nothing is written"
        causes = [str(problem) for problem in error.problems]
    elif isinstance(error.__cause__, OSError):
        causes = [_reason(error.__cause__)]
    elif error.__cause__ is not None and str(error.__cause__):
        causes = [str(error.__cause__)]
    lines = [("error:", headline)]
    lines += [("cause:" if i == 0 else "", cause) for i, cause in enumerate(causes)]
    if fix := error.fix or _FIXES.get(exit_of(error)):
        lines.append(("fix:", fix))
    return [
        (label if i == 0 else "", line)
        for label, text in lines
        for i, line in enumerate(text.splitlines() or [""])
    ]


_FIXES = {
    Exit.NOT_FOUND: "weft get KIND lists what there is, as in: weft get routes",
    Exit.CONFLICT: "weft changes shows what was changed since",
    Exit.TIMED_OUT: "weft get proxies shows what each proxy has accepted",
    Exit.UNREACHABLE: "weft up, or --endpoint",
}


def _reason(error: OSError) -> str:
    """The operating system's words, without its number."""
    text = error.strerror or str(error) or type(error).__name__
    return text[0].lower() + text[1:]
