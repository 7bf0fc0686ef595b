"""TLS as one side asks for it and the other offers it."""

from __future__ import annotations

from collections.abc import Iterator

from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Call, Mesh
from weft.model.certificate import CERTIFICATES, Certificate
from weft.model.listener import Listener
from weft.model.tls import (
    AcmListenerCertificate,
    ClientTls,
    FileCertificate,
    FileTrust,
    ListenerTls,
    SubjectAlternativeNames,
)
from weft.names import Key, Kind
from weft.resolve.clusters import Target


def enforced_in_vain(mesh: Mesh) -> Iterator[Found]:
    for call, target, listener in mesh.once(_pairs):
        tls = call.tls
        if tls and tls.enforce is not False and _concerns(tls, target) and not _serves(listener):
            state = "is DISABLED" if listener.tls else "is not set up"
            yield Found(
                call.caller,
                call.path,
                f"the client policy enforces TLS, and TLS at port {target.port} of "
                f"{target.node} {state}",
            )


def unvalidated(mesh: Mesh) -> Iterator[Found]:
    for call, target, listener in mesh.once(_pairs):
        tls = listener.tls
        if tls is None or tls.mode != "STRICT" or _root_known(mesh, tls):
            continue
        if call.tls is None or not _concerns(call.tls, target):
            why = "has no TLS policy" if call.tls is None else "is for other ports"
            yield Found(
                call.caller,
                call.path,
                f"{target.node} wants TLS at port {target.port}, and the client policy {why}",
            )


def missing_client_certificates(mesh: Mesh) -> Iterator[Found]:
    for call, target, listener in mesh.once(_pairs):
        if not _serves(listener) or listener.tls is None or listener.tls.validation is None:
            continue
        if listener.tls.mode == "STRICT" and (call.tls is None or call.tls.certificate is None):
            yield Found(
                call.caller,
                call.path,
                f"{target.node} validates its clients at port {target.port}, and the client "
                "policy has no certificate",
            )


def empty_names(mesh: Mesh) -> Iterator[Found]:
    for key, path, names in _names(mesh):
        if not names.match.exact:
            yield Found(key, f"{path}.match.exact", "the list of names is empty")


def relative_files(mesh: Mesh) -> Iterator[Found]:
    for key, path, file in _files(mesh):
        if not file.startswith("/"):
            yield Found(key, path, f"{file!r} is relative to wherever Envoy was started")


def disabled(mesh: Mesh) -> Iterator[Found]:
    for key, path, tls in listeners(mesh):
        if tls.mode == "DISABLED":
            yield Found(key, f"{path}.mode", "a certificate is given, and TLS is DISABLED")


def hardly_validated(mesh: Mesh) -> Iterator[Found]:
    for key, path, tls in listeners(mesh):
        if tls.mode == "PERMISSIVE" and tls.validation:
            yield Found(
                key,
                f"{path}.validation",
                "clients are validated if they show a certificate, and need not show one",
            )


def two_policies(mesh: Mesh) -> Iterator[Found]:
    first: dict[tuple[Key, Target], tuple[Call, ClientTls | None]] = {}
    # A policy of its own counts before the default, as for the proxies.
    for _, call in sorted(_policies(mesh), key=lambda each: (each[0], each[1].service)):
        for target in mesh.targets(call.service):
            before, policy = first.setdefault((call.tls_at, target), (call, call.tls))
            if policy != call.tls:
                yield Found(
                    call.caller,
                    call.path,
                    f"{target.node} is reached by {before.service} too, under another client "
                    "policy; that one counts for both",
                )


def _policies(mesh: Mesh) -> Iterator[tuple[bool, Call]]:
    for call in mesh.calls:
        if not call.by_gateway and call.service in mesh.services:
            spec = mesh.nodes[call.caller.name]
            default = spec.backend_defaults and spec.backend_defaults.client_policy
            yield call.tls == (default.tls if default else None), call


def _pairs(mesh: Mesh) -> Iterator[tuple[Call, Target, Listener]]:
    """Each call with each listener that it may lead to, where one of both has to do with TLS."""
    with_tls = {key.name for key, _, listener in mesh.listeners if listener.tls}
    for call in mesh.calls:
        if call.service not in mesh.services or (call.tls is None and not with_tls):
            continue
        for target in mesh.targets(call.service):
            if call.tls is None and target.node not in with_tls:
                continue
            if (listener := mesh.target_listener(target)) is not None:
                yield call, target, listener


def _concerns(tls: ClientTls, target: Target) -> bool:
    return not tls.ports or target.port in tls.ports


def _root_known(mesh: Mesh, tls: ListenerTls) -> bool:
    """Clients without a policy validate a certificate by ARN."""
    if not isinstance(tls.certificate, AcmListenerCertificate):
        return False
    arn = tls.certificate.acm.certificate_arn
    kept = Certificate.from_document(mesh.state.document(CERTIFICATES, arn))
    return kept is None or bool(kept.root_chain or kept.authority)


def _serves(listener: Listener) -> bool:
    return listener.tls is not None and listener.tls.mode != "DISABLED"


