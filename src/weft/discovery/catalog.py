"""Cloud Map while it runs: makes changes, remembers operations, lets leases expire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from weft.clock import Clock
from weft.discovery import cloud_map
from weft.discovery.cloud_map import Plan
from weft.discovery.operations import Operation, Operations, OperationType, Target
from weft.errors import WeftError
from weft.model import cloud_map_requests as requests
from weft.model.cloud_map import Health, Instance, Namespace, NamespaceType, Service
from weft.store.change import Author, Keep
from weft.store.cloud_map import forget_instance, new_id
from weft.store.document import milliseconds
from weft.store.state import MeshState
from weft.store.store import Store

log = structlog.get_logger(__name__)

T = TypeVar("T")

_AUTHOR = Author("weft", "cloud map")
_TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What a change left behind, and the revision that has it."""

    value: T
    revision: int
    operation: Operation | None = None


class Catalog:
    """
    The one that writes Cloud Map's documents.

    A lease that was given before this process started runs for its full length
    from the start, as in the registry.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.operations = Operations(clock)
        self._store = store
        self._clock = clock
        self._ends: dict[tuple[str, str], float] = {}
        """When the lease of an instance ends, by service and instance id."""
        for service in cloud_map.services(store.state):
            for instance in cloud_map.instances(store.state, service):
                self._renew(service.id, instance)

    @property
    def state(self) -> MeshState:
        return self._store.state

    # --- namespaces ---

    async def create_namespace(
        self, asked: requests.CreateNamespace, author: Author
    ) -> Done[Namespace]:
        id, now = new_id("ns", self._clock.uid()), milliseconds(self._clock.now())
        done = await self._do(
            lambda state: cloud_map.create_namespace(state, asked, id, now),
            author,
            f"namespace {asked.name} created",
        )
        targets = {Target.NAMESPACE: done.value.id}
        operation = None
        if done.value.id != id:
            operation = self.operations.of(
                OperationType.CREATE_NAMESPACE, Target.NAMESPACE, done.value.id
            )
        return self._noted(done, OperationType.CREATE_NAMESPACE, targets, operation)

    async def update_namespace(
        self,
        asked: requests.UpdateHttpNamespace | requests.UpdateDnsNamespace,
        type: NamespaceType,
        author: Author,
    ) -> Done[Namespace]:
        done = await self._do(
            lambda state: cloud_map.update_namespace(state, asked, type),
            author,
            f"namespace {asked.id} updated",
        )
        return self._noted(done, OperationType.UPDATE_NAMESPACE, {Target.NAMESPACE: done.value.id})

    async def delete_namespace(self, id: str, author: Author) -> Done[Namespace]:
        done = await self._do(
            lambda state: cloud_map.delete_namespace(state, id), author, f"namespace {id} deleted"
        )
        return self._noted(done, OperationType.DELETE_NAMESPACE, {Target.NAMESPACE: done.value.id})

    # --- services ---

    async def create_service(self, asked: requests.CreateService, author: Author) -> Done[Service]:
        id, now = new_id("srv", self._clock.uid()), milliseconds(self._clock.now())
        return await self._do(
            lambda state: cloud_map.create_service(state, asked, id, now),
            author,
            f"service {asked.name} created",
        )

    async def update_service(self, asked: requests.UpdateService, author: Author) -> Done[Service]:
        done = await self._do(
            lambda state: cloud_map.update_service(state, asked),
            author,
            f"service {asked.id} updated",
        )
        return self._noted(done, OperationType.UPDATE_SERVICE, {Target.SERVICE: done.value.id})

    async def delete_service(self, id: str, author: Author) -> Done[Service]:
        return await self._do(
            lambda state: cloud_map.delete_service(state, id), author, f"service {id} deleted"
        )

    async def update_service_attributes(
        self, asked: requests.UpdateServiceAttributes, author: Author
    ) -> Done[Service]:
        return await self._do(
            lambda state: cloud_map.update_service_attributes(
                state, asked.service_id, asked.attributes
            ),
            author,
            f"attributes of service {asked.service_id} set",
        )

    async def delete_service_attributes(
        self, asked: requests.DeleteServiceAttributes, author: Author
    ) -> Done[Service]:
        return await self._do(
            lambda state: cloud_map.delete_service_attributes(
                state, asked.service_id, asked.attributes
            ),
            author,
            f"attributes of service {asked.service_id} deleted",
        )

    # --- instances ---

    async def register(self, asked: requests.RegisterInstance, author: Author) -> Done[Instance]:
        """Put an instance in, or renew its lease; the same again makes no revision."""
        done = await self._do(
            lambda state: cloud_map.register_instance(state, asked),
            author,
            f"instance {asked.instance_id} registered",
        )
        service = cloud_map.id_of(asked.service_id)
        self._ends.pop((service, asked.instance_id), None)
        self._renew(service, done.value)
        targets = {Target.INSTANCE: asked.instance_id, Target.SERVICE: service}
        return self._noted(done, OperationType.REGISTER_INSTANCE, targets)

    async def deregister(self, asked: requests.OfInstance, author: Author) -> Done[Instance]:
        done = await self._do(
            lambda state: cloud_map.deregister_instance(state, asked.service_id, asked.instance_id),
            author,
            f"instance {asked.instance_id} deregistered",
        )
        service = cloud_map.id_of(asked.service_id)
        self._ends.pop((service, asked.instance_id), None)
        targets = {Target.INSTANCE: asked.instance_id, Target.SERVICE: service}
        return self._noted(done, OperationType.DEREGISTER_INSTANCE, targets)

    async def tell_health(
        self, asked: requests.UpdateInstanceCustomHealthStatus, author: Author
    ) -> Done[Instance]:
        """What somebody outside says of an instance; it renews its lease as well."""
        done = await self._do(
            lambda state: cloud_map.tell_health(
                state, asked.service_id, asked.instance_id, Health(asked.status)
            ),
            author,
            f"instance {asked.instance_id} is {asked.status}",
        )
        self._renew(cloud_map.id_of(asked.service_id), done.value)
        return done

    # --- tags ---

    async def tag(self, asked: requests.TagResource, author: Author) -> Done[Namespace | Service]:
        return await self._do(
            lambda state: cloud_map.tag(
                cloud_map.resource(state, asked.resource_arn), requests.pairs(asked.tags)
            ),
            author,
            f"{asked.resource_arn} tagged",
        )

    async def untag(
        self, asked: requests.UntagResource, author: Author
    ) -> Done[Namespace | Service]:
        return await self._do(
            lambda state: cloud_map.untag(
                cloud_map.resource(state, asked.resource_arn), asked.tag_keys
            ),
            author,
            f"{asked.resource_arn} untagged",
        )

    # --- leases ---

    async def expire(self) -> list[tuple[str, str]]:
        """Take out every instance whose lease has ended, as one revision."""
        now = self._clock.monotonic()
        ended = [lease for lease, end in self._ends.items() if end <= now]
        if not ended:
            return []

        def still_ended(state: MeshState) -> list[Keep]:
            # Renewed while the store was writing: it stays.
            return [
                step
                for service, id in ended
                if self._ends.get((service, id), now + 1) <= now
                for step in forget_instance(state, service, id)
            ]

        names = ", ".join(f"{service}/{id}" for service, id in ended)
        await self._store.decide(still_ended, _AUTHOR, note=f"lease expired: {names}")
        log.warning("lease expired", instances=names)
        for lease in ended:
            if self._ends.get(lease, now + 1) <= now:
                del self._ends[lease]
        return ended

    async def run(self) -> None:
        """Expire leases until cancelled."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                await self.expire()
            except WeftError as error:
                log.error("leases could not be expired", reason=error.message)  # noqa: TRY400

    def _renew(self, service: str, instance: Instance) -> None:
        if (seconds := instance.lease_seconds) is not None:
            self._ends[(service, instance.id)] = self._clock.monotonic() + seconds

    # --- the small things ---

    async def _do(self, plan: Callable[[MeshState], Plan[T]], author: Author, note: str) -> Done[T]:
        made: list[T] = []

        def decide(state: MeshState) -> tuple[Keep, ...]:
            planned = plan(state)
            made.append(planned.value)
            return planned.steps

        applied = await self._store.decide(decide, author, note=note)
        return Done(made[-1], applied.revision)

    def _noted(
        self,
        done: Done[T],
        type: OperationType,
        targets: Mapping[Target, str],
        known: Operation | None = None,
    ) -> Done[T]:
        operation = known or self.operations.note(type, targets)
        return Done(done.value, done.revision, operation)
