"""Looks for secrets in everything that a program leaves: output, files, command lines; in every form that they can take.

A secret is cut into pieces, so that half of a key or one line of it is found, too. What is searched is also unpacked: percent
and JSON escapes, base64 and hex in runs, and white space taken out.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_RAW, _TEXT = 16, 24  # length of a piece: bytes, characters of base64; a line of PEM has 64
_RUN = re.compile(rb"[A-Za-z0-9+/_-]{40,}")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){20,}")
_SPACE = re.compile(rb"(?:\s|\\+[nrt])+")
_ALIGNMENTS = range(4)


@dataclass(frozen=True)
class Secret:
    """A secret, and the pieces that give it away."""

    name: str
    needles: frozenset[bytes]


def token(name: str, text: str) -> Secret:
    """Make a secret of a word such as an access token."""
    return Secret(name, frozenset({text.encode(), *_encoded(text.encode())}))


@functools.cache
def key(name: str, pem: str) -> Secret:
    """Make a secret of a private key: its secret numbers, however they are wrapped."""
    parts = _secret_parts(pem)
    needles: set[bytes] = set()
    for part in parts:
        needles |= {part[at : at + _RAW] for at in range(0, len(part) - _RAW + 1, 8)}
        needles |= set(_encoded(part))
    return Secret(name, frozenset(needles))


def _secret_parts(pem: str) -> list[bytes]:
    loaded = load_pem_private_key(pem.encode(), None)
    if isinstance(loaded, Ed25519PrivateKey):
        return [loaded.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())]
    assert isinstance(loaded, RSAPrivateKey)
    numbers = loaded.private_numbers()
    whole = (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    return [number.to_bytes((number.bit_length() + 7) // 8, "big") for number in whole]


def _encoded(part: bytes) -> Iterator[bytes]:
    for text in (part.hex().encode(), part.hex().upper().encode()):
        yield from (text[at : at + 2 * _RAW] for at in range(0, max(1, len(text) - 2 * _RAW + 1), _RAW))
    for text in _base64_windows(part, _TEXT):
        yield text
        yield text.replace(b"+", b"-").replace(b"/", b"_")


def _base64_windows(part: bytes, size: int) -> Iterator[bytes]:
    """Give pieces of the base64 of something that holds ``part``, wherever in it ``part`` begins."""
    for skip in range(3):
        inner = part[skip : skip + (len(part) - skip) // 3 * 3]
        text = base64.b64encode(inner)
        yield from (text[at : at + size] for at in range(0, max(1, len(text) - size + 1), size // 2))


def unpacked(data: bytes) -> Iterator[bytes]:
    """Give what is searched: the bytes as they are, and what they hold when they are unpacked."""
    yield data
    bare = _SPACE.sub(b"", data)
    yield bare
    if b"%" in data:
        yield unquote_to_bytes(bare)
    for run in _RUN.findall(bare):
        for at in _ALIGNMENTS:
            part = run[at:].replace(b"-", b"+").replace(b"_", b"/")
            yield base64.b64decode(part[: len(part) // 4 * 4])
    for run in _HEX.findall(bare):
        yield binascii.unhexlify(run)


def found_in(data: bytes, secrets: list[Secret]) -> list[str]:
    """Give the names of the secrets that stand in some bytes."""
    return list(_found_in(data, tuple(secrets)))


@functools.lru_cache(maxsize=4096)  # most files are those of the app that every test copies
def _found_in(data: bytes, secrets: tuple[Secret, ...]) -> tuple[str, ...]:
    everything = b"\0".join(unpacked(data))
    return tuple(secret.name for secret in secrets if any(needle in everything for needle in secret.needles))


def sweep(secrets: list[Secret], texts: dict[str, bytes], folders: list[Path], but: frozenset[str] = frozenset()) -> list[str]:
    """Search texts and every name and file below folders; give ``place: secret`` for each hit.

    ``but`` names files that hold keys by right.
    """
    places = dict(texts)
    for folder in folders:
        paths = list(folder.rglob("*"))
        # In one go, as each search costs the same whether it is through one name or all of them.
        places[f"the names below {folder}"] = b"\0".join(str(path).encode(errors="surrogateescape") for path in paths)
        for path in paths:
            if path.is_file() and path.name not in but:
                places[str(path)] = path.read_bytes()
    return [f"{place}: {name}" for place, data in places.items() for name in found_in(data, secrets)]
