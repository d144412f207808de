"""Reading variables, addresses and files of the environment, and showing what a service said without any secret in it."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from otagate._text import harmless
from otagate.errors import UsageError
from otagate.identity.interface import Kind

_MAX_FILE_BYTES = 1024 * 1024
_TOKEN_LIKE = re.compile(r"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}", re.ASCII)
_MIN_SECRET = 6


def value(environ: Mapping[str, str], *names: str) -> str | None:
    """Give the first of these variables that says anything, without white space around it."""
    return next((text for name in names if (text := environ.get(name, "").strip())), None)


def is_true(environ: Mapping[str, str], name: str) -> bool:
    """Whether a variable says yes."""
    return environ.get(name, "").strip().lower() in {"true", "1"}


def remedy(only: Kind | None, on_ci: str, stored: str, on_laptop: str) -> str:
    """Say what to do where no link of the chain can: what the one link needs that is asked for, or all that is usual.

    Args:
        only: The one link to use.
        on_ci: What the CI's token needs.
        stored: The variables of stored keys.
        on_laptop: What a person does.
    """
    match only:
        case None:
            words = f"on a CI: {on_ci}; on a laptop: {on_laptop}"
        case Kind.OIDC:
            words = on_ci
        case Kind.ENVIRONMENT:
            words = f"set {stored}, or leave out identity={only}"
        case Kind.PROFILE:
            words = f"{on_laptop}, or leave out identity={only}"
        case _:
            words = f"run it where the platform gives an identity to the {only}, or leave out identity={only}"
    return f"{words}; see docs/stores.md"


def said(text: str, secrets: Iterable[str] = ()) -> str:
    """Make a service's or program's words fit to show: secrets and whatever looks like a token become ``***``."""
    for secret in secrets:
        # What signs a token gives it away even without the rest.
        for part in (secret, secret.rpartition(".")[2]):
            if len(part) >= _MIN_SECRET:
                text = text.replace(part, "***")
    return harmless(" ".join(_TOKEN_LIKE.sub("***", text).split()), 400)


def address(name: str, url: str, plain: frozenset[str] = frozenset(), *, is_link_local_fine: bool = False) -> str:
    """Check an address that tokens are sent to or come from, and give it without a slash at its end.

    https is fine everywhere; http only on this machine, on the hosts in ``plain``, and, when ``is_link_local_fine``, on
    link-local addresses, which no router passes on.

    Raises:
        UsageError: It is anything else. ``name`` says where it was read.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    is_plain = parts.scheme == "http" and (_is_here(host) or host in plain or (is_link_local_fine and _is_link_local(host)))
    is_bare = "@" not in parts.netloc and not parts.fragment and url.isascii() and url.isprintable() and " " not in url
    if not host or not is_bare or port == 0 or not (parts.scheme == "https" or is_plain):
        raise UsageError(
            "a token must not be sent there",
            name,
            expected="https://HOST/PATH (http only on this machine, or to the cloud's own metadata service)",
            found=f"{harmless(parts.scheme, 20)}://{harmless(host, 120)}" if host else "no address",
            remedy=f"correct {name}",
        )
    return url.rstrip("/")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False


def read_small(path: str) -> str | None:
    """Read a token or settings file; None when it is missing, unreadable, too large or no text."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        return None if len(data) > _MAX_FILE_BYTES else data.decode("utf-8-sig").strip()
    except (
        OSError,
        ValueError,
    ):  # the chain says "cannot be read" and looks further; ValueError: a NUL in the name, or no text
        return None


def table(text: str | bytes | None) -> dict[str, Any]:
    """Read a JSON object; an empty one for anything else."""
    try:
        found = json.loads(text or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def text_of(found: Mapping[str, Any], name: str) -> str | None:
    """Give a field of a JSON object when it is a text that says something."""
    text = found.get(name)
    return text if isinstance(text, str) and text else None
