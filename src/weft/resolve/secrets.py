"""Certificates and trust that a definition names, as secrets of a proxy."""

from __future__ import annotations

from enum import Enum

from weft import names
from weft.ir import tls as ir
from weft.ir.value import value
from weft.model import tls as model
from weft.model.certificate import AUTHORITIES, CERTIFICATES, Authority, Certificate
from weft.resolve.limits import sayable
from weft.resolve.reading import Reading

NO_SDS = (
    "the proxy has no secret server beside it: start its sidecar with --sds-socket PATH "
    "(or APPMESH_SDS_SOCKET_PATH)"
)


class Sds(Enum):
    """Whether a secret server (SPIRE's agent) is beside a proxy."""

    BESIDE = "beside"
    NOWHERE = "nowhere"


@value
class Found:
    """Where a proxy gets a secret from; without a source, ``lacks`` says why."""

    source: ir.Source | None = None
    secrets: tuple[ir.Secret, ...] = ()
    lacks: str = ""
    remarks: tuple[str, ...] = ()
    """What is amiss and does not prevent it."""


NOTHING_ASKED = Found()


def certificate(
    reading: Reading, given: model.ClientCertificate | model.ListenerCertificate, *, sds: Sds
) -> Found:
    """What a proxy shows of itself."""
    match given:
        case model.FileCertificate(file=file):
            files = ir.CertificateFiles(file.certificate_chain, file.private_key)
            return _files(names.certificate_files(files.chain, files.key), files)
        case model.SdsCertificate(sds=secret):
            return _local(secret.secret_name, sds=sds)
        case model.AcmListenerCertificate(acm=acm):
            return _by_arn(reading, acm.certificate_arn)


def trust(reading: Reading, given: model.ClientTrust | model.ListenerTrust, *, sds: Sds) -> Found:
    """Whom a proxy believes."""
    match given:
        case model.FileTrust(file=file):
            path = file.certificate_chain
            return _files(names.trust_file(path), ir.TrustFile(path))
        case model.SdsTrust(sds=secret):
            return _local(secret.secret_name, sds=sds)
        case model.AcmTrust(acm=acm):
            return _authorities(reading, acm.certificate_authority_arns)


def trust_in(reading: Reading, certificate_arn: str) -> Found:
    """
    What clients without a policy trust of a certificate by ARN: the root that it comes from.

    App Mesh's user guide ("TLS encryption"): such a client validates against it.
    """
    kept = Certificate.from_document(reading.document(CERTIFICATES, certificate_arn))
    if kept is None:
        return Found(lacks=unknown_certificate(certificate_arn))
    chain = kept.root_chain
    if chain is None and kept.authority is not None:
        authority = Authority.from_document(reading.document(AUTHORITIES, kept.authority))
        chain = authority.chain if authority else None
    if chain is None:
        return NOTHING_ASKED
    return _told(names.trust_of(certificate_arn), ir.TrustText(chain))


def unknown_certificate(arn: str) -> str:
    return (
        f"no certificate is known as {arn}: make one with weft cert issue NAME --arn {arn}, "
        "or bring it with weft cert import"
    )


def unknown_authority(arn: str) -> str:
    return (
        f"no certificate authority is known as {arn}: make it with "
        f"weft cert authority create --arn {arn}, or bring it with weft cert authority import"
    )


def _by_arn(reading: Reading, arn: str) -> Found:
    kept = Certificate.from_document(reading.document(CERTIFICATES, arn))
    if kept is None:
        return Found(lacks=unknown_certificate(arn))
    content = ir.CertificateText(kept.chain, ir.PrivateKey(kept.private_key.pem))
    return _told(arn, content)


def _authorities(reading: Reading, arns: tuple[str, ...]) -> Found:
    chains: list[str] = []
    unknown: list[str] = []
    for arn in arns:
        authority = Authority.from_document(reading.document(AUTHORITIES, arn))
        if authority is None:
            unknown.append(unknown_authority(arn))
        else:
            chains.append(authority.chain.strip() + "\n")
    if not chains:
        return Found(lacks="; ".join(unknown))
    told = ir.Secret(names.trust_of(*arns), ir.TrustText("".join(dict.fromkeys(chains))))
    return Found(ir.Told(told.name), (told,), remarks=tuple(unknown))


def _files(name: str, content: ir.CertificateFiles | ir.TrustFile) -> Found:
    # Envoy refuses to read such names, and to be told of them.
    if not sayable(name):
        return Found(lacks="the path of a certificate holds a line end")
    return _told(name, content)


def _told(
    name: str, content: ir.CertificateFiles | ir.CertificateText | ir.TrustFile | ir.TrustText
) -> Found:
    return Found(ir.Told(name), (ir.Secret(name, content),))


def _local(name: str, *, sds: Sds) -> Found:
    if sds is Sds.NOWHERE:
        return Found(lacks=NO_SDS)
    if not sayable(name):
        return Found(lacks=f"{name!r} cannot be the name of a secret")
    return Found(ir.Local(name))
