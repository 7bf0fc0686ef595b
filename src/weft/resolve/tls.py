"""
TLS between proxies: what a listener takes, and how a caller reaches it.

Sources: app-mesh.md 3.8 (App Mesh's user guide, "TLS encryption" and "Mutual TLS"),
decisions 0026 and 0027. What cannot be done as it was asked for is closed and never
done in plain text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

from weft.ir import tls as ir
from weft.ir.cluster import Protocol
from weft.ir.listener import Chain, Close
from weft.ir.proxy import Note
from weft.ir.value import value
from weft.model import tls as model
from weft.model.virtual_node import ByCloudMap, ByDns, VirtualNodeSpec
from weft.resolve import secrets, specs
from weft.resolve.limits import sayable
from weft.resolve.reading import Reading
from weft.resolve.secrets import Sds

SILENCE = timedelta(milliseconds=250)
"""
How long a TCP client may be silent at a PERMISSIVE listener before it is taken as one
without TLS. Where the server speaks first, that is what such a client waits; one with
TLS speaks at once.
"""
_LONGEST_SERVER_NAME = 255

_ALPN = {
    Protocol.HTTP: ("http/1.1",),
    Protocol.HTTP2: ("h2",),
    Protocol.GRPC: ("h2",),
    Protocol.TCP: (),
}


# --- The side that is called ------------------------------------------------------------------


@value
class Taken:
    """What is taken at one listener: plain text, TLS, or either."""

    plain: bool = True
    tls: ir.ServerTls | None = None
    closed: str = ""
    """Why connections with TLS are closed, although they should be taken."""
    secrets: tuple[ir.Secret, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether each connection is asked how it begins."""
        return self.plain and (self.tls is not None or bool(self.closed))


def taken(
    reading: Reading, given: model.ListenerTls | None, protocol: Protocol, *, sds: Sds
) -> Taken:
    """What a listener with this TLS takes."""
    if given is None or given.mode == "DISABLED":
        return Taken()
    plain = given.mode == "PERMISSIVE"
    shown = secrets.certificate(reading, given.certificate, sds=sds)
    believed = secrets.NOTHING_ASKED
    if given.validation is not None:
        believed = secrets.trust(reading, given.validation.trust, sds=sds)
    if why := shown.lacks or believed.lacks:
        return Taken(plain, closed=why)
    assert shown.source is not None, "what lacks nothing has a source"
    validation = None
    if given.validation is not None and believed.source is not None:
        validation = ir.Validation(
            believed.source, _subjects(given.validation.subject_alternative_names)
        )
    return Taken(
        plain,
        ir.ServerTls(
            shown.source,
            _ALPN[protocol],
            validation,
            # Where plain text is let in, so is TLS without a certificate (decision 0026).
            client_certificate_required=validation is not None and not plain,
        ),
        secrets=(*shown.secrets, *believed.secrets),
        remarks=believed.remarks,
    )


def notes(place: str, how: Taken) -> Iterator[Note]:
    """What the operator should know of a listener's TLS."""
    if how.closed:
        yield Note(place, f"connections with TLS are closed: {how.closed}")
    for remark in how.remarks:
        yield Note(place, remark)


def chains(chain: Chain, how: Taken) -> tuple[Chain, ...]:
    """The filter chains that one listener becomes."""
    with_tls = replace(chain, action=Close()) if how.closed else replace(chain, tls=how.tls)
    if not how.asks:
        return (with_tls,)
    asked = replace(with_tls.match, begins_with_tls=True)
    return (replace(with_tls, name=f"{chain.name}_tls", match=asked), chain)


def patience(protocols: Iterable[Protocol]) -> timedelta | None:
    """How long clients of listeners that take either may be silent; None: as long as usual."""
    return SILENCE if Protocol.TCP in protocols else None


# --- The side that calls ----------------------------------------------------------------------


@value
class Policy:
    """A client policy, as it was written."""

    tls: model.ClientTls


@value
class Caller:
    """What its own definition says of how a proxy calls others."""

    default: Policy | None = None
    own: tuple[tuple[str, Policy | None], ...] = ()
    """By virtual service: these replace the default, also by none."""
    sds: Sds = Sds.BESIDE

    def policy(self, service: str) -> Policy | None:
        """The policy for calls of a virtual service."""
        return dict(self.own).get(service, self.default)


NO_POLICY = Caller()


