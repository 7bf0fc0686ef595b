"""
Signature Version 4, on the side that verifies.

A signature is a keyed hash over the request as it was sent; what is on the wire is put
into the one canonical form and hashed again. SDKs differ in two places that no page
settles: whether dots in the path are resolved before it is encoded, and whether a query is
taken as it stands or decoded and encoded anew. Either is accepted, since both name the
same request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from weft.errors import ExpiredToken, IncompleteSignature, InvalidSignature

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = timedelta(minutes=5)
LONGEST_EXPIRY_SECONDS = 7 * 24 * 3600
UNSIGNED = "UNSIGNED-PAYLOAD"
NOTHING = hashlib.sha256(b"").hexdigest()
_STREAMING = "STREAMING-"
_MOST_SIGNED_HEADERS = 100
_CREDENTIAL = re.compile(
    r"([A-Za-z0-9_-]{1,128})/([0-9]{8})/([^/\s]{1,64})/([^/\s]{1,64})/aws4_request"
)
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_HASH = re.compile(r"[0-9a-fA-F]{64}")

Headers = Sequence[tuple[str, str]]
"""Names in lower case, values as they were sent, in their order."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is on the wire, as far as it is signed."""

    method: str
    path: str
    """Percent-encoded, as it was sent."""
    query: str
    headers: Headers

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signed request says about itself; nothing of it is verified yet."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    at: datetime
    expires_seconds: int | None = None
    """Of a presigned request."""

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def claim(request: Request) -> Claim | None:
    """What a request claims, in its header or its query; None when it is not signed."""
    header = request.header("authorization")
    if header is not None and header.startswith("AWS4-"):
        return _of_header(request, header)
    if "X-Amz-Algorithm=" in request.query:
        return _of_query(request)
    return None


def _of_header(request: Request, header: str) -> Claim:
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignature(
            f"the Authorization header is signed with {algorithm[:40]}, and only {ALGORITHM} is read"
        )
    parts: dict[str, str] = {}
    for each in rest.split(","):
        name, _, value = each.strip().partition("=")
        parts[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise IncompleteSignature(f"the Authorization header has no {name}")
    text = request.header("x-amz-date") or request.header("date")
    if text is None:
        raise IncompleteSignature("a signed request has a date, in X-Amz-Date or Date")
    return _claim(parts["Credential"], parts["SignedHeaders"], parts["Signature"], text)


def _of_query(request: Request) -> Claim:
    found: dict[str, str] = {}
    for name, value in _pairs(request.query):
        if name.startswith("X-Amz-"):
            found[name] = unquote_to_bytes(value).decode("utf-8", "replace")
    if found.get("X-Amz-Algorithm") != ALGORITHM:
        raise IncompleteSignature(f"X-Amz-Algorithm is read only as {ALGORITHM}")
    for name in ("Credential", "SignedHeaders", "Signature", "Date", "Expires"):
        if not found.get(f"X-Amz-{name}"):
            raise IncompleteSignature(f"the presigned query has no X-Amz-{name}")
    seconds = found["X-Amz-Expires"]
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 7) or not (
        1 <= int(seconds) <= LONGEST_EXPIRY_SECONDS
    ):
        raise IncompleteSignature(
            f"X-Amz-Expires must be from 1 to {LONGEST_EXPIRY_SECONDS} seconds"
        )
    return _claim(
        found["X-Amz-Credential"],
        found["X-Amz-SignedHeaders"],
        found["X-Amz-Signature"],
        found["X-Amz-Date"],
        int(seconds),
    )


def _claim(
    credential: str, signed: str, signature: str, at: str, expires: int | None = None
) -> Claim:
    match = _CREDENTIAL.fullmatch(credential)
    if match is None:
        raise IncompleteSignature("the Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request")
    names = tuple(signed.lower().split(";"))
    if len(names) > _MOST_SIGNED_HEADERS or len(set(names)) != len(names):
        raise IncompleteSignature("SignedHeaders has too many names, or one of them twice")
    if _SIGNATURE.fullmatch(signature) is None:
        raise IncompleteSignature("the Signature must be 64 digits, 0 to 9 and a to f")
    when = _moment(at)
    if when is None:
        raise IncompleteSignature(f"the date of a signature is YYYYMMDDTHHMMSSZ, not {at[:40]!r}")
    access_key, date, region, service = match.groups()
    return Claim(access_key, date, region, service, names, signature, when, expires)


