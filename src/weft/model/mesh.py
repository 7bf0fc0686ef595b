"""The mesh: what leaves it, and which IP version it prefers."""

from __future__ import annotations

from typing import Literal

from weft.model.schema import Model

IpPreference = Literal["IPv6_PREFERRED", "IPv4_PREFERRED", "IPv4_ONLY", "IPv6_ONLY"]


class EgressFilter(Model):
    type: Literal["ALLOW_ALL", "DROP_ALL"]


class MeshServiceDiscovery(Model):
    ip_preference: IpPreference | None = None


class MeshSpec(Model):
    """Without an egress filter nothing but backends (and amazonaws.com) can be reached."""

    egress_filter: EgressFilter | None = None
    service_discovery: MeshServiceDiscovery | None = None

    @property
    def allows_all(self) -> bool:
        return self.egress_filter is not None and self.egress_filter.type == "ALLOW_ALL"