def policy(given: model.ClientPolicy | None) -> Policy | None:
    return Policy(given.tls) if given is not None and given.tls is not None else None


def default_policy(given: model.BackendDefaults | None) -> Policy | None:
    return policy(given.client_policy) if given is not None else None


@value
class Spoken:
    """How one listener of a virtual node is called under one policy."""

    tls: ir.ClientTls | None = None
    closed: str = ""
    """Why it is not called at all."""
    secrets: tuple[ir.Secret, ...] = ()
    remarks: tuple[str, ...] = ()


PLAIN = Spoken()


def spoken(
    reading: Reading, mesh: str, node: str, port: int, asked: Policy | None, sds: Sds
) -> Spoken:
    """
    How a virtual node's listener is called: the same for all callers with the same policy.

    The policy counts at its ports; elsewhere, and without any, the listener decides.
    """
    spec = specs.virtual_node(reading, mesh, node) or VirtualNodeSpec()
    listener = spec.listener(port)
    if listener is None:
        return PLAIN
    protocol = Protocol(listener.port_mapping.protocol)
    name = discovery_name(spec)
    offered = listener.tls if listener.tls and listener.tls.mode != "DISABLED" else None
    given = asked.tls if asked is not None and concerns(asked.tls, port) else None
    if given is None:
        return PLAIN if offered is None else _unasked(reading, offered, name, protocol)
    if offered is None and given.enforce is False:
        return PLAIN
    return _as_asked(reading, given, name, protocol, sds=sds)


def concerns(given: model.ClientTls, port: int) -> bool:
    """Whether a client policy counts at a port of its target."""
    return not given.ports or port in given.ports


def discovery_name(spec: VirtualNodeSpec) -> str:
    """The name by which a virtual node is found, which its certificate should be for."""
    match spec.service_discovery:
        case ByDns(dns=dns):
            return dns.hostname
        case ByCloudMap(aws_cloud_map=found):
            return f"{found.service_name}.{found.namespace_name}"
        case None:
            return ""


def _as_asked(
    reading: Reading, given: model.ClientTls, name: str, protocol: Protocol, *, sds: Sds
) -> Spoken:
    believed = secrets.trust(reading, given.validation.trust, sds=sds)
    shown = secrets.NOTHING_ASKED
    if given.certificate is not None:
        shown = secrets.certificate(reading, given.certificate, sds=sds)
    if why := believed.lacks or shown.lacks:
        return Spoken(closed=why)
    assert believed.source is not None, "what lacks nothing has a source"
    asked = given.validation.subject_alternative_names
    if asked is not None:
        subjects = _subjects(asked)
    else:
        subjects = (_subject(name),) if name and sayable(name) else ()
    return Spoken(
        ir.ClientTls(
            _server_name(name),
            _ALPN[protocol],
            shown.source,
            ir.Validation(believed.source, subjects),
        ),
        secrets=(*believed.secrets, *shown.secrets),
        remarks=believed.remarks,
    )


def _unasked(reading: Reading, offered: model.ListenerTls, name: str, protocol: Protocol) -> Spoken:
    """TLS because the listener has it: only a certificate by ARN says whom to believe."""
    believed = secrets.NOTHING_ASKED
    if isinstance(offered.certificate, model.AcmListenerCertificate):
        believed = secrets.trust_in(reading, offered.certificate.acm.certificate_arn)
        if believed.lacks:
            return Spoken(closed=believed.lacks)
    validation = ir.Validation(believed.source) if believed.source else None
    return Spoken(
        ir.ClientTls(_server_name(name), _ALPN[protocol], None, validation),
        secrets=believed.secrets,
    )


def _server_name(name: str) -> str:
    """As the server may be told; an address is no server name (RFC 6066, section 3)."""
    host = name.rstrip(".")
    if not sayable(host) or len(host.encode()) > _LONGEST_SERVER_NAME:
        return ""
    return "" if _is_address(host) else host


def _subjects(given: model.SubjectAlternativeNames | None) -> tuple[ir.SubjectName, ...]:
    return tuple(map(_subject, given.match.exact)) if given is not None else ()


def _subject(text: str) -> ir.SubjectName:
    if _is_address(text):
        return ir.SubjectName(text, ir.NameKind.IP)
    if ":" in text:
        return ir.SubjectName(text, ir.NameKind.URI)
    if text.startswith("*."):
        return ir.SubjectName(text[2:].rstrip("."), any_label=True)
    return ir.SubjectName(text.rstrip("."))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
