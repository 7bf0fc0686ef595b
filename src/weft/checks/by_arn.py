"""Certificates and authorities by ARN: what definitions name and lack, and what does not fit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from weft.checks.certificates import Named, named
from weft.checks.finding import Area, Check, Found, Severity
from weft.checks.proxies import Live
from weft.checks.scope import Call, Mesh
from weft.identity.uses import AUTHORITY_ARN, CERTIFICATE_ARN
from weft.model.certificate import AUTHORITIES, CERTIFICATES
from weft.model.listener import Listener
from weft.model.tls import AcmListenerCertificate, AcmTrust, ClientTls
from weft.model.virtual_gateway import GatewayRouteSpec, HostExact, HostSuffix
from weft.model.virtual_node import VirtualNodeSpec
from weft.names import Kind
from weft.resolve.clusters import Target
from weft.resolve.tls import discovery_name
from weft.store.state import Document, MeshState

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


# --- What is lacking --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lacking:
    """An ARN that stands for nothing, and what would be right in its place."""

    arn: str
    authority: bool
    hosts: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    issuer: str | None = None
    """ARN of the authority that its clients trust; None: the control plane's own will do."""
    uses: tuple[Named, ...] = field(default=(), compare=False)

    @property
    def is_well_formed(self) -> bool:
        form = AUTHORITY_ARN if self.authority else CERTIFICATE_ARN
        return form.fullmatch(self.arn) is not None

    @property
    def command(self) -> str:
        """What an operator types to make it."""
        if self.authority:
            return f"weft cert authority create --arn {shlex.quote(self.arn)}"
        parts = ["weft cert issue", *map(shlex.quote, self.hosts)]
        parts += [f"--uri {shlex.quote(uri)}" for uri in self.uris]
        parts.append(f"--arn {shlex.quote(self.arn)}")
        if self.issuer is not None:
            parts.append(f"--authority {shlex.quote(self.issuer)}")
        return " ".join(parts)


def lacking(state: MeshState) -> list[Lacking]:
    """Everything that meshes name and is not there: authorities first, each once."""
    return lacking_in([Mesh(state, each.key.name) for each in state.children(None, Kind.MESH)])


def lacking_in(meshes: Sequence[Mesh]) -> list[Lacking]:
    """The same of some meshes."""
    there: dict[tuple[str, bool], list[Named]] = {}
    for mesh in meshes:
        for use in named(mesh):
            if mesh.state.document(use.collection, use.arn) is None:
                there.setdefault((use.arn, use.collection == AUTHORITIES), []).append(use)
    wanted = _wanted(meshes, {arn for arn, authority in there if not authority})
    found = []
    for (arn, authority), places in there.items():
        if authority:
            found.append(Lacking(arn, authority, uses=tuple(places)))
            continue
        hosts, issuer = wanted[arn]
        names = list(dict.fromkeys(hosts)) or [_fallback(places)]
        found.append(
            Lacking(
                arn,
                authority,
                tuple(each for each in names if ":" not in each),
                tuple(each for each in names if ":" in each),
                issuer,
                tuple(places),
            )
        )
    return sorted(found, key=lambda each: (not each.authority, each.arn))


def _wanted(meshes: Sequence[Mesh], arns: set[str]) -> dict[str, tuple[list[str], str | None]]:
    """The names that clients look for in certificates, and an authority that they trust."""
    if not arns:
        return {}
    names: dict[str, list[str]] = {arn: [] for arn in arns}
    issuers: dict[str, str] = {}
    for mesh in meshes:
        for key, _, listener in mesh.listeners:
            arn = _presented(listener)
            if arn in names and (name := _discovery_name(mesh, key.name)):
                names[arn].append(name)
        for name, gateway in mesh.gateways.items():
            for its in gateway.listeners:
                certificate = its.tls.certificate if its.tls else None
                if isinstance(certificate, AcmListenerCertificate):
                    arn = certificate.acm.certificate_arn
                    if arn in names:
                        names[arn] += _hosts_of_gateway(mesh, name)
        for call, _, listener in mesh.once(calls_by_arn):
            arn = _presented(listener)
            if arn not in names or call.tls is None:
                continue
            accepted = _accepted(call.tls)
            if accepted and not set(accepted) & set(names[arn]):
                names[arn].append(accepted[0])
            trust = call.tls.validation.trust
            if isinstance(trust, AcmTrust):
                issuers.setdefault(arn, trust.acm.certificate_authority_arns[0])
    return {arn: (names[arn], issuers.get(arn)) for arn in arns}


def calls_by_arn(mesh: Mesh) -> Iterator[tuple[Call, Target, Listener]]:
    """Each call with a policy, with each listener it may lead to that presents a certificate by ARN."""
    by_arn = {key.name for key, _, listener in mesh.listeners if _presented(listener)}
    if not by_arn:
        return
    for call in mesh.calls:
        if call.tls is None or call.service not in mesh.services:
            continue
        for target in mesh.targets(call.service):
            if target.node not in by_arn or (call.tls.ports and target.port not in call.tls.ports):
                continue
            listener = mesh.target_listener(target)
            if listener is not None and _presented(listener):
                yield call, target, listener


def _presented(listener: Listener) -> str:
    """The ARN of the certificate that a listener presents; empty without one."""
    tls = listener.tls
    if tls is None or tls.mode == "DISABLED":
        return ""
    certificate = tls.certificate
    return (
        certificate.acm.certificate_arn if isinstance(certificate, AcmListenerCertificate) else ""
    )


def _accepted(tls: ClientTls) -> tuple[str, ...]:
    """The names that a policy accepts; none: the one by which the target is found."""
    names = tls.validation.subject_alternative_names
    return tuple(names.match.exact) if names else ()


