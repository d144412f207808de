"""SeaweedFS with its S3 gateway on loopback, with authentication: one for each test process."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.servers.ports import free_ports, kept, running

ACCESS_KEY = "seaweed-access"
SECRET_KEY = "seaweed-secret-that-must-not-show"
READER_KEY = "seaweed-reader"
READER_SECRET = "seaweed-reader-secret-that-must-not-show"
BUCKET = "acme-updates"
_GRPC = 10_000
"""SeaweedFS adds this to each port for its gRPC twin."""


@functools.cache
def shared() -> str:
    """Give the base URL of this process's server, which ends with the process and leaves nothing behind."""
    return kept("seaweedfs", serving)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server with an empty bucket until the ``with`` body ends."""
    ports = free_ports(4, twin=_GRPC)
    s3, master, volume, filer = ports
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [_owner(), _reader()]}))
    data = folder / "data"
    data.mkdir()
    command = [
        Path(sys.executable).parent / "weed",
        "-logtostderr=true",
        "server",
        f"-dir={data}",
        # By default it listens on the machine's own addresses, and reports to its makers.
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
        *("-filer", "-s3", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"),
        *("-master.volumeSizeLimitMB=256", "-volume.max=20"),
    ]
    base = f"http://127.0.0.1:{s3}"
    # SIGTERM takes it more than 20 s: running() kills it.
    try:
        with running(command, lambda: _make_bucket(base), folder / "log"):
            yield base
    finally:
        for port in (*ports, *(port + _GRPC for port in ports)):
            # It makes sockets there, whatever TMPDIR says.
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


def client(base: str) -> Any:
    """Give a boto3 client with all rights."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=base,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5, s3={"addressing_style": "path"}),
    )


def _make_bucket(base: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        owner = client(base)
        if BUCKET not in {bucket["Name"] for bucket in owner.list_buckets()["Buckets"]}:
            owner.create_bucket(Bucket=BUCKET)
        # The gateway answers before there is room for bytes.
        owner.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
    except (BotoCoreError, ClientError):
        return False
    return True


def _owner() -> dict[str, Any]:
    return _identity("owner", ACCESS_KEY, SECRET_KEY, ["Admin", "Read", "Write", "List", "Tagging"])


def _reader() -> dict[str, Any]:
    return _identity("reader", READER_KEY, READER_SECRET, ["Read", "List"])


def _identity(name: str, key: str, secret: str, actions: list[str]) -> dict[str, Any]:
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
