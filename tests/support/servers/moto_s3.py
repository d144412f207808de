"""moto's server as a second S3 on loopback: one for each test process. It checks no signature."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from support.servers.ports import free_ports, kept, running

BUCKET = "acme-updates"
ACCESS_KEY = "moto-access"
SECRET_KEY = "moto-secret-that-must-not-show"


@functools.cache
def shared() -> str:
    """Give the base URL of this process's server, which keeps everything in memory and ends with the process."""
    return kept("moto", serving)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server with an empty bucket until the ``with`` body ends."""
    (port,) = free_ports(1)
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, Path(__file__).with_name("moto_in_turn.py"), "127.0.0.1", str(port)]

    def is_ready() -> bool:
        try:
            return httpx.get(f"{base}/moto-api/", timeout=2).is_success
        except httpx.HTTPError:
            return False

    with running(command, is_ready, folder / f"log-{os.getpid()}"):
        client(base).create_bucket(Bucket=BUCKET)
        yield base


def client(base: str) -> Any:
    """Give a boto3 client."""
    import boto3

    return boto3.client(
        "s3", endpoint_url=base, region_name="us-east-1", aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY
    )
