"""The virtual service: the name clients call, and who answers for it."""

from __future__ import annotations

from typing import Annotated

from weft.model.schema import Model, OneOf, ResourceName


class VirtualNodeProvider(Model):
    virtual_node_name: ResourceName


class VirtualRouterProvider(Model):
    virtual_router_name: ResourceName


class ByVirtualNode(Model):
    virtual_node: VirtualNodeProvider


class ByVirtualRouter(Model):
    virtual_router: VirtualRouterProvider


Provider = Annotated[ByVirtualNode | ByVirtualRouter, OneOf()]


class VirtualServiceSpec(Model):
    """Without a provider the service exists and answers nobody."""

    provider: Provider | None = None
