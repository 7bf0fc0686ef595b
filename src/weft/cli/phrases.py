"""Specs in words: what a route matches, where it leads, what a node listens to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PROTOCOLS = {"httpRoute": "http", "http2Route": "http2", "grpcRoute": "grpc", "tcpRoute": "tcp"}


def route_of(spec: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The protocol of a route (or gateway route) and its body."""
    for member, protocol in PROTOCOLS.items():
        if isinstance(body := spec.get(member), Mapping):
            return protocol, body
    return "", {}


def targets_of(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    _, body = route_of(spec)
    targets: list[Mapping[str, Any]] = body.get("action", {}).get("weightedTargets", [])
    return targets


def match_of(spec: Mapping[str, Any]) -> str:
    """``GET prefix /api header canary = 1``; ``everything`` where nothing narrows it."""
    protocol, body = route_of(spec)
    match = body.get("match") or {}
    words = list(_grpc_words(match) if protocol == "grpc" else _http_words(match))
    if "port" in match:
        words.append(f"port {match['port']}")
    return " ".join(words) or "everything"


def _http_words(match: Mapping[str, Any]) -> Iterator[str]:
    if method := match.get("method"):
        yield str(method)
    if scheme := match.get("scheme"):
        yield str(scheme)
    if (prefix := match.get("prefix")) is not None:
        yield f"prefix {prefix}"
    for how, value in (match.get("path") or {}).items():
        yield f"path {'~ ' if how == 'regex' else ''}{value}"
    for header in match.get("headers") or ():
        yield "header " + _condition(header)
    for parameter in match.get("queryParameters") or ():
        yield "query " + _condition(parameter)
    hostname = match.get("hostname") or {}
    if value := hostname.get("exact"):
        yield f"host {value}"
    if value := hostname.get("suffix"):
        yield f"host *{value}"


def _grpc_words(match: Mapping[str, Any]) -> Iterator[str]:
    if service := match.get("serviceName"):
        yield f"service {service}"
    if method := match.get("methodName"):
        yield f"method {method}"
    for entry in match.get("metadata") or ():
        yield "metadata " + _condition(entry)


def _condition(entry: Mapping[str, Any]) -> str:
    name, match = entry.get("name", "?"), entry.get("match") or {}
    negated = bool(entry.get("invert"))
    for how, value in match.items():
        match how:
            case "exact":
                return f"{name} {'!=' if negated else '='} {value}"
            case "regex":
                return f"{name} {'!~' if negated else '~'} {value}"
            case "range":
                words = f"in {value.get('start')}..{value.get('end')}"
            case "prefix":
                words = f"starts with {value}"
            case _:
                words = f"ends with {value}"
        return f"{name} {'not ' if negated else ''}{words}"
    return f"{name} {'absent' if negated else 'present'}"


def percent(part: float, whole: float) -> str:
    """``33 %``; one decimal where the whole number would not tell the truth."""
    if not whole:
        return "0 %"
    share = 100 * part / whole
    if abs(share - round(share)) < 0.05:
        return f"{share:.0f} %"
    return f"{share:.1f} %"


def targets_in_words(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """``white 1 (33.3 %)`` for each target."""
    targets = targets_of(spec)
    total = sum(target.get("weight", 0) for target in targets)
    words = []
    for target in targets:
        name, weight = target.get("virtualNode", "?"), target.get("weight", 0)
        port = f":{target['port']}" if "port" in target else ""
        share = "" if total == 100 else f" ({percent(weight, total)})"
        words.append(f"{name}{port} {weight}{' %' if total == 100 else ''}{share}")
    return tuple(words)


def listeners_of(spec: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Port and protocol of every listener."""
    mappings = [each.get("portMapping", {}) for each in spec.get("listeners") or ()]
    return [(each.get("port", 0), each.get("protocol", "")) for each in mappings]


def listeners_in_words(spec: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{port}/{protocol}" for port, protocol in listeners_of(spec))


def discovery_of(spec: Mapping[str, Any]) -> str:
    discovery = spec.get("serviceDiscovery") or {}
    if dns := discovery.get("dns"):
        return f"dns {dns.get('hostname', '?')}"
    if cloud_map := discovery.get("awsCloudMap"):
        return f"cloud map {cloud_map.get('serviceName')}.{cloud_map.get('namespaceName')}"
    return "none"


def backends_of(spec: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        each.get("virtualService", {}).get("virtualServiceName", "?")
        for each in spec.get("backends") or ()
    )


def provider_of(spec: Mapping[str, Any]) -> str:
    provider = spec.get("provider") or {}
    if router := provider.get("virtualRouter"):
        return f"router {router.get('virtualRouterName')}"
    if node := provider.get("virtualNode"):
        return f"node {node.get('virtualNodeName')}"
    return "none"


def gateway_target_of(spec: Mapping[str, Any]) -> str:
    _, body = route_of(spec)
    service = body.get("action", {}).get("target", {}).get("virtualService", {})
    return str(service.get("virtualServiceName", ""))


def egress_of(spec: Mapping[str, Any]) -> str:
    return str((spec.get("egressFilter") or {}).get("type", "DROP_ALL"))
