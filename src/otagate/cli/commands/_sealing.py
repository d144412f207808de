"""What ``encrypt`` and ``bundle --sealed`` share: which key and format, and how a seal is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otagate._text import size
from otagate.cli.render.blocks import Facts
from otagate.model import Digest, Sealed

DEFAULT_KEY = "env:OTAGATE_ENCRYPTION_KEY"
_TEXTS = ("session_key", "checksum_hex", "checksum_base64", "key_id", "iv", "wrapped_key", "additional_data")


def sealed_data(sealed: Sealed, target: Path, clear: Digest) -> dict[str, Any]:
    """Give a seal as JSON-ready data: the file, and what a device needs to open and check it."""
    known = {name: text for name in _TEXTS if (text := getattr(sealed, name)) is not None}
    first = {"file": str(target), "format": sealed.format, "blob": str(sealed.blob), "size": sealed.size, "clear": str(clear)}
    return {**first, **known}


def sealed_facts(sealed: Sealed, target: Path, clear: Digest) -> Facts:
    """Show a seal."""
    data = sealed_data(sealed, target, clear)
    first = [("file", str(target)), ("size", size(sealed.size)), ("blob", str(sealed.blob)), ("clear", str(clear))]
    return Facts((*first, *((name.replace("_", " "), str(data[name])) for name in _TEXTS if name in data)))
