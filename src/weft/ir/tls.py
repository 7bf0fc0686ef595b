"""TLS on connections: who shows what, and who is believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from weft.ir.value import value


@value
class Told:
    """A secret of this name is among what the proxy is told (``Secret``)."""

    name: str


@value
class Local:
    """A secret of this name is served by the machine's own secret server (SPIRE's agent)."""

    name: str


Source = Told | Local


class NameKind(StrEnum):
    DNS = "dns"
    URI = "uri"
    IP = "ip"


@value
class SubjectName:
    """A name that a certificate may be for."""

    text: str
    kind: NameKind = NameKind.DNS
    any_label: bool = False
    """``text`` follows a first label that may be any one (``*.example.com``)."""


@value
class Validation:
    """How the other side's certificate is judged."""

    trust: Source
    names: tuple[SubjectName, ...] = ()
    """One of them must be the certificate's; empty: any that the trust covers."""


@value
class ServerTls:
    """What a listener does with a connection that begins with TLS."""

    certificate: Source
    protocols: tuple[str, ...] = ()
    """Application protocols (ALPN), best first; empty: not negotiated."""
    validation: Validation | None = None
    """None: clients are not asked for a certificate."""
    client_certificate_required: bool = False
    """Else a client without one is let in, and one that shows a wrong one is not."""


@value
class ClientTls:
    """How a cluster's endpoints are spoken to."""

    server_name: str = ""
    """Said to the server (SNI); empty: nothing is."""
    protocols: tuple[str, ...] = ()
    certificate: Source | None = None
    validation: Validation | None = None
    """None: any certificate is accepted."""


# --- What is told -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A PEM key that never prints itself."""

    pem: str = field(repr=False)

    def __repr__(self) -> str:
        return "PrivateKey(<redacted>)"

    __str__ = __repr__


@value
class CertificateFiles:
    """A chain and its key as files where the proxy runs, read again when they are replaced."""

    chain: str
    key: str


@value
class CertificateText:
    """PEM."""

    chain: str
    key: PrivateKey


@value
class TrustFile:
    """The authorities that are trusted, as a file where the proxy runs."""

    path: str


@value
class TrustText:
    """PEM of the authorities that are trusted."""

    chain: str


@value
class Secret:
    """Something a proxy holds under a name that its listeners and clusters use."""

    name: str
    content: CertificateFiles | CertificateText | TrustFile | TrustText
