"""Reading CI variables: blank means missing, and nothing in them is trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

_SCP_URL = re.compile(r"(?:[^@/\s]+@)?[^:/\s]+:(?!//)(?P<path>[^\s]+)")
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,40}", re.ASCII)
_FULL_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)

HEADS = "refs/heads/"
TAGS = "refs/tags/"


def first(environ: Mapping[str, str], *names: str) -> str | None:
    """Give the first of these variables that says anything, without white space around it."""
    for name in names:
        value = environ.get(name, "").strip()
        if value:
            return value
    return None


def is_true(value: str | None) -> bool:
    """Whether a variable says yes; hosts write ``true`` and ``True``."""
    return value is not None and value.lower() in {"true", "1"}


def number(text: object) -> int | None:
    """Read a positive whole number such as a pull request's, or give None."""
    if isinstance(text, bool) or not isinstance(text, int | str):
        return None
    return int(text) or None if _NUMBER.fullmatch(str(text)) else None


def commit(text: object) -> str | None:
    """Give a full or shortened commit id (7 to 40 hex digits) in lower case, or None for anything else."""
    if not isinstance(text, str):
        return None
    lower = text.strip().lower()
    return lower if _SHORT_COMMIT.fullmatch(lower) else None


def is_full_commit(text: str | None) -> bool:
    """Whether this is a whole commit id: 40 lower-case hex digits."""
    return text is not None and _FULL_COMMIT.fullmatch(text) is not None


def below(text: str | None, prefix: str) -> str | None:
    """Give what stands behind ``prefix``, or None when it is not there or nothing follows."""
    if text is None or not text.startswith(prefix):
        return None
    return text.removeprefix(prefix) or None


def short_ref(text: str | None) -> str | None:
    """Drop ``refs/heads/`` from a branch that a host may give in long or short form."""
    return text.removeprefix(HEADS) or None if text else None


def slug(url: str | None) -> str | None:
    """Give ``owner/name`` of a clone URL (https, ssh or ``git@host:owner/name``); credentials in it are dropped."""
    if not url:
        return None
    match = _SCP_URL.fullmatch(url)
    try:
        path = match["path"] if match else urlsplit(url).path
    except ValueError:  # an address with a broken host part is no address; the slug is for people only
        return None
    path = path.strip("/").removesuffix(".git")
    return path if "/" in path else None
