"""The sockets a proxy has said it uses, less those it cannot."""

from __future__ import annotations

from weft.ir.proxy import Note
from weft.names import Kind, Ports, View
from weft.resolve.limits import is_port, sayable

INGRESS = 15000
EGRESS = 15001


def redirected(view: View) -> Ports:
    """Transparent mode: the kernel decides; the egress port may be another, DNS is by UDP."""
    port, dns = view.ports.egress, view.ports.dns
    return Ports(
        egress=port if is_port(port) and port != INGRESS else EGRESS,
        dns=dns if is_port(dns) else 0,
    )


def usable(view: View) -> tuple[Ports, tuple[Note, ...]]:
    """Each socket once; Envoy would refuse a second listener on it, and all others with it."""
    notes: list[Note] = []
    taken: dict[int, str] = {}

    def take(socket: int, purpose: str) -> bool:
        if not is_port(socket):
            notes.append(Note(str(view.proxy), f"{socket} is no port: {purpose} is not served"))
            return False
        if socket in taken:
            notes.append(
                Note(
                    str(view.proxy),
                    f"socket {socket} is {taken[socket]}'s already: {purpose} is not served",
                )
            )
            return False
        taken[socket] = purpose
        return True

    given = view.ports
    egress = given.egress if take(given.egress, "egress") else 0
    # Behind a gateway's listener there is no workload.
    ends_here = view.proxy.kind is Kind.VIRTUAL_GATEWAY
    ingress = {
        each.listener: each
        for each in sorted(given.ingress, reverse=True)
        if ends_here or is_port(each.app)
    }
    backends = {
        (each.service, each.listener): each
        for each in sorted(given.backends, reverse=True)
        if sayable(each.service)
    }
    return (
        Ports(
            tuple(
                each
                for _, each in sorted(ingress.items())
                if take(each.socket, f"port {each.listener}")
            ),
            egress,
            tuple(
                each
                for _, each in sorted(backends.items())
                if take(each.socket, f"backend {each.service}:{each.listener}")
            ),
        ),
        tuple(notes),
    )
