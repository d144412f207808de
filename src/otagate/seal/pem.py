r"""PEM text in every shape that CI variables bring, put straight.

Hosts keep a key's line ends, replace them by the two characters ``\n`` or by spaces, drop them, put quotes around, or ask for
base64 of the whole text. All of these are read; what comes out has 64 columns and real line ends.

**Source:** RFC 7468 (textual encodings); the shapes are those seen with GitHub, GitLab, Jenkins and dotenv files.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from otagate.errors import KeyMaterialError

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----", re.DOTALL | re.ASCII)
_BODY = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_COLUMNS = 64
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Pem:
    """One PEM block.

    Attributes:
        label: Such as ``RSA PRIVATE KEY``.
        der: The bytes inside. Never shown.
        is_encrypted: It needs a passphrase.
    """

    label: str
    der: bytes = field(repr=False)
    is_encrypted: bool = False

    @property
    def is_private(self) -> bool:
        """Whether it holds a private key."""
        return self.label.endswith("PRIVATE KEY")

    def text(self) -> str:
        """Write the block with 64 columns and a line end after the last line."""
        return encode(self.label, self.der)


def encode(label: str, der: bytes) -> str:
    """Write DER bytes as PEM with 64 columns and a line end after the last line."""
    body = base64.b64encode(der).decode()
    lines = [body[at : at + _COLUMNS] for at in range(0, len(body), _COLUMNS)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def holds_private(text: str) -> bool:
    """Tell whether a text holds a private key in PEM, in any shape; for refusing such text where it does not belong."""
    return "PRIVATE KEY" in _unwrapped(text)


def read_pem(text: str, subject: str) -> Pem:
    """Find the one PEM block in a text of any shape.

    Args:
        text: What a variable or a file holds.
        subject: The key's reference, for messages.

    Raises:
        KeyMaterialError: No block, several, or one whose body is not base64. The text is never shown.
    """
    plain = _unwrapped(text)
    blocks = _BLOCK.findall(plain)
    if len(blocks) != 1:
        found = f"{len(blocks)} keys in one text" if blocks else _describe(plain)
        raise KeyMaterialError("this is not a key in PEM form", subject, expected="one -----BEGIN …----- block", found=found)
    label, body = blocks[0]
    if "Proc-Type:" in body:
        return Pem(label, b"", is_encrypted=True)
    packed = _SPACE.sub("", body)
    try:
        if not _BODY.fullmatch(packed):
            raise binascii.Error  # noqa: TRY301 - one message for both faults
        return Pem(label, base64.b64decode(packed, validate=True), is_encrypted=label == "ENCRYPTED PRIVATE KEY")
    except binascii.Error as error:
        remedy = "copy the file again, whole; base64 of it (`base64 -w0 FILE`) survives every CI variable"
        raise KeyMaterialError("the key is damaged", subject, expected="base64 between the markers", remedy=remedy) from error


def _describe(plain: str) -> str:
    if "-----BEGIN" in plain:
        return "a block without a matching -----END…----- line (the text was cut: some CI variables keep only the first line)"
    return "a text without -----BEGIN (not shown)"


def _unwrapped(text: str) -> str:
    plain = text.removeprefix("\ufeff").strip()
    while len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'`":
        plain = plain[1:-1].strip()
    if "-----BEGIN" not in plain:
        plain = _decoded(plain) or plain
    # A backslash never stands in PEM, so each of these is a line end that was written out, once or twice.
    return re.sub(r"\\+[rn]", "\n", plain)


def _decoded(text: str) -> str | None:
    packed = re.sub(r"\s+|\\+[rn]", "", text)
    try:
        decoded = base64.b64decode(packed, validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        return None
    return decoded if "-----BEGIN" in decoded else None
