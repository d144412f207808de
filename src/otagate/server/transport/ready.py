"""Saying that the server answers: a line for people, a file for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otagate._fs import atomic_write, translate


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    Attributes:
        host: As asked for.
        port: The real one.
        is_tls: HTTPS.
    """

    host: str
    port: int
    is_tls: bool

    @property
    def url(self) -> str:
        """Give the address for people; one that listens everywhere is shown by its loopback address."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104 - compared
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}"


def write_ready(path: Path, address: Address, workers: Sequence[int]) -> None:
    """Write ``{"pid", "port", "url", "workers"}``, whole or not at all; ``workers`` are process ids.

    Raises:
        OtagateError: It cannot be written.
    """
    values = {"pid": os.getpid(), "port": address.port, "url": address.url, "workers": list(workers)}
    try:
        atomic_write(path, json.dumps(values).encode() + b"\n")
    except OSError as error:
        raise translate(error, "cannot write the ready file", path) from error


def remove_ready(path: Path) -> None:
    """Remove the ready file of this process; that of another, or none, is left."""
    try:
        is_ours = json.loads(path.read_bytes()).get("pid") == os.getpid()
        if is_ours:
            path.unlink()
    except (OSError, ValueError, AttributeError):
        return  # nothing depends on it any more
