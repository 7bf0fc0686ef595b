"""
What can go wrong, in the operator's words; the wire code sits on the class.

WeftError
├─ BadRequest               400  BadRequestException
│  └─ Invalid               400  BadRequestException        (carries every Problem found)
├─ Forbidden                403  ForbiddenException
│  └─ AccessDenied          403  AccessDeniedException       (the role does not reach so far)
├─ Unauthenticated          403  UnrecognizedClientException (AWS's front end, before any service)
│  ├─ MissingToken          403  MissingAuthenticationTokenException
│  ├─ IncompleteSignature   403  IncompleteSignatureException
│  ├─ InvalidSignature      403  InvalidSignatureException
│  └─ ExpiredToken          403  ExpiredTokenException
├─ NotFound                 404  NotFoundException
├─ Conflict                 409  ConflictException
├─ InUse                    409  ResourceInUseException
├─ LimitExceeded            400  LimitExceededException
├─ TooManyTags              400  TooManyTagsException
├─ Unavailable              503  ServiceUnavailableException
├─ Unreachable              503  ServiceUnavailableException (a client found no control plane)
├─ TimedOut                 504  TimedOut                    (Weft's own surface only)
├─ Rejected                 409  Rejected                    (a proxy said no; Weft's own surface only)
└─ CannotStart              500  (never on the wire: a process refuses to start)

Codes and statuses of the App Mesh surface are those of the service model
(botocore ``appmesh/2019-01-25``); the last four never appear there. What AWS's front end
answers before a service is asked (Unauthenticated, AccessDenied) is in no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class WeftError(Exception):
    """Something the operator can act on: what is wrong and, where we know it, how to mend it."""

    code = "InternalServerErrorException"
    status = 500
    members: Mapping[str, str] = {}
    """What a service's model has beside the message; AWS's clients hand it to the caller."""

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class BadRequest(WeftError):
    """The request itself is malformed."""

    code = "BadRequestException"
    status = 400


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake: where in the operator's own JSON, and what is wrong there."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Invalid(BadRequest):
    """The definition breaks rules; every problem found is listed."""

    def __init__(self, problems: Iterable[Problem], *, fix: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)), fix=fix)


class Forbidden(WeftError):
    """The caller may not do this."""

    code = "ForbiddenException"
    status = 403


class AccessDenied(Forbidden):
    """The credential is good, and its role does not reach so far."""

    code = "AccessDeniedException"


class Unauthenticated(WeftError):
    """Nobody we know says this."""

    code = "UnrecognizedClientException"
    status = 403


class MissingToken(Unauthenticated):
    """Credentials are asked for, and none were given."""

    code = "MissingAuthenticationTokenException"


class IncompleteSignature(Unauthenticated):
    """A signature lacks a part, or a part cannot be read."""

    code = "IncompleteSignatureException"


class InvalidSignature(Unauthenticated):
    """The signature is not the one that the key's secret makes, or not of now."""

    code = "InvalidSignatureException"


class ExpiredToken(Unauthenticated):
    """The credential was good once."""

    code = "ExpiredTokenException"


class NotFound(WeftError):
    """The thing named does not exist."""

    code = "NotFoundException"
    status = 404


class Conflict(WeftError):
    """The name is taken, or what the request builds on has changed since."""

    code = "ConflictException"
    status = 409


class InUse(WeftError):
    """Another resource still refers to this one."""

    code = "ResourceInUseException"
    status = 409


class LimitExceeded(WeftError):
    """A quota is used up."""

    code = "LimitExceededException"
    status = 400


class TooManyTags(WeftError):
    """A resource carries at most 50 tags."""

    code = "TooManyTagsException"
    status = 400


class Unavailable(WeftError):
    """The server cannot answer now; the same request may succeed later."""

    code = "ServiceUnavailableException"
    status = 503


class Unreachable(Unavailable):
    """A client found no control plane at the address it was given."""


class TimedOut(WeftError):
    """What was waited for did not happen in time."""

    code = "TimedOut"
    status = 504


class Rejected(WeftError):
    """A proxy refused its configuration; the message holds Envoy's own words."""

    code = "Rejected"
    status = 409


class CannotStart(WeftError):
    """A process refuses to start: a port is taken, a directory is not writable, a part is missing."""


ON_THE_WIRE: dict[str, type[WeftError]] = {
    each.code: each
    for each in (
        BadRequest,
        Forbidden,
        AccessDenied,
        Unauthenticated,
        MissingToken,
        IncompleteSignature,
        InvalidSignature,
        ExpiredToken,
        NotFound,
        Conflict,
        InUse,
        LimitExceeded,
        TooManyTags,
        Unavailable,
        TimedOut,
        Rejected,
    )
}
"""The class of each code, for clients that raise again what a server answered."""
