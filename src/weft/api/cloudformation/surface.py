"""CloudFormation's Query API, as far as it is about stacks (botocore ``cloudformation/2010-05-15``)."""

from __future__ import annotations

from weft.api.cloudformation.engine import Stacks
from weft.api.cloudformation.proposing import Proposing
from weft.api.cloudformation.reading import Reading
from weft.api.cloudformation.writing import Writing
from weft.api.surfaces import Protocol, Surface

MAX_BODY_BYTES = 4 * 1024 * 1024
"""A template of 1 MiB, percent-encoded."""


def surface(engine: Stacks) -> Surface:
    return Surface(
        service="cloudformation",
        protocol=Protocol.QUERY,
        operations={
            **Reading(engine).operations(),
            **Writing(engine).operations(),
            **Proposing(engine).operations(),
        },
        version="2010-05-15",
        namespace="http://cloudformation.amazonaws.com/doc/2010-05-15/",
        most_bytes=MAX_BODY_BYTES,
    )
