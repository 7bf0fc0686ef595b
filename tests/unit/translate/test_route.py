"""Route configurations: joined from bytes, and no different for it."""

from __future__ import annotations

from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import discovery_pb2

from weft.ir import route as ir
from weft.translate import route


def test_a_configuration_joined_from_its_hosts_is_what_protobuf_would_have_written() -> None:
    hosts = tuple(
        ir.VirtualHost(name, (name, f"{name}:80"), (ir.Route("r", ir.RequestMatch(), TO_A),))
        for name in ("a.local", "b.local")
    )
    encoded = route.encoded(ir.RouteConfiguration("rds", hosts))

    (told,) = discovery_pb2.DeltaDiscoveryResponse.FromString(encoded.delta).resources
    message = route_pb2.RouteConfiguration()
    assert told.resource.Unpack(message)
    assert [host.name for host in message.virtual_hosts] == ["a.local", "b.local"]
    assert told.resource.value == message.SerializeToString(deterministic=True)


def test_both_protocols_carry_the_same_resource() -> None:
    encoded = route.encoded(ir.RouteConfiguration("rds", ()))

    (delta,) = discovery_pb2.DeltaDiscoveryResponse.FromString(encoded.delta).resources
    (sotw,) = discovery_pb2.DiscoveryResponse.FromString(encoded.sotw).resources
    assert (delta.name, delta.version) == ("rds", encoded.version)
    assert sotw == delta.resource


TO_A = ir.Forward((ir.Target("a"),))