def _discovery_name(mesh: Mesh, node: str) -> str:
    return discovery_name(mesh.nodes.get(node) or VirtualNodeSpec()).rstrip(".")


def _hosts_of_gateway(mesh: Mesh, gateway: str) -> Iterator[str]:
    """The hosts that its routes are for: its clients ask for these."""
    for route in mesh.gateway_routes_of.get(gateway, ()):
        assert isinstance(route.spec, GatewayRouteSpec)
        match route.spec.route.match.hostname:
            case HostExact(exact=host):
                yield host
            case HostSuffix(suffix=suffix):
                yield f"*.{suffix.lstrip('*').lstrip('.')}"
            case None:
                pass


def _fallback(places: Iterable[Named]) -> str:
    """For want of anything better: what presents it."""
    name = next((each.key.name for each in places), "weft")
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.") or "weft"


def unknown(mesh: Mesh) -> Iterator[Found]:
    for each in lacking_in([mesh]):
        what = "certificate authority" if each.authority else "certificate"
        for use in each.uses:
            said = f"no {what} is known as {each.arn}"
            if each.is_well_formed:
                yield Found(use.key, use.path, said, f"{each.command}, or weft cert fill for all")
            else:
                form = (
                    "acm-pca:…:certificate-authority/ID"
                    if each.authority
                    else "acm:…:certificate/ID"
                )
                yield Found(use.key, use.path, said, f"write an ARN like arn:aws:{form}")


# --- What does not fit ------------------------------------------------------------------------


def other_names(mesh: Mesh) -> Iterator[Found]:
    for call, target, listener in mesh.once(calls_by_arn):
        arn = _presented(listener)
        document = mesh.state.document(CERTIFICATES, arn)
        if document is None or call.tls is None:
            continue
        looked_for = _accepted(call.tls) or (_discovery_name(mesh, target.node),)
        if not any(_covers(document, name) for name in looked_for):
            has = ", ".join([*document.get("hosts", ()), *document.get("uris", ())]) or "no name"
            yield Found(
                call.caller,
                call.path,
                f"it looks for {' or '.join(looked_for)} in the certificate of {target.node}, "
                f"and {arn} is for {has}",
            )


def other_authorities(mesh: Mesh) -> Iterator[Found]:
    for call, target, listener in mesh.once(calls_by_arn):
        document = mesh.state.document(CERTIFICATES, _presented(listener))
        trust = call.tls.validation.trust if call.tls else None
        if document is None or not isinstance(trust, AcmTrust):
            continue
        arns = trust.acm.certificate_authority_arns
        if document.get("authorityArn") in arns or not document.get("rootChain"):
            continue
        known = [mesh.state.document(AUTHORITIES, arn) for arn in arns]
        if None in known:
            continue  # The lack of it is said already.
        trusted = {pem for each in known if each for pem in _PEM.findall(each["certificateChain"])}
        if trusted.isdisjoint(_PEM.findall(document["rootChain"])):
            yield Found(
                call.caller,
                call.path,
                f"it trusts {', '.join(arns)}, and the certificate of {target.node} comes from "
                f"{document.get('authorityArn') or 'elsewhere'}",
            )


def _covers(document: Document, name: str) -> bool:
    """Whether a certificate is for a name: as clients look, exactly or by one label's wildcard."""
    names = [str(each).lower() for each in (*document.get("hosts", ()), *document.get("uris", ()))]
    looked = name.lower()
    return looked in names or f"*.{looked.partition('.')[2]}" in names


# --- What is held -----------------------------------------------------------------------------


def not_renewed(live: Live) -> Iterator[Found]:
    for arn, reason in sorted(live.observed.renewals.items()):
        yield Found(arn, "", f"its renewal failed, and is tried again: {reason}")


def without_key(mesh: Mesh) -> Iterator[Found]:
    for each in named(mesh):
        if each.collection == CERTIFICATES:
            document = mesh.state.document(CERTIFICATES, each.arn)
            if document is not None and not document.get("privateKey"):
                yield Found(each.key, each.path, f"the private key of {each.arn} is not here")


CHECKS: tuple[Check[Mesh], ...] = (
    Check(
        "WEFT-510",
        "A certificate is named that nobody knows",
        Severity.ERROR,
        "What should speak TLS with it is closed until it is there: it never falls back to plain "
        "text.",
        "Make or import it under this ARN with weft cert; weft cert fill makes all that is lacking.",
        unknown,
    ),
    Check(
        "WEFT-511",
        "A certificate is for other names than its clients look for",
        Severity.ERROR,
        "A client accepts the names of its policy, or else the one by which the virtual node is "
        "found; with none of them in the certificate the connection is closed in the handshake.",
        "Issue it anew for that name (weft cert issue --replace), or list its names in the policy.",
        other_names,
    ),
    Check(
        "WEFT-512",
        "A client trusts other authorities than the one a certificate comes from",
        Severity.ERROR,
        "The connection is closed in the handshake.",
        "Issue the certificate by an authority that the client trusts (weft cert issue --replace "
        "--authority), or add its authority to the policy.",
        other_authorities,
    ),
    Check(
        "WEFT-513",
        "A certificate has no private key",
        Severity.ERROR,
        "Its key was forgotten (weft cert forget-keys); listeners that present it are closed.",
        "weft cert rotate ARN; where its authority has no key either, weft cert authority rotate "
        "ARN first.",
        without_key,
    ),
)
OF_PROXIES: tuple[Check[Live], ...] = (
    Check(
        "WEFT-912",
        "A certificate or authority could not be renewed",
        Severity.WARNING,
        "What is in force stays so until it expires; then every request over it fails.",
        "Mend what the reason says: weft cert list, weft cert authority list.",
        not_renewed,
        Area.CONFIGURATION,
    ),
)
