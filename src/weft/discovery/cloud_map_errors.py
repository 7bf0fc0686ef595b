"""
What can go wrong in Cloud Map, with the codes and statuses of its service model.

BadRequest
└─ Invalid
   └─ InvalidInput                   400
NotFound
├─ NamespaceNotFound                 404
├─ ServiceNotFound                   404
├─ InstanceNotFound                  404
├─ OperationNotFound                 404
├─ CustomHealthNotFound              404
└─ ResourceNotFound                  404  ResourceNotFoundException (an ARN that has no tags)
Conflict
├─ NamespaceAlreadyExists            400
├─ ServiceAlreadyExists              400
└─ DuplicateRequest                  409
InUse
└─ ResourceInUse                     409
LimitExceeded
└─ ServiceAttributesLimitExceeded    400  ServiceAttributesLimitExceededException
TooManyTags                          400  TooManyTagsException (as everywhere)
"""

from __future__ import annotations

from collections.abc import Mapping

from weft.errors import Conflict, InUse, Invalid, LimitExceeded, NotFound


class InvalidInput(Invalid):
    """The request breaks rules; every problem found is listed."""

    code = "InvalidInput"


class NamespaceNotFound(NotFound):
    """No namespace has this id or name."""

    code = "NamespaceNotFound"


class ServiceNotFound(NotFound):
    """No service has this id or name."""

    code = "ServiceNotFound"


class InstanceNotFound(NotFound):
    """The service has no instance of this id."""

    code = "InstanceNotFound"


class OperationNotFound(NotFound):
    """No operation of this id is remembered."""

    code = "OperationNotFound"


class CustomHealthNotFound(NotFound):
    """The service does not let its health be told."""

    code = "CustomHealthNotFound"


class ResourceNotFound(NotFound):
    """Nothing that carries tags has this ARN."""

    code = "ResourceNotFoundException"


class Told(Conflict):
    """A conflict that says with what, in members of its own."""

    def __init__(
        self, message: str, *, fix: str | None = None, members: Mapping[str, str | None]
    ) -> None:
        super().__init__(message, fix=fix)
        self.members = {name: value for name, value in members.items() if value}


class NamespaceAlreadyExists(Told):
    """The name is taken."""

    code = "NamespaceAlreadyExists"
    status = 400


class ServiceAlreadyExists(Told):
    """The namespace has a service of this name."""

    code = "ServiceAlreadyExists"
    status = 400


class DuplicateRequest(Told):
    """The request id was used for something else."""

    code = "DuplicateRequest"


class ResourceInUse(InUse):
    """Something is still in it."""

    code = "ResourceInUse"


class ServiceAttributesLimitExceeded(LimitExceeded):
    """A service carries at most 30 attributes."""

    code = "ServiceAttributesLimitExceededException"
