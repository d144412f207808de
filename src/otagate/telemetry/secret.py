"""The secret that device ids are hashed with: where it comes from, and how a wrong one is noticed.

Text form: 64 hexadecimal digits, or 32 bytes in base64 (either alphabet). It must outlive the database: with another one every
device would look new, and all overrides would be lost.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from otagate._fs import fsync_dir, translate
from otagate._text import harmless
from otagate.errors import UsageError
from otagate.telemetry.model import DEVICE_KEY_BYTES

SECRET_BYTES = 32
_MAX_TEXT = 4096
_HOW = "make one with `openssl rand -hex 32`, and keep it as long as the database"
_CHECK_LABEL = b"otagate telemetry secret check 1"
_SEPARATOR = b"\0"


def device_key(secret: bytes, app: str, device_id: str) -> bytes:
    """Give the 16 bytes that telemetry knows a device by: nobody without ``secret`` can go back to the id.

    HMAC-SHA256 of app id, a zero byte and the lower-cased device id, cut.
    """
    message = app.encode("utf-8", "replace") + _SEPARATOR + device_id.lower().encode("utf-8", "replace")
    return hmac.digest(secret, message, "sha256")[:DEVICE_KEY_BYTES]


def check_value(secret: bytes) -> str:
    """Give what is kept in the database to recognise the secret by; it says nothing about it."""
    return hmac.digest(secret, _CHECK_LABEL, "sha256").hex()


def read_text(reference: str, environ: Mapping[str, str], base: Path, what: str) -> str:
    """Read what ``env:NAME`` or ``file:PATH`` holds, without white space around it. Never shows it.

    Raises:
        UsageError: Not a reference, or nothing there.
        AccessError: The file may not be read.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "env" and rest:
        text, subject = environ.get(rest, ""), f"env:{harmless(rest)}"
    elif scheme == "file" and rest and "\0" not in rest:
        text, subject = _file_text(base / rest, what), f"file:{harmless(rest, 400)}"
    else:
        # Not shown: people paste the value itself.
        raise UsageError(f"{what} is not a reference", expected="env:NAME or file:PATH", remedy="name where it stands")
    if not text.strip():
        remedy = f"set the variable {harmless(rest)}" if scheme == "env" else "write it into the file"
        raise UsageError(f"{what} is missing", subject, found="nothing", remedy=remedy)
    return text.strip()


def read_secret(reference: str, environ: Mapping[str, str], base: Path) -> bytes:
    """Read the secret that ``env:NAME`` or ``file:PATH`` holds.

    Raises:
        UsageError: Nothing there, or not 32 bytes.
        AccessError: The file may not be read.
    """
    text = read_text(reference, environ, base, "the secret for device ids")
    return _decoded(text, harmless(reference, 400))


def kept_secret(path: Path) -> bytes:
    """Give the secret in a file; make one, mode 0600, when there is none. Processes that do so at once agree.

    Raises:
        UsageError: The file holds something else, or its folder is missing.
        AccessError: It may not be read or made.
        UnavailableError: The disk is full.
    """
    try:
        if not path.exists():
            _make(path)
        text = path.read_text("ascii", errors="replace")
    except OSError as error:
        raise translate(error, "the secret for device ids cannot be kept", path, missing=UsageError) from error
    return _decoded(text.strip(), harmless(str(path), 400))


def _make(path: Path) -> None:
    """Write it aside and link it: it appears whole, and never over one that is there."""
    temp = path.with_name(f".tmp-{os.urandom(8).hex()}")
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_hex(SECRET_BYTES).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temp, path)
    except FileExistsError:
        return  # another process was first: theirs is the one
    finally:
        temp.unlink(missing_ok=True)
    fsync_dir(path.parent)


def _file_text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_TEXT).decode("utf-8-sig", "replace")
    except OSError as error:
        raise translate(error, f"{what} cannot be read", path, missing=UsageError) from error


def _decoded(text: str, subject: str) -> bytes:
    try:
        if re.fullmatch(r"[0-9a-fA-F]{64}", text):
            return bytes.fromhex(text)
        found = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != SECRET_BYTES:
        expected = "64 hexadecimal digits, or 32 bytes in base64"
        raise UsageError(
            "this is not a secret for device ids", subject, expected=expected, found="something else (not shown)", remedy=_HOW
        )
    return found
