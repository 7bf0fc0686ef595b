"""
Renewal: what is due when (pure), and the worker that does it.

A certificate is due 60 days before its end, or in the last third of a shorter life; at
once, when its authority signs with another key than the one that signed it. An authority
that is due changes its key in the steps of ``kept.Phase``, each a revision, and each
step rests on what stands in the store: a restart goes on where the last process ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from weft.errors import WeftError
from weft.identity import ca
from weft.identity.certificates import Certificates
from weft.identity.kept import moment
from weft.model.certificate import AUTHORITIES, CERTIFICATES
from weft.store.change import Author
from weft.store.document import KEY_ID, Document
from weft.store.state import MeshState
from weft.store.store import Store

log = structlog.get_logger(__name__)

_AUTHOR = Author("weft", "rotation")
_TICK_SECONDS = 0.5
_AGAIN_FIRST = timedelta(seconds=15)
_AGAIN_AT_MOST = timedelta(hours=1)
SETTLING = timedelta(seconds=60)
"""After a start: the time that proxies have to come back before they count as gone."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A renewal that did not work, and is tried again."""

    reason: str
    since: datetime
    attempts: int
    again: datetime


def renewal_of(document: Document) -> datetime:
    """When the renewal of a certificate or authority falls due by its lifetime."""
    return ca.renewed_from(moment(document["notBefore"]), moment(document["notAfter"]))


def due_certificate(document: Document, authority: Document | None, now: datetime) -> bool:
    """Whether a certificate (with its private key) is to be renewed now; no imported one ever is."""
    if document["authorityArn"] is None:
        return False
    if not document.get("privateKey"):
        return True
    if authority is None:
        return now >= renewal_of(document)
    if document["issuerKeyId"] != authority[KEY_ID]:
        return True
    # A certificate never outlives its authority: renewing it would change nothing.
    longer = moment(authority["notAfter"]) - moment(document["notAfter"]) > timedelta(seconds=1)
    return longer and now >= renewal_of(document)


def due_authority(document: Document, now: datetime) -> bool:
    """Whether an authority is to change its key now; one that was imported never is."""
    return (
        document["origin"] == "created"
        and document["phase"] is None
        and now >= renewal_of(document)
    )


class Rotation:
    """Renews what is due until cancelled."""

    def __init__(
        self,
        store: Store,
        certificates: Certificates,
        accepted: Callable[[int], bool],
        settling: timedelta = SETTLING,
    ) -> None:
        self._store = store
        self._certificates = certificates
        self._accepted = accepted
        """Whether every proxy has accepted a revision."""
        self._clock = certificates.clock
        self._from = self._clock.monotonic() + settling.total_seconds()
        self._bars: dict[str, tuple[str, int]] = {}
        """The phase of each authority that changes its key, and the revision to be accepted for it."""
        self._failures: dict[str, Failure] = {}
        self._idle: tuple[object, object, datetime] | None = None
        """Until when nothing is due, as long as these are the documents."""

    @property
    def failures(self) -> Mapping[str, Failure]:
        """What could not be renewed, by ARN, and is tried again."""
        return self._failures

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await self.renew_due()
            await asyncio.sleep(_TICK_SECONDS)

    async def renew_due(self) -> int:
        """Do everything that is due now; how many steps that were."""
        state, now = self._store.state, self._clock.now()
        authorities = state.collection(AUTHORITIES)
        certificates = state.collection(CERTIFICATES)
        done = await self._roll_over(now)
        if self._is_idle(certificates, authorities, now):
            return done
        self._idle = None
        for arn, document in authorities.items():
            if due_authority(document, now):
                done += await self._try(
                    arn, now, partial(self._certificates.authorities.begin, arn, _AUTHOR)
                )
        for arn, document in certificates.items():
            authority = authorities.get(document["authorityArn"] or "")
            if due_certificate(document, authority, now):
                done += await self._try(arn, now, partial(self._certificates.renew, arn, _AUTHOR))
        if not done and not self._failures:
            documents = [*certificates.values(), *authorities.values()]
            due = [at for at in map(renewal_of, documents) if at > now]
            self._idle = (
                certificates,
                authorities,
                min(due, default=datetime.max.replace(tzinfo=UTC)),
            )
        for gone in [arn for arn in self._failures if not _stands(self._store.state, arn)]:
            del self._failures[gone]
        return done

    def _is_idle(self, certificates: object, authorities: object, now: datetime) -> bool:
        match self._idle:
            case (known, of, until):
                return known is certificates and of is authorities and now < until
            case _:
                return False

    async def _roll_over(self, now: datetime) -> int:
        """Take each authority that changes its key a step further, if everybody is so far."""
        state = self._store.state
        changing = {
            arn: document["phase"]
            for arn, document in state.collection(AUTHORITIES).items()
            if document["phase"] is not None
        }
        self._bars = {arn: bar for arn, bar in self._bars.items() if arn in changing}
        done = 0
        for arn, phase in changing.items():
            if phase == "moving" and _to_move(state, arn):
                self._bars.pop(arn, None)
                continue
            known, bar = self._bars.get(arn, ("", 0))
            if known != phase:
                # Whatever stands when we first see the phase belongs to it, or came before it.
                self._bars[arn] = phase, bar = phase, state.revision
            if not self._everybody(bar):
                continue
            authorities = self._certificates.authorities
            step = authorities.promote if phase == "trusting" else authorities.end
            done += await self._try(arn, now, partial(step, arn, _AUTHOR))
        return done

    def _everybody(self, revision: int) -> bool:
        return self._clock.monotonic() >= self._from and self._accepted(revision)

    async def _try(self, arn: str, now: datetime, step: Callable[[], Awaitable[object]]) -> int:
        before = self._failures.get(arn)
        if before is not None and now < before.again:
            return 0
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - one that fails must not keep others from it
            reason = (
                error.message
                if isinstance(error, WeftError)
                else f"{type(error).__name__}: {error}"
            )
            attempts = before.attempts + 1 if before else 1
            wait = min(_AGAIN_FIRST * 2 ** min(attempts - 1, 10), _AGAIN_AT_MOST)
            since = before.since if before else now
            self._failures[arn] = Failure(reason, since, attempts, now + wait)
            log.warning("renewal failed", arn=arn, reason=reason, attempts=attempts)
            return 0
        self._failures.pop(arn, None)
        log.info("renewed", arn=arn)
        return 1


def _to_move(state: MeshState, authority: str) -> bool:
    """Whether certificates are left that the authority's former key signed."""
    key = (state.document(AUTHORITIES, authority) or {}).get(KEY_ID)
    return any(
        each["issuerKeyId"] != key
        for each in state.collection(CERTIFICATES).values()
        if each["authorityArn"] == authority
    )


def _stands(state: MeshState, arn: str) -> bool:
    return any(state.document(each, arn) is not None for each in (CERTIFICATES, AUTHORITIES))
