"""
A proxy that counts under App Mesh's names, or traces: the same proxy, with that switched on.

It is made from what the proxy does anyway, part by part: what a thousand proxies share
in its plain form they share in this one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from weft.ir import cluster, listener, route
from weft.ir.listener import Direction, Measure, Metrics
from weft.ir.proxy import Proxy
from weft.names import Tracing, View, bare_name
from weft.resolve.reading import Reading

T = TypeVar("T")


def unobserved(view: View) -> View:
    """The view that has the same of everything else."""
    if not view.metrics and view.tracing is Tracing.OFF:
        return view
    return replace(view, metrics=False, tracing=Tracing.OFF)


def observed(reading: Reading, plain: Proxy, view: View) -> Proxy:
    """The proxy with the counting and the tracing that its view asks for."""
    labels = _labels(view) if view.metrics else ()

    def each(function: Callable[[Reading, T], T], values: Iterable[T]) -> tuple[T, ...]:
        return tuple(reading.part(function, value) for value in values)

    return replace(
        plain,
        listeners=tuple(
            reading.part(observed_listener, value, labels, view.tracing)
            for value in plain.listeners
        ),
        route_configurations=(
            each(labelled_routes, plain.route_configurations)
            if labels
            else plain.route_configurations
        ),
        clusters=each(labelled_cluster, plain.clusters) if labels else plain.clusters,
    )


def _labels(view: View) -> tuple[tuple[str, str], ...]:
    """App Mesh's dimensions of the proxy itself (user guide, "App Mesh metrics")."""
    proxy = view.proxy
    return (("Mesh", bare_name(proxy.mesh)), (proxy.kind.title, proxy.name))


def observed_listener(
    _: Reading, plain: listener.Listener, labels: tuple[tuple[str, str], ...], tracing: Tracing
) -> listener.Listener:
    """A listener whose filter chains count and trace."""
    metrics = None
    if labels:
        inbound = plain.direction is Direction.INBOUND
        metrics = Metrics(Measure.CALLERS if inbound else Measure.TARGETS, labels)

    def chain(value: listener.Chain) -> listener.Chain:
        match value.action:
            case listener.Http() as http:
                traced = replace(
                    http,
                    metrics=metrics,
                    traced=tracing is not Tracing.OFF,
                    decision_in_request_id=tracing is not Tracing.UNMARKED,
                )
                return replace(value, action=traced)
            case listener.Tcp(service=service) as tcp:
                # What leaves by a chain of no service passes through: not the mesh's traffic.
                ours = metrics if service or plain.direction is Direction.INBOUND else None
                return replace(value, action=replace(tcp, metrics=ours))
            case listener.Close():
                return value

    return replace(
        plain,
        chains=tuple(map(chain, plain.chains)),
        default_chain=None if plain.default_chain is None else chain(plain.default_chain),
        labelled=bool(labels),
    )


def labelled_routes(reading: Reading, plain: route.RouteConfiguration) -> route.RouteConfiguration:
    """Every virtual host with labels, each of them shared by all that have it."""
    hosts = tuple(reading.part(labelled_host, host) for host in plain.virtual_hosts)
    return replace(plain, virtual_hosts=hosts)


def labelled_host(_: Reading, plain: route.VirtualHost) -> route.VirtualHost:
    """A virtual host whose routes say which service they are of."""
    routes = tuple(replace(each, labelled=True) if each.service else each for each in plain.routes)
    return replace(plain, routes=routes)


def labelled_cluster(_: Reading, plain: cluster.Cluster) -> cluster.Cluster:
    """A cluster that says which virtual node it is of."""
    return replace(plain, labelled=True) if plain.node else plain
