"""Secrets, in Envoy's words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from weft.ir import tls as ir
from weft.translate.memo import memoised
from weft.translate.snapshot import Encoded


@memoised
def encoded(value: ir.Secret) -> Encoded:
    made = Encoded.of(value.name, secret(value))
    match value.content:
        case ir.CertificateFiles(chain, key):
            otherwise: ir.CertificateFiles | ir.TrustFile = ir.CertificateFiles(
                _otherwise(chain), _otherwise(key)
            )
        case ir.TrustFile(path):
            otherwise = ir.TrustFile(_otherwise(path))
        case _:
            return made
    # Envoy looks at a file again when it is replaced, but not at one that was missing or
    # broken: it has to be told of that in other words, since it ignores equal ones.
    return replace(made, again=Encoded.of(value.name, secret(replace(value, content=otherwise))))


def secret(value: ir.Secret) -> Any:
    message = secret_pb2.Secret(name=value.name)
    match value.content:
        case ir.CertificateFiles(chain, key):
            message.tls_certificate.certificate_chain.filename = _in_a_directory(chain)
            message.tls_certificate.private_key.filename = _in_a_directory(key)
        case ir.CertificateText(chain, private):
            message.tls_certificate.certificate_chain.CopyFrom(_text(chain))
            message.tls_certificate.private_key.CopyFrom(_text(private.pem))
        case ir.TrustFile(path):
            message.validation_context.trusted_ca.filename = _in_a_directory(path)
        case ir.TrustText(chain):
            message.validation_context.trusted_ca.CopyFrom(_text(chain))
    return message


def _text(pem: str) -> Any:
    return base_pb2.DataSource(inline_string=pem)


def _in_a_directory(path: str) -> str:
    """Envoy watches the directory of a file, and takes no path without one."""
    return path if "/" in path else f"./{path}"


def _otherwise(path: str) -> str:
    """The same file by another path."""
    head, _, name = _in_a_directory(path).rpartition("/")
    return f"{head}/./{name}"
