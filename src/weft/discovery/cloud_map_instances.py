"""Which attributes an instance may have in its service (pure)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from weft.discovery.registry import MAX_LEASE_SECONDS, MIN_LEASE_SECONDS
from weft.errors import Problem
from weft.model import cloud_map, cloud_map_requests
from weft.model.cloud_map import ALIAS, CNAME, EC2, INIT_HEALTH, IPV4, IPV6, LEASE, PORT, Service

_OWN = (IPV4, IPV6, PORT, CNAME)


def attribute_problems(service: Service, attributes: Mapping[str, str]) -> Iterator[Problem]:
    """Every rule that an instance's attributes break."""
    yield from cloud_map_requests.attribute_problems(attributes)
    yield from _values(attributes)
    yield from _for_records(service, attributes)
    yield from _alias(service, attributes)
    if EC2 in attributes:
        yield _problem(EC2, f"names a machine that is not known here; give {IPV4} in its place")
    if INIT_HEALTH in attributes and service.health_check_custom_config is None:
        yield _problem(INIT_HEALTH, "needs a service with HealthCheckCustomConfig")


def _values(attributes: Mapping[str, str]) -> Iterator[Problem]:
    for name, wanted, reads in (
        (IPV4, "an IPv4 address", _is_ipv4),
        (IPV6, "an IPv6 address", _is_ipv6),
        (PORT, "a port, 1 to 65535", _is_port),
        (INIT_HEALTH, "HEALTHY or UNHEALTHY", lambda text: text in ("HEALTHY", "UNHEALTHY")),
        (
            LEASE,
            f"a number of seconds from {MIN_LEASE_SECONDS:g} to {MAX_LEASE_SECONDS:g}",
            _is_lease,
        ),
    ):
        value = attributes.get(name)
        if value is not None and not reads(value):
            yield _problem(name, f"must be {wanted}, not {value[:40]!r}")
    for name, value in attributes.items():
        if name.startswith(cloud_map.ADDRESS):
            if not _is_port(name.removeprefix(cloud_map.ADDRESS)):
                yield _problem(name, "must end with a listener's port, 1 to 65535")
            host, _, port = value.rpartition(":")
            address = host.removeprefix("[").removesuffix("]")
            if not _is_port(port) or not (_is_ipv4(address) or _is_ipv6(address)):
                yield _problem(name, "must be ip:port, as in 127.0.0.1:8080")


def _for_records(service: Service, attributes: Mapping[str, str]) -> Iterator[Problem]:
    """A DNS record needs the attribute it is made from."""
    if ALIAS in attributes:
        return
    types = service.record_types
    for type, name in (("A", IPV4), ("AAAA", IPV6), ("CNAME", CNAME), ("SRV", PORT)):
        if type in types and name not in attributes:
            yield _problem(name, f"is missing; service {service.name} has a record of type {type}")
    if "SRV" in types and IPV4 not in attributes and IPV6 not in attributes:
        yield _problem(IPV4, f"or {IPV6} is missing; an SRV record leads to an address")


def _alias(service: Service, attributes: Mapping[str, str]) -> Iterator[Problem]:
    if ALIAS not in attributes:
        return
    if beside := [name for name in _OWN if name in attributes]:
        yield _problem(ALIAS, f"excludes {', '.join(beside)}")
    policy = (service.dns_config or {}).get("RoutingPolicy")
    if policy != "WEIGHTED" or not service.record_types & {"A", "AAAA"}:
        yield _problem(ALIAS, "needs a service with an A or AAAA record and policy WEIGHTED")
    if service.health_check_config is not None:
        yield _problem(ALIAS, "cannot be used with HealthCheckConfig")


def _problem(name: str, message: str) -> Problem:
    return Problem(f"Attributes.{name}", message)


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return "%" not in text


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= 65535


def _is_lease(text: str) -> bool:
    try:
        seconds = float(text)
    except ValueError:
        return False
    return math.isfinite(seconds) and MIN_LEASE_SECONDS <= seconds <= MAX_LEASE_SECONDS
