"""Keeping a source's credentials out of messages: servers and commands repeat in their errors what they were given."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, quote_plus

from otagate._text import harmless
from otagate.gate.interface import SourceError

MIN_CHARS = 8
"""Shorter words are left alone: hiding them would blot out innocent text, and they are no secrets."""
_NUMBERED = re.compile(r"\\u([0-9A-Fa-f]{4})")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]+", re.ASCII)


def read(value: str, environ: Mapping[str, str], root: Path, subject: str) -> str:
    """Read what goes into a header: a reference ``env:NAME`` or ``file:PATH`` (below ``root``), or the text itself.

    Args:
        value: As the policy says.
        environ: Where ``env:`` is looked up.
        root: Where relative paths start.
        subject: Names the place in messages, such as ``GET https://x.test/, header Authorization``.

    Raises:
        SourceError: Nothing is there, or nothing that a header can hold. The value is never shown.
    """
    if value.startswith("env:"):
        found = environ.get(value.removeprefix("env:"), "")
    elif value.startswith("file:"):
        found = _file(root / value.removeprefix("file:"), f"{subject}, {harmless(value)}")
    else:
        found = value
    found = found.strip()
    if _HEADER_VALUE.fullmatch(found):
        return found
    is_reference = value.startswith(("env:", "file:"))
    raise SourceError(
        "a header of a metric source has no usable value",
        subject=subject,
        expected="one line of ASCII",
        found="nothing" if not found else "other characters",
        remedy=f"set {harmless(value)}" if is_reference else "mend `headers` of the source",
    )


def _file(path: Path, subject: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a null byte in the path
        raise SourceError(
            "the file of a header's value cannot be read",
            subject=subject,
            found=getattr(error, "strerror", None) or "no UTF-8 text",
            remedy="check the path and its permissions",
        ) from error


def words_of(values: Iterable[str]) -> tuple[str, ...]:
    """Give the words of credentials that must not be shown, the longest first: of ``Bearer abc…`` also ``abc…`` alone.

    With them come user and password of HTTP's Basic scheme, which a server may repeat as it understood them, and every word as
    it is written in addresses, HTML, JSON and base64.
    """
    words = {word for value in values for word in (value.strip(), *value.split(), *_pair(value)) if len(word) >= MIN_CHARS}
    return tuple(sorted({form for word in words for form in _forms(word)}, key=lambda form: (-len(form), form)))


def _pair(value: str) -> tuple[str, ...]:
    scheme, _, encoded = value.strip().partition(" ")
    if scheme.lower() != "basic":
        return ()
    try:
        pair = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return ()
    return (pair, *pair.split(":", 1))


def _forms(word: str) -> tuple[str, ...]:
    data = word.encode("utf-8", "surrogateescape")  # a variable may hold any bytes
    encoded = (encode(data).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode))
    return (word, quote(data), quote(data, safe=""), quote_plus(data), html.escape(word), json.dumps(word)[1:-1], *encoded)


def hidden(text: str, words: Iterable[str]) -> str:
    """Replace each of the words by ``***``, whatever the case of its letters."""
    for word in words:
        text = re.sub(re.escape(word), "***", text, flags=re.IGNORECASE)
    return text


def guarded(error: SourceError, body: bytes, words: Iterable[str]) -> SourceError:
    """Make an error about an answer show nothing of it when the answer holds a credential.

    The words are looked for in the whole answer, because a message may hold only the beginning of one.
    """
    text = body.decode("utf-8", "replace").replace("\\/", "/")  # JSON may escape a slash, and everything else by number
    text = _NUMBERED.sub(lambda found: chr(int(found[1], 16)), text)
    if hidden(text, words) == text:
        return error
    return replace(error, found="an answer that repeats a credential (not shown)")
