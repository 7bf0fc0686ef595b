"""How the control plane is reached: what proves who we are, and what proves who it is."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from weft.errors import BadRequest
from weft.sidecar.values import Address, Tcp, is_ip

Json = dict[str, Any]

_BEARER = re.compile(rb'(Bearer )[^"\\]+')
_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


@dataclass(slots=True)
class Access:
    """All of it may be missing: a control plane on loopback asks nobody."""

    token: str = field(default="", repr=False)
    """Said in the environment."""
    token_file: str | None = None
    """Read at every start of Envoy, so that a new token needs no new sidecar."""
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if self.token_file:
            self.token = _read(self.token_file)

    def authorization(self) -> str | None:
        """What a request to the control plane says of us."""
        if self.token_file:
            # A file that is just being replaced must not end a sidecar that served until now.
            with suppress(BadRequest):
                self.token = _read(self.token_file)
        return f"Bearer {self.token}" if self.token else None

    def initial_metadata(self) -> list[Json]:
        """What every stream to the control plane begins with."""
        said = self.authorization()
        return [{"key": "authorization", "value": said}] if said else []

    def transport_socket(self, xds: Address) -> Json | None:
        """TLS to the control plane, which must be of our authorities and have the name we call it by."""
        if self.ca is None:
            return None
        validation: Json = {"trusted_ca": {"filename": self.ca}}
        context: Json = {"alpn_protocols": ["h2"], "validation_context": validation}
        if self.certificate and self.key:
            context["tls_certificates"] = [
                {
                    "certificate_chain": {"filename": self.certificate},
                    "private_key": {"filename": self.key},
                }
            ]
        made: Json = {"@type": f"type.googleapis.com/{_TLS}", "common_tls_context": context}
        if isinstance(xds, Tcp):
            kind = "IP_ADDRESS" if is_ip(xds.host) else "DNS"
            validation["match_typed_subject_alt_names"] = [
                {"san_type": kind, "matcher": {"exact": xds.host}}
            ]
            if kind == "DNS":
                made["sni"] = xds.host
        return {"name": "envoy.transport_sockets.tls", "typed_config": made}


def without_tokens(config_dump: bytes) -> bytes:
    """Envoy shows its bootstrap to whoever may ask for it, and with it the token."""
    return _BEARER.sub(rb"\1[redacted]", config_dump)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            token = file.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(
            f"the token in {path} cannot be read", fix="give a file that holds it and nothing else"
        ) from error
    if not token or len(token.split()) > 1:
        raise BadRequest(
            f"{path} does not hold a token", fix="write it there alone: weft token create"
        )
    return token


def readable(path: str) -> str:
    """A file that is there and may be read, as its absolute path: Envoy runs elsewhere."""
    try:
        with open(path, "rb"):
            return os.path.abspath(path)
    except OSError as error:
        raise BadRequest(
            f"{path} cannot be read", fix="see that the file is there and that we may read it"
        ) from error
