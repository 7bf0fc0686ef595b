"""Secrets at rest: sealed with a key that lies beside the database, in a file for its owner alone."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from weft.errors import CannotStart

KEY_FILE = "credentials.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_GIVE_UP = (
    "give up what it sealed: weft token revoke --all for credentials, "
    "weft cert forget-keys for private keys"
)


class Seal:
    """AES-256-GCM; what a secret belongs to is part of the seal, so that none can be exchanged."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def of(cls, directory: Path, *, must_exist: bool) -> Self:
        """The key file of a data directory, made where it is not needed yet; CannotStart says why not."""
        path = directory / KEY_FILE
        try:
            if not path.exists():
                if must_exist:
                    raise CannotStart(
                        f"{path} is missing, and without it no kept secret can be read",
                        fix=f"restore it from a backup, or {_GIVE_UP}",
                    )
                _make(path)
            text = path.read_text(encoding="ascii").strip()
            others = path.stat().st_mode & 0o077
        except (OSError, UnicodeDecodeError) as error:
            raise CannotStart(f"{path} cannot be used: {error}") from error
        if others:
            raise CannotStart(
                f"{path} can be read by others, and it opens every kept secret",
                fix=f"chmod 600 {path}, then make new credentials if others had a look",
            )
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise CannotStart(
                f"{path} does not hold a key",
                fix=f"restore it from a backup, or {_GIVE_UP}",
            )
        return cls(key)

    def seal(self, secret: str, owner: str) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), owner.encode())
        return base64.b64encode(nonce + sealed).decode("ascii")

    def open(self, sealed: str, owner: str, give_up: str = "") -> str:
        """
        The inverse; CannotStart when the key is another than the one it was sealed with.

        ``give_up`` is what to do for want of the right key: by itself, to revoke a credential.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
            opened = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], owner.encode())
            return opened.decode()
        except (InvalidTag, ValueError) as error:
            raise CannotStart(
                f"the secret of {owner} does not open with {KEY_FILE}",
                fix=f"restore the key file that belongs to this database, or {give_up or _revoke(owner)}",
            ) from error


def _revoke(owner: str) -> str:
    return f"revoke the credential: weft token revoke {owner}"


def _make(path: Path) -> None:
    """Write a fresh key, whole or not at all."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    # Not replace: two that begin at once must end up with one key.
    with contextlib.suppress(FileExistsError):
        os.link(made, path)
    made.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
