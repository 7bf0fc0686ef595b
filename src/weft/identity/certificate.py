"""What a certificate says about its owner."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from weft.errors import CannotStart


def host_names(file: Path) -> tuple[str, ...]:
    """The names and addresses that a server certificate is good for; wildcards are none."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    except (OSError, ValueError) as error:
        raise CannotStart(f"the certificate {file} cannot be read: {error}") from error
    found = [name for name in names.get_values_for_type(x509.DNSName) if not name.startswith("*")]
    for address in names.get_values_for_type(x509.IPAddress):
        found.append(f"[{address}]" if ":" in str(address) else str(address))
    return tuple(found)
