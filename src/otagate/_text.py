"""Small text helpers for messages: nearest names, sizes, spans of time, harmless quoting."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from datetime import timedelta


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Give the known word most like ``word``, or None when none is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def size(count: int) -> str:
    """Write a number of bytes for people, in binary units: ``512 B``, ``1.5 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":  # noqa: PLR2004 - the binary step
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def span(length: timedelta) -> str:
    """Write a length of time as a policy does: ``1d``, ``2h30m``, ``45s``, ``500ms``."""
    if length < timedelta(0):
        return "-" + span(-length)
    whole_ms = round(length.total_seconds() * 1000)
    if whole_ms == 0:
        return "0s"
    if whole_ms < 1000:  # noqa: PLR2004 - less than a second
        return f"{whole_ms}ms"
    parts, left = [], whole_ms // 1000
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def approval(key: str) -> str:
    """Write what a rollout waits to be approved, ``phase:NAME`` or ``insufficient:NAME:STEP``, in words."""
    kind, _, rest = key.partition(":")
    if kind == "phase":
        return f"phase {rest}"
    return f"phase {rest.rpartition(':')[0]} with too few devices" if kind == "insufficient" else key


def harmless(text: str, limit: int = 200) -> str:
    r"""Make untrusted text safe to print: control, format and direction characters are escaped, long text is cut.

    A file name or a branch must not be able to forge a line of output, a terminal escape or a CI command.
    """
    shown = "".join(
        ch if unicodedata.category(ch) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else _escape(ch) for ch in text[:limit]
    )
    return shown + "…" if len(text) > limit else shown


def _escape(ch: str) -> str:
    point = ord(ch)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"  # noqa: PLR2004 - one byte