def _moment(text: str) -> datetime | None:
    for form in ("%Y%m%dT%H%M%SZ", "%a, %d %b %Y %H:%M:%S GMT"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def check_time(claim: Claim, now: datetime) -> None:
    """Refuse what was signed too long ago, or in the future."""
    at = f"{claim.at:%Y%m%dT%H%M%SZ}"
    if claim.date != f"{claim.at:%Y%m%d}":
        raise InvalidSignature(
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            f"HTTP: {claim.date!r} is not {claim.at:%Y%m%d}"
        )
    if claim.at > now + SKEW:
        raise InvalidSignature(
            f"Signature not yet current: {at} is still later than {now + SKEW:%Y%m%dT%H%M%SZ} "
            f"({now:%Y%m%dT%H%M%SZ} + 5 min.)",
            fix="set the clock of the machine that signs",
        )
    if claim.expires_seconds is not None:
        if now > claim.at + timedelta(seconds=claim.expires_seconds):
            raise ExpiredToken(
                f"the presigned request was good for {claim.expires_seconds} seconds after {at}"
            )
    elif claim.at < now - SKEW:
        raise InvalidSignature(
            f"Signature expired: {at} is now earlier than {now - SKEW:%Y%m%dT%H%M%SZ} "
            f"({now:%Y%m%dT%H%M%SZ} - 5 min.)",
            fix="set the clock of the machine that signs",
        )


def check_service(claim: Claim, service: str) -> None:
    """Refuse a signature made for another service; no service at all means any."""
    if service and claim.service != service:
        raise InvalidSignature(f"Credential should be scoped to correct service: {service!r}.")


def payload_hash(request: Request, claim: Claim, body: bytes) -> str:
    """The payload as it entered the signature: its hash, or the word for none."""
    said = request.header("x-amz-content-sha256")
    if said is None or claim.expires_seconds is not None:
        return hashlib.sha256(body).hexdigest()
    if said == UNSIGNED:
        return said
    if said.startswith(_STREAMING):
        raise InvalidSignature(
            f"the payload is signed as {said[:60]}, in pieces, which only S3 knows",
            fix="sign the payload as a whole",
        )
    if _HASH.fullmatch(said) is None or not hmac.compare_digest(
        said.lower(), hashlib.sha256(body).hexdigest()
    ):
        raise InvalidSignature("the payload is not the one whose hash is in X-Amz-Content-Sha256")
    return said


def verify(
    request: Request, claim: Claim, secret: str, payload: str, hosts: Sequence[str] = ()
) -> None:
    """
    Refuse a signature that this secret does not make of this request.

    ``hosts`` stand in for a Host header where the transport keeps it to itself:
    the signature must be good for one of them.
    """
    if "host" not in claim.signed_headers:
        raise InvalidSignature("'host' must be a 'SignedHeader' in the AWS Authorization.")
    key = signing_key(secret, claim.date, claim.region, claim.service)
    good = False
    for canonical in _canonical(request, claim, payload, hosts):
        text = "\n".join(
            (
                ALGORITHM,
                f"{claim.at:%Y%m%dT%H%M%SZ}",
                claim.scope,
                hashlib.sha256(canonical.encode()).hexdigest(),
            )
        )
        made = hmac.digest(key, text.encode(), "sha256").hex()
        good |= hmac.compare_digest(made, claim.signature)
    if not good:
        raise InvalidSignature(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical(request: Request, claim: Claim, payload: str, hosts: Sequence[str]) -> Iterable[str]:
    paths = dict.fromkeys(
        (quote(_without_dots(request.path), safe="/~"), quote(request.path or "/", safe="/~"))
    )
    pairs = [pair for pair in _pairs(request.query) if pair[0] != "X-Amz-Signature"]
    queries = dict.fromkeys(
        (
            "&".join(f"{name}={value}" for name, value in sorted(pairs)),
            "&".join(
                f"{name}={value}"
                for name, value in sorted((_again(name), _again(value)) for name, value in pairs)
            ),
        )
    )
    for headers in _headers(request, claim, hosts):
        for path in paths:
            for query in queries:
                yield "\n".join(
                    (request.method, path, query, headers, ";".join(claim.signed_headers), payload)
                )


def _headers(request: Request, claim: Claim, hosts: Sequence[str]) -> Iterable[str]:
    values: dict[str, list[str]] = {name: [] for name in claim.signed_headers}
    for name, value in request.headers:
        if name in values:
            values[name].append(" ".join(value.split()))
    for host in hosts or (None,):
        if host is not None:
            values["host"] = [host]
        lines: Mapping[str, str] = {name: ",".join(each) for name, each in values.items()}
        yield "".join(f"{name}:{line}\n" for name, line in lines.items())


def _pairs(query: str) -> list[tuple[str, str]]:
    found = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.append((name, value))
    return found


def _again(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", "%20")), safe="-_.~")


def _without_dots(path: str) -> str:
    """Dot segments resolved and empty ones dropped, as SDKs do before they sign."""
    kept: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            kept[-1:] = []
        else:
            kept.append(part)
    slash = "/" if path.endswith("/") and kept else ""
    return "/" + "/".join(kept) + slash
