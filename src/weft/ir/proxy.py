"""All that one view must do."""

from __future__ import annotations

from weft.ir.cluster import Assignment, Cluster
from weft.ir.listener import Listener
from weft.ir.names import NameServer
from weft.ir.route import RouteConfiguration
from weft.ir.tls import Secret
from weft.ir.value import value


@value
class Note:
    """Something the operator should know: what was asked for and could not be done."""

    path: str
    """The resource and the place in its definition."""
    message: str


@value
class Proxy:
    listeners: tuple[Listener, ...] = ()
    route_configurations: tuple[RouteConfiguration, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    notes: tuple[Note, ...] = ()
    name_servers: tuple[NameServer, ...] = ()
    secrets: tuple[Secret, ...] = ()
