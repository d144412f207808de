"""Key references: where a key is to be found, never the key itself.

``env:NAME`` is an environment variable. ``file:PATH`` is a file, relative to the policy's folder. GitLab's "File" variables
hold the path of a file with the value; an ``env:`` whose value is the path of a file is therefore read from that file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from otagate._fs import translate
from otagate._text import harmless
from otagate.errors import KeyMaterialError

MAX_KEY_BYTES = 64 * 1024
"""Largest key file or variable that is read, in bytes; an RSA-4096 key in PEM is about 3 KiB."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_SCHEME = re.compile(r"([a-z][a-z0-9]{0,19}):", re.ASCII)
_MAX_PATH_CHARS = 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_HOW = "write env:NAME for an environment variable, or file:PATH for a file"


def scheme_of(reference: str) -> str | None:
    """Give what stands before the first colon (``env``, ``file``, ``awskms`` …), or None when that is no scheme."""
    match = _SCHEME.match(reference)
    return match[1] if match else None


def read_reference(reference: str, *, environ: Mapping[str, str], base: Path) -> str:
    """Read the text of the key that ``reference`` names.

    Args:
        reference: ``env:NAME`` or ``file:PATH``.
        environ: Environment variables.
        base: Folder that a relative ``file:`` path starts from.

    Returns:
        The text as it stands there, not empty; at most ``MAX_KEY_BYTES`` long.

    Raises:
        KeyMaterialError: Not a reference, nothing there, not text, or a private key file that others can read.
        AccessError: The file may not be read.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        return _from_environment(rest, environ, base)
    if scheme == "file":
        return _from_file(_path(rest, base), reference, is_private_checked=True)
    # The text is not shown: people paste whole keys here.
    found = f"a text that begins with {scheme_of(reference)}:" if scheme_of(reference) else "another text (not shown)"
    raise KeyMaterialError("this is not a key reference", expected="env:NAME or file:PATH", found=found, remedy=_HOW)


def _path(text: str, base: Path) -> Path:
    if not text or "\0" in text or "\n" in text or len(text) > _MAX_PATH_CHARS:
        raise KeyMaterialError("this is not a key reference", "file:", expected="file:PATH", remedy=_HOW)
    return base / text


def _from_environment(name: str, environ: Mapping[str, str], base: Path) -> str:
    if not _NAME.fullmatch(name):
        # Not shown either: it may be a key that somebody pasted behind env:.
        raise KeyMaterialError("this is not a key reference", "env:", expected="env: and the name of a variable", remedy=_HOW)
    subject, value = f"env:{name}", environ.get(name, "")
    if not value.strip():
        state = "empty" if name in environ else "not set"
        remedy = f"set {name} as a secret variable of the CI, or in the shell; `otagate keys create` makes keys"
        raise KeyMaterialError("a key is missing", subject, expected="a key", found=f"the variable is {state}", remedy=remedy)
    if len(value) > MAX_KEY_BYTES:
        raise _too_large(subject)
    path = _named_file(value.strip(), base)
    return value if path is None else _from_file(path, subject, is_private_checked=False)


def _named_file(value: str, base: Path) -> Path | None:
    if "\n" in value or "\0" in value or len(value) > _MAX_PATH_CHARS or "-----" in value:
        return None
    try:
        path = base / value
        return path if path.is_file() else None
    except OSError:  # a name that is too long for the file system: then it is the value itself
        return None


def _from_file(path: Path, subject: str, *, is_private_checked: bool) -> str:
    """Read the file; CI hosts choose the modes of their own files, so only files that people name are checked."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            data = stream.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise translate(error, "the key cannot be read", path, missing=KeyMaterialError) from error
    if len(data) > MAX_KEY_BYTES:
        raise _too_large(subject)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise KeyMaterialError(
            "the key file is not text", subject, expected="PEM text", found="binary data", remedy="convert it with openssl"
        ) from error
    if not text.strip():
        raise KeyMaterialError("the key file is empty", subject, remedy="make keys with `otagate keys create`")
    if is_private_checked and os.name == "posix" and "PRIVATE" in text and status.st_mode & _OTHERS:
        mode, shown = f"{stat.S_IMODE(status.st_mode):04o}", harmless(str(path), 400)
        raise KeyMaterialError(
            "others can read the private key", subject, expected="mode 0600", found=f"mode {mode}", remedy=f"chmod 600 {shown}"
        )
    return text


def _too_large(subject: str) -> KeyMaterialError:
    return KeyMaterialError("this is too large for a key", subject, expected=f"at most {MAX_KEY_BYTES} bytes")
