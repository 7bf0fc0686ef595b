"""
What CloudFormation refuses, with the codes of its service model.

Most mistakes have one code there, ValidationError, and only their text tells them apart.
"""

from __future__ import annotations

from weft.errors import WeftError


class ValidationError(WeftError):
    """The request cannot be carried out as it stands."""

    code = "ValidationError"
    status = 400


class AlreadyExists(WeftError):
    """A stack of that name stands."""

    code = "AlreadyExistsException"
    status = 400


class ChangeSetNotFound(WeftError):
    """No change set has that name or id."""

    code = "ChangeSetNotFound"
    status = 404


class InvalidChangeSetStatus(WeftError):
    """The change set cannot be executed, or not deleted, as it stands."""

    code = "InvalidChangeSetStatus"
    status = 400


class InsufficientCapabilities(WeftError):
    """The template makes what its author must acknowledge."""

    code = "InsufficientCapabilitiesException"
    status = 400


class LimitExceeded(WeftError):
    """More than a stack may have."""

    code = "LimitExceededException"
    status = 400


class TokenAlreadyExists(WeftError):
    """The client request token belongs to another operation."""

    code = "TokenAlreadyExistsException"
    status = 400


def no_stack(name: str) -> ValidationError:
    return ValidationError(f"Stack with id {name} does not exist")
