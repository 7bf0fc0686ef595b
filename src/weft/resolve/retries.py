"""Retry policies: App Mesh's events in Envoy's words, and the policy nobody asked for."""

from __future__ import annotations

from dataclasses import replace

from weft.ir.route import After, Disabled, Retry, RetryOn, Timeout
from weft.model.virtual_router import GrpcRetryPolicy, HttpRetryPolicy
from weft.resolve.limits import LARGEST_COUNT
from weft.resolve.timeouts import timeout

DEFAULT = Retry(
    (
        RetryOn.RESET,
        RetryOn.CONNECT_FAILURE,
        RetryOn.REFUSED_STREAM,
        RetryOn.UNAVAILABLE,
        RetryOn.RETRIABLE_STATUS_CODES,
    ),
    limit=2,
    status_codes=(503,),
)
"""App Mesh's own, on every HTTP route without a policy ("Envoy defaults set by App Mesh")."""

_SERVER_ERRORS = (*range(500, 509), 510, 511)
_STATUS_CODES = {
    "server-error": _SERVER_ERRORS,
    "gateway-error": (502, 503, 504),
    "client-error": (409,),
}


def policy(given: HttpRetryPolicy | None) -> Retry:
    if given is None:
        return DEFAULT
    on: set[RetryOn] = set()
    status_codes: set[int] = set()
    for event in given.http_retry_events or ():
        status_codes.update(_STATUS_CODES.get(event, ()))
        if event in ("server-error", "gateway-error"):
            on.add(RetryOn.RESET)
        elif event == "stream-error":
            on.add(RetryOn.REFUSED_STREAM)
    if status_codes:
        on.add(RetryOn.RETRIABLE_STATUS_CODES)
    if given.tcp_retry_events:
        on.add(RetryOn.CONNECT_FAILURE)
    if isinstance(given, GrpcRetryPolicy):
        on.update(RetryOn(event) for event in given.grpc_retry_events or ())
    return Retry(
        tuple(event for event in RetryOn if event in on),
        limit=min(given.max_retries, LARGEST_COUNT),
        status_codes=tuple(sorted(status_codes)),
        per_try=_per_try(timeout(given.per_retry_timeout)),
    )


def elsewhere(given: Retry) -> Retry:
    """
    The same for a route that reroutes: what fails in flight goes to another target at once.

    Its number of retries stands, also where that is none.
    """
    if not given.limit:
        return given
    on = {
        *given.on,
        RetryOn.RESET,
        RetryOn.CONNECT_FAILURE,
        RetryOn.REFUSED_STREAM,
        RetryOn.RETRIABLE_STATUS_CODES,
    }
    return replace(
        given,
        on=tuple(event for event in RetryOn if event in on),
        # What the proxy of a workload that is gone answers for it.
        status_codes=tuple(sorted({*given.status_codes, 503})),
        elsewhere=True,
    )


def _per_try(given: Timeout) -> Timeout:
    return given if isinstance(given, After) else Disabled()
