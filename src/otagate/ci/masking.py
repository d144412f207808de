"""Which parts of a secret must never be shown."""

from __future__ import annotations

MIN_CHARS = 8
"""Shorter pieces are left alone: masking ``ab==`` would blot out innocent text, and hosts drop outputs that contain a mask."""


def secret_lines(secret: str) -> list[str]:
    """Give the lines of a secret that are worth hiding: a key's armour and very short lines are not.

    Hosts compare line by line, so a multi-line key has to be hidden one line at a time.
    """
    lines = (line.strip() for line in secret.replace("\\n", "\n").splitlines())
    return list(dict.fromkeys(line for line in lines if len(line) >= MIN_CHARS and not line.startswith("-----")))
