"""Base64url without padding, as JOSE writes it. **Source:** RFC 7515, section 2."""

from __future__ import annotations

import base64


def encode(data: bytes) -> str:
    """Write bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Read bytes; only the one spelling that :func:`encode` gives.

    Raises:
        ValueError: Anything else.
    """
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        message = "not base64url without padding"
        raise ValueError(message)
    return data
