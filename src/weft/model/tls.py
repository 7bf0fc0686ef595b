"""TLS on listeners and towards backends: modes, certificates, trust."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from weft.model.schema import Items, Model, OneOf, Port

FilePath = Annotated[str, Field(min_length=1, max_length=255)]


class CertificateFile(Model):
    certificate_chain: FilePath
    private_key: FilePath


class SdsSecret(Model):
    secret_name: str


class AcmCertificate(Model):
    certificate_arn: str


class FileCertificate(Model):
    file: CertificateFile


class SdsCertificate(Model):
    sds: SdsSecret


class AcmListenerCertificate(Model):
    acm: AcmCertificate


ClientCertificate = Annotated[FileCertificate | SdsCertificate, OneOf()]
ListenerCertificate = Annotated[AcmListenerCertificate | FileCertificate | SdsCertificate, OneOf()]


class AcmAuthorities(Model):
    certificate_authority_arns: Annotated[Items[str], Field(min_length=1, max_length=3)]


class FileAuthorities(Model):
    certificate_chain: FilePath


class AcmTrust(Model):
    acm: AcmAuthorities


class FileTrust(Model):
    file: FileAuthorities


class SdsTrust(Model):
    sds: SdsSecret


ClientTrust = Annotated[AcmTrust | FileTrust | SdsTrust, OneOf()]
ListenerTrust = Annotated[FileTrust | SdsTrust, OneOf()]


_SUBJECT = re.compile(
    r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|[A-Za-z][A-Za-z0-9+.-]*:[!-~]+"
)


def _is_a_subject(name: str) -> str:
    if not _SUBJECT.fullmatch(name):
        message = "must be a domain name (it may begin with *.) or a URI"
        raise PydanticCustomError("subject", "{message}", {"message": message})
    return name


SubjectName = Annotated[str, Field(min_length=1, max_length=254), AfterValidator(_is_a_subject)]


class NameMatch(Model):
    exact: Items[SubjectName]


class SubjectAlternativeNames(Model):
    match: NameMatch


class ClientValidation(Model):
    subject_alternative_names: SubjectAlternativeNames | None = None
    trust: ClientTrust


class ListenerValidation(Model):
    subject_alternative_names: SubjectAlternativeNames | None = None
    trust: ListenerTrust


class ClientTls(Model):
    """How a client speaks TLS; ``enforce`` is true and ``ports`` are all when not given."""

    certificate: ClientCertificate | None = None
    enforce: bool | None = None
    ports: Items[Port] | None = None
    validation: ClientValidation


class ListenerTls(Model):
    certificate: ListenerCertificate
    mode: Literal["STRICT", "PERMISSIVE", "DISABLED"]
    validation: ListenerValidation | None = None


class ClientPolicy(Model):
    tls: ClientTls | None = None


class BackendDefaults(Model):
    client_policy: ClientPolicy | None = None
