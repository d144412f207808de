"""Which keys documents may have: the same for every store, so that no store can be made to touch anything else."""

from __future__ import annotations

import re

from otagate._text import harmless
from otagate.errors import UsageError, VerificationError
from otagate.model import Digest
from otagate.store.interface import MAX_DOCUMENT_BYTES

MAX_KEY_CHARS = 900
"""Longest document key. S3 takes 1,024 bytes; a store's own prefix needs room too.

**Source:** Amazon S3 User Guide, "Naming Amazon S3 objects".
"""
MAX_SEGMENT_CHARS = 255
"""Longest part of a key between slashes: what the usual file systems take for a name."""
BLOBS = "blobs"
"""The first segment of every blob's key; no document may begin with it."""

_SEGMENT = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*", re.ASCII)


def check_key(key: str) -> str:
    """Give ``key`` back when a document may have it.

    Raises:
        UsageError: It is empty, too long, absolute, begins with ``blobs/``, or has a segment that is empty, begins with a dot
            or holds other characters than letters, digits and ``._+-``.
    """
    segments = key.split("/")
    if (
        len(key) > MAX_KEY_CHARS
        or segments[0] == BLOBS
        or not all(_SEGMENT.fullmatch(segment) and len(segment) <= MAX_SEGMENT_CHARS for segment in segments)
    ):
        raise UsageError(
            "this is not a key of a document",
            repr(harmless(key)),
            expected=f"names of letters, digits and '._+-' joined by '/', none beginning with a dot, the first not '{BLOBS}'",
        )
    return key


def check_prefix(prefix: str) -> str:
    """Give ``prefix`` back when keys can be listed below it: a key with ``/`` at its end.

    Raises:
        UsageError: It is anything else.
    """
    if not prefix.endswith("/"):
        raise UsageError("this is not a prefix of keys", repr(harmless(prefix)), expected="a key with '/' at its end")
    check_key(prefix[:-1])
    return prefix


def blob_key(digest: Digest) -> str:
    """Give the key of a blob: ``blobs/sha256/<first two hex digits>/<hex>``. **Source:** DESIGN §6."""
    return f"{BLOBS}/sha256/{digest.hex[:2]}/{digest.hex}"


def check_size(key: str, size: int) -> None:
    """Refuse a document that is too large to be read whole.

    Raises:
        VerificationError: ``size`` bytes are more than a document may have.
    """
    if size > MAX_DOCUMENT_BYTES:
        raise VerificationError(
            "a document is larger than any that otagate writes",
            key,
            expected=f"at most {MAX_DOCUMENT_BYTES} bytes",
            found="more" if size == MAX_DOCUMENT_BYTES + 1 else f"{size} bytes",
            remedy="look at what is stored under that key: something else wrote it",
        )


def digest_of(key: str) -> Digest | None:
    """Give the digest that a blob's key names, or None when it is no blob's key."""
    hex_digits = key.rpartition("/")[2]
    if not re.fullmatch(r"[0-9a-f]{64}", hex_digits, re.ASCII):
        return None
    digest = Digest(hex_digits)
    return digest if blob_key(digest) == key else None
