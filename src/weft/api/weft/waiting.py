"""Long waits that end early: when the client has left, or the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from weft.api.exchange import Call
from weft.errors import Unavailable, WeftError

T = TypeVar("T")


async def unless_over(call: Call, stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``; Unavailable when nobody is there for it any more."""
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(_caught(work))
        ends = [tasks.create_task(stopping.wait()), tasks.create_task(call.gone())]
        await asyncio.wait([working, *ends], return_when=asyncio.FIRST_COMPLETED)
        for task in (working, *ends):
            task.cancel()
    if working.cancelled():
        raise Unavailable(
            "the control plane is stopping" if stopping.is_set() else "the client has left"
        )
    result = working.result()
    if isinstance(result, WeftError):
        raise result
    return result


async def _caught(work: Awaitable[T]) -> T | WeftError:
    # Raised in the task, it would come out of the group as a group of one.
    try:
        return await work
    except WeftError as error:
        return error
