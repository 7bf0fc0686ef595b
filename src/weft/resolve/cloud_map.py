"""Virtual nodes that are discovered by Cloud Map: which of its instances, and at which addresses."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from weft.ir.cluster import IpPreference
from weft.ir.proxy import Note
from weft.model import cloud_map
from weft.model.cloud_map import IPV4, IPV6, Instance, Wanted
from weft.model.virtual_node import ByCloudMap, CloudMapDiscovery, VirtualNodeSpec
from weft.names import Key
from weft.resolve.reading import Reading

_FAMILIES = {
    IpPreference.UNSET: (IPV4, IPV6),
    IpPreference.IPV4_PREFERRED: (IPV4, IPV6),
    IpPreference.IPV6_PREFERRED: (IPV6, IPV4),
    IpPreference.IPV4_ONLY: (IPV4,),
    IpPreference.IPV6_ONLY: (IPV6,),
    IpPreference.EITHER: (IPV4, IPV6),
}
"""Which of an instance's addresses is used: the first that it has."""


REGION, ZONE = "REGION", "AVAILABILITY_ZONE"
"""Attributes that Amazon ECS and App Mesh's Kubernetes controller give their instances."""

Place = tuple[str, str]
"""Region and zone; empty where nothing was said."""


def addresses(
    reading: Reading,
    asked: CloudMapDiscovery,
    port: int,
    preference: IpPreference,
    wanted: Wanted = Wanted.HEALTHY_OR_ELSE_ALL,
) -> Iterator[tuple[str, Place]]:
    """Where a listener of the virtual node is served, as ``host:port``, and in which zone."""
    registered = reading.part(instances, asked.namespace_name, asked.service_name)
    query = {each.key: each.value for each in asked.attributes or ()}
    for instance in cloud_map.discovered(registered or (), wanted, query):
        if address := address_of(instance, port, preference):
            attributes = instance.attributes
            yield address, (attributes.get(REGION, ""), attributes.get(ZONE, ""))


def instances(reading: Reading, namespace: str, service: str) -> tuple[Instance, ...] | None:
    """All instances of a service, by id; None where there is no such service."""
    id = cloud_map.id_behind(reading, namespace, service)
    if id is None:
        return None
    found = reading.documents(cloud_map.instances_of(id))
    return tuple(Instance.of(id, found[id]) for id in sorted(found))


def notes(reading: Reading, key: Key, spec: VirtualNodeSpec) -> tuple[Note, ...]:
    """What keeps a virtual node from being found."""
    match spec.service_discovery:
        case ByCloudMap(aws_cloud_map=asked):
            if cloud_map.id_behind(reading, asked.namespace_name, asked.service_name) is None:
                return (
                    Note(
                        f"{key} serviceDiscovery.awsCloudMap",
                        f"Cloud Map has no service {asked.service_name!r} in a namespace "
                        f"{asked.namespace_name!r}; the virtual node has no endpoints",
                    ),
                )
        case _:
            pass
    return ()


def address_of(instance: Instance, port: int, preference: IpPreference) -> str | None:
    if instance.has_addresses:
        own = instance.address(port)
        return own if own and _is_wanted(own, preference) else None
    for name in _FAMILIES[preference]:
        if host := instance.attributes.get(name):
            return f"[{host}]:{port}" if name == IPV6 else f"{host}:{port}"
    return None


def _is_wanted(address: str, preference: IpPreference) -> bool:
    """A replica says one address: it is left out only where its family must not be used."""
    try:
        version = ip_address(address.rpartition(":")[0].strip("[]")).version
    except ValueError:
        return False
    return (IPV4 if version == 4 else IPV6) in _FAMILIES[preference]
