"""Open on loopback, closed elsewhere: what may be served to whom, and what is given up otherwise."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from weft.errors import CannotStart
from weft.settings import API, AUTH, DATA, INSECURE, TLS_CERT, TLS_KEY, XDS, Settings, Tls


def check_addresses(settings: Settings) -> None:
    """Refuse an address that others reach where it is not closed; ``--insecure`` takes the blame."""
    for setting, address in ((API, settings.api), (XDS, settings.xds)):
        if address.is_loopback or settings.insecure:
            continue
        exposed = f"{setting.flag} is {address}, which other machines can reach"
        if settings.auth == "open":
            raise CannotStart(
                f"{exposed}, and {AUTH.flag} open lets anybody in who does",
                fix=f"leave {AUTH.flag} out, or give a loopback address, "
                f"as in {setting.flag} {setting.default}",
            )
        if settings.tls is None:
            raise CannotStart(
                f"{exposed}, and without TLS tokens and configurations can be read on the way",
                fix=f"give {TLS_CERT.flag} FILE {TLS_KEY.flag} FILE, or a loopback address, "
                f"as in {setting.flag} {setting.default}; {INSECURE.flag} does without",
            )


def check_credentials(settings: Settings, credentials: int) -> None:
    """Refuse to ask for credentials when there are none: nobody would ever get in."""
    if settings.auth_required and not credentials:
        raise CannotStart(
            "callers are asked for credentials, and there are none yet",
            fix=f"weft token create --name admin --role admin {DATA.flag} {settings.data}",
        )


def given_up(settings: Settings) -> Iterator[str]:
    """What ``--insecure`` costs, a sentence each."""
    for setting, address in ((API, settings.api), (XDS, settings.xds)):
        if address.is_loopback:
            continue
        if not settings.auth_required:
            yield (
                f"{INSECURE.flag}: whoever reaches {address} may "
                + (
                    "read and change every mesh"
                    if setting is API
                    else "read any proxy's configuration"
                )
            )
        if settings.tls is None:
            yield (
                f"{INSECURE.flag}: no TLS at {address}: what passes can be read and altered "
                "on the way, bearer tokens included"
            )


def server_context(tls: Tls) -> ssl.SSLContext:
    """TLS as the API serves it; CannotStart where certificate and key cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a passphrase would ask the terminal for it, and wait.
        context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"{TLS_CERT.flag} {tls.certificate} and {TLS_KEY.flag} {tls.key} cannot be used: {error}",
            fix="give a PEM certificate and the private key that belongs to it, without passphrase",
        ) from error
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")