def listeners(mesh: Mesh) -> Iterator[tuple[Key, str, ListenerTls]]:
    for key, i, listener in mesh.listeners:
        if listener.tls:
            yield key, f"spec.listeners[{i}].tls", listener.tls
    for name, gateway in mesh.gateways.items():
        for i, its in enumerate(gateway.listeners):
            if its.tls:
                yield mesh.of(Kind.VIRTUAL_GATEWAY, name), f"spec.listeners[{i}].tls", its.tls


def client_policies(mesh: Mesh) -> Iterator[tuple[Key, str, ClientTls]]:
    of_nodes = ((mesh.of(Kind.VIRTUAL_NODE, n), s.backend_defaults) for n, s in mesh.nodes.items())
    of_gateways = (
        (mesh.of(Kind.VIRTUAL_GATEWAY, n), s.backend_defaults) for n, s in mesh.gateways.items()
    )
    for key, defaults in (*of_nodes, *of_gateways):
        if defaults and defaults.client_policy and defaults.client_policy.tls:
            yield key, "spec.backendDefaults.clientPolicy.tls", defaults.client_policy.tls
    for name, spec in mesh.nodes.items():
        for i, backend in enumerate(spec.backends or ()):
            policy = backend.virtual_service.client_policy
            if policy and policy.tls:
                place = f"spec.backends[{i}].virtualService.clientPolicy.tls"
                yield mesh.of(Kind.VIRTUAL_NODE, name), place, policy.tls


def _names(mesh: Mesh) -> Iterator[tuple[Key, str, SubjectAlternativeNames]]:
    below = "validation.subjectAlternativeNames"
    for key, path, client in client_policies(mesh):
        if client.validation.subject_alternative_names:
            yield key, f"{path}.{below}", client.validation.subject_alternative_names
    for key, path, listener in listeners(mesh):
        if listener.validation and listener.validation.subject_alternative_names:
            yield key, f"{path}.{below}", listener.validation.subject_alternative_names


def _files(mesh: Mesh) -> Iterator[tuple[Key, str, str]]:
    every: list[tuple[Key, str, ClientTls | ListenerTls]] = [
        *client_policies(mesh),
        *listeners(mesh),
    ]
    for key, path, tls in every:
        if isinstance(tls.certificate, FileCertificate):
            file = tls.certificate.file
            yield key, f"{path}.certificate.file.certificateChain", file.certificate_chain
            yield key, f"{path}.certificate.file.privateKey", file.private_key
        if tls.validation and isinstance(tls.validation.trust, FileTrust):
            place = f"{path}.validation.trust.file.certificateChain"
            yield key, place, tls.validation.trust.file.certificate_chain


CHECKS = (
    Check(
        "WEFT-501",
        "A client enforces TLS that the listener does not offer",
        Severity.ERROR,
        "The client refuses to speak plain text, the listener speaks nothing else: every request "
        "fails.",
        "Set up tls at the listener (PERMISSIVE while clients change), or enforce: false.",
        enforced_in_vain,
    ),
    Check(
        "WEFT-502",
        "A listener wants TLS and the client validates nobody",
        Severity.WARNING,
        "Where no client policy applies, the client speaks TLS because the listener does, and "
        "accepts any certificate.",
        "Give the backend a client policy with the listener's authority as its trust.",
        unvalidated,
    ),
    Check(
        "WEFT-503",
        "A client has no certificate for a listener that asks for one",
        Severity.ERROR,
        "The listener is STRICT and validates its clients: a connection without a certificate is "
        "closed in the handshake.",
        "Give the client policy a certificate that the listener's trust covers.",
        missing_client_certificates,
    ),
    Check(
        "WEFT-504",
        "A list of accepted names is empty",
        Severity.WARNING,
        "With no name to accept, the validation says less than it seems to: the certificate's "
        "authority is all that is looked at.",
        "List the names, or remove subjectAlternativeNames.",
        empty_names,
    ),
    Check(
        "WEFT-505",
        "The path of a certificate is relative",
        Severity.WARNING,
        "Envoy reads it from its working directory, which differs between machines; a proxy that "
        "does not find the file refuses its listener.",
        "Write an absolute path.",
        relative_files,
    ),
    Check(
        "WEFT-506",
        "TLS is set up and switched off",
        Severity.INFO,
        "The certificate is there and the mode is DISABLED: the listener speaks plain text.",
        "PERMISSIVE takes both; STRICT takes only TLS.",
        disabled,
    ),
    Check(
        "WEFT-508",
        "Clients are validated only if they want to be",
        Severity.INFO,
        "A PERMISSIVE listener takes plain text, too, so it cannot make its clients show who they "
        "are; one that shows a wrong certificate is turned away.",
        "STRICT makes every client show a certificate.",
        hardly_validated,
    ),
    Check(
        "WEFT-509",
        "One virtual node is called under two client policies",
        Severity.WARNING,
        "A proxy holds one set of connections to a virtual node, whichever backend leads there, so "
        "one policy counts for all: a backend's own before the default, the first by name.",
        "Give the backends that lead to one virtual node the same client policy.",
        two_policies,
    ),
)
